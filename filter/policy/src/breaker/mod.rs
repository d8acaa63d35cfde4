//! The circuit breaker: closed, open, half-open, one state for all workers of a process.
//!
//! Closed counts verdicts in a window and opens at a rate or at failures in a row. Open refuses until its time is over.
//! Half-open lets a counted number of probes through and decides by their verdicts. The scheme is Nygard's ("Release
//! It!"), the thresholds are resilience4j's, failures in a row are linkerd2-proxy's, generations are gobreaker's.
//!
//! **Invariants:** in half-open, permits held plus verdicts never exceed the permits allowed. A settlement of another
//! generation changes nothing. Every change of state starts a generation and clears all counts. Time never runs
//! backwards: a step happens at the later of the clock and the last step.

mod holders;
mod hosts;
mod rules;
mod settings;
mod state;
mod transition;

pub use holders::{HOLDERS_MAX, Holder, Holders};
pub(crate) use hosts::Host;
pub use hosts::{HostId, Hosts, TRACKED};
pub use settings::{HalfOpen, Mode, OpenTime, Settings, Thresholds};
pub use state::{
    Admission, Breaker, Closed, Holding, Moment, Permit, Probing, Refusal, State, Transitions,
    Verdict,
};
pub use transition::{Cause, Phase, Transition};

use crate::outcome::Outcome;
use crate::share::Share;
use crate::time::{Span, Timestamp};
use crate::window::Geometry;
use rules::{due_trip, host_clock, open_time, probes_failed, ramp_share};

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
            state: State::Closed(Closed::new(geometry, None)),
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

    /// Whether every request gets in now: closed, and no ramp is on.
    pub fn admits_all(&self, settings: &Settings) -> bool {
        match &self.state {
            State::Closed(closed) => {
                ramp_share(closed.ramp_from, settings.ramp, self.last) == Share::ALL
            }
            State::Open { .. } | State::HalfOpen(_) => false,
        }
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

    /// Makes the transitions that are due by time.
    pub fn advance(&mut self, settings: &Settings, moment: Moment) -> Transitions {
        let mut made = Transitions::new();
        // Open to half-open and half-open to open: at most one of each is due, a new half-open waits for its first permit.
        for _ in 0..2 {
            match &self.state {
                State::Open { until } if *until <= moment.now.max(self.last) => {
                    let due = *until;
                    made.push(self.enter(
                        State::HalfOpen(Probing::default()),
                        due,
                        Cause::TimeOver,
                    ));
                }
                State::HalfOpen(Probing {
                    wait_from: Some(from),
                    ..
                }) if from.after(settings.half_open.wait) <= moment.now.max(self.last) => {
                    let due = from.after(settings.half_open.wait);
                    let cause = Cause::NoVerdict {
                        wait: settings.half_open.wait,
                    };
                    made.push(self.trip(settings, due, moment.draw, cause, None));
                }
                _ => break,
            }
        }
        self.last = self.last.max(moment.now);
        made
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
    ) -> (Admission, Transitions) {
        let made = self.advance(settings, moment);
        let (now, generation) = (self.last, self.generation);
        let refused = |refusal, retry_after| Admission::Refused {
            refusal,
            retry_after,
        };
        let admission = match &mut self.state {
            State::Closed(closed) => {
                if ramp_share(closed.ramp_from, settings.ramp, now).takes(ramp_draw) {
                    Admission::Admitted(Permit {
                        generation,
                        probe: None,
                    })
                } else {
                    refused(Refusal::Ramp, RETRY_SOON)
                }
            }
            State::Open { until } => refused(Refusal::Open, until.since(now)),
            State::HalfOpen(probing) => {
                let taken = probing
                    .holders
                    .in_flight()
                    .saturating_add(probing.verdicts.calls);
                if taken < settings.half_open.permits
                    && probing.holders.acquire(instance, generation)
                {
                    probing.wait_from.get_or_insert(now);
                    Admission::Admitted(Permit {
                        generation,
                        probe: Some(instance),
                    })
                } else {
                    refused(Refusal::HalfOpen, RETRY_SOON)
                }
            }
        };
        (admission, made)
    }

    /// Gives a permit back with what became of its request. A permit of another generation, or of a VM that was given
    /// up for dead, changes nothing.
    pub fn settle(
        &mut self,
        settings: &Settings,
        moment: Moment,
        permit: Permit,
        verdict: Verdict,
    ) -> Transitions {
        let mut made = self.advance(settings, moment);
        if permit.generation != self.generation {
            return made;
        }
        let now = self.last;
        let trip = match &mut self.state {
            State::Closed(_) if permit.probe.is_none() => self.count(settings, now, verdict),
            State::HalfOpen(probing) => match permit.probe {
                Some(instance) if probing.holders.release(instance) => {
                    self.probe_verdict(settings, now, verdict)
                }
                _ => None,
            },
            State::Closed(_) | State::Open { .. } => None,
        };
        made.extend(trip.map(|step| self.take(settings, step, now, moment.draw, verdict)));
        made
    }

    /// A stream that broke after its headers: one more failure, in its own generation only. In half-open it takes a
    /// verdict of its own where one is left, otherwise the place of a good one, so that the permits still hold; without
    /// either it is void: its own verdict was, because its VM was given up for dead.
    pub fn settle_break(
        &mut self,
        settings: &Settings,
        moment: Moment,
        permit: Permit,
        host: HostId,
    ) -> Transitions {
        let mut made = self.advance(settings, moment);
        if permit.generation != self.generation {
            return made;
        }
        let verdict = Verdict {
            outcome: Outcome::Failure,
            host,
            retry_after: None,
        };
        let now = self.last;
        let trip = match &mut self.state {
            State::Closed(_) => self.count(settings, now, verdict),
            State::HalfOpen(probing) => {
                let taken = probing
                    .holders
                    .in_flight()
                    .saturating_add(probing.verdicts.calls);
                let place = taken < settings.half_open.permits || probing.verdicts.forget_good();
                place
                    .then(|| self.probe_verdict(settings, now, verdict))
                    .flatten()
            }
            State::Open { .. } => None,
        };
        made.extend(trip.map(|step| self.take(settings, step, now, moment.draw, verdict)));
        made
    }

    /// The open upstream answered an own probe of this generation well: half-open at once, dated now. Any other state, and
    /// another open one, is left as it is.
    pub fn probed(&mut self, settings: &Settings, moment: Moment, generation: u64) -> Transitions {
        let mut made = self.advance(settings, moment);
        if self.phase() == Phase::Open && generation == self.generation {
            let now = self.last;
            let probing = State::HalfOpen(Probing::default());
            made.push(self.enter(probing, now, Cause::OwnProbe));
        }
        made
    }

    /// A sign of life of a VM that holds permits; `false` if it holds none here.
    pub fn beat(&mut self, instance: u64) -> bool {
        match &mut self.state {
            State::HalfOpen(probing) => probing.holders.beat(instance),
            State::Closed(_) | State::Open { .. } => false,
        }
    }

    /// Whether a VM holds less than it believes: it was given up for dead.
    pub fn has_lost(&self, holding: Holding) -> bool {
        match &self.state {
            State::HalfOpen(probing) if holding.generation == self.generation => {
                probing.holders.held_by(holding.instance) < holding.permits
            }
            _ => false,
        }
    }

    /// Takes the permits of a VM back that showed no life since `beat`; `false` if there is nothing to take.
    pub fn expire(&mut self, instance: u64, beat: u32) -> bool {
        match &mut self.state {
            State::HalfOpen(probing) => probing.holders.expire(instance, beat),
            State::Closed(_) | State::Open { .. } => false,
        }
    }

    /// Starts closed and empty, in a new generation; says so where it was not closed.
    pub fn restart(&mut self, geometry: Geometry, now: Timestamp) -> Option<Transition> {
        self.geometry = geometry;
        self.last = self.last.max(now);
        self.trips = 0;
        let closed = State::Closed(Closed::new(geometry, None));
        match self.phase() {
            Phase::Closed => {
                self.generation = self.generation.wrapping_add(1);
                self.state = closed;
                None
            }
            Phase::Open | Phase::HalfOpen => Some(self.enter(closed, now, Cause::Reconfigured)),
        }
    }

    /// Gives its windows another shape. What a window held is lost; open and half-open go on.
    pub fn reshape(&mut self, geometry: Geometry) {
        self.geometry = geometry;
        if let State::Closed(closed) = &mut self.state {
            *closed = Closed::new(geometry, closed.ramp_from);
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// Counts a verdict in the closed state; the cause if it makes the breaker trip.
    fn count(&mut self, settings: &Settings, now: Timestamp, verdict: Verdict) -> Option<Cause> {
        let geometry = self.geometry;
        let State::Closed(closed) = &mut self.state else {
            return None;
        };
        if !verdict.outcome.counts() {
            return None;
        }
        let failed = verdict.outcome == Outcome::Failure;
        closed.window.add(verdict.outcome, now);
        closed.verdicts = closed.verdicts.wrapping_add(1);
        if failed {
            let gap = now.since(closed.last_failure);
            let anew = geometry.over().is_some_and(|over| gap > over);
            closed.consecutive = if anew {
                1
            } else {
                closed.consecutive.saturating_add(1)
            };
            closed.last_failure = now;
        } else {
            closed.consecutive = 0;
        }
        let (tick, horizon) = host_clock(geometry, closed.verdicts, now);
        closed.hosts.note(verdict.host, failed, tick, horizon);

        let due = due_trip(settings, geometry, closed, now);
        let withheld = matches!(
            due,
            Some(Cause::FailureRate { .. } | Cause::Consecutive { .. })
        ) && settings.host_grace > Span::ZERO
            && closed.hosts.minority_fails(tick, horizon);
        if !withheld {
            closed.grace_from = None;
            return due;
        }
        let since = *closed.grace_from.get_or_insert(now);
        due.filter(|_| now.since(since) >= settings.host_grace)
    }

    /// Counts the verdict of a probe; the cause of the transition if it was the last one.
    fn probe_verdict(
        &mut self,
        settings: &Settings,
        now: Timestamp,
        verdict: Verdict,
    ) -> Option<Cause> {
        let State::HalfOpen(probing) = &mut self.state else {
            return None;
        };
        if !verdict.outcome.counts() {
            return None;
        }
        probing.verdicts.add(verdict.outcome);
        probing.wait_from = Some(now);
        let counts = probing.verdicts;
        if counts.calls < settings.half_open.permits {
            return None;
        }
        Some(match probes_failed(&settings.thresholds, counts) {
            true => Cause::ProbesBad { counts },
            false => Cause::ProbesGood { counts },
        })
    }

    /// The one place where a verdict becomes a transition.
    fn take(
        &mut self,
        settings: &Settings,
        cause: Cause,
        now: Timestamp,
        draw: u32,
        verdict: Verdict,
    ) -> Transition {
        match cause {
            Cause::ProbesGood { .. } => {
                let ramp_from = (settings.ramp > Span::ZERO).then_some(now);
                self.trips = 0;
                self.enter(
                    State::Closed(Closed::new(self.geometry, ramp_from)),
                    now,
                    cause,
                )
            }
            _ => self.trip(settings, now, draw, cause, verdict.retry_after),
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
