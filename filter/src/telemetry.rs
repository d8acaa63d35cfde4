//! What is counted, under which name, and when it goes to the host.
//!
//! Events are counted here and flushed at the tick: a host call for each would cost every request. A name carries its
//! labels as `seawall_decisions..policy=P..upstream=C..decision=refused..reason=R`, which the stats tags of the shipped
//! bootstrap take apart. The number of series is bounded by the number of events times that of upstreams.

use seawall_policy::admission::Reason;
use seawall_policy::breaker::{Phase, Transition};
use seawall_policy::fallback::Cause;
use seawall_policy::outcome::{Ignored, Outcome};
use seawall_policy::retry::attempts::Denial;
use seawall_policy::time::Span;

use crate::host::errors;
use crate::host::metrics::{Kind, Metric};

/// Something that happened at one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A request went.
    Admitted,
    /// A request was refused.
    Refused(Reason),
    /// A request went that would have been refused if the breaker were enforced for it.
    Marked(Reason),
    /// What became of a request that went.
    Outcome(Outcome),
    /// Why an outcome says nothing.
    Ignored(Ignored),
    /// What became of a request that would have been refused: a success is a false refusal.
    MarkedOutcome(Outcome),
    /// A rung of the ladder stood in.
    Fallback(&'static str, Cause),
    /// The breaker changed its state.
    Transition(Phase, Phase),
    /// An own probe was answered, well or not.
    Probe(bool),
    /// Half-open, requests and no verdict for `half_open.wait`.
    HalfOpenStarved,
    /// A retry was paid for.
    RetryGranted,
    /// A retry that the policy would make was not.
    RetryDenied(Denial),
    /// A retry of the route's own that would not have been made.
    RetryMarked(Denial),
    /// A retry was paid for and never sent.
    RetryRefunded,
    /// Without the upstream position: a retry was charged after it was made.
    RetryCharged,
}

impl Event {
    /// Its name and its labels.
    fn series(self, labels: &str) -> String {
        let (family, key, value) = match self {
            Self::Admitted => ("decisions", "decision=admitted..reason", "none"),
            Self::Refused(reason) => ("decisions", "decision=refused..reason", reason.name()),
            Self::Marked(reason) => (
                "decisions",
                "decision=shadow_refused..reason",
                reason.name(),
            ),
            Self::Outcome(outcome) => ("outcomes", "outcome", outcome.name()),
            Self::Ignored(why) => ("ignored", "reason", why.name()),
            Self::MarkedOutcome(outcome) => ("shadow_outcomes", "outcome", outcome.name()),
            Self::Fallback(rung, cause) => {
                let cause = cause.name();
                return format!("seawall_fallbacks..{labels}..rung={rung}..reason={cause}");
            }
            Self::HalfOpenStarved => return format!("seawall_half_open_starved..{labels}"),
            Self::Probe(true) => ("probes", "outcome", "good"),
            Self::Probe(false) => ("probes", "outcome", "bad"),
            Self::RetryGranted => ("retries", "decision=granted..reason", "none"),
            Self::RetryDenied(denial) => ("retries", "decision=denied..reason", denial.name()),
            Self::RetryMarked(denial) => {
                ("retries", "decision=shadow_denied..reason", denial.name())
            }
            Self::RetryRefunded => ("retries", "decision=refunded..reason", "none"),
            Self::RetryCharged => ("retries", "decision=charged..reason", "per_request"),
            Self::Transition(from, to) => {
                let (from, to) = (from.name(), to.name());
                return format!("seawall_transitions..{labels}..from={from}..to={to}");
            }
        };
        format!("seawall_{family}..{labels}..{key}={value}")
    }
}

/// Something about the filter itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum InternalEvent {
    /// The state could not be read or written.
    UndecidedHost,
    /// The state is of a later version.
    UndecidedLater,
    /// Too many races were lost.
    LostRaces,
    /// A damaged record was replaced.
    RecordReplaced,
    /// A request to an upstream beyond the bound: it has no state.
    OverLimit,
    /// Route metadata names a policy that does not exist.
    UnknownPolicy,
    /// A settlement was given up.
    SettlementDropped,
    /// This VM was given up for dead.
    Expired,
    /// A client sent a header that is not its to send.
    ControlHeader,
    /// A hedge was not allowed for want of a place to wait.
    HedgeNotAllowed,
    /// More VMs hold slots of one upstream than can be counted.
    Crowded,
    /// A request that was to go to another cluster would not have: there is no route for it.
    Misrouted,
    /// What became of an answer that was to be kept for stale ones.
    Stale(&'static str),
    /// A call of the host failed.
    HostError(&'static str),
}

impl InternalEvent {
    fn series(self) -> String {
        let name = match self {
            Self::UndecidedHost => "undecided..reason=host",
            Self::UndecidedLater => "undecided..reason=later_version",
            Self::LostRaces => "undecided..reason=lost_races",
            Self::RecordReplaced => "records_replaced",
            Self::OverLimit => "requests_over_limit",
            Self::UnknownPolicy => "unknown_policy",
            Self::SettlementDropped => "settlements_dropped",
            Self::Expired => "instances_expired",
            Self::ControlHeader => "control_headers_removed",
            Self::HedgeNotAllowed => "hedges_not_allowed",
            Self::Crowded => "slots_uncounted",
            Self::Misrouted => "failovers_misrouted",
            Self::Stale(result) => return format!("seawall_stale..outcome={result}"),
            Self::HostError(call) => return format!("seawall_host_errors..call={call}"),
        };
        format!("seawall_{name}")
    }
}

/// A counter of the host and what it does not know yet.
#[derive(Debug, Default)]
struct Series {
    metric: Option<Metric>,
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

    fn flush(&mut self, name: impl FnOnce() -> String) {
        if self.metric.is_none() {
            self.metric = Metric::define(Kind::Counter, &name());
        }
        if let Some(metric) = self.metric.filter(|_| self.pending > 0) {
            metric.add(std::mem::take(&mut self.pending));
        }
    }
}

/// What is counted for one upstream.
#[derive(Debug, Default)]
pub(crate) struct UpstreamSeries {
    labels: String,
    events: Vec<(Event, Series)>,
    state: Option<Metric>,
    shown: Option<Phase>,
    budget: Option<Metric>,
    position: Option<Metric>,
    in_flight: Option<Metric>,
    limit: Option<Metric>,
    stale_age: Option<Metric>,
    dirty: bool,
}

impl UpstreamSeries {
    /// The series that everybody looks at stand at zero from the start, so that rates begin right.
    pub(crate) fn new(policy: &str, upstream: &str) -> Self {
        let labels = format!("policy={}..upstream={}", label(policy), label(upstream));
        let name = format!("seawall_state..{labels}");
        let first = [
            Event::Admitted,
            Event::Refused(Reason::BreakerOpen),
            Event::Outcome(Outcome::Success),
            Event::Outcome(Outcome::Failure),
            Event::Transition(Phase::Closed, Phase::Open),
        ];
        Self {
            state: Metric::define(Kind::Gauge, &name),
            shown: None,
            events: first.map(|event| (event, Series::default())).into(),
            budget: None,
            position: None,
            in_flight: None,
            limit: None,
            stale_age: None,
            labels,
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

    /// Shows the state; it is told to the host when it is not the one that was shown last.
    pub(crate) fn state(&mut self, phase: Phase) {
        if let Some(state) = self.state
            && self.shown.replace(phase) != Some(phase)
        {
            state.set(phase.gauge());
        }
    }

    /// The state is told again when it is next seen: another worker may have told an older one meanwhile.
    pub(crate) fn tell_state_again(&mut self) {
        self.shown = None;
    }

    /// Counts a change of state and says why.
    pub(crate) fn transition(&mut self, transition: &Transition) {
        self.count(Event::Transition(transition.from, transition.to));
        let labels = parted(&self.labels, " ");
        match transition.to {
            Phase::Open => log::warn!("seawall: {labels} {transition}"),
            Phase::Closed | Phase::HalfOpen => log::info!("seawall: {labels} {transition}"),
        }
    }

    /// Shows what the retry budget holds, in retries, rounded down.
    pub(crate) fn budget(&mut self, retries: u64) {
        show(&mut self.budget, "retry_budget", &self.labels, retries);
    }

    /// Shows how retries are accounted: 1 for each request, 2 for each attempt, by the upstream position.
    pub(crate) fn position(&mut self, accounted: u64) {
        show(
            &mut self.position,
            "retry_accounting",
            &self.labels,
            accounted,
        );
    }

    /// Shows how many requests hold slots, and how many may where that follows latency.
    pub(crate) fn slots(&mut self, in_flight: u32, limit: Option<u32>) {
        show(
            &mut self.in_flight,
            "in_flight",
            &self.labels,
            in_flight.into(),
        );
        if let Some(limit) = limit {
            show(&mut self.limit, "limit", &self.labels, limit.into());
        }
    }

    /// A stale answer of so many seconds stood in.
    pub(crate) fn stale_age(&mut self, seconds: u64) {
        let name = || format!("seawall_stale_age_seconds..{}", self.labels);
        let age = self.stale_age;
        self.stale_age = age.or_else(|| Metric::define(Kind::Histogram, &name()));
        if let Some(age) = self.stale_age {
            age.set(seconds);
        }
    }

    /// Tells the host.
    pub(crate) fn flush(&mut self) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        for (event, series) in &mut self.events {
            series.flush(|| event.series(&self.labels));
        }
    }
}

/// Sets a gauge, which is made when it is first shown.
fn show(gauge: &mut Option<Metric>, family: &str, labels: &str, value: u64) {
    let name = || match labels {
        "" => format!("seawall_{family}"),
        labels => format!("seawall_{family}..{labels}"),
    };
    *gauge = gauge.or_else(|| Metric::define(Kind::Gauge, &name()));
    if let Some(gauge) = gauge {
        gauge.set(value);
    }
}

/// What is counted about the filter itself.
#[derive(Debug, Default)]
pub(crate) struct OwnSeries {
    concerns: Vec<(InternalEvent, Series)>,
    upstreams: Option<Metric>,
    watched: Option<Metric>,
    round: Option<Metric>,
}

impl OwnSeries {
    /// Counts one.
    pub(crate) fn count(&mut self, concern: InternalEvent) {
        self.add(concern, 1);
    }

    /// Tells the host, its own errors among the rest.
    pub(crate) fn flush(&mut self) {
        for (call, count) in errors::take() {
            self.add(InternalEvent::HostError(call), count);
        }
        for (concern, series) in &mut self.concerns {
            if series.pending > 0 {
                series.flush(|| concern.series());
            }
        }
    }

    /// Shows how many states the process has.
    pub(crate) fn upstreams(&mut self, count: u32) {
        show(&mut self.upstreams, "upstreams", "", count.into());
    }

    /// Shows how many keys with slots a whole round looked at, and how long it took.
    pub(crate) fn round(&mut self, looks: u32, took: Span) {
        if looks > 0 || self.watched.is_some() {
            show(&mut self.watched, "slots_watched", "", looks.into());
            show(&mut self.round, "slots_round_ms", "", took.as_millis());
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
    parted(&plain, "._")
}

/// Puts something else in the place of each `..`.
fn parted(text: &str, instead: &str) -> String {
    let mut parted = String::new();
    let mut rest = text;
    while let Some(at) = rest.as_bytes().windows(2).position(|two| two == b"..") {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        parted.push_str(before);
        parted.push_str(instead);
        rest = after.get(2..).unwrap_or_default();
    }
    parted.push_str(rest);
    parted
}
