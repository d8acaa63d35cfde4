//! The figures that a lane is judged and compared by: their names, their units, and which way is better.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::{Figures, Latency};

/// A figure of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Median latency of good answers.
    P50,
    /// 90th percentile of latency of good answers.
    P90,
    /// 99th percentile of latency of good answers.
    P99,
    /// 99.9th percentile of latency of good answers.
    #[serde(rename = "p99.9")]
    P999,
    /// Requests with a good or a degraded answer.
    Success,
    /// Requests that ended in an error.
    Failed,
    /// Requests that the filter refused.
    Refused,
    /// Requests with an answer of the fallback ladder.
    Degraded,
    /// Good answers a second.
    Goodput,
    /// Attempts at the upstream for each request.
    Amplification,
    /// Requests that the filter refused though they came while no fault held.
    FalseRefusals,
    /// Attempts at the sick upstream for each request that came while the fault held.
    SickLoad,
    /// From the fault to the first request that was kept from the upstream.
    TimeToDetect,
    /// From the fault's end to the last request that did not get a good answer.
    TimeToRecover,
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millis,
    /// Percent of all requests.
    #[serde(rename = "%")]
    Percent,
    /// Per second.
    #[serde(rename = "/s")]
    PerSecond,
    /// Times.
    #[serde(rename = "x")]
    Times,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::P50,
        Self::P90,
        Self::P99,
        Self::P999,
        Self::Success,
        Self::Failed,
        Self::Refused,
        Self::Degraded,
        Self::Goodput,
        Self::Amplification,
        Self::FalseRefusals,
        Self::SickLoad,
        Self::TimeToDetect,
        Self::TimeToRecover,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Degraded => "degraded",
            Self::Goodput => "goodput",
            Self::Amplification => "amplification",
            Self::FalseRefusals => "false_refusals",
            Self::SickLoad => "sick_load",
            Self::TimeToDetect => "time_to_detect",
            Self::TimeToRecover => "time_to_recover",
        }
    }

    /// Its unit.
    pub const fn unit(self) -> Unit {
        match self {
            Self::P50
            | Self::P90
            | Self::P99
            | Self::P999
            | Self::TimeToDetect
            | Self::TimeToRecover => Unit::Millis,
            Self::Success | Self::Failed | Self::Refused | Self::Degraded | Self::FalseRefusals => {
                Unit::Percent
            }
            Self::Goodput => Unit::PerSecond,
            Self::Amplification | Self::SickLoad => Unit::Times,
        }
    }

    /// Whether more of it is better; `None` where that depends: a degraded answer may stand for a good one or for an error.
    pub const fn more_is_better(self) -> Option<bool> {
        match self {
            Self::Success | Self::Goodput => Some(true),
            Self::Degraded => None,
            _ => Some(false),
        }
    }

    /// What it is in a lane; `None` where it has no value: no good answer, nothing that went wrong, or not recovered.
    pub fn of(self, lane: &Figures) -> Option<f64> {
        let latency = |of: fn(&Latency) -> f64| lane.good_latency.as_ref().map(of);
        let answers = &lane.answers;
        let percent = |count: u64| Some(100.0 * answers.share(count));
        match self {
            Self::P50 => latency(|of| of.p50_ms),
            Self::P90 => latency(|of| of.p90_ms),
            Self::P99 => latency(|of| of.p99_ms),
            Self::P999 => latency(|of| of.p999_ms),
            Self::Success => percent(answers.good + answers.degraded),
            Self::Failed => percent(answers.failed),
            Self::Refused => percent(answers.refused),
            Self::Degraded => percent(answers.degraded),
            Self::Goodput => Some(lane.goodput_per_s),
            Self::Amplification => Some(lane.amplification),
            Self::FalseRefusals => percent(
                answers
                    .refused
                    .saturating_sub(lane.answers_in_fault.refused),
            ),
            Self::SickLoad => {
                let came = lane.answers_in_fault.all();
                (came > 0).then(|| lane.reached_upstream_in_fault as f64 / came as f64)
            }
            Self::TimeToDetect => lane.time_to_detect_ms.map(|millis| millis as f64),
            Self::TimeToRecover => {
                let millis = lane.time_to_recover_ms.filter(|_| lane.recovered);
                millis.map(|millis| millis as f64)
            }
        }
    }
}

impl Unit {
    /// A value with it, as a reader is told.
    pub fn shown(self, value: f64) -> String {
        let short = |value: f64, digits: usize| {
            let text = format!("{value:.digits$}");
            let text = match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.'),
                false => &text,
            };
            text.to_owned()
        };
        match self {
            Self::Millis if value.abs() >= 1_000.0 => format!("{} s", short(value / 1_000.0, 3)),
            Self::Millis => format!("{} ms", short(value, 2)),
            Self::Percent => format!("{} %", short(value, 3)),
            Self::PerSecond => format!("{}/s", short(value, 2)),
            Self::Times => format!("{}x", short(value, 3)),
        }
    }
}
