//! The upstreams of a run: each cluster that the trace names has servers and a queue of its own.

use std::collections::BTreeMap;

use super::Scenario;
use super::upstream::Servers;
use crate::trace::Request;

/// Servers by cluster.
#[derive(Debug, Default)]
pub(super) struct ClusterServers<'a> {
    clusters: BTreeMap<&'a str, Servers>,
}

impl<'a> ClusterServers<'a> {
    /// Those of a request's cluster.
    pub(super) fn of(&mut self, scenario: &'a Scenario, request: &'a Request) -> &mut Servers {
        let made = || {
            Servers::new(scenario.environment.servers, scenario.environment.queue)
                .with_controlled_delay(scenario.delay)
        };
        let cluster = scenario.cluster_of(request);
        self.clusters.entry(cluster).or_insert_with(made)
    }
}
