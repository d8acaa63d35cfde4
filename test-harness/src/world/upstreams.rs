//! The upstreams of a run: each cluster that the trace names has servers and a queue of its own.

use std::collections::BTreeMap;

use super::Scene;
use crate::trace::Request;
use crate::upstream::Servers;

/// Servers by cluster.
#[derive(Debug, Default)]
pub(super) struct Upstreams<'a> {
    clusters: BTreeMap<&'a str, Servers>,
}

impl<'a> Upstreams<'a> {
    /// Those of a request's cluster.
    pub(super) fn of(&mut self, scene: &'a Scene, request: &'a Request) -> &mut Servers {
        let made = || {
            Servers::new(scene.world.servers, scene.world.queue).with_controlled_delay(scene.delay)
        };
        let cluster = scene.cluster_of(request);
        self.clusters.entry(cluster).or_insert_with(made)
    }
}
