//! The figures of one lane, as reports have them.

use schemars::JsonSchema;
use seawall_policy::breaker::TransitionLine;
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::slots::Series;

/// The figures of one lane.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// The lane's name.
    pub lane: String,
    /// What users got.
    pub answers: Counts,
    /// What users got of requests that came while the fault held.
    pub answers_in_fault: Counts,
    /// What users got by what their requests said of their priority, the most important first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers_by_priority: Vec<OfPriority>,
    /// What users got by their zone: that of the Envoy at the edge, or, where these have none, that of the host that was asked last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers_by_zone: Vec<OfZone>,
    /// Attempts that reached the upstream.
    pub reached_upstream: u64,
    /// Attempts that reached the upstream while the fault held.
    pub reached_upstream_in_fault: u64,
    /// Median latency of all answers, refusals and errors too, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of latency of all answers, in milliseconds.
    pub p99_ms: f64,
    /// Latency of good answers; null if there was none.
    pub good_latency: Option<Latency>,
    /// Good answers a second, from the trace's beginning to its last request.
    pub goodput_per_s: f64,
    /// Attempts that reached the upstream for each request.
    pub amplification: f64,
    /// From the fault to the first request that was kept from the upstream, in milliseconds.
    pub time_to_detect_ms: Option<u64>,
    /// From the fault's end to the last request that did not get the upstream's own answer, in milliseconds.
    pub time_to_recover_ms: Option<u64>,
    /// Whether it was well at the end: every breaker closed, and only good answers to the requests of the last ten seconds.
    pub recovered: bool,
    /// What was hit.
    pub blast_radius: BlastRadius,
    /// Degraded answers for each refusal or error; null where there was neither.
    pub degraded_to_failed: Option<f64>,
    /// Changes of state, in order.
    pub transitions: Vec<Transition>,
    /// Changes of state beyond those that are kept.
    pub transitions_left_out: u64,
    /// The run over time.
    pub series: Series,
}

/// Percentiles of latency, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
}

/// Shares from 0 to 1 of what did not get the upstream's own answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlastRadius {
    /// Of requests.
    pub requests: f64,
    /// Of upstreams: those with one such request in a hundred or more.
    pub upstreams: f64,
    /// Of priorities that requests named, by the same rule; null if none named one.
    pub priorities: Option<f64>,
    /// Of zones, by the same rule; null if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zones: Option<f64>,
}

/// What users got of one priority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfPriority {
    /// Its name.
    pub priority: String,
    /// What its users got.
    pub answers: Counts,
}

/// What users got of one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfZone {
    /// Its name.
    pub zone: String,
    /// What its users got.
    pub answers: Counts,
}

/// A change of state that the filter logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// When, in milliseconds since the trace began.
    pub at_ms: u64,
    /// As in `closed -> open`.
    pub change: String,
    /// The filter's own words.
    pub line: String,
}

impl Transition {
    /// What a line of a filter's log tells at this time; nothing if no transition is logged there.
    pub fn logged(at_ms: u64, line: &str) -> Option<Self> {
        let change = TransitionLine::parse(line)?.to_string();
        Some(Self {
            at_ms,
            change,
            line: line.to_owned(),
        })
    }

    /// The state that it led to, as in `half_open`.
    pub fn state(&self) -> &str {
        let after = self.change.rsplit_once(' ');
        after.map_or(self.change.as_str(), |(_, state)| state)
    }

    /// The upstream whose breaker it is, as the line names it.
    pub fn upstream(&self) -> &str {
        let before = self.line.rsplit_once(&self.change);
        let named = before.and_then(|(before, _)| before.split_once("upstream="));
        named.map_or("", |(_, upstream)| upstream.trim_end())
    }
}
