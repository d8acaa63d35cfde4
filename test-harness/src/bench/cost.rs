//! What the requests of a row cost.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::BenchError;
use super::exchange::{Exchanges, now};
use super::rows::{Outcome, Positions, Row, policies};
use crate::module::Module;
use crate::process::{Process, ProcessOptions};

/// Requests that are counted in each row; as many go before them.
pub const REQUESTS: u64 = 400;
/// Calls that hand bytes to the module: each costs Envoy several times what others cost.
const HAND_BYTES: [&str; 5] = [
    "proxy_get_buffer_bytes",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_property",
    "proxy_get_shared_data",
];

/// What [`REQUESTS`] requests of a row cost. The same module costs the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Fuel of all of them.
    pub fuel: u64,
    /// Fuel of all VMs' ticks meanwhile.
    pub tick_fuel: u64,
    /// Host calls of all of them.
    pub calls: BTreeMap<String, u64>,
}

impl Cost {
    /// Fuel of one request.
    pub fn fuel_each(&self) -> u64 {
        self.fuel / REQUESTS
    }

    /// Host calls of one request.
    pub fn calls_each(&self) -> f64 {
        self.calls.values().sum::<u64>() as f64 / REQUESTS as f64
    }

    /// Those of them that hand bytes to the module.
    pub fn byte_calls_each(&self) -> f64 {
        let calls = self.calls.iter();
        let bytes = calls.filter(|(name, _)| HAND_BYTES.contains(&name.as_str()));
        bytes.map(|(_, count)| count).sum::<u64>() as f64 / REQUESTS as f64
    }
}

/// A row with its process' start and its requests measured once.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What the requests cost.
    pub cost: Cost,
    /// The time that they took.
    pub time: Duration,
}

/// The modules that rows run.
pub struct Modules {
    filter: Module,
    nothing: Module,
    policies: BTreeMap<String, Vec<u8>>,
}

impl Modules {
    /// This filter, and the one that does nothing.
    ///
    /// # Errors
    /// If a file of the tables does not fit.
    pub fn new(filter: Module) -> Result<Self, BenchError> {
        let nothing = Module::from_bytes(&super::nothing()?);
        let policies = policies()?.into_iter();
        Ok(Self {
            filter,
            nothing: nothing.map_err(|why| BenchError::Host {
                row: "does nothing".to_owned(),
                why,
            })?,
            policies: policies
                .map(|(name, whole)| (name, whole.to_string().into_bytes()))
                .collect(),
        })
    }

    /// Runs a row once.
    ///
    /// # Errors
    /// If it has no such policy, the filter refuses it, or its requests do not meet what the row is about.
    pub fn measure(&self, row: &Row) -> Result<Measured, BenchError> {
        let (module, configuration) = match &row.policy {
            None => (&self.nothing, Vec::new()),
            Some(name) => {
                let found = self.policies.get(name).cloned();
                let missing = || BenchError::Table {
                    file: "rows.yaml".to_owned(),
                    why: format!(
                        "row \"{}\": no policy \"{name}\" in policies.yaml",
                        row.name
                    ),
                };
                (&self.filter, found.ok_or_else(missing)?)
            }
        };
        let options = ProcessOptions {
            configuration,
            // The harness has one root for both positions.
            root_id: match row.positions {
                Positions::Downstream => "seawall-down".to_owned(),
                Positions::Both => "seawall".to_owned(),
            },
            seed: 7,
            ..ProcessOptions::default()
        };
        let process = Process::start(module, options, 1_000_000_000).map_err(|why| {
            let row = row.name.clone();
            BenchError::Host { row, why }
        })?;
        counted(row, &process)
    }
}

fn counted(row: &Row, process: &Process) -> Result<Measured, BenchError> {
    let mut exchanges = Exchanges::new(row, process);
    for _ in 0..REQUESTS {
        exchanges.request(Outcome::Passed)?;
    }
    exchanges.prepare()?;
    exchanges.take_ticks();
    let (fuel, calls) = (process.fuel(), process.common().calls.borrow().clone());
    let begin = now();
    for _ in 0..REQUESTS {
        exchanges.request(row.outcome)?;
    }
    let time = begin.elapsed();
    let ticks = exchanges.take_ticks();
    let made = process.common().calls.borrow();
    let grown = made.iter().map(|(name, count)| {
        let earlier = calls.get(name).unwrap_or(&0) + ticks.calls.get(name).unwrap_or(&0);
        ((*name).to_owned(), count - earlier)
    });
    Ok(Measured {
        cost: Cost {
            fuel: process.fuel() - fuel - ticks.fuel,
            tick_fuel: ticks.fuel,
            calls: grown.filter(|(_, count)| *count > 0).collect(),
        },
        time: time.saturating_sub(ticks.time),
    })
}
