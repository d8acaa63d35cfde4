//! What a run is judged by: what users got, what reached the upstream, how fast it was noticed and over.

mod counts;
mod figures;
mod slots;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;
use seawall_policy::priority::Priority;

pub use counts::{ClientOutcome, Counts, is_refusal};
pub use figures::{BlastRadius, Figures, Latency, OfPriority, OfZone, Transition};
pub use slots::{SLOTS_MAX, Series};

use slots::Slots;

/// What took longer counts as an hour, in microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;
/// Transitions that are kept.
const TRANSITIONS_MAX: usize = 10_000;
/// How long it must have been well at the end, in nanoseconds.
const WELL: u64 = 10_000_000_000;

/// One request that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// When it came, in nanoseconds since the trace began.
    pub at: u64,
    /// How long it took, in nanoseconds.
    pub latency: u64,
    /// What the user got.
    pub outcome: ClientOutcome,
    /// Its upstream.
    pub cluster: &'a str,
    /// How important it said it was.
    pub priority: Option<Priority>,
    /// The zone where its user is, or the host that was asked last.
    pub zone: Option<&'a str>,
    /// Whether the fault held when it came.
    pub in_fault: bool,
}

/// How soon a fault was noticed and over.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From its beginning to the first request that was kept from the upstream, in milliseconds.
    pub detect_ms: Option<u64>,
    /// From its end to the last request that did not get the upstream's own answer, in milliseconds.
    pub recover_ms: Option<u64>,
    /// Whether it was well at the end.
    pub recovered: bool,
}

/// What is measured of one lane.
#[derive(Debug)]
pub struct Measure {
    counts: Counts,
    in_fault: Counts,
    by_priority: BTreeMap<Priority, Counts>,
    by_cluster: BTreeMap<String, Counts>,
    by_zone: BTreeMap<String, Counts>,
    reached: u64,
    reached_in_fault: u64,
    latency_us: Histogram<u64>,
    good_latency_us: Histogram<u64>,
    first_refusal: Option<u64>,
    last_trouble: Option<u64>,
    last_arrival: u64,
    slots: Slots,
    /// Transitions, in order.
    pub transitions: Vec<Transition>,
    /// Transitions of each Envoy, in order.
    pub by_envoy: BTreeMap<usize, Vec<Transition>>,
    transitions_left_out: u64,
    traps: u64,
    most_held: usize,
    /// Breakers that are not closed: which Envoy's, and for which upstream.
    not_closed: BTreeSet<(usize, String)>,
}

impl Default for Measure {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            in_fault: Counts::default(),
            by_priority: BTreeMap::new(),
            by_cluster: BTreeMap::new(),
            by_zone: BTreeMap::new(),
            reached: 0,
            reached_in_fault: 0,
            latency_us: histogram(),
            good_latency_us: histogram(),
            first_refusal: None,
            last_trouble: None,
            last_arrival: 0,
            slots: Slots::default(),
            transitions: Vec::new(),
            by_envoy: BTreeMap::new(),
            transitions_left_out: 0,
            traps: 0,
            most_held: 0,
            not_closed: BTreeSet::new(),
        }
    }
}

impl Measure {
    /// A user sent a request, at this time in nanoseconds since the trace began.
    pub fn offered(&mut self, at: u64) {
        self.last_arrival = self.last_arrival.max(at);
        self.slots.offered(at);
    }

    /// A request is over.
    pub fn answered(&mut self, answer: Answer<'_>) {
        let Answer {
            at,
            latency,
            outcome,
            cluster,
            ..
        } = answer;
        self.counts.add(outcome);
        if answer.in_fault {
            self.in_fault.add(outcome);
        }
        if let Some(priority) = answer.priority {
            self.by_priority.entry(priority).or_default().add(outcome);
        }
        add_to(&mut self.by_cluster, cluster, outcome);
        if let Some(zone) = answer.zone {
            add_to(&mut self.by_zone, zone, outcome);
        }
        self.latency_us.saturating_record(latency / 1_000);
        if outcome == ClientOutcome::Good {
            self.good_latency_us.saturating_record(latency / 1_000);
        }
        let ended = at.saturating_add(latency);
        self.slots.answered(ended, latency / 1_000, outcome);
        if outcome != ClientOutcome::Good {
            self.last_trouble = self.last_trouble.max(Some(at));
        }
    }

    /// A request was kept from the upstream.
    pub fn kept(&mut self, at: u64) {
        self.first_refusal.get_or_insert(at);
    }

    /// The filter answered in the upstream's place, for this reason.
    pub fn refused(&mut self, at: u64, reason: &str) {
        self.slots.refused(at, reason);
    }

    /// An attempt of a request reached the upstream, at this time in nanoseconds since the trace began.
    pub fn reached(&mut self, at: u64, in_fault: bool) {
        self.reached += 1;
        self.reached_in_fault += u64::from(in_fault);
        self.slots.reached(at);
    }

    /// So many attempts are at the upstream, and so many users wait for an answer. Called in the order of time.
    pub fn level(&mut self, at: u64, in_flight: usize, waiting: usize) {
        self.slots.level(at, in_flight as u64, waiting as u64);
    }

    /// So many attempts may be at the upstream, by the filter's word. Called in the order of time.
    pub fn limit(&mut self, at: u64, limit: Option<u64>) {
        self.slots.limit(at, limit);
    }

    /// What the workers of all Envoys share is overwritten: their breakers are as new, and no line of theirs says so.
    pub fn overwritten(&mut self, at_ms: u64) {
        for (envoy, upstream) in self.not_closed.clone() {
            let changes = self.by_envoy.get(&envoy).into_iter().flatten();
            let mut changes = changes.filter(|made| made.upstream() == upstream);
            let before = changes.next_back().map_or("open", |made| made.state());
            let change = format!("{before} -> closed");
            let line = format!("simulation: records overwritten, upstream={upstream} {change}");
            self.changed(
                envoy,
                Transition {
                    at_ms,
                    change,
                    line,
                },
            );
        }
    }

    /// An Envoy had so many attempts at one cluster.
    pub fn held(&mut self, attempts: usize) {
        self.most_held = self.most_held.max(attempts);
    }

    /// The most attempts that one Envoy had at one cluster at the same time.
    pub fn most_held(&self) -> usize {
        self.most_held
    }

    /// A VM of the filter trapped.
    pub fn trapped(&mut self) {
        self.traps += 1;
    }

    /// How often a VM of the filter trapped.
    pub fn traps(&self) -> u64 {
        self.traps
    }

    /// The filter of an Envoy logged a transition.
    pub fn changed(&mut self, envoy: usize, made: Transition) {
        let breaker = (envoy, made.upstream().to_owned());
        if made.change.ends_with("closed") {
            self.not_closed.remove(&breaker);
        } else {
            self.not_closed.insert(breaker);
        }
        if self.transitions.len() >= TRANSITIONS_MAX {
            self.transitions_left_out += 1;
            return;
        }
        let of = self.by_envoy.entry(envoy).or_default();
        of.push(made.clone());
        self.transitions.push(made);
    }

    /// Attempts that reached the upstream for each request that was answered: the amplification.
    pub fn load(&self) -> f64 {
        self.reached as f64 / self.counts.all().max(1) as f64
    }

    /// The share of requests that got the upstream's own answer, or one of the fallback ladder.
    pub fn success(&self) -> f64 {
        self.counts.share(self.counts.good + self.counts.degraded)
    }

    /// What users got.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// A quantile of the latency of the upstream's own good answers, in milliseconds.
    pub fn good_latency_ms(&self, quantile: f64) -> f64 {
        self.good_latency_us.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// What users got, second by second of the answers; of a run of more than [`SLOTS_MAX`] seconds, slot by slot.
    pub fn ended_per_second(&self) -> &[Counts] {
        self.slots.answers()
    }

    /// Attempts that reached the upstream, by the same slots.
    pub fn reached_per_second(&self) -> &[u64] {
        self.slots.reached_counts()
    }

    /// How soon the fault was noticed and over, given when it held.
    pub fn times(&self, fault: Option<(u64, u64)>) -> Times {
        let since = |from: u64, at: Option<u64>| Some(at?.saturating_sub(from) / 1_000_000);
        let (begin, end) = fault.unzip();
        let well_since = self.last_arrival.saturating_sub(WELL);
        Times {
            detect_ms: begin.and_then(|begin| since(begin, self.first_refusal)),
            recover_ms: end.map(|end| since(end, self.last_trouble).unwrap_or(0)),
            recovered: self.not_closed.is_empty()
                && self.last_trouble.is_none_or(|last| last < well_since),
        }
    }

    /// The figures, given when the fault held.
    pub fn figures(self, lane: &str, fault: Option<(u64, u64)>) -> Figures {
        let millis = |micros: u64| micros as f64 / 1_000.0;
        let times = self.times(fault);
        let good = |quantile| self.good_latency_ms(quantile);
        let errors = self.counts.refused + self.counts.failed;
        let by_priority = self.by_priority.iter();
        Figures {
            lane: lane.to_owned(),
            answers: self.counts,
            answers_in_fault: self.in_fault,
            reached_upstream: self.reached,
            reached_upstream_in_fault: self.reached_in_fault,
            p50_ms: millis(self.latency_us.value_at_quantile(0.5)),
            p99_ms: millis(self.latency_us.value_at_quantile(0.99)),
            good_latency: (self.counts.good > 0).then(|| Latency {
                p50_ms: good(0.5),
                p90_ms: good(0.9),
                p99_ms: good(0.99),
                p999_ms: good(0.999),
            }),
            goodput_per_s: self.counts.good as f64 * 1e9 / self.last_arrival.max(1_000_000) as f64,
            amplification: self.load(),
            time_to_detect_ms: times.detect_ms,
            time_to_recover_ms: times.recover_ms,
            recovered: times.recovered,
            blast_radius: BlastRadius {
                requests: self.counts.share(self.counts.hit()),
                upstreams: hit(self.by_cluster.values()).unwrap_or(0.0),
                priorities: hit(self.by_priority.values()),
                zones: hit(self.by_zone.values()),
            },
            degraded_to_failed: (errors > 0).then(|| self.counts.degraded as f64 / errors as f64),
            answers_by_priority: by_priority
                .map(|(priority, answers)| OfPriority {
                    priority: priority.name().to_owned(),
                    answers: *answers,
                })
                .collect(),
            answers_by_zone: self
                .by_zone
                .into_iter()
                .map(|(zone, answers)| OfZone { zone, answers })
                .collect(),
            transitions: self.transitions,
            transitions_left_out: self.transitions_left_out,
            series: self.slots.into_series(),
        }
    }
}

/// The figures of lanes that met the same trace, with slots of the same length.
pub fn lanes(mut lanes: Vec<(&str, Measure)>, fault: Option<(u64, u64)>) -> Vec<Figures> {
    Slots::align(lanes.iter_mut().map(|(_, measure)| &mut measure.slots));
    let lanes = lanes.into_iter();
    lanes
        .map(|(name, measure)| measure.figures(name, fault))
        .collect()
}

/// Which share of these was hit; `None` if there are none.
fn hit<'a>(all: impl Iterator<Item = &'a Counts>) -> Option<f64> {
    let (hit, all) = all.fold((0_u32, 0_u32), |(hit, all), counts| {
        (hit + u32::from(counts.is_hit()), all + 1)
    });
    (all > 0).then(|| f64::from(hit) / f64::from(all))
}

fn add_to(all: &mut BTreeMap<String, Counts>, name: &str, outcome: ClientOutcome) {
    match all.get_mut(name) {
        Some(counts) => counts.add(outcome),
        None => all.entry(name.to_owned()).or_default().add(outcome),
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("bounds in order")
}
