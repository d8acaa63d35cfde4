//! What is left of a module that did not start: why, and what it said and did until then.

use std::collections::BTreeMap;

use crate::abi::trace::TraceLine;
use crate::abi::{Common, LogLine};
use crate::module::HostError;

/// Why a module did not start, and what came before.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// Why.
    pub error: HostError,
    /// What was logged.
    pub log: Vec<LogLine>,
    /// The calls between host and guests, if they are kept.
    pub trace: Vec<TraceLine>,
    /// All metrics by name.
    pub metrics: BTreeMap<String, u64>,
}

impl Refusal {
    pub(super) fn new(error: HostError, common: &Common) -> Self {
        Self {
            error,
            log: common.log.take(),
            trace: common.trace.take(),
            metrics: common.metrics.borrow().values().clone(),
        }
    }
}
