//! The specification as a program: it keeps everything that ever happened in a generation and counts anew at each step.

use seawall_policy::breaker::{Phase, Settings};
use seawall_policy::outcome::Outcome;
use seawall_policy::share::Share;
use seawall_policy::window::Geometry;

/// Why a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    FailureRate,
    SlowRate,
    Consecutive,
    TimeOver,
    OwnProbe,
    ProbesGood,
    ProbesBad,
    NoVerdict,
}

/// A change of state: from, to, why, when, the open time that follows, and the trips in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) from: Phase,
    pub(crate) to: Phase,
    pub(crate) why: Why,
    pub(crate) at: u64,
    pub(crate) open_for: Option<u64>,
    pub(crate) trips: u32,
}

/// What a request is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Admitted { generation: u64, probe: bool },
    Open { retry_after: u64 },
    NoPermit,
    Ramp,
}

/// One verdict of the closed state.
#[derive(Clone, Debug)]
struct Seen {
    at: u64,
    outcome: Outcome,
    host: u32,
}

#[derive(Clone, Debug)]
enum State {
    Closed {
        seen: Vec<Seen>,
        ramp_from: Option<u64>,
        withheld_from: Option<u64>,
    },
    Open {
        until: u64,
    },
    HalfOpen {
        held: Vec<u64>,
        verdicts: Vec<Outcome>,
        wait_from: Option<u64>,
    },
}

/// The breaker as its specification says it.
pub(crate) struct Model {
    settings: Settings,
    state: State,
    pub(crate) generation: u64,
    trips: u32,
    now: u64,
}

fn closed(ramp_from: Option<u64>) -> State {
    State::Closed {
        seen: Vec::new(),
        ramp_from,
        withheld_from: None,
    }
}

fn reached(threshold: Share, part: usize, whole: usize) -> bool {
    threshold > Share::NONE
        && whole > 0
        && part * 10_000 >= usize::from(threshold.as_basis_points()) * whole
}

impl Model {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: closed(None),
            generation: 0,
            trips: 0,
            now: 0,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Closed { .. } => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    /// Permits held and verdicts given in half-open.
    pub(crate) fn used(&self) -> usize {
        match &self.state {
            State::HalfOpen { held, verdicts, .. } => held.len() + verdicts.len(),
            _ => 0,
        }
    }

    /// Time passes: what is due happens when it is due, however late anybody looks.
    pub(crate) fn pass(&mut self, clock: u64, draw: u32) -> Vec<Made> {
        let now = self.now.max(clock);
        let mut made = Vec::new();
        loop {
            let wait = self.settings.half_open.wait.as_nanos();
            match self.state {
                State::Open { until } if until <= now => {
                    let probing = State::HalfOpen {
                        held: Vec::new(),
                        verdicts: Vec::new(),
                        wait_from: None,
                    };
                    made.push(self.change(probing, Why::TimeOver, until, None));
                }
                State::HalfOpen {
                    wait_from: Some(from),
                    ..
                } if from + wait <= now => {
                    made.push(self.trip(Why::NoVerdict, from + wait, draw, None));
                }
                _ => break,
            }
        }
        self.now = now;
        made
    }

    pub(crate) fn admit(&mut self, instance: u64, ramp_draw: u32) -> Told {
        let (now, generation) = (self.now, self.generation);
        let permits = self.settings.half_open.permits as usize;
        let used = self.used();
        match &mut self.state {
            State::Closed { ramp_from, .. } => {
                let ramp = self.settings.ramp.as_nanos();
                let elapsed = ramp_from.map_or(ramp, |from| (now - from).min(ramp));
                let share = if elapsed >= ramp {
                    10_000
                } else {
                    1_000 + u128::from(elapsed) * 9_000 / u128::from(ramp)
                };
                match (u128::from(ramp_draw) * 10_000) >> 32 < share {
                    true => Told::Admitted {
                        generation,
                        probe: false,
                    },
                    false => Told::Ramp,
                }
            }
            State::Open { until } => Told::Open {
                retry_after: *until - now,
            },
            State::HalfOpen { .. } if used >= permits => Told::NoPermit,
            State::HalfOpen {
                held, wait_from, ..
            } => {
                held.push(instance);
                wait_from.get_or_insert(now);
                Told::Admitted {
                    generation,
                    probe: true,
                }
            }
        }
    }

    /// A request's end, or with `broke` the break of one that had ended well.
    pub(crate) fn end(
        &mut self,
        permit: (u64, Option<u64>),
        outcome: Outcome,
        host: u32,
        retry_after: Option<u64>,
        broke: bool,
        draw: u32,
    ) -> Option<Made> {
        let (generation, probe) = permit;
        if generation != self.generation {
            return None;
        }
        let now = self.now;
        let permits = self.settings.half_open.permits as usize;
        let full = self.used() >= permits;
        match &mut self.state {
            State::Closed { seen, .. } => {
                if !outcome.counts() {
                    return None;
                }
                seen.push(Seen {
                    at: now,
                    outcome,
                    host,
                });
                if let Some(why) = self.trips_now() {
                    return Some(self.trip(why, now, draw, retry_after));
                }
            }
            State::Open { .. } => {}
            State::HalfOpen {
                held,
                verdicts,
                wait_from,
            } => {
                if !broke {
                    let mine = held.iter().position(|holder| Some(*holder) == probe)?;
                    held.remove(mine);
                } else if full {
                    let good = verdicts
                        .iter()
                        .position(|verdict| *verdict == Outcome::Success);
                    let good = good.or_else(|| {
                        verdicts
                            .iter()
                            .position(|verdict| *verdict == Outcome::Slow)
                    });
                    verdicts.remove(good?);
                }
                if !outcome.counts() {
                    return None;
                }
                verdicts.push(outcome);
                *wait_from = Some(now);
                if verdicts.len() < permits {
                    return None;
                }
                let count = |kind| verdicts.iter().filter(|verdict| **verdict == kind).count();
                let (failures, slow, all) = (
                    count(Outcome::Failure),
                    count(Outcome::Slow),
                    verdicts.len(),
                );
                let limits = self.settings.thresholds;
                let rate_off = limits.failure_rate == Share::NONE;
                let one_is_enough =
                    rate_off && (limits.slow_rate == Share::NONE || limits.consecutive > 0);
                let bad = reached(limits.failure_rate, failures, all)
                    || reached(limits.slow_rate, slow, all)
                    || (one_is_enough && failures > 0);
                return Some(if bad {
                    self.trip(Why::ProbesBad, now, draw, retry_after)
                } else {
                    self.trips = 0;
                    let ramp_from = (self.settings.ramp.as_nanos() > 0).then_some(now);
                    self.change(closed(ramp_from), Why::ProbesGood, now, None)
                });
            }
        }
        None
    }

    /// Somebody asked an upstream that was open, and got a good answer.
    pub(crate) fn answered(&mut self, generation: u64) -> Option<Made> {
        let still_open = matches!(self.state, State::Open { .. }) && generation == self.generation;
        still_open.then(|| {
            let probing = State::HalfOpen {
                held: Vec::new(),
                verdicts: Vec::new(),
                wait_from: None,
            };
            self.change(probing, Why::OwnProbe, self.now, None)
        })
    }

    /// How many permits a VM holds.
    pub(crate) fn held_by(&self, instance: u64) -> usize {
        match &self.state {
            State::HalfOpen { held, .. } => held.iter().filter(|by| **by == instance).count(),
            _ => 0,
        }
    }

    /// A dead VM loses what it held.
    pub(crate) fn expire(&mut self, instance: u64) {
        if let State::HalfOpen { held, .. } = &mut self.state {
            held.retain(|holder| *holder != instance);
        }
    }

    fn trips_now(&mut self) -> Option<Why> {
        let (settings, now) = (self.settings, self.now);
        let limits = settings.thresholds;
        let State::Closed {
            seen,
            withheld_from,
            ..
        } = &mut self.state
        else {
            return None;
        };
        let (recent, minimum, over): (Vec<&Seen>, usize, Option<u64>) = match settings.window {
            Geometry::Time { slice } => {
                let slice = slice.as_nanos();
                let recent = seen
                    .iter()
                    .filter(|seen| seen.at / slice + 10 > now / slice)
                    .collect();
                (recent, limits.minimum_calls as usize, Some(slice * 10))
            }
            Geometry::Count { calls } => {
                let recent = seen.iter().rev().take(usize::from(calls)).collect();
                (
                    recent,
                    (limits.minimum_calls as usize).min(usize::from(calls)),
                    None,
                )
            }
        };
        let count = |kind| recent.iter().filter(|seen| seen.outcome == kind).count();
        let mut row = 0;
        let mut last_failure: Option<u64> = None;
        for seen in seen.iter() {
            if seen.outcome != Outcome::Failure {
                row = 0;
                continue;
            }
            let gap =
                last_failure.is_some_and(|last| over.is_some_and(|over| seen.at - last > over));
            row = if gap { 1 } else { row + 1 };
            last_failure = Some(seen.at);
        }
        let enough = recent.len() >= minimum;
        let failing = enough && reached(limits.failure_rate, count(Outcome::Failure), recent.len());
        let in_a_row = limits.consecutive > 0 && row >= limits.consecutive;
        let slow = enough && reached(limits.slow_rate, count(Outcome::Slow), recent.len());
        let by_failures = failing || (in_a_row && !slow);

        let mut hosts: Vec<u32> = recent
            .iter()
            .map(|seen| seen.host)
            .filter(|host| *host != 0)
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        let fails = |host: &&u32| {
            recent
                .iter()
                .any(|seen| seen.host == **host && seen.outcome == Outcome::Failure)
        };
        let sick = hosts.iter().filter(fails).count();
        let minority = hosts.len() >= 2 && sick >= 1 && sick * 2 < hosts.len();
        let why = match (failing, slow, in_a_row) {
            (true, _, _) => Some(Why::FailureRate),
            (_, true, _) => Some(Why::SlowRate),
            (_, _, true) => Some(Why::Consecutive),
            _ => None,
        };
        if by_failures && minority && settings.host_grace.as_nanos() > 0 {
            let since = *withheld_from.get_or_insert(now);
            return why.filter(|_| now - since >= settings.host_grace.as_nanos());
        }
        *withheld_from = None;
        why
    }

    fn trip(&mut self, why: Why, at: u64, draw: u32, retry_after: Option<u64>) -> Made {
        let open = self.settings.open;
        let cap = open.cap.as_nanos();
        let own = open
            .base
            .as_nanos()
            .saturating_mul(1_u64.checked_shl(self.trips).unwrap_or(u64::MAX))
            .min(cap);
        let length = own.max(retry_after.unwrap_or(0).min(cap));
        let most = u128::from(length) * u128::from(open.jitter.as_basis_points()) / 10_000;
        let jitter = (most * u128::from(draw) / u128::from(u32::MAX)) as u64;
        self.trips += 1;
        self.change(
            State::Open {
                until: at + length + jitter,
            },
            why,
            at,
            Some(length + jitter),
        )
    }

    fn change(&mut self, state: State, why: Why, at: u64, open_for: Option<u64>) -> Made {
        let from = self.phase();
        self.state = state;
        self.generation += 1;
        self.now = self.now.max(at);
        Made {
            from,
            to: self.phase(),
            why,
            at,
            open_for,
            trips: self.trips,
        }
    }
}
