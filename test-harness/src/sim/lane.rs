//! What stands between the clients and the services: Envoys with or without the filter, the route they have, and what they do
//! by themselves.

use std::collections::BTreeMap;

use super::Filter;
use super::pool::Native;
use crate::router::Route;

/// One way from the clients to the services.
#[derive(Clone)]
pub struct Lane<'a> {
    /// The Envoys with the filter; none is one Envoy without it. Requests go to those at the edge in turn.
    pub envoys: Vec<&'a dyn Filter>,
    /// How many Envoys stand at the edge where they have no filter; 0 is one.
    pub bare_edge: usize,
    /// Whether a retry goes to a host that was not tried yet, while there is one, as with `retry_host_predicate: previous_hosts`.
    pub avoids_tried: bool,
    /// The Envoys beside services that call others. Those with the filter are the last ones of `envoys`.
    pub sidecars: Vec<Sidecar>,
    /// Whether the filter stands behind the router too, where it sees every attempt.
    pub upstream: bool,
    /// The route.
    pub route: Route,
    /// Limits and outlier detection of each cluster in each Envoy.
    pub native: Native,
    /// The status of what stands in for an answer of 500 or more without the filter, whoever gave it, as `custom_response` has it.
    pub stands_in: Option<u16>,
    /// Those of clusters that have their own.
    pub native_of: BTreeMap<String, Native>,
}

/// The Envoy through which a service calls others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// Whose.
    pub service: String,
    /// Which of [`Lane::envoys`]; none has no filter.
    pub process: Option<usize>,
}

impl Default for Lane<'_> {
    /// One Envoy without a filter, with a route and a cluster that say nothing.
    fn default() -> Self {
        Self {
            envoys: Vec::new(),
            bare_edge: 0,
            avoids_tried: false,
            sidecars: Vec::new(),
            upstream: false,
            route: Route::default(),
            native: Native {
                retries: Some(3),
                ..Native::default()
            },
            stands_in: None,
            native_of: BTreeMap::new(),
        }
    }
}

impl<'a> Lane<'a> {
    /// Without a filter, with this route, and no limit on the cluster's retries.
    pub fn bare(route: Route) -> Self {
        Self {
            route,
            native: Native::default(),
            ..Self::default()
        }
    }

    /// The filter before the router alone.
    pub fn downstream<F: Filter>(envoys: &'a [F]) -> Self {
        Self {
            envoys: all(envoys),
            ..Self::default()
        }
    }

    /// The filter before and behind the router, and no limit on the cluster's retries, as in the configurations that ship.
    pub fn both<F: Filter>(envoys: &'a [F]) -> Self {
        Self {
            envoys: all(envoys),
            upstream: true,
            native: Native::default(),
            ..Self::default()
        }
    }

    /// How many Envoys at the edge have the filter.
    fn filtered(&self) -> usize {
        let beside = self.sidecars.iter().filter(|one| one.process.is_some());
        self.envoys.len().saturating_sub(beside.count())
    }

    /// How many Envoys stand at the edge.
    pub(super) fn edge(&self) -> usize {
        match self.filtered() {
            0 => self.bare_edge.max(1),
            filtered => filtered,
        }
    }

    /// The Envoy through which a service calls others; one without a sidecar has the first Envoy at the edge.
    pub(super) fn sidecar(&self, service: &str) -> usize {
        let mut sidecars = self.sidecars.iter();
        let found = sidecars.position(|one| one.service == service);
        found.map_or(0, |number| self.edge() + number)
    }

    /// Which of [`Self::envoys`] an Envoy is; none has no filter.
    pub(super) fn process(&self, envoy: usize) -> Option<usize> {
        match envoy.checked_sub(self.edge()) {
            None => (envoy < self.filtered()).then_some(envoy),
            Some(sidecar) => self.sidecars.get(sidecar)?.process,
        }
    }

    /// What each Envoy does by itself for a service.
    pub(super) fn native(&self, service: &str) -> &Native {
        self.native_of.get(service).unwrap_or(&self.native)
    }
}

fn all<F: Filter>(envoys: &[F]) -> Vec<&dyn Filter> {
    envoys.iter().map(|envoy| envoy as &dyn Filter).collect()
}
