//! The settings that are tried, each with a few sensible values, of which one is the default.

use serde_json::{Map, Value, json};

use crate::trace::Request;

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its path in a policy, parts separated by dots.
    pub path: &'static str,
    /// What it does.
    pub does: &'static str,
    /// Its values in order. `None` leaves the key out, which is the default.
    pub levels: Vec<Option<Value>>,
    /// The default in words.
    pub default: &'static str,
}

/// A level for each setting.
pub type Point = Vec<usize>;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Space {
    /// All settings.
    pub settings: Vec<Setting>,
}

impl Space {
    /// The settings for a trace: limits of time are multiples of what its requests take.
    pub fn of(trace: &[Request]) -> Self {
        let long = quantile(trace, 0.99);
        let limit = |times: u64| Value::from(shown(nice(long.saturating_mul(times))));
        let setting = |path, does, default, levels: Vec<Value>| Setting {
            path,
            does,
            levels: levels
                .into_iter()
                .map(|value| Some(value).filter(|value| !value.is_null()))
                .collect(),
            default,
        };
        let list = |value: Value| value.as_array().cloned().unwrap_or_default();
        let settings = vec![
            setting(
                "timeout.total",
                "the longest that a request takes, retries included",
                "none",
                vec![limit(10), limit(40), Value::Null],
            ),
            setting(
                "timeout.per_try",
                "the longest that an attempt takes",
                "none",
                vec![limit(2), limit(5), limit(15), Value::Null],
            ),
            setting(
                "breaker.failure_rate",
                "opens at this share of failures",
                "50",
                list(json!([20, 35, null, 65, 80])),
            ),
            setting(
                "breaker.consecutive",
                "opens at so many failures in a row while there are few calls",
                "7",
                list(json!([3, 5, null, 12])),
            ),
            setting(
                "breaker.window",
                "what the rates are taken over",
                "{over: 10s}",
                list(json!([{"over": "2s"}, {"over": "5s"}, null, {"over": "20s"}])),
            ),
            setting(
                "breaker.minimum_calls",
                "calls before a rate is judged",
                "20",
                list(json!([5, 10, null, 50, 100])),
            ),
            setting(
                "breaker.slow_call.over",
                "a later success is slow",
                "2s",
                list(json!(["250ms", "500ms", "1s", null, "4s"])),
            ),
            setting(
                "breaker.slow_call.rate",
                "opens at this share of slow calls",
                "80",
                list(json!([30, 50, null])),
            ),
            setting(
                "breaker.open.for",
                "the first open time",
                "5s",
                list(json!(["500ms", "1s", "2s", null, "10s"])),
            ),
            setting(
                "breaker.open.up_to",
                "the longest open time",
                "60s",
                list(json!(["2s", "5s", "10s", "20s", null])),
            ),
            setting(
                "breaker.open.jitter",
                "what chance adds to an open time, in percent",
                "100",
                list(json!([20, 50, null])),
            ),
            setting(
                "breaker.half_open.permits",
                "probes of a half-open breaker",
                "2",
                list(json!([1, null, 4, 8])),
            ),
            setting(
                "breaker.ramp",
                "how long the admitted share grows after closing",
                "10s",
                list(json!(["0s", "2s", "5s", null])),
            ),
            setting(
                "breaker.hosts.grace",
                "for how long failures of a minority of hosts count for nothing",
                "10s",
                list(json!(["0s", "3s", null])),
            ),
            setting(
                "retries",
                "further attempts, paid from a budget",
                "off",
                list(json!([
                    null,
                    {"attempts": 2, "budget": {"ratio": 5}},
                    {"attempts": 2},
                    {"attempts": 3}
                ])),
            ),
            setting(
                "shedding",
                "a limit on requests in flight that follows the latency",
                "off",
                list(json!([null, {"limit": "adaptive"}])),
            ),
        ];
        Self { settings }
    }

    /// The shipped default.
    pub fn default_point(&self) -> Point {
        let settings = self.settings.iter();
        let default = settings.map(|setting| setting.levels.iter().position(Option::is_none));
        default.map(|level| level.unwrap_or(0)).collect()
    }

    /// The settings of a point that are not the default.
    pub fn written<'a>(
        &'a self,
        point: &'a Point,
    ) -> impl Iterator<Item = (usize, &'a Setting, &'a Value)> {
        let settings = self.settings.iter().zip(point).enumerate();
        settings.filter_map(|(number, (setting, level))| {
            let value = setting.levels.get(*level)?.as_ref()?;
            Some((number, setting, value))
        })
    }

    /// The plugin's configuration of a point.
    pub fn configuration(&self, point: &Point) -> Value {
        let mut policy = Value::Object(Map::new());
        for (_, setting, value) in self.written(point) {
            let mut place = &mut policy;
            for part in setting.path.split('.') {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                place = &mut place[part];
            }
            *place = value.clone();
        }
        json!({"version": 1, "policies": {"default": policy}})
    }

    /// Whether it is a policy at all: settings bound each other.
    pub fn is_valid(&self, point: &Point) -> bool {
        seawall_config::from_value(&self.configuration(point)).is_ok()
    }
}

/// A quantile of what the requests of a trace take, in microseconds.
fn quantile(trace: &[Request], share: f64) -> u64 {
    let mut all: Vec<u64> = trace.iter().map(|request| request.service_us).collect();
    let at = ((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1));
    match all.is_empty() {
        true => 0,
        false => *all.select_nth_unstable(at).1,
    }
}

/// The next number of microseconds that is 1, 2 or 5 of a power of ten, from 10 ms to a minute.
fn nice(micros: u64) -> u64 {
    let mut nice = 10_000;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle() {
        if nice >= micros || nice >= 50_000_000 {
            break;
        }
        nice = (nice as f64 * factor) as u64;
    }
    nice
}

fn shown(micros: u64) -> String {
    match micros.is_multiple_of(1_000_000) {
        true => format!("{}s", micros / 1_000_000),
        false => format!("{}ms", micros / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        let requests = (0..100).map(|number| Request {
            service_us: 1_000 * number,
            ..Request::default()
        });
        Space::of(&requests.collect::<Vec<_>>())
    }

    #[test]
    fn every_level_alone_is_a_valid_policy_and_the_default_says_nothing() {
        let space = space();
        let default = space.default_point();
        let empty = json!({"version": 1, "policies": {"default": {}}});
        assert_eq!(space.configuration(&default), empty);
        for (number, setting) in space.settings.iter().enumerate() {
            let none = setting.levels.iter().filter(|level| level.is_none());
            assert_eq!(none.count(), 1, "{}: one default", setting.path);
            for level in 0..setting.levels.len() {
                let mut point = default.clone();
                point[number] = level;
                let policy = space.configuration(&point);
                let read = seawall_config::from_value(&policy);
                assert!(read.is_ok(), "{policy}: {read:?}");
            }
        }
    }

    #[test]
    fn limits_of_time_are_round_multiples_of_what_requests_take() {
        let space = space();
        let per_try = &space.settings[1];
        assert_eq!(per_try.path, "timeout.per_try");
        let levels = json!(["200ms", "500ms", "2s", null]);
        assert_eq!(json!(per_try.levels), levels, "p99 is 99 ms");
        let nice = [1, 10_000, 10_001, 99_000, 2_000_001, u64::MAX].map(nice);
        let expected = [10_000, 10_000, 20_000, 100_000, 5_000_000, 50_000_000];
        assert_eq!(nice, expected);
    }

    #[test]
    fn values_that_contradict_each_other_are_no_policy() {
        let space = space();
        let mut point = space.default_point();
        let at = |path| {
            let mut settings = space.settings.iter();
            settings.position(|setting| setting.path == path).unwrap()
        };
        point[at("breaker.open.for")] = 4;
        point[at("breaker.open.up_to")] = 0;
        assert!(!space.is_valid(&point), "10s up to 2s");
    }
}
