//! The tables under `test-harness/benches/`: which rows there are, and their policies.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::BenchError;

const ROWS: &str = include_str!("../../benches/rows.yaml");
const POLICIES: &str = include_str!("../../benches/policies.yaml");

/// One row of the harness' table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The name of its policy; without one the filter that does nothing.
    pub policy: Option<String>,
    /// Where the filter stands.
    #[serde(default)]
    pub positions: Positions,
    /// The breaker's state while requests are counted.
    #[serde(default)]
    pub breaker: BreakerState,
    /// Bytes of the request's body.
    #[serde(default)]
    pub body: usize,
    /// Each so-manieth request's first attempt fails; 0 is none.
    #[serde(default)]
    pub fail_every: u64,
    /// Requests that are in flight all the time.
    #[serde(default)]
    pub in_flight: usize,
    /// More headers of each request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What must become of each request.
    #[serde(default)]
    pub outcome: Outcome,
}

/// Where the filter stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Before the router alone.
    #[default]
    Downstream,
    /// Before and behind it.
    Both,
}

/// The breaker's state while requests are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Everybody passes.
    #[default]
    Closed,
    /// Nobody passes.
    Open,
    /// Half-open, and no permit is left.
    Full,
    /// Half-open, and each request is a probe.
    Probing,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It goes to its upstream.
    #[default]
    Passed,
    /// It is refused.
    Refused,
    /// Something of the fallback ladder answers it.
    Degraded,
}

/// The rows, in their order.
///
/// # Errors
/// If the table does not fit.
pub fn rows() -> Result<Vec<Row>, BenchError> {
    table("rows.yaml", ROWS)
}

/// The policies by their names, each a whole configuration.
///
/// # Errors
/// If the table does not fit.
pub fn policies() -> Result<BTreeMap<String, Value>, BenchError> {
    table("policies.yaml", POLICIES)
}

/// A table of such a file.
///
/// # Errors
/// If the text is no YAML, or does not fit.
pub fn table<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, BenchError> {
    serde_saphyr::from_str(text).map_err(|error| BenchError::Table {
        file: file.to_owned(),
        why: error.to_string(),
    })
}
