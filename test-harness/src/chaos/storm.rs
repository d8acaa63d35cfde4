//! A storm: an experiment that is drawn from a seed. What goes wrong, for how long and how many at a time is chance.

use std::path::Path;

use rand::{Rng, RngExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::document::Experiment;
use super::timeline::Surge;
use crate::document::DocumentError;
use crate::fault::{Fault, Kind};
use crate::random::chance;

const SECOND: u64 = 1_000_000_000;
/// Before it all is well for so long, in nanoseconds.
const CALM: u64 = 10 * SECOND;
/// Gusts begin within so many seconds.
const BEGIN_MAX: u64 = 30;
/// No gust is longer, in seconds.
const LENGTH_MAX: u64 = 20;
/// Gusts of a storm, at most.
const GUSTS_MAX: usize = 5;
/// What may go wrong.
const KINDS: [Kind; 15] = [
    Kind::Errors,
    Kind::Refuse,
    Kind::Hang,
    Kind::Reset,
    Kind::RefuseStream,
    Kind::ResetStream,
    Kind::Latency,
    Kind::NotFound,
    Kind::Slow,
    Kind::Crash,
    Kind::Blackhole,
    Kind::Garbage,
    Kind::KillVm,
    Kind::CorruptState,
    Kind::Clock,
];

/// One thing that goes wrong. Times count from the end of the calm.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gust {
    /// A fault.
    Fault(Fault),
    /// More requests.
    Surge(Surge),
}

/// A storm, with the world that it hits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storm {
    /// The seed of all storms.
    pub seed: u64,
    /// Which of them.
    pub number: u64,
    /// Hosts of the upstream.
    pub hosts: usize,
    /// Servers of each.
    pub servers: usize,
    /// Workers of Envoy.
    pub workers: usize,
    /// Requests a second.
    pub rate: u64,
    /// The median of the upstream's work, in milliseconds.
    pub service_ms: u64,
    /// Tries of a user.
    pub tries: u32,
    /// What goes wrong.
    pub gusts: Vec<Gust>,
}

impl Gust {
    /// When it begins, in nanoseconds.
    pub fn at(&self) -> u64 {
        match self {
            Self::Fault(fault) => fault.at,
            Self::Surge(surge) => surge.at,
        }
    }

    /// When it ends.
    pub fn end(&self) -> u64 {
        match self {
            Self::Fault(fault) => fault.end(),
            Self::Surge(surge) => surge.end(),
        }
    }
}

impl Storm {
    /// Draws a storm. The same numbers are the same storm.
    pub fn draw(seed: u64, number: u64) -> Self {
        let mut random = chance(seed, format_args!("storm {number}"));
        let hosts = random.random_range(1..=4);
        let rate = random.random_range(30..=90);
        let service_ms = random.random_range(5..=40);
        // Half of the servers work at most, and a few are there for chance.
        let busy = rate * service_ms / 1_000;
        let servers = 8 + usize::try_from(busy).unwrap_or(8) * 3 / hosts;
        let count = random.random_range(1..=GUSTS_MAX);
        Self {
            seed,
            number,
            hosts,
            servers,
            workers: random.random_range(1..=4),
            rate,
            service_ms,
            tries: random.random_range(1..=3),
            gusts: (0..count).map(|_| gust(&mut random, hosts)).collect(),
        }
    }

    /// The experiment that it is, under a policy; in the end the system has so much time to heal, in nanoseconds.
    ///
    /// # Errors
    /// If the policy is none.
    pub fn experiment(&self, policy: &Value, heals: u64) -> Result<Experiment, DocumentError> {
        let file = format!("storm-{}-{}.json", self.seed, self.number);
        Experiment::of(self.document(policy, heals), Path::new(&file))
    }

    /// The same as a file that `seawall chaos run` plays.
    pub fn document(&self, policy: &Value, heals: u64) -> Value {
        let activity = |kind: &str, name: String, arguments: Vec<String>| {
            let arguments: Vec<_> = ["chaos".to_owned()].into_iter().chain(arguments).collect();
            let provider = json!({"type": "process", "path": "seawall", "arguments": arguments});
            json!({"type": kind, "name": name, "provider": provider})
        };
        let step = |words: &[&str], rest: &[String]| {
            let file = "${experiment}".to_owned();
            let words = words.iter().map(|word| (*word).to_owned());
            let mut arguments: Vec<String> = words.collect();
            arguments.push(file);
            arguments.extend_from_slice(rest);
            arguments
        };
        let probe = |name: &str, ask: &str, tolerance: Value| {
            let mut probe = activity(
                "probe",
                name.to_owned(),
                step(&["probe"], &[ask.to_owned()]),
            );
            probe["tolerance"] = tolerance;
            probe
        };
        let all = json!({"type": "range", "target": "stdout", "range": [100, 100]});
        let mut gusts: Vec<&Gust> = self.gusts.iter().collect();
        gusts.sort_by_key(|gust| gust.at());
        let mut method = Vec::new();
        let mut clock = 0;
        let wait = |method: &mut Vec<Value>, nanos: u64| {
            if nanos > 0 {
                method.push(activity(
                    "action",
                    "time passes".to_owned(),
                    step(&["wait"], &[format!("{nanos}ns")]),
                ));
            }
        };
        for gust in &gusts {
            wait(&mut method, gust.at() - clock);
            clock = gust.at();
            let arguments = match gust {
                Gust::Fault(fault) => {
                    let now = Fault {
                        at: 0,
                        ..fault.clone()
                    };
                    step(&["fault"], &[now.to_string()])
                }
                Gust::Surge(surge) => step(
                    &["load"],
                    &[
                        surge.times.to_string(),
                        "--for".to_owned(),
                        format!("{}ns", surge.length),
                    ],
                ),
            };
            method.push(activity(
                "action",
                format!("gust at {} s", clock as f64 / 1e9),
                arguments,
            ));
        }
        let end = gusts.iter().map(|gust| gust.end()).max().unwrap_or(0);
        wait(&mut method, end - clock);
        method.push(activity(
            "action",
            "it is over".to_owned(),
            step(&["heal"], &[format!("{heals}ns")]),
        ));
        json!({
            "title": format!("Storm {} of seed {}", self.number, self.seed),
            "description": "Drawn by `seawall chaos random`.",
            "tags": ["seawall", "storm"],
            "configuration": {"experiment": format!("storm-{}-{}.json", self.seed, self.number)},
            "steady-state-hypothesis": {
                "title": "All is well before the storm and after it",
                "probes": [
                    probe("all requests get a good answer", "success", all),
                    probe("every breaker is closed", "state=closed", json!(0)),
                ],
            },
            "method": method,
            "rollbacks": [activity("action", "nothing is wrong".to_owned(), step(&["end"], &[]))],
            "extensions": [{
                "name": "seawall",
                "seed": self.seed.wrapping_add(self.number),
                "warm_up": format!("{CALM}ns"),
                "workers": self.workers,
                "workload": {"rate": self.rate, "service": format!("{}ms", self.service_ms)},
                "world": {
                    "version": 1,
                    "clients": {"tries": self.tries, "patience": "10s", "back_off": {"base": "50ms", "max": "1s"}},
                    "services": {"upstream": {"hosts": self.hosts, "servers": self.servers, "queue": {"places": 2 * self.servers}}},
                },
                "policy": policy,
            }],
        })
    }
}

/// One thing that goes wrong.
fn gust(random: &mut impl Rng, hosts: usize) -> Gust {
    let at = random.random_range(0..=BEGIN_MAX) * SECOND;
    let length = random.random_range(1..=LENGTH_MAX) * SECOND;
    if random.random_range(0..6) == 0 {
        let times = random.random_range(15..=40);
        return Gust::Surge(Surge {
            at,
            length,
            times: f64::from(times) / 10.0,
        });
    }
    let kind = KINDS[random.random_range(0..KINDS.len())];
    let is_whole = kind.is_of_hosts() || kind.is_of_envoys();
    let some = random.random_range(0..hosts);
    let is_part = hosts > 1 && random.random_range(0..2) == 0 && !kind.is_of_envoys();
    let share = match is_whole || random.random_range(0..2) == 0 {
        true => 100.0,
        false => f64::from(random.random_range(5..=95)),
    };
    let by = match kind {
        Kind::Clock => random.random_range(1..=7_200) * SECOND,
        Kind::Blackhole => random.random_range(1..=20) * SECOND / 10,
        _ => random.random_range(1..=50) * SECOND / 10,
    };
    Gust::Fault(Fault {
        kind,
        at,
        length,
        share,
        by,
        jitter: 0,
        left: match kind {
            Kind::Slow => random.random_range(5..=50),
            _ => 100,
        },
        toxic: None,
        service: None,
        zone: None,
        from: None,
        hosts: is_part.then_some((some, some)),
        attempts: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_storm_is_an_experiment_and_the_same_again() {
        let policy = json!({"version": 1, "policies": {"default": {}}});
        for number in 0..200 {
            let storm = Storm::draw(3, number);
            assert_eq!(storm, Storm::draw(3, number));
            let experiment = storm.experiment(&policy, 60 * SECOND);
            experiment.unwrap_or_else(|error| panic!("storm {number}: {error}: {storm:?}"));
        }
        assert_ne!(Storm::draw(3, 1).gusts, Storm::draw(4, 1).gusts);
    }
}
