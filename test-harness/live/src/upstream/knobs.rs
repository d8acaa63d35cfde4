//! What can be made sick about an upstream.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// How an upstream behaves. The default is well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// Time to the answer, in milliseconds.
    pub latency_ms: u64,
    /// Up to so much more, at random, in milliseconds.
    pub jitter_ms: u64,
    /// So much more for first attempts, in milliseconds.
    pub first_latency_ms: u64,
    /// The share of answers that fail, 0 to 1.
    #[serde(deserialize_with = "share::error_rate")]
    pub error_rate: f64,
    /// The status of a failed answer, 100 to 599.
    #[serde(deserialize_with = "status")]
    pub error_status: u16,
    /// The `grpc-status` of a failed answer on `/grpc`, where it takes the status' place.
    pub grpc_status: u16,
    /// The share of first attempts that fail, 0 to 1: requests whose `x-request-id` was not seen before. Their retries
    /// are answered well.
    #[serde(deserialize_with = "share::first_error_rate")]
    pub first_error_rate: f64,
    /// The share of answers that are 404, 0 to 1.
    #[serde(deserialize_with = "share::not_found_rate")]
    pub not_found_rate: f64,
    /// Takes requests and never answers.
    pub hang: bool,
    /// Takes requests and cuts the connection.
    pub reset: bool,
    /// The share of requests whose connection is cut, 0 to 1.
    #[serde(deserialize_with = "share::reset_rate")]
    pub reset_rate: f64,
    /// Breaks off what `/stall` answers.
    pub cut: bool,
    /// Refuses connections, and cuts those there are.
    pub refuse: bool,
    /// Answers with what is no HTTP, and cuts the connections there are.
    pub garbage: bool,
    /// Packets are lost: connections there are get no answer, and new ones are not made.
    pub blackhole: bool,
    /// So much of the speed is left, in percent: for work that starts from now on, as long as the request's [`super::WORK`] says.
    pub speed: u32,
    /// How slow it is once it no longer refuses.
    pub cold_start: Option<ColdStart>,
    /// Answers so many at the same time; the others wait.
    pub capacity: Option<usize>,
    /// A path that is answered well whatever the others are, as a health check is that says nothing of the traffic.
    pub well_path: Option<String>,
    /// Works on, and lets wait, also what nobody waits for any more, as most programs do.
    pub stubborn: bool,
    /// A `retry-after` header on failed answers, in seconds.
    pub retry_after: Option<u64>,
    /// Headers on every answer, as pairs of name and value. What is no header is left out.
    pub answer_headers: Vec<(String, String)>,
    /// The same in the trailers of answers on `/grpc` that have some.
    pub answer_trailers: Vec<(String, String)>,
}

/// Who was down is slower at first, and gets faster evenly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdStart {
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// So much of its speed it has at once, in percent.
    pub speed: u32,
}

impl ColdStart {
    /// The speed after so long, as a share.
    fn after(self, age: Duration) -> f64 {
        let part = age.as_secs_f64() * 1_000.0 / self.for_ms.max(1) as f64;
        let least = f64::from(self.speed) / 100.0;
        (least + (1.0 - least) * part).min(1.0)
    }
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let given = u64::deserialize(deserializer)?;
    let status = u16::try_from(given).ok();
    let status = status.filter(|status| (100..=599).contains(status));
    status.ok_or_else(|| D::Error::custom(format!("error_status is {given}: expected 100 to 599")))
}

fn share<'de, D: Deserializer<'de>>(name: &str, deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(D::Error::custom(format!(
            "{name} is {share}: expected a share from 0 to 1, such as 0.5 for half"
        ))),
    }
}

/// The shares, each by its name, so that an error has it.
macro_rules! shares {
    ($($name:ident),*) => {
        mod share {
            $(pub(super) fn $name<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
                super::share(stringify!($name), from)
            })*
        }
    };
}
shares!(error_rate, first_error_rate, not_found_rate, reset_rate);

impl Default for Knobs {
    fn default() -> Self {
        Self {
            latency_ms: 2,
            jitter_ms: 0,
            first_latency_ms: 0,
            error_rate: 0.0,
            error_status: 503,
            grpc_status: 14,
            first_error_rate: 0.0,
            not_found_rate: 0.0,
            hang: false,
            reset: false,
            reset_rate: 0.0,
            cut: false,
            refuse: false,
            garbage: false,
            blackhole: false,
            speed: 100,
            cold_start: None,
            capacity: None,
            well_path: None,
            stubborn: false,
            retry_after: None,
            answer_headers: Vec::new(),
            answer_trailers: Vec::new(),
        }
    }
}

impl Knobs {
    /// Well but for one thing: this share of the answers fails.
    pub fn failing(error_rate: f64) -> Self {
        Self {
            error_rate,
            ..Self::default()
        }
    }

    /// Well but for one thing: this share of the first attempts fails, and their retries succeed.
    pub fn failing_first(first_error_rate: f64) -> Self {
        Self {
            first_error_rate,
            ..Self::default()
        }
    }

    /// Well, but slow.
    pub fn slow(latency_ms: u64) -> Self {
        Self {
            latency_ms,
            ..Self::default()
        }
    }

    /// Well, but first attempts are slow: whoever sends a second one meanwhile is answered by that.
    pub fn slow_first(first_latency_ms: u64) -> Self {
        Self {
            first_latency_ms,
            ..Self::default()
        }
    }

    /// Takes requests and never answers.
    pub fn hanging() -> Self {
        Self {
            hang: true,
            ..Self::default()
        }
    }

    /// Down: nobody listens.
    pub fn down() -> Self {
        Self {
            refuse: true,
            ..Self::default()
        }
    }

    /// How long a piece of work takes on a host that came back so long ago.
    pub(super) fn work(&self, work: Duration, up: Option<Duration>) -> Duration {
        let warm = match (self.cold_start, up) {
            (Some(cold), Some(age)) => cold.after(age),
            _ => 1.0,
        };
        let speed = f64::from(self.speed.max(1)) / 100.0;
        work.div_f64((speed * warm).max(0.001))
    }

    pub(crate) fn places(&self) -> usize {
        self.capacity.unwrap_or(tokio::sync::Semaphore::MAX_PERMITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_is_one_and_a_wrong_one_is_told_by_its_name() {
        for name in [
            "error_rate",
            "first_error_rate",
            "not_found_rate",
            "reset_rate",
        ] {
            let read =
                |share: &str| serde_json::from_str::<Knobs>(&format!("{{\"{name}\": {share}}}"));
            for share in ["0", "0.5", "1"] {
                assert!(read(share).is_ok(), "{name} {share}");
            }
            for share in ["5", "-0.1", "1.01", "50"] {
                let told = read(share).unwrap_err().to_string();
                assert!(
                    told.contains(name) && told.contains("from 0 to 1"),
                    "{told}"
                );
            }
        }
    }

    #[test]
    fn work_takes_longer_at_a_part_of_the_speed_and_after_a_start() {
        let secs = Duration::from_secs;
        let mut knobs = Knobs {
            speed: 50,
            ..Knobs::default()
        };
        assert_eq!(knobs.work(secs(1), Some(secs(3))), secs(2));
        knobs.cold_start = Some(ColdStart {
            for_ms: 10_000,
            speed: 20,
        });
        assert_eq!(knobs.work(secs(1), None), secs(2), "it was never down");
        let cold = |age| knobs.work(secs(6), Some(secs(age))).as_secs_f64();
        assert_eq!(
            [0, 5, 10, 20].map(|age| cold(age).round()),
            [60.0, 20.0, 12.0, 12.0]
        );
    }

    #[test]
    fn a_status_is_one() {
        for (status, is_one) in [
            (0, false),
            (99, false),
            (100, true),
            (599, true),
            (600, false),
            (99_999, false),
        ] {
            let read = serde_json::from_str::<Knobs>(&format!("{{\"error_status\": {status}}}"));
            assert_eq!(read.is_ok(), is_one, "{status}: {read:?}");
        }
    }
}
