//! What a file says of a service.

use schemars::JsonSchema;
use serde::Deserialize;

use super::HOSTS_MAX;
use super::units::{Percent, Time};
use crate::document::{DocumentError, wrong};
use crate::sim::{
    Body, Cache, Call, ColdStart, ControlledDelay, Network, Order, Pauses, Service, ServiceTime,
};

/// Bytes of a body, at most.
const BODY_MAX: u64 = 16_000_000;

/// A service.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceSpec {
    /// Hosts. An attempt goes to any of them.
    pub hosts: usize,
    /// The zones that its hosts are in, in turn.
    pub zones: Vec<String>,
    /// Servers of each host: so many requests are in work at the same time.
    pub servers: usize,
    /// Where requests wait for a server.
    pub queue: QueueSpec,
    /// How long the work on a request takes.
    pub time: TimeSpec,
    /// Work takes so much longer for each request that is in work at the host when it starts, itself included.
    pub slower_for_each: Option<Time>,
    /// The way from Envoy and back.
    pub network: NetworkSpec,
    /// What stands behind the headers of requests and of good answers.
    pub body: BodySpec,
    /// How all work of a host stops now and then.
    pub pauses: Option<PausesSpec>,
    /// How slow a host is after a crash.
    pub cold_start: Option<ColdStartSpec>,
    /// What answers without work.
    pub cache: Option<CacheSpec>,
    /// Whom it calls for each request, after its own work.
    pub calls: Vec<CallSpec>,
    /// Whether these calls are made at the same time; else one after another.
    pub fan_out: bool,
    /// Whether a request keeps its server while it waits for the services that it calls.
    pub holds_server: bool,
    /// The Envoy through which it calls others.
    pub sidecar: Beside,
}

/// The Envoy through which a service calls others.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Beside {
    /// One with Seawall, in the lanes that have it.
    #[default]
    Seawall,
    /// One without.
    Envoy,
}

/// A queue.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueSpec {
    /// So many may wait at a host; what comes then gets 503.
    pub places: usize,
    /// Who is served next.
    pub order: OrderSpec,
    /// A bound on the wait, by the rule of controlled delay.
    pub controlled_delay: Option<DelaySpec>,
}

/// Who is served next.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderSpec {
    /// Who came first.
    #[default]
    Fifo,
    /// Who came last.
    Lifo,
}

/// Controlled delay.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelaySpec {
    /// The longest wait in a queue that has not been empty for an interval.
    pub target: Time,
    /// The longest wait elsewhere.
    pub interval: Time,
}

/// How long work takes.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeSpec {
    /// As long as the trace says.
    #[default]
    Trace,
    /// Always as long.
    Constant(Time),
    /// An exponential distribution with this mean.
    Exponential(Time),
    /// A log-normal distribution.
    LogNormal {
        /// Half of all take less.
        median: Time,
        /// One of a hundred takes more.
        p99: Time,
    },
    /// A Pareto distribution.
    Pareto {
        /// Nothing takes less.
        least: Time,
        /// The tail's exponent, above 0. The mean is finite above 1.
        shape: f64,
    },
}

/// A network.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// There and back take at least so long together.
    pub round_trip: Time,
    /// The mean of an exponential time that comes on top, on each of the two ways.
    pub jitter: Time,
    /// So many percent of the attempts are lost: nothing ever comes back.
    pub loss: Percent,
}

/// Bodies.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BodySpec {
    /// The bytes of a request's.
    pub request: u64,
    /// The bytes of that of an answer with a status of 200 to 299.
    pub answer: u64,
    /// Whether an answer lasts until its host closes the connection, and says no length.
    pub until_close: bool,
}

/// Pauses.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PausesSpec {
    /// From one beginning to the next.
    pub every: Time,
    /// For how long; less than `every`.
    #[serde(rename = "for")]
    pub length: Time,
}

/// A cold start.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColdStartSpec {
    /// For how long it is slower.
    #[serde(rename = "for")]
    pub length: Time,
    /// So much of its speed it has at once.
    pub speed: Percent,
}

/// A cache.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheSpec {
    /// Hits when it is full.
    pub hits: Percent,
    /// How long a hit takes.
    pub time: Time,
    /// After a crash it is empty, and full again after so many answers of its host.
    pub fills_after: u64,
}

/// A call of another service.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallSpec {
    /// Its name.
    pub service: String,
    /// How long the caller waits.
    pub timeout: Option<Time>,
    /// Tries, the first one included.
    #[serde(default = "once")]
    pub tries: u32,
    /// Whether the caller's own answer is good without this one's; else it is 503.
    #[serde(default)]
    pub optional: bool,
}

fn once() -> u32 {
    1
}

impl Default for ServiceSpec {
    /// One host with 256 servers, which does what the trace says.
    fn default() -> Self {
        Self {
            hosts: 1,
            zones: Vec::new(),
            servers: 256,
            queue: QueueSpec::default(),
            time: TimeSpec::Trace,
            slower_for_each: None,
            network: NetworkSpec::default(),
            body: BodySpec::default(),
            pauses: None,
            cold_start: None,
            cache: None,
            calls: Vec::new(),
            fan_out: false,
            holds_server: true,
            sidecar: Beside::Seawall,
        }
    }
}

impl Default for QueueSpec {
    fn default() -> Self {
        Self {
            places: 100_000,
            order: OrderSpec::Fifo,
            controlled_delay: None,
        }
    }
}

impl Default for NetworkSpec {
    fn default() -> Self {
        let network = Network::default();
        Self {
            round_trip: Time(network.round_trip),
            jitter: Time(network.jitter),
            loss: Percent(network.loss),
        }
    }
}

impl ServiceSpec {
    pub(super) fn check(&self, path: &str) -> Result<(), DocumentError> {
        for (key, value, most) in [
            ("hosts", self.hosts, HOSTS_MAX),
            ("servers", self.servers, 1_000_000),
        ] {
            if !(1..=most).contains(&value) {
                let problem = format!("{value}: expected 1 to {most}");
                return Err(wrong(format!("{path}.{key}"), problem));
            }
        }
        for (key, bytes) in [("request", self.body.request), ("answer", self.body.answer)] {
            if bytes > BODY_MAX {
                let problem = format!("{bytes}: expected {BODY_MAX} bytes at most");
                return Err(wrong(format!("{path}.body.{key}"), problem));
            }
        }
        if let Some(pauses) = self.pauses
            && pauses.length.0 >= pauses.every.0
        {
            let problem = "expected less than `every`, or nothing is ever done";
            return Err(wrong(format!("{path}.pauses.for"), problem));
        }
        if let Some(cold) = self.cold_start
            && cold.speed.0 < 1.0
        {
            let problem = format!("{}: expected 1 to 100 percent", cold.speed.0);
            return Err(wrong(format!("{path}.cold_start.speed"), problem));
        }
        self.time.check(&format!("{path}.time"))
    }

    pub(super) fn service(&self) -> Service {
        Service {
            hosts: self.hosts,
            zones: self.zones.clone(),
            order: match self.queue.order {
                OrderSpec::Fifo => Order::Fifo,
                OrderSpec::Lifo => Order::Lifo,
            },
            delay: self.queue.controlled_delay.map(|delay| ControlledDelay {
                target: delay.target.0,
                interval: delay.interval.0,
            }),
            time: self.time.time(),
            crowding: self.slower_for_each.map_or(0, |time| time.0),
            network: Network {
                round_trip: self.network.round_trip.0,
                jitter: self.network.jitter.0,
                loss: self.network.loss.0,
            },
            body: Body {
                request: self.body.request,
                answer: self.body.answer,
                until_close: self.body.until_close,
            },
            pauses: self.pauses.map(|pauses| Pauses {
                every: pauses.every.0,
                length: pauses.length.0,
            }),
            cold_start: self.cold_start.map(|cold| ColdStart {
                length: cold.length.0,
                speed: cold.speed.0 as u32,
            }),
            cache: self.cache.map(|cache| Cache {
                hits: cache.hits.0,
                time: cache.time.0,
                fills_after: cache.fills_after,
            }),
            calls: self.calls.iter().map(CallSpec::call).collect(),
            fan_out: self.fan_out,
            holds_server: self.holds_server,
            ..Service::new(self.servers, self.queue.places)
        }
    }
}

impl TimeSpec {
    pub(super) fn check(&self, path: &str) -> Result<(), DocumentError> {
        match self {
            Self::LogNormal { median, p99 } if p99.0 < median.0 => {
                let problem = "expected the median or more";
                Err(wrong(format!("{path}.log_normal.p99"), problem))
            }
            Self::Pareto { shape, .. } if !(*shape > 0.0 && shape.is_finite()) => {
                let problem = format!("{shape}: expected a number above 0");
                Err(wrong(format!("{path}.pareto.shape"), problem))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn time(self) -> ServiceTime {
        match self {
            Self::Trace => ServiceTime::Trace,
            Self::Constant(time) => ServiceTime::Constant(time.0),
            Self::Exponential(mean) => ServiceTime::Exponential(mean.0),
            Self::LogNormal { median, p99 } => ServiceTime::LogNormal {
                median: median.0,
                p99: p99.0,
            },
            Self::Pareto { least, shape } => ServiceTime::Pareto {
                least: least.0,
                shape,
            },
        }
    }
}

impl CallSpec {
    fn call(&self) -> Call {
        Call {
            service: self.service.clone(),
            patience: self.timeout.map(|time| time.0),
            tries: self.tries,
            optional: self.optional,
        }
    }
}
