//! What is counted, under which name, and when it goes to the host.
//!
//! Events are counted here and flushed at the tick: a host call for each would cost every request. The number of series is
//! bounded by the number of events times that of upstreams.

mod events;
pub mod families;

pub(crate) use events::{Event, InternalEvent};

use crate::admission::Reason;
use crate::breaker::{Phase, Transition};
use crate::outcome::Outcome;
use crate::time::Span;

use crate::environment::{MetricFamily, MetricId, Metrics};

/// A counter of the host and what it does not know yet.
#[derive(Debug, Default)]
struct Series {
    metric: Option<MetricId>,
    pending: u64,
}

impl Series {
    fn one(pending: u64) -> Self {
        Self {
            metric: None,
            pending,
        }
    }

    fn add(&mut self, count: u64) {
        self.pending = self.pending.saturating_add(count);
    }

    fn flush(&mut self, env: &impl Metrics, family: &'static MetricFamily, values: &[&str]) {
        if self.metric.is_none() {
            self.metric = env.define(family, values);
        }
        if let Some(metric) = self.metric.filter(|_| self.pending > 0) {
            env.add(metric, std::mem::take(&mut self.pending));
        }
    }
}

/// What is counted for one upstream.
#[derive(Debug, Default)]
pub(crate) struct UpstreamSeries {
    /// The labels that all of its series have: the policy and the upstream.
    labels: [String; 2],
    events: Vec<(Event, Series)>,
    state: Option<MetricId>,
    shown: Option<Phase>,
    budget: Option<MetricId>,
    position: Option<MetricId>,
    in_flight: Option<MetricId>,
    limit: Option<MetricId>,
    stale_age: Option<MetricId>,
    dirty: bool,
}

impl UpstreamSeries {
    /// The series that everybody looks at stand at zero from the start, so that rates begin right.
    pub(crate) fn new(env: &impl Metrics, policy: &str, upstream: &str) -> Self {
        let (policy, upstream) = (label(policy), label(upstream));
        let first = [
            Event::Admitted,
            Event::Refused(Reason::BreakerOpen),
            Event::Outcome(Outcome::Success),
            Event::Outcome(Outcome::Failure),
            Event::Transition(Phase::Closed, Phase::Open),
        ];
        Self {
            state: env.define(&families::STATE, &[&policy, &upstream]),
            shown: None,
            events: first.map(|event| (event, Series::default())).into(),
            budget: None,
            position: None,
            in_flight: None,
            limit: None,
            stale_age: None,
            labels: [policy, upstream],
            dirty: true,
        }
    }

    /// Counts one.
    pub(crate) fn count(&mut self, event: Event) {
        match self.events.iter_mut().find(|(known, _)| *known == event) {
            Some((_, series)) => series.add(1),
            None => self.events.push((event, Series::one(1))),
        }
        self.dirty = true;
    }

    /// The counter that moves when what decides about requests changes. Whoever moves it does so at once.
    pub(crate) fn epoch(&self, env: &impl Metrics) -> Option<MetricId> {
        let [policy, upstream] = &self.labels;
        env.define(&families::RECORD_CHANGES, &[policy, upstream])
    }

    /// Shows the state; it is told to the host when it is not the one that was shown last.
    pub(crate) fn state(&mut self, env: &impl Metrics, phase: Phase) {
        if let Some(state) = self.state
            && self.shown.replace(phase) != Some(phase)
        {
            env.set(state, phase.gauge());
        }
    }

    /// The state is told again when it is next seen: another worker may have told an older one meanwhile.
    pub(crate) fn tell_state_again(&mut self) {
        self.shown = None;
    }

    /// Counts a change of state and says why.
    pub(crate) fn transition(&mut self, env: &impl Metrics, transition: &Transition) {
        self.count(Event::Transition(transition.from, transition.to));
        let level = match transition.to {
            Phase::Open => log::Level::Warn,
            Phase::Closed | Phase::HalfOpen => log::Level::Info,
        };
        let [policy, upstream] = &self.labels;
        env.log(
            level,
            format_args!("seawall: policy={policy} upstream={upstream} {transition}"),
        );
    }

    /// Counts what an operator did, and says what and who: it is in nobody's configuration.
    #[cold]
    #[inline(never)]
    pub(crate) fn operated(
        &mut self,
        env: &impl Metrics,
        action: &'static str,
        lasts: Option<Span>,
        by: &str,
    ) {
        self.count(Event::Forced(action));
        let [policy, upstream] = &self.labels;
        let (millis, by) = (lasts.map_or(0, Span::as_millis), label(by));
        env.log(
            log::Level::Warn,
            format_args!(
                "seawall: policy={policy} upstream={upstream} operator={action} for={millis}ms by={by}"
            ),
        );
    }

    /// Shows what the retry budget holds, in retries, rounded down.
    pub(crate) fn budget(&mut self, env: &impl Metrics, retries: u64) {
        let family = &families::RETRY_BUDGET;
        show(env, &mut self.budget, family, &self.labels, retries);
    }

    /// Shows how retries are accounted: 1 for each request, 2 for each attempt, by the upstream position.
    pub(crate) fn position(&mut self, env: &impl Metrics, accounted: u64) {
        let family = &families::RETRY_ACCOUNTING;
        show(env, &mut self.position, family, &self.labels, accounted);
    }

    /// Shows how many requests hold slots, and how many may where that follows latency.
    pub(crate) fn slots(&mut self, env: &impl Metrics, in_flight: u32, limit: Option<u32>) {
        let (family, value) = (&families::IN_FLIGHT, in_flight.into());
        show(env, &mut self.in_flight, family, &self.labels, value);
        if let Some(limit) = limit {
            let (family, value) = (&families::LIMIT, limit.into());
            show(env, &mut self.limit, family, &self.labels, value);
        }
    }

    /// A stale answer of so many seconds stood in.
    pub(crate) fn stale_age(&mut self, env: &impl Metrics, seconds: u64) {
        let family = &families::STALE_AGE_SECONDS;
        show(env, &mut self.stale_age, family, &self.labels, seconds);
    }

    /// Tells the host.
    pub(crate) fn flush(&mut self, env: &impl Metrics) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let [policy, upstream] = &self.labels;
        for (event, series) in &mut self.events {
            let (family, [one, two]) = event.series();
            series.flush(env, family, &[policy, upstream, one, two]);
        }
    }
}

/// Sets a gauge, or gives a histogram a value; it is made when it is first shown.
fn show(
    env: &impl Metrics,
    metric: &mut Option<MetricId>,
    family: &'static MetricFamily,
    labels: &[String],
    value: u64,
) {
    *metric = metric.or_else(|| {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        env.define(family, &labels)
    });
    if let Some(metric) = metric {
        env.set(*metric, value);
    }
}

/// What is counted about the filter itself.
#[derive(Debug, Default)]
pub(crate) struct OwnSeries {
    concerns: Vec<(InternalEvent, Series)>,
    upstreams: Option<MetricId>,
    watched: Option<MetricId>,
    round: Option<MetricId>,
}

impl OwnSeries {
    /// Counts one.
    pub(crate) fn count(&mut self, concern: InternalEvent) {
        self.add(concern, 1);
    }

    /// Tells the host, its own errors among the rest.
    pub(crate) fn flush(&mut self, env: &impl Metrics) {
        for (call, count) in env.take_host_errors() {
            self.add(InternalEvent::HostError(call), count);
        }
        for (concern, series) in &mut self.concerns {
            if series.pending > 0 {
                let (family, value) = concern.series();
                series.flush(env, family, &[value]);
            }
        }
    }

    /// Shows how many states the process has.
    pub(crate) fn upstreams(&mut self, env: &impl Metrics, count: u32) {
        show(
            env,
            &mut self.upstreams,
            &families::UPSTREAMS,
            &[],
            count.into(),
        );
    }

    /// Shows how many keys with slots a whole round looked at, and how long it took.
    pub(crate) fn round(&mut self, env: &impl Metrics, looks: u32, took: Span) {
        if looks > 0 || self.watched.is_some() {
            show(
                env,
                &mut self.watched,
                &families::SLOTS_WATCHED,
                &[],
                looks.into(),
            );
            show(
                env,
                &mut self.round,
                &families::SLOTS_ROUND_MS,
                &[],
                took.as_millis(),
            );
        }
    }

    fn add(&mut self, concern: InternalEvent, count: u64) {
        let mut known = self.concerns.iter_mut();
        match known.find(|(known, _)| *known == concern) {
            Some((_, series)) => series.add(count),
            None => self.concerns.push((concern, Series::one(count))),
        }
    }
}

/// A name as a label: `..` parts labels, and control bytes have no place in a stat's name.
fn label(name: &str) -> String {
    let mut plain = String::new();
    for (index, part) in name.split(|c: char| c.is_control() || c == ' ').enumerate() {
        if index > 0 {
            plain.push('_');
        }
        plain.push_str(part);
    }
    let mut parted = String::new();
    let mut rest = plain.as_str();
    while let Some(at) = rest.as_bytes().windows(2).position(|two| two == b"..") {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        parted.push_str(before);
        parted.push_str("._");
        rest = after.get(2..).unwrap_or_default();
    }
    parted.push_str(rest);
    parted
}

#[cfg(test)]
mod tests;
