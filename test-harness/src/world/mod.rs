//! A world in YAML: the services behind Envoy, whom they call, what their clients do, and what goes wrong.
//!
//! [`World`] is what a file says; [`World::scenario`] is what the simulation plays. The schema for editors is made of the same
//! types.

mod clients;
mod services;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{DocumentError, wrong};
use crate::fault::Fault;
use crate::sim::{CLUSTER, Environment, Scenario, Service, Sidecar};
pub use clients::{ClientsSpec, TokensSpec, Wait};
pub use services::{Beside, ServiceSpec};
pub use units::{Percent, Time};

/// Envoys at the edge, at most.
const ENVOYS_MAX: usize = 1_000;
/// Tries of a request or a call, at most.
const TRIES_MAX: usize = 100;
/// Calls that one request leads to, at most, if none fails.
const CALLS_MAX: u64 = 10_000;
/// Services, at most.
const SERVICES_MAX: usize = 1_000;
/// Calls of a service, at most.
const CALLS_OF_SERVICE_MAX: usize = 100;
/// Hosts of a service, at most.
const HOSTS_MAX: usize = 10_000;

/// A world.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// The version of this format: 1.
    pub version: u32,
    /// Who asks.
    pub clients: ClientsSpec,
    /// The Envoys that the clients reach.
    pub edge: Edge,
    /// The service of requests that name none. By default the only one that no other calls, or `upstream`.
    pub entry: Option<String>,
    /// The services, by the name of their cluster. Clusters of the trace that are not here are like the one that has the name `*`.
    pub services: BTreeMap<String, ServiceSpec>,
    /// What goes wrong, each as `seawall replay --fault` takes it, such as `errors,at=30s,for=60s,service=db`.
    pub faults: Vec<String>,
}

/// The Envoys that the clients reach.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Edge {
    /// How many; requests go to them in turn.
    pub envoys: usize,
    /// Workers of each Envoy of the world.
    pub workers: usize,
    /// Whether Seawall is in them, in the lanes that have it.
    pub seawall: bool,
    /// The zones that they are in, in turn.
    pub zones: Vec<String>,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            envoys: 1,
            workers: 4,
            seawall: true,
            zones: Vec::new(),
        }
    }
}

/// The name of the service that stands for all that are not named.
pub const OTHERS: &str = "*";

impl World {
    /// Reads a world.
    pub fn read(text: &str) -> Result<Self, DocumentError> {
        let world: Self = serde_saphyr::from_str(text).map_err(DocumentError::form)?;
        world.checked()
    }

    /// A world that stands in another document.
    pub fn from_value(value: serde_json::Value) -> Result<Self, DocumentError> {
        let world: Self = serde_json::from_value(value).map_err(DocumentError::form)?;
        world.checked()
    }

    /// The schema for editors.
    pub fn schema() -> String {
        let schema = schemars::schema_for!(Self);
        serde_json::to_string_pretty(&schema).unwrap_or_default()
    }

    fn checked(self) -> Result<Self, DocumentError> {
        if self.version != 1 {
            let problem = format!("{}: expected 1, the version of this format", self.version);
            return Err(wrong("version", problem));
        }
        let bounds = [
            ("edge.envoys", self.edge.envoys, ENVOYS_MAX),
            ("edge.workers", self.edge.workers, 8),
            ("clients.count", self.clients.count, 1_000_000),
            ("clients.tries", self.clients.tries as usize, TRIES_MAX),
        ];
        for (path, value, most) in bounds {
            if !(1..=most).contains(&value) {
                return Err(wrong(path, format!("{value}: expected 1 to {most}")));
            }
        }
        self.clients.check()?;
        if self.services.len() > SERVICES_MAX {
            let problem = format!("{}: expected {SERVICES_MAX} at most", self.services.len());
            return Err(wrong("services", problem));
        }
        for (name, service) in &self.services {
            if service.calls.len() > CALLS_OF_SERVICE_MAX {
                let problem = format!(
                    "{}: expected {CALLS_OF_SERVICE_MAX} at most",
                    service.calls.len()
                );
                return Err(wrong(format!("services.{name}.calls"), problem));
            }
            service.check(&format!("services.{name}"))?;
            for (number, call) in service.calls.iter().enumerate() {
                let path = format!("services.{name}.calls[{number}]");
                if !(1..=TRIES_MAX).contains(&(call.tries as usize)) {
                    let problem = format!("{}: expected 1 to {TRIES_MAX}", call.tries);
                    return Err(wrong(format!("{path}.tries"), problem));
                }
                if call.timeout.is_some_and(|timeout| timeout.0 == 0) {
                    let problem = "expected a time above 0, such as 1s";
                    return Err(wrong(format!("{path}.timeout"), problem));
                }
                if !self.services.contains_key(&call.service) {
                    let path = format!("services.{name}.calls[{number}].service");
                    let known: Vec<_> = self.services.keys().map(String::as_str).collect();
                    let known = known.join(", ");
                    let problem = format!(
                        "there is no service {}: expected one of {known}",
                        call.service
                    );
                    return Err(wrong(path, problem));
                }
            }
        }
        self.check_circles()?;
        let entry = self.entry();
        let known = self.services.contains_key(entry) || self.services.contains_key(OTHERS);
        if !known && (self.entry.is_some() || !self.services.is_empty()) {
            let names: Vec<_> = self.services.keys().map(String::as_str).collect();
            let problem = match &self.entry {
                Some(entry) => format!(
                    "there is no service {entry}: expected one of {}",
                    names.join(", ")
                ),
                None => format!(
                    "which one do clients ask? Expected one of {}",
                    names.join(", ")
                ),
            };
            return Err(wrong("entry", problem));
        }
        for name in self.services.keys() {
            if self.calls_of(name) > CALLS_MAX {
                let problem = format!("one request leads to more than {CALLS_MAX} calls");
                return Err(wrong(format!("services.{name}.calls"), problem));
            }
        }
        self.faults()?;
        Ok(self)
    }

    /// How many calls a request to a service leads to, if none fails.
    fn calls_of(&self, name: &str) -> u64 {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        self.count_calls(name, &mut counts)
    }

    fn count_calls<'a>(&'a self, name: &'a str, counts: &mut BTreeMap<&'a str, u64>) -> u64 {
        if let Some(count) = counts.get(name) {
            return *count;
        }
        let mut all: u64 = 0;
        for call in self
            .services
            .get(name)
            .into_iter()
            .flat_map(|service| &service.calls)
        {
            let below = self.count_calls(&call.service, counts);
            all = all.saturating_add(below.saturating_add(1));
        }
        counts.insert(name, all);
        all
    }

    /// A service that calls itself through others would never answer.
    fn check_circles(&self) -> Result<(), DocumentError> {
        let mut done = BTreeSet::new();
        for name in self.services.keys() {
            self.descend(name, &mut Vec::new(), &mut done)?;
        }
        Ok(())
    }

    fn descend<'a>(
        &'a self,
        name: &'a str,
        above: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Result<(), DocumentError> {
        if above.contains(&name) {
            above.push(name);
            let problem = format!(
                "services call each other in a circle: {}",
                above.join(" -> ")
            );
            return Err(wrong(format!("services.{name}.calls"), problem));
        }
        if !done.contains(name) {
            above.push(name);
            let calls = self.services.get(name).into_iter();
            for call in calls.flat_map(|service| &service.calls) {
                self.descend(&call.service, above, done)?;
            }
            above.pop();
            done.insert(name);
        }
        Ok(())
    }

    /// What goes wrong.
    pub fn faults(&self) -> Result<Vec<Fault>, DocumentError> {
        let mut faults = Vec::new();
        for (number, text) in self.faults.iter().enumerate() {
            let path = format!("faults[{number}]");
            let fault: Fault = text.parse().map_err(|error: String| wrong(&path, error))?;
            self.knows(&fault).map_err(|problem| wrong(path, problem))?;
            faults.push(fault);
        }
        Ok(faults)
    }

    /// Whether a fault is about what there is here.
    ///
    /// # Errors
    /// If it names a service, a host or a zone that is not here.
    pub fn knows(&self, fault: &Fault) -> Result<(), String> {
        if let Some(service) = &fault.service
            && !self.services.contains_key(service)
        {
            return Err(format!("there is no service {service}"));
        }
        let of = |name: &String| fault.service.as_ref().is_none_or(|service| service == name);
        let hosts = self.services.iter().filter(|(name, _)| of(name));
        let most = hosts.map(|(_, service)| service.hosts).max();
        if let (Some((_, last)), Some(most)) = (fault.hosts, most)
            && last >= most
        {
            return Err(format!("host {last}: there are {most}, which count from 0"));
        }
        let zones = self.services.values().flat_map(|service| &service.zones);
        let zones: BTreeSet<&String> = zones.chain(&self.edge.zones).collect();
        let named = [&fault.zone, &fault.from].into_iter().flatten();
        match named.into_iter().find(|zone| !zones.contains(zone)) {
            None => Ok(()),
            Some(zone) if zones.is_empty() => Err(format!(
                "there is no zone {zone}: expected `zones` at services, or at the edge"
            )),
            Some(zone) => {
                let known: Vec<&str> = zones.iter().map(|zone| zone.as_str()).collect();
                let known = known.join(", ");
                Err(format!("there is no zone {zone}: expected one of {known}"))
            }
        }
    }

    /// The service of requests that name none.
    pub fn entry(&self) -> &str {
        let called: BTreeSet<&str> = self
            .services
            .values()
            .flat_map(|service| &service.calls)
            .map(|call| call.service.as_str())
            .collect();
        let names = self.services.keys().map(String::as_str);
        let first: Vec<&str> = names
            .filter(|name| *name != OTHERS && !called.contains(name))
            .collect();
        match (&self.entry, first.as_slice()) {
            (Some(entry), _) => entry,
            (None, [only]) => only,
            (None, _) => CLUSTER,
        }
    }

    /// What is played.
    pub fn scenario(&self, seed: u64) -> Result<Scenario, DocumentError> {
        let others = self.services.get(OTHERS).cloned().unwrap_or_default();
        let clients = &self.clients;
        let of = |(name, spec): (&String, &ServiceSpec)| (name.clone(), spec.service());
        let services: BTreeMap<String, Service> = self.services.iter().map(of).collect();
        Ok(Scenario {
            clients: clients.clients(),
            edge_zones: self.edge.zones.clone(),
            services,
            service: others.service(),
            cluster: self.entry().to_owned(),
            ..Scenario::from(Environment {
                servers: others.servers,
                queue: others.queue.places,
                faults: self.faults()?,
                patience: clients.patience.map(|time| time.0),
                seed,
            })
        })
    }

    /// The Envoys beside services that call others, in a lane with Seawall or without it. With it, those that have the filter
    /// take the processes after the edge's in this order.
    pub fn sidecars(&self, filtered: bool) -> Vec<Sidecar> {
        let mut process = match self.edge.seawall {
            true => self.edge.envoys,
            false => 0,
        };
        let callers = self.services.iter();
        let callers = callers.filter(|(_, service)| !service.calls.is_empty());
        let beside = |(name, service): (&String, &ServiceSpec)| Sidecar {
            service: name.clone(),
            process: (filtered && service.sidecar == Beside::Seawall).then(|| {
                process += 1;
                process - 1
            }),
        };
        callers.map(beside).collect()
    }

    /// How many Envoys have the filter, in a lane with it.
    pub fn filters(&self) -> usize {
        let beside = self.sidecars(true);
        let beside = beside.iter().filter(|one| one.process.is_some()).count();
        match self.edge.seawall {
            true => self.edge.envoys + beside,
            false => beside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_docs_is_this_one() {
        let shipped = include_str!("../../../docs/world.schema.json");
        assert!(
            shipped.trim() == World::schema().trim(),
            "run: seawall check --schema=world > docs/world.schema.json"
        );
    }
}
