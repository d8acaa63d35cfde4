//! What is to be known of a trace before it is played, gathered request by request.

use std::collections::BTreeMap;

use super::Request;

/// What is known of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Requests.
    pub requests: usize,
    /// When the last one comes, in microseconds.
    pub length_us: u64,
    /// The longest work, in microseconds.
    pub longest_us: u64,
    /// How many requests each cluster has; none is that of requests that name none.
    pub clusters: BTreeMap<Option<String>, u64>,
    /// Requests that failed.
    pub failed: u64,
    /// Whether it says of a request what became of it.
    pub says: bool,
}

impl Facts {
    /// One more request.
    pub fn add(&mut self, request: &Request) {
        self.requests += 1;
        self.length_us = self.length_us.max(request.at_us);
        self.longest_us = self.longest_us.max(request.service_us);
        self.failed += u64::from(request.failed());
        self.says |= request.status.is_some() || request.flags.is_some();
        match self.clusters.get_mut(&request.cluster) {
            Some(count) => *count += 1,
            None => drop(self.clusters.insert(request.cluster.clone(), 1)),
        }
    }
}
