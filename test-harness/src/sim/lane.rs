//! What stands between the clients and the upstream: Envoys with or without the filter, and the route they have.

use crate::process::Process;
use crate::router::{Retries, Route};

/// One way from the clients to the upstream.
#[derive(Clone)]
pub struct Lane<'a> {
    /// The Envoys with the filter; none is one Envoy without it. Requests go to them in turn.
    pub envoys: &'a [Process],
    /// Whether the filter stands behind the router too, where it sees every attempt.
    pub upstream: bool,
    /// The route.
    pub route: Route,
    /// The cluster's `max_retries` in each Envoy; none is no limit.
    pub max_retries: Option<u32>,
}

impl Default for Lane<'_> {
    /// One Envoy without a filter, with a route and a cluster that say nothing.
    fn default() -> Self {
        Self {
            envoys: &[],
            upstream: false,
            route: Route::default(),
            max_retries: Some(3),
        }
    }
}

impl<'a> Lane<'a> {
    /// Without a filter, with this route, and no limit on the cluster's retries.
    pub fn bare(route: Route) -> Self {
        Self {
            route,
            max_retries: None,
            ..Self::default()
        }
    }

    /// The filter before the router alone.
    pub fn downstream(envoys: &'a [Process]) -> Self {
        Self {
            envoys,
            ..Self::default()
        }
    }

    /// The filter before and behind the router, and no limit on the cluster's retries, as in the configurations that ship.
    pub fn both(envoys: &'a [Process]) -> Self {
        Self {
            envoys,
            upstream: true,
            max_retries: None,
            ..Self::default()
        }
    }

    /// How many Envoys there are.
    pub(super) fn size(&self) -> usize {
        self.envoys.len().max(1)
    }

    pub(super) fn retries(&self) -> Vec<Retries> {
        vec![Retries::limited(self.max_retries); self.size()]
    }
}
