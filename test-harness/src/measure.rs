//! What a run is judged by: what users got, what reached the upstream, how fast it was noticed and over.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use seawall_policy::priority::Priority;
use serde::Serialize;

/// What took longer counts as an hour, in microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// What a user got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientOutcome {
    /// The upstream's own answer.
    Good,
    /// An answer of the fallback ladder.
    Degraded,
    /// A refusal of the filter.
    Refused,
    /// An error.
    Failed,
}

/// Counts by what users got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The upstream's own answer.
    pub good: u64,
    /// An answer of the fallback ladder.
    pub degraded: u64,
    /// A refusal of the filter.
    pub refused: u64,
    /// An error.
    pub failed: u64,
}

impl Counts {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.good + self.degraded + self.refused + self.failed
    }

    fn add(&mut self, outcome: ClientOutcome) {
        match outcome {
            ClientOutcome::Good => self.good += 1,
            ClientOutcome::Degraded => self.degraded += 1,
            ClientOutcome::Refused => self.refused += 1,
            ClientOutcome::Failed => self.failed += 1,
        }
    }
}

/// One request that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it came, in nanoseconds since the trace began.
    pub at: u64,
    /// How long it took, in nanoseconds.
    pub latency: u64,
    /// What the user got.
    pub outcome: ClientOutcome,
    /// How important it said it was.
    pub priority: Option<Priority>,
    /// Whether the fault held when it came.
    pub in_fault: bool,
}

/// A change of state that the filter logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// When, in milliseconds since the trace began.
    pub at_ms: u64,
    /// As in `closed -> open`.
    pub change: String,
    /// The filter's own words.
    pub line: String,
}

/// What is measured of one lane.
#[derive(Debug)]
pub struct Measure {
    counts: Counts,
    in_fault: Counts,
    by_priority: BTreeMap<Priority, Counts>,
    reached: u64,
    reached_in_fault: u64,
    latency_us: Histogram<u64>,
    good_latency_us: Histogram<u64>,
    first_refusal: Option<u64>,
    last_trouble: Option<u64>,
    per_second: Vec<Counts>,
    ended_per_second: Vec<Counts>,
    reached_per_second: Vec<u64>,
    /// Transitions, in order.
    pub transitions: Vec<Transition>,
    /// Transitions of each Envoy, in order.
    pub by_envoy: BTreeMap<usize, Vec<Transition>>,
}

/// The figures of one lane.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The lane's name.
    pub lane: String,
    /// What users got.
    pub answers: Counts,
    /// What users got of requests that came while the fault held.
    pub answers_in_fault: Counts,
    /// What users got by what their requests said of their priority, the most important first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers_by_priority: Vec<OfPriority>,
    /// Attempts that reached the upstream.
    pub reached_upstream: u64,
    /// Attempts that reached the upstream while the fault held.
    pub reached_upstream_in_fault: u64,
    /// Median latency, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of latency, in milliseconds.
    pub p99_ms: f64,
    /// From the fault to the first request that was kept from the upstream, in milliseconds.
    pub time_to_detect_ms: Option<u64>,
    /// From the fault's end to the last request that did not get the upstream's own answer, in milliseconds.
    pub time_to_recover_ms: Option<u64>,
    /// Changes of state.
    pub transitions: Vec<Transition>,
    /// What users got, second by second of their arrival.
    pub per_second: Vec<Counts>,
}

/// What users got of one priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OfPriority {
    /// Its name.
    pub priority: &'static str,
    /// What its users got.
    pub answers: Counts,
}

impl Default for Measure {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            in_fault: Counts::default(),
            by_priority: BTreeMap::new(),
            reached: 0,
            reached_in_fault: 0,
            latency_us: histogram(),
            good_latency_us: histogram(),
            first_refusal: None,
            last_trouble: None,
            per_second: Vec::new(),
            ended_per_second: Vec::new(),
            reached_per_second: Vec::new(),
            transitions: Vec::new(),
            by_envoy: BTreeMap::new(),
        }
    }
}

impl Measure {
    /// A request is over.
    pub fn answered(&mut self, answer: Answer) {
        let Answer {
            at,
            latency,
            outcome,
            ..
        } = answer;
        self.counts.add(outcome);
        if answer.in_fault {
            self.in_fault.add(outcome);
        }
        if let Some(priority) = answer.priority {
            self.by_priority.entry(priority).or_default().add(outcome);
        }
        self.latency_us.saturating_record(latency / 1_000);
        if outcome == ClientOutcome::Good {
            self.good_latency_us.saturating_record(latency / 1_000);
        }
        slot(&mut self.per_second, at).add(outcome);
        slot(&mut self.ended_per_second, at.saturating_add(latency)).add(outcome);
        if outcome != ClientOutcome::Good {
            self.last_trouble = self.last_trouble.max(Some(at));
        }
    }

    /// A request was kept from the upstream.
    pub fn kept(&mut self, at: u64) {
        self.first_refusal.get_or_insert(at);
    }

    /// An attempt of a request reached the upstream, at this time in nanoseconds since the trace began.
    pub fn reached(&mut self, at: u64, in_fault: bool) {
        self.reached += 1;
        self.reached_in_fault += u64::from(in_fault);
        *slot(&mut self.reached_per_second, at) += 1;
    }

    /// Attempts that reached the upstream for each request that was answered: the amplification.
    pub fn load(&self) -> f64 {
        self.reached as f64 / self.counts.all().max(1) as f64
    }

    /// The share of requests that got the upstream's own answer, or one of the fallback ladder.
    pub fn success(&self) -> f64 {
        (self.counts.good + self.counts.degraded) as f64 / self.counts.all().max(1) as f64
    }

    /// What users got.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// A quantile of the latency of the upstream's own good answers, in milliseconds.
    pub fn good_latency_ms(&self, quantile: f64) -> f64 {
        self.good_latency_us.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// What users got, second by second of the answers.
    pub fn ended_per_second(&self) -> &[Counts] {
        &self.ended_per_second
    }

    /// Attempts that reached the upstream, second by second.
    pub fn reached_per_second(&self) -> &[u64] {
        &self.reached_per_second
    }

    /// The figures, given when the fault held.
    pub fn figures(self, lane: &str, fault: Option<(u64, u64)>) -> Figures {
        let millis = |micros: u64| micros as f64 / 1_000.0;
        let since = |from: u64, at: Option<u64>| Some(at?.saturating_sub(from) / 1_000_000);
        let (begin, end) = fault.unzip();
        let by_priority = self.by_priority.into_iter();
        Figures {
            lane: lane.to_owned(),
            answers: self.counts,
            answers_in_fault: self.in_fault,
            answers_by_priority: by_priority
                .map(|(priority, answers)| OfPriority {
                    priority: priority.name(),
                    answers,
                })
                .collect(),
            reached_upstream: self.reached,
            reached_upstream_in_fault: self.reached_in_fault,
            p50_ms: millis(self.latency_us.value_at_quantile(0.5)),
            p99_ms: millis(self.latency_us.value_at_quantile(0.99)),
            time_to_detect_ms: begin.and_then(|begin| since(begin, self.first_refusal)),
            time_to_recover_ms: end.and_then(|end| since(end, self.last_trouble)),
            transitions: self.transitions,
            per_second: self.per_second,
        }
    }
}

/// The entry of the second that holds this time in nanoseconds.
fn slot<T: Clone + Default>(seconds: &mut Vec<T>, at: u64) -> &mut T {
    let second = (at / 1_000_000_000) as usize;
    if seconds.len() <= second {
        seconds.resize(second + 1, T::default());
    }
    &mut seconds[second]
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("bounds in order")
}
