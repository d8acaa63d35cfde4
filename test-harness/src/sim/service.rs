//! One service: its hosts, how long they work, what goes with the load, and whom they call.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, LogNormal, Pareto};

use super::upstream::{ControlledDelay, Order};

/// From Envoy to the upstream and back, in nanoseconds, unless a world says otherwise.
const ROUND_TRIP: u64 = 1_000_000;
/// The standard deviations between the median and the 99th percentile of a normal distribution.
const P99_DEVIATIONS: f64 = 2.326_347_874_040_841;

/// A service, as all its hosts are.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Hosts, at least one. An attempt goes to any of them.
    pub hosts: usize,
    /// The zones that its hosts are in, in turn; none are in none.
    pub zones: Vec<String>,
    /// Servers of each host: so many requests are in work at the same time.
    pub servers: usize,
    /// Requests that may wait at a host.
    pub queue: usize,
    /// Who of them is served next.
    pub order: Order,
    /// The bound on how long they wait; what waited longer gets 503.
    pub delay: Option<ControlledDelay>,
    /// How long the work on a request takes.
    pub time: ServiceTime,
    /// Work takes so much longer for each request that is in work when it starts, itself included; in nanoseconds.
    pub crowding: u64,
    /// The way there and back.
    pub network: Network,
    /// What goes there and comes back behind the headers.
    pub body: Body,
    /// How all work of a host stops now and then.
    pub pauses: Option<Pauses>,
    /// How slow a host is after its start.
    pub cold_start: Option<ColdStart>,
    /// What answers without work.
    pub cache: Option<Cache>,
    /// Whom it calls for each request, after its own work.
    pub calls: Vec<Call>,
    /// Whether these calls are made at the same time; else one after another.
    pub fan_out: bool,
    /// Whether a request keeps its server while it waits for the services that it calls, as with a thread for each request.
    pub holds_server: bool,
}

/// How long the work on a request takes, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ServiceTime {
    /// What the trace says.
    Trace,
    /// Always as long.
    Constant(u64),
    /// An exponential distribution with this mean.
    Exponential(u64),
    /// A log-normal distribution with this median and this 99th percentile.
    LogNormal {
        /// Half of all take less.
        median: u64,
        /// One of a hundred takes more.
        p99: u64,
    },
    /// A Pareto distribution: the least, and how soon longer times get rare.
    Pareto {
        /// Nothing takes less.
        least: u64,
        /// The tail's exponent, above 0. The mean is finite above 1.
        shape: f64,
    },
}

/// The way from Envoy to a service and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// There and back take at least so long together, in nanoseconds. It is spent on the way back.
    pub round_trip: u64,
    /// The mean of an exponential time that comes on top, on each of the two ways, in nanoseconds.
    pub jitter: u64,
    /// So many percent of the attempts are lost: nothing ever comes back.
    pub loss: f64,
}

/// What stands behind the headers of requests and of good answers, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Of a request.
    pub request: u64,
    /// Of an answer with a status of 200 to 299.
    pub answer: u64,
    /// Whether an answer lasts until its host closes the connection, and says no length.
    pub until_close: bool,
}

/// The zone of the one with this number, where they are in zones in turn.
pub(super) fn in_turn(zones: &[String], number: usize) -> Option<&str> {
    let zone = zones.get(number.checked_rem(zones.len())?)?;
    Some(zone)
}

/// All work of a host stops, as for a collection of garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// From one beginning to the next, in nanoseconds.
    pub every: u64,
    /// For how long, in nanoseconds.
    pub length: u64,
}

/// A host that has just started works slower, and gets faster evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdStart {
    /// For how long, in nanoseconds.
    pub length: u64,
    /// So much of its speed it has at once, in percent, at least 1.
    pub speed: u32,
}

/// A cache in each host. It is full at the start of the run, and empty after a crash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache {
    /// Hits when it is full, in percent of the requests.
    pub hits: f64,
    /// How long a hit takes, in nanoseconds. It calls nobody.
    pub time: u64,
    /// It is full again after so many answers.
    pub fills_after: u64,
}

/// A call of another service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub service: String,
    /// How long the caller waits, in nanoseconds.
    pub patience: Option<u64>,
    /// Tries, the first one included.
    pub tries: u32,
    /// Whether the caller's own answer is good without this one's.
    pub optional: bool,
}

impl Default for Network {
    /// A fixed millisecond for both ways.
    fn default() -> Self {
        Self {
            round_trip: ROUND_TRIP,
            jitter: 0,
            loss: 0.0,
        }
    }
}

impl Network {
    /// Each way takes an exponential time with this mean, in nanoseconds, and nothing more.
    pub fn exponential(mean: u64) -> Self {
        Self {
            round_trip: 0,
            jitter: mean,
            loss: 0.0,
        }
    }

    /// The ways there and back, in nanoseconds.
    pub(super) fn ways(&self, random: &mut impl Rng) -> (u64, u64) {
        if self.jitter == 0 {
            return (0, self.round_trip);
        }
        let mut way = || {
            let times: f64 = Exp1.sample(random);
            (times * self.jitter as f64) as u64
        };
        (way(), self.round_trip.saturating_add(way()))
    }

    /// Whether an attempt is lost.
    pub(super) fn loses(&self, random: &mut impl Rng) -> bool {
        self.loss > 0.0 && random.random_range(0.0..100.0) < self.loss
    }
}

impl ServiceTime {
    /// How long the work takes on a request of which the trace says so much, in nanoseconds.
    pub fn draw(&self, trace: u64, random: &mut impl Rng) -> u64 {
        match *self {
            Self::Trace => trace,
            Self::Constant(nanos) => nanos,
            Self::Exponential(mean) => {
                let times: f64 = Exp1.sample(random);
                (times * mean as f64) as u64
            }
            Self::LogNormal { median, p99 } => {
                let mean = (median.max(1) as f64).ln();
                let deviation = ((p99.max(1) as f64).ln() - mean).max(0.0) / P99_DEVIATIONS;
                let drawn = LogNormal::new(mean, deviation);
                drawn.map_or(median, |drawn| drawn.sample(random) as u64)
            }
            Self::Pareto { least, shape } => {
                let drawn = Pareto::new(least.max(1) as f64, shape);
                drawn.map_or(least, |drawn| drawn.sample(random) as u64)
            }
        }
    }
}

impl Service {
    /// The zone of a host.
    pub fn zone(&self, host: usize) -> Option<&str> {
        in_turn(&self.zones, host)
    }

    /// One host with so many servers and so many places to wait, which does what the trace says.
    pub fn new(servers: usize, queue: usize) -> Self {
        Self {
            hosts: 1,
            zones: Vec::new(),
            servers,
            queue,
            order: Order::Fifo,
            delay: None,
            time: ServiceTime::Trace,
            crowding: 0,
            network: Network::default(),
            body: Body::default(),
            pauses: None,
            cold_start: None,
            cache: None,
            calls: Vec::new(),
            fan_out: false,
            holds_server: true,
        }
    }

    /// How long a piece of work takes that starts at this time since the trace began, beside so many, itself included, on a
    /// host that started at `up`; in nanoseconds.
    pub(super) fn work(&self, since: u64, work: u64, busy: usize, up: Option<u64>) -> u64 {
        let busy = u64::try_from(busy).unwrap_or(u64::MAX);
        let work = work.saturating_add(self.crowding.saturating_mul(busy));
        let work = match (self.cold_start, up) {
            (Some(cold), Some(up)) => slower(work, cold.speed_after(since.saturating_sub(up))),
            _ => work,
        };
        self.pauses
            .map_or(work, |pauses| pauses.stretched(since, work))
    }
}

/// Work at so many percent of the speed.
pub(super) fn slower(work: u64, percent: u32) -> u64 {
    work.saturating_mul(100) / u64::from(percent.max(1))
}

impl ColdStart {
    /// The speed after so long, in percent.
    fn speed_after(self, age: u64) -> u32 {
        if age >= self.length {
            return 100;
        }
        let more = u64::from(100_u32.saturating_sub(self.speed));
        self.speed + u32::try_from(more * (age / 1_000) / (self.length / 1_000).max(1)).unwrap_or(0)
    }
}

impl Pauses {
    /// How long work takes that begins at this time, with the pauses in it. The first pause ends the first interval.
    fn stretched(self, since: u64, work: u64) -> u64 {
        let length = self.length.min(self.every.saturating_sub(1));
        let runs = self.every - length;
        let phase = since % self.every.max(1);
        // What begins in a pause waits for its end.
        let (waits, phase) = match phase.checked_sub(runs) {
            Some(into) => (length - into, 0),
            None => (0, phase),
        };
        // A piece that ends right when a pause begins does not wait for its end.
        let pauses = phase.saturating_add(work).saturating_sub(1) / runs.max(1);
        waits
            .saturating_add(work)
            .saturating_add(pauses.saturating_mul(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::chance;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn distributions_have_the_mean_and_the_percentiles_that_they_are_told() {
        let mut random = chance(3, "service times");
        let mut drawn = |time: ServiceTime| {
            let mut all: Vec<u64> = (0..200_000).map(|_| time.draw(7, &mut random)).collect();
            all.sort_unstable();
            let mean = all.iter().sum::<u64>() as f64 / all.len() as f64;
            (mean, all[100_000] as f64, all[198_000] as f64)
        };
        let near = |found: f64, expected: f64| {
            let off = (found / expected - 1.0).abs();
            assert!(off < 0.03, "{found} is not {expected}");
        };
        assert_eq!(drawn(ServiceTime::Trace).0, 7.0);
        assert_eq!(drawn(ServiceTime::Constant(9)).2, 9.0);
        let (mean, median, p99) = drawn(ServiceTime::Exponential(20 * MILLI));
        near(mean, 20e6);
        near(median, 20e6 * 2_f64.ln());
        near(p99, 20e6 * 100_f64.ln());
        let (_, median, p99) = drawn(ServiceTime::LogNormal {
            median: 5 * MILLI,
            p99: 80 * MILLI,
        });
        near(median, 5e6);
        near(p99, 80e6);
        let (mean, median, _) = drawn(ServiceTime::Pareto {
            least: 2 * MILLI,
            shape: 3.0,
        });
        near(mean, 3e6);
        near(median, 2e6 * 2_f64.powf(1.0 / 3.0));
    }

    #[test]
    fn work_waits_for_each_pause_that_it_meets() {
        let pauses = Pauses {
            every: 100,
            length: 20,
        };
        for (since, work, expected) in [
            (0, 80, 80),
            (0, 81, 101),
            (79, 1, 1),
            (79, 2, 22),
            (80, 5, 25),
            (99, 5, 6),
            (100, 5, 5),
            (0, 160, 180),
            (90, 161, 10 + 161 + 40),
        ] {
            assert_eq!(pauses.stretched(since, work), expected, "{since} {work}");
        }
    }

    #[test]
    fn a_host_that_has_just_started_gets_faster_evenly() {
        let cold = ColdStart {
            length: 10_000_000,
            speed: 20,
        };
        let speed = [0, 5_000_000, 10_000_000].map(|age| cold.speed_after(age));
        assert_eq!(speed, [20, 60, 100]);
        let service = Service {
            cold_start: Some(cold),
            ..Service::new(1, 0)
        };
        assert_eq!(service.work(0, 100, 1, Some(0)), 500);
        assert_eq!(
            service.work(0, 100, 1, None),
            100,
            "it ran before the trace"
        );
    }

    #[test]
    fn so_many_percent_are_lost() {
        let network = Network {
            loss: 20.0,
            ..Network::default()
        };
        let mut random = chance(1, "loss");
        let lost = (0..100_000).filter(|_| network.loses(&mut random)).count();
        assert!((19_500..20_500).contains(&lost), "{lost}");
    }
}
