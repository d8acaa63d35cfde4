//! What a run tells: the same figures as JSON for programs, as a table and a page for people, as JUnit for pipelines.

mod comparison;
mod criteria;
mod figure;
mod html;
mod junit;
pub(crate) mod page;
mod terminal;
mod trade_off;
pub(crate) mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::measure::Figures;
use crate::trace::Outage;

pub use comparison::{Comparison, Delta, compared, earlier};
pub use criteria::{Criterion, Judged, Operator};
pub use figure::{Figure, Unit};
pub use html::html;
pub use junit::junit;
pub use terminal::table;
pub use trade_off::{Aim, Role, TradeOff, TradeOffPoint};

/// The version of the format.
pub const VERSION: u32 = 2;

/// A report of lanes that met the same trace and the same faults.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Report of seawall")]
pub struct Report {
    /// The version of this format.
    pub version: u32,
    /// What was asked for, and what became of it; empty where nothing was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<Judged>,
    /// The command that gives the same report again.
    pub reproduce: String,
    /// SHA-256 of the filter's module, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm_sha256: Option<String>,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
    /// Whether what the trace says failed did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded_outcomes: bool,
    /// What should be known before the figures are believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the figures rest on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<String>,
    /// One entry for each lane. The last one is judged.
    pub lanes: Vec<Figures>,
    /// What a search saw that proposed the last lane's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade_off: Option<TradeOff>,
    /// What changed since an earlier report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// The JSON Schema of a report.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Report);
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}

impl Report {
    /// Requests that reached the upstream while it was sick, in the first lane and in the last one.
    pub fn reached_while_sick(&self) -> (u64, u64) {
        let reached =
            |lane: Option<&Figures>| lane.map_or(0, |lane| lane.reached_upstream_in_fault);
        (reached(self.lanes.first()), reached(self.lanes.last()))
    }

    /// The same, with the last lane judged by these.
    #[must_use]
    pub fn judged(mut self, criteria: &[Criterion]) -> Self {
        let lane = self.lanes.last();
        let judged = lane.map(|lane| criteria.iter().map(|one| one.judge(lane)).collect());
        self.criteria = judged.unwrap_or_default();
        self
    }

    /// Whether every criterion was met; also where there is none.
    pub fn passed(&self) -> bool {
        self.criteria.iter().all(|judged| judged.met)
    }
}

#[cfg(test)]
mod tests;
