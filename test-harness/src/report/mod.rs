//! What a run tells: the same figures as JSON for programs and as a table for people.

mod terminal;
pub(crate) mod words;

use serde::Serialize;

use crate::fault::Fault;
use crate::measure::Figures;
use crate::trace::Outage;

pub use terminal::table;

/// A report of lanes that met the same trace and the same faults.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this format.
    pub version: u32,
    /// The command that gives the same report again.
    pub reproduce: String,
    /// Seed of all chance.
    pub seed: u64,
    /// Requests in the trace.
    pub requests: usize,
    /// The trace's length in milliseconds, at the speed it was run at.
    pub length_ms: u64,
    /// Workers of the Envoy with the filter.
    pub workers: usize,
    /// The route's limit of a request, in milliseconds, in every lane.
    pub route_timeout_ms: u64,
    /// What went wrong.
    pub faults: Vec<Fault>,
    /// Outages that the trace itself holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
    /// Whether what the trace says failed did.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recorded_outcomes: bool,
    /// What should be known before the figures are believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// One entry for each lane.
    pub lanes: Vec<Figures>,
}

impl Report {
    /// Requests that reached the upstream while it was sick, in the first lane and in the last one.
    pub fn reached_while_sick(&self) -> (u64, u64) {
        let reached =
            |lane: Option<&Figures>| lane.map_or(0, |lane| lane.reached_upstream_in_fault);
        (reached(self.lanes.first()), reached(self.lanes.last()))
    }
}
