//! The lanes in which a trace is played: with the filter, and with what one would have without it.

use clap::ValueEnum;
use seawall_policy::fallback::{Cause, Fallback, Kind};
use seawall_policy::policy::Policy;

use crate::module::{HostError, Module};
use crate::process::{Process, ProcessOptions};
use crate::router::{RetryOn, Route};
use crate::sim::{Filter, Lane, Native, Outliers, RetryBudget, START};
use crate::world::World;

/// Retries of clients and routes that know no budget.
pub const NAIVE_RETRIES: u32 = 3;
/// Connections, requests that wait for one, and requests in flight of a cluster that says nothing of them, in each Envoy.
pub const ENVOY_LIMIT: usize = 1_024;

/// What all lanes of a run have in common.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The filter.
    pub module: &'a Module,
    /// The world.
    pub world: &'a World,
    /// Seed of all chance.
    pub seed: u64,
    /// The route's limit of a request, in nanoseconds.
    pub route_timeout: u64,
}

/// A lane without Seawall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Other {
    /// Nothing: no retries, no limits.
    None,
    /// Three retries for everything, without a budget.
    Naive,
    /// Envoy's own means: its default limits, one retry at another host, at most three at a time, outlier detection for half of the hosts at most.
    Envoy,
}

impl Setting<'_> {
    /// The Envoys with the filter under a configuration.
    ///
    /// # Errors
    /// If the filter refuses its configuration or traps.
    pub fn processes(&self, configuration: &[u8]) -> Result<Vec<Process>, HostError> {
        let start = |number: usize| {
            let options = ProcessOptions {
                workers: self.world.edge.workers,
                configuration: configuration.to_vec(),
                // Each draws for itself, the first one as an only one does.
                seed: self.seed.wrapping_add(number as u64),
                ..ProcessOptions::default()
            };
            let process = Process::start(self.module, options, START)?;
            process.take_log();
            Ok(process)
        };
        (0..self.world.filters()).map(start).collect()
    }

    /// The route, if nobody tries again.
    fn route(&self) -> Route {
        Route {
            timeout: Some(self.route_timeout),
            ..Route::default()
        }
    }

    /// A lane with the filter in these Envoys.
    pub fn filtered<'a, F: Filter>(&self, envoys: &'a [F]) -> Lane<'a> {
        Lane {
            route: self.route(),
            sidecars: self.world.sidecars(true),
            ..Lane::both(envoys)
        }
    }

    /// A lane without the filter.
    pub fn bare(&self) -> Lane<'static> {
        Lane {
            route: self.route(),
            sidecars: self.world.sidecars(false),
            bare_edge: self.world.edge.envoys,
            ..Lane::default()
        }
    }

    /// Envoy's own means as well as they can be set for what a policy wants: its total time as the route's timeout, a retry budget, and an
    /// answer that stands in for what fails or lasts too long.
    pub fn own_means(&self, means: &Means) -> Lane<'static> {
        let mut lane = self.other(Other::Envoy);
        lane.route.timeout = Some(means.route_timeout(self.route_timeout));
        lane.native.retry_budget = Some(RetryBudget::DEFAULT);
        lane.stands_in = means.stands_in;
        lane
    }

    /// A lane with something else than the filter.
    pub fn other(&self, other: Other) -> Lane<'static> {
        let bare = self.bare();
        let timeout = bare.route.timeout;
        let retrying = |retries| Route {
            timeout,
            ..Route::retrying(RetryOn::SERVER_ERROR | RetryOn::RESET, retries)
        };
        match other {
            Other::None => bare,
            Other::Naive => Lane {
                route: retrying(NAIVE_RETRIES),
                native: Native::default(),
                ..bare
            },
            Other::Envoy => Lane {
                route: retrying(1),
                avoids_tried: true,
                native: Native {
                    connections: Some(ENVOY_LIMIT),
                    pending: Some(ENVOY_LIMIT),
                    requests: Some(ENVOY_LIMIT),
                    retries: Some(3),
                    retry_budget: None,
                    outliers: Some(Outliers {
                        most: 50.0,
                        ..Outliers::DEFAULT
                    }),
                },
                ..bare
            },
        }
    }
}

/// What a policy says that Envoy can do by itself too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Means {
    /// The route's timeout: `timeout.total`, in nanoseconds.
    pub total: Option<u64>,
    /// The status of what stands in for failures and time-outs: the first static rung for them.
    pub stands_in: Option<u16>,
}

impl Means {
    /// Those of a policy.
    pub fn of(policy: &Policy) -> Self {
        let mut answers = policy.fallback.answers(Cause::Failure, Kind::Plain);
        let stands_in = answers.find_map(|answer| match answer {
            Fallback::Static(fixed) => Some(fixed.status),
            Fallback::Cluster(_) | Fallback::Stale(_) => None,
        });
        Self {
            total: policy.time.total.map(|total| total.as_nanos()),
            stands_in,
        }
    }

    /// The limit of a route that has this one by itself, in nanoseconds.
    pub fn route_timeout(&self, own: u64) -> u64 {
        self.total.map_or(own, |total| total.min(own))
    }
}

impl Other {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no protection",
            Self::Naive => "naive retries",
            Self::Envoy => "Envoy's own",
        }
    }
}
