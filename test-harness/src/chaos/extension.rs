//! What of an experiment is Seawall's own: the world, the workload, the policy, and what the hypothesis must fail against.

use std::path::Path;

use seawall_policy::route::Routing;
use serde::Deserialize;
use serde_json::Value;

use super::workload::Workload;
use crate::document::{DocumentError, of_file, wrong};
use crate::lanes::{Means, Other};
use crate::report::Criterion;
use crate::router::ROUTE_TIMEOUT;
use crate::sim::CLUSTER;
use crate::world::{Time, World};

/// The name under which it stands in `extensions`.
pub(super) const NAME: &str = "seawall";
/// How long a system runs before the hypothesis is asked first, in nanoseconds.
const WARM_UP: u64 = 10_000_000_000;

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "name")]
    _name: String,
    #[serde(default)]
    workload: Workload,
    world: Option<Value>,
    policy: Value,
    workers: Option<usize>,
    seed: Option<u64>,
    warm_up: Option<Time>,
    route_timeout: Option<Time>,
    #[serde(default)]
    abort: Vec<String>,
    #[serde(default)]
    control: Vec<RawControl>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawControl {
    name: String,
    policy: Option<Value>,
    lane: Option<Other>,
    fails: Vec<String>,
}

/// What stands between users and upstream.
#[derive(Clone, Debug)]
pub enum Against {
    /// Seawall under this configuration of the plugin.
    Seawall(Vec<u8>),
    /// Something else.
    Other(Other),
}

/// A run in which the hypothesis must fail.
#[derive(Clone, Debug)]
pub struct Control {
    /// Its name.
    pub name: String,
    /// What is there in Seawall's place, or how it is badly set.
    pub against: Against,
    /// The probes that must find it so.
    pub fails: Vec<String>,
}

/// What is Seawall's own.
#[derive(Clone, Debug)]
pub(super) struct Extension {
    pub(super) workload: Workload,
    pub(super) world: World,
    pub(super) policy: Vec<u8>,
    pub(super) routing: Routing,
    pub(super) seed: u64,
    pub(super) warm_up: u64,
    pub(super) route_timeout: u64,
    pub(super) abort: Vec<Criterion>,
    pub(super) control: Vec<Control>,
}

impl Extension {
    /// What the policy says that Envoy can do by itself too.
    pub(super) fn means(&self) -> Means {
        let (selected, _) = self.routing.select(CLUSTER, None);
        selected.map_or_else(Means::default, |(policy, _)| Means::of(policy))
    }

    /// Reads it. Files that it names stand beside the experiment, in this directory.
    pub(super) fn read(value: &Value, place: &Path) -> Result<Self, DocumentError> {
        let at = |key: &str| format!("extensions.{NAME}.{key}");
        let raw: Raw = serde_json::from_value(value.clone())
            .map_err(|error| wrong(format!("extensions.{NAME}"), error.to_string()))?;
        let mut world = match &raw.world {
            None => World::default(),
            Some(world) => {
                let world = embedded(world, place).map_err(|error| wrong(at("world"), error))?;
                World::from_value(world).map_err(|error| wrong(at("world"), error.to_string()))?
            }
        };
        if let Some(workers) = raw.workers {
            let problem = format!("{workers}: expected 1 to 8");
            if !(1..=8).contains(&workers) {
                return Err(wrong(at("workers"), problem));
            }
            world.edge.workers = workers;
        }
        let mut workload = raw.workload;
        workload
            .check()
            .map_err(|error| wrong(at("workload"), error))?;
        workload.trace = workload.trace.map(|file| place.join(file));
        let (policy, routing) =
            policy(&raw.policy, place).map_err(|error| wrong(at("policy"), error))?;
        let abort = raw.abort.iter().map(|text| text.parse());
        let abort = abort.collect::<Result<_, String>>();
        let mut control = Vec::new();
        for one in raw.control {
            let against = match (&one.policy, one.lane) {
                (Some(value), None) => {
                    let read = self::policy(value, place);
                    let (policy, _) = read.map_err(|error| wrong(at("control.policy"), error))?;
                    Against::Seawall(policy)
                }
                (None, lane) => Against::Other(lane.unwrap_or(Other::None)),
                (Some(_), Some(_)) => {
                    let problem = "expected `policy` or `lane`, and not both";
                    return Err(wrong(at("control"), problem));
                }
            };
            control.push(Control {
                name: one.name,
                against,
                fails: one.fails,
            });
        }
        Ok(Self {
            workload,
            world,
            policy,
            routing,
            seed: raw.seed.unwrap_or(1),
            warm_up: raw.warm_up.map_or(WARM_UP, |time| time.0),
            route_timeout: raw.route_timeout.map_or(ROUTE_TIMEOUT, |time| time.0),
            abort: abort.map_err(|error| wrong(at("abort"), error))?,
            control,
        })
    }
}

/// What stands here, or in the file that is named here.
fn embedded(value: &Value, place: &Path) -> Result<Value, String> {
    let Some(file) = value.as_str() else {
        return Ok(value.clone());
    };
    of_file(&place.join(file))
}

/// A plugin's configuration, checked.
fn policy(value: &Value, place: &Path) -> Result<(Vec<u8>, Routing), String> {
    let value = embedded(value, place)?;
    let routing = seawall_config::from_value(&value).map_err(|error| error.to_string())?;
    Ok((value.to_string().into_bytes(), routing))
}
