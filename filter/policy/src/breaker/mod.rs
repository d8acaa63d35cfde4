//! The circuit breaker: closed, open, half-open, one state for all workers of a process.
//!
//! Closed counts verdicts in a window and opens at a rate or at failures in a row. Open refuses until its time is over.
//! Half-open lets a counted number of probes through and decides by their verdicts, and by nothing else. The scheme is Nygard's ("Release
//! It!"), the thresholds are resilience4j's, failures in a row are linkerd2-proxy's, generations are gobreaker's.
//!
//! **Invariants:** in half-open, permits held plus verdicts never exceed the permits allowed. A request is one verdict, and
//! its last word counts. A settlement of another generation changes nothing. Every change of state starts a generation and clears all counts. Time never runs
//! backwards: a step happens at the later of the clock and the last step.

mod candidates;
mod closed;
mod forced;
mod half_open;
mod hosts;
mod lot;
mod own_probe;
mod packed;
mod ramp;
mod rules;
mod settings;
mod starvation;
mod state;
mod transition;
mod transition_line;
mod verdict;
pub mod window;

pub use candidates::{Asker, Candidates, MARKS_MAX};
pub use closed::Closed;
pub use forced::{BY_MAX, FORCED_FOR_MAX, Force, Forced};
pub use half_open::Probing;
pub(crate) use hosts::Host;
pub use hosts::{HostId, Hosts, TRACKED};
pub use lot::{LOT_MAX, Lot, lot_max};
pub use settings::{HalfOpen, Mode, OpenTime, Settings, Thresholds};
pub use starvation::{GOOD_PROBES, Starvation};
pub use state::{
    Admission, Breaker, Counted, Moment, Permit, Refusal, Settled, State, Transitions,
};
pub use transition::{Cause, Phase, Transition};
pub use transition_line::TransitionLine;
pub use verdict::{LastWord, Verdict};

use crate::breaker::window::Geometry;
use crate::outcome::Outcome;
use crate::ratio::Share;
use crate::shared::leases::{Lease, LocalLease};
use crate::time::{Span, Timestamp};
use rules::{host_clock, open_time};
use state::CountedAt;

/// How many VMs may hold permits of one generation at the same time; a further one is refused.
pub const HOLDERS_MAX: usize = 16;
/// What a refusal that is not bound to a time tells the client to wait.
const RETRY_SOON: Span = Span::secs(1);

impl Breaker {
    /// A closed, empty breaker without a ramp.
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            generation: 0,
            trips: 0,
            last: Timestamp::ZERO,
            state: State::Closed(Box::new(Closed::new(geometry, None))),
        }
    }

    /// The state without its content.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Closed(_) => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen(_) => Phase::HalfOpen,
        }
    }

    /// Whether every request got in at the last step: closed, and no ramp was on.
    pub fn admits_all(&self, settings: &Settings) -> bool {
        self.admits_all_at(settings, self.last)
    }

    /// Whether every request gets in now, as it stands.
    pub fn admits_all_at(&self, settings: &Settings, now: Timestamp) -> bool {
        self.ramp(settings, now.max(self.last)) == Share::ALL
    }

    /// Whether a closed breaker saw failures of late, so that the hosts of further answers are worth knowing.
    pub fn is_failing(&self) -> bool {
        match &self.state {
            State::Closed(closed) => {
                let (tick, horizon) = host_clock(self.geometry, closed.verdicts, self.last);
                closed.consecutive > 0 || closed.hosts.any_failed(tick, horizon)
            }
            State::Open { .. } | State::HalfOpen(_) => false,
        }
    }

    /// Makes the transition that is due by time, and takes permits back that were held for too long.
    pub fn advance(&mut self, settings: &Settings, moment: Moment) -> Transitions {
        let mut made = Transitions::new();
        if let State::Open { until } = self.state
            && until <= moment.now.max(self.last)
        {
            let probing = Probing::begun(until, self.generation.wrapping_add(1));
            let probing = State::HalfOpen(Box::new(probing));
            made.push(self.enter(probing, until, Cause::TimeOver));
        }
        self.last = self.last.max(moment.now);
        if let State::HalfOpen(probing) = &mut self.state {
            probing.take_back(settings.half_open.wait, self.last);
        }
        made
    }

    /// A step begins: time passes, and it is known whether permits were taken back.
    fn begin(&mut self, settings: &Settings, moment: Moment) -> Settled {
        let held = self.in_flight();
        let made = self.advance(settings, moment);
        Settled {
            made,
            counted: None,
            changed: self.in_flight() != held,
        }
    }

    /// Asks for one request. `ramp_draw` is uniform over all of `u32` and the same for the same request.
    ///
    /// Whoever gets a permit with a `probe` in it must have stored the breaker as it is now before the request goes.
    pub fn admit(
        &mut self,
        settings: &Settings,
        moment: Moment,
        instance: u64,
        ramp_draw: u32,
        asker: Asker,
    ) -> (Admission, Transitions) {
        let made = self.advance(settings, moment);
        let (now, generation) = (self.last, self.generation);
        let ramp = self.ramp(settings, now);
        let refused = |refusal, retry_after| Admission::Refused {
            refusal,
            retry_after,
        };
        let admitted = |probe| Admission::Admitted(Permit { generation, probe });
        let admission = match &mut self.state {
            State::Closed(_) => match ramp.samples(ramp_draw) {
                true => admitted(None),
                false => refused(Refusal::Ramp, RETRY_SOON),
            },
            State::Open { until } => refused(Refusal::Open, until.since(now)),
            State::HalfOpen(probing) => match probing.ask(settings, asker, instance, now) {
                true => admitted(Some(instance)),
                false => refused(Refusal::HalfOpen, RETRY_SOON),
            },
        };
        (admission, made)
    }

    /// Gives a permit back with what became of its request. A permit of another generation, or of a VM that was given up
    /// for dead, changes nothing. In half-open a request whose permit lapsed gives nothing back; its verdict counts if
    /// there is room for it.
    pub fn settle(
        &mut self,
        settings: &Settings,
        moment: Moment,
        permit: Permit,
        verdict: Verdict,
    ) -> Settled {
        let mut settled = self.begin(settings, moment);
        if permit.generation != self.generation {
            return settled;
        }
        let (now, geometry) = (self.last, self.geometry);
        let counts = verdict.outcome.counts();
        if counts && self.is_on_trial(settings) {
            self.tried(verdict.is_answer());
        }
        let (cause, at) = match &mut self.state {
            State::Closed(closed) => {
                let entry = closed.count(geometry, now, verdict);
                let due = entry.and_then(|_| closed.due(settings, geometry, now));
                (due, entry.map(CountedAt::Closed))
            }
            State::HalfOpen(probing) => {
                let held = probing.release(permit.probe);
                let room = permit.probe.is_none() && probing.has_room(settings);
                let counted = counts && (held || room);
                settled.changed |= held;
                if held && !counts {
                    probing.wasted(verdict.peer, now);
                }
                let step = |probing: &mut Probing| {
                    probing.verdict(settings, verdict.outcome, verdict.peer, now)
                };
                let at = CountedAt::HalfOpen(verdict.outcome);
                (
                    counted.then(|| step(probing)).flatten(),
                    counted.then_some(at),
                )
            }
            State::Open { .. } => (None, None),
        };
        let generation = self.generation;
        settled.counted = at.map(|at| Counted { generation, at });
        settled.changed |= settled.counted.is_some();
        let made = cause.map(|cause| self.take(settings, cause, moment.draw, verdict.retry_after));
        settled.made.extend(made);
        settled
    }

    /// Gives a permit back without a verdict: its client went away, or it lapsed. The request may go on with a permit of
    /// the same generation and no `probe`.
    pub fn give_back(
        &mut self,
        settings: &Settings,
        moment: Moment,
        permit: Permit,
        peer: u32,
    ) -> Settled {
        let nothing = Verdict {
            outcome: Outcome::Ignored,
            host: 0,
            retry_after: None,
            peer,
            silent: false,
        };
        self.settle(settings, moment, permit, nothing)
    }

    /// What became of a request after it was counted. What left the window meanwhile, or was counted in another generation,
    /// changes nothing; but silence goes on.
    pub fn settle_late(
        &mut self,
        settings: &Settings,
        moment: Moment,
        counted: Counted,
        word: LastWord,
    ) -> Settled {
        let mut settled = self.begin(settings, moment);
        if counted.generation != self.generation {
            return settled;
        }
        let (now, geometry) = (self.last, self.geometry);
        if word == LastWord::Answered && self.is_on_trial(settings) {
            self.tried(true);
            settled.changed = true;
        }
        let cause = match (&mut self.state, counted.at, word) {
            (State::Closed(closed), CountedAt::Closed(entry), word) => {
                let changed = closed.last_word(geometry, now, entry, word);
                settled.changed |= changed;
                let failed = changed && word != LastWord::Answered;
                let due = failed.then(|| closed.due(settings, geometry, now));
                due.flatten()
            }
            (
                State::HalfOpen(probing),
                CountedAt::HalfOpen(outcome),
                LastWord::Failed { .. } | LastWord::Stalled { .. },
            ) => {
                let failed = probing.fail_late(settings, outcome, now);
                settled.changed |= failed.is_some();
                failed.flatten()
            }
            _ => None,
        };
        let made = cause.map(|cause| self.take(settings, cause, moment.draw, None));
        settled.made.extend(made);
        settled
    }

    /// What half-open remembers of those that asked: a step that changes it is worth storing.
    pub fn memory(&self) -> Option<(Candidates, Starvation)> {
        match &self.state {
            State::HalfOpen(probing) => Some((probing.candidates, probing.starvation)),
            State::Closed(_) | State::Open { .. } => None,
        }
    }

    /// Permits held in half-open.
    pub fn in_flight(&self) -> u32 {
        match &self.state {
            State::HalfOpen(probing) => probing.holders.in_flight(),
            State::Closed(_) | State::Open { .. } => 0,
        }
    }

    /// Whether a request now may get a permit, and not plain admission.
    pub fn lets_probe(&self, moment: Moment) -> bool {
        match &self.state {
            State::Closed(_) => false,
            State::Open { until } => *until <= moment.now.max(self.last),
            State::HalfOpen(_) => true,
        }
    }

    /// Whether a VM holds less than it believes: it was given up for dead.
    pub fn has_lost(&self, local: &LocalLease) -> bool {
        match &self.state {
            State::HalfOpen(probing) => probing.holders.has_lost(local),
            State::Closed(_) | State::Open { .. } => false,
        }
    }

    /// Takes back the permits of VMs that are marked as dead; `false` if they hold none.
    pub fn expire(&mut self, dead: &[u64]) -> bool {
        match &mut self.state {
            State::HalfOpen(probing) if !dead.is_empty() => probing.expire(dead),
            _ => false,
        }
    }

    /// Takes back the permits that are nobody's any more, as a VM finds them at its tick; `false` if there are none.
    pub fn sweep(
        &mut self,
        local: &LocalLease,
        owes: bool,
        gone: &mut dyn FnMut(&Lease) -> bool,
    ) -> bool {
        match &mut self.state {
            State::HalfOpen(probing) => probing.sweep(local, owes, gone),
            State::Closed(_) | State::Open { .. } => false,
        }
    }

    /// Starts closed and empty, in a new generation; says so, and why, where it was not closed.
    pub fn restart(
        &mut self,
        geometry: Geometry,
        now: Timestamp,
        cause: Cause,
    ) -> Option<Transition> {
        self.geometry = geometry;
        self.last = self.last.max(now);
        self.trips = 0;
        let closed = State::Closed(Box::new(Closed::new(geometry, None)));
        match self.phase() {
            Phase::Closed => {
                self.generation = self.generation.wrapping_add(1);
                self.state = closed;
                None
            }
            Phase::Open | Phase::HalfOpen => Some(self.enter(closed, now, cause)),
        }
    }

    /// Gives its windows another shape. What a window held is lost; open and half-open go on.
    pub fn reshape(&mut self, geometry: Geometry) {
        self.geometry = geometry;
        if let State::Closed(closed) = &mut self.state {
            **closed = Closed::new(geometry, closed.ramp_from);
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// The one place where a verdict becomes a transition.
    fn take(
        &mut self,
        settings: &Settings,
        cause: Cause,
        draw: u32,
        retry_after: Option<Span>,
    ) -> Transition {
        let now = self.last;
        match cause {
            Cause::ProbesGood { .. } | Cause::OwnProbes { .. } => {
                let ramp_from = (settings.ramp > Span::ZERO).then_some(now);
                if !matches!(cause, Cause::OwnProbes { .. }) {
                    self.trips = 0;
                }
                let closed = State::Closed(Box::new(Closed::new(self.geometry, ramp_from)));
                self.enter(closed, now, cause)
            }
            _ => self.trip(settings, now, draw, cause, retry_after),
        }
    }

    fn trip(
        &mut self,
        settings: &Settings,
        at: Timestamp,
        draw: u32,
        cause: Cause,
        retry_after: Option<Span>,
    ) -> Transition {
        let open_for = open_time(&settings.open, self.trips, draw, retry_after);
        self.trips = self.trips.saturating_add(1);
        let transition = self.enter(
            State::Open {
                until: at.after(open_for),
            },
            at,
            cause,
        );
        Transition {
            open_for: Some(open_for),
            ..transition
        }
    }

    /// Every change of state goes through here.
    fn enter(&mut self, state: State, at: Timestamp, cause: Cause) -> Transition {
        let from = self.phase();
        self.state = state;
        self.generation = self.generation.wrapping_add(1);
        self.last = self.last.max(at);
        Transition {
            from,
            to: self.phase(),
            at,
            cause,
            generation: self.generation,
            open_for: None,
            trips: self.trips,
        }
    }
}

#[cfg(test)]
mod tests;
