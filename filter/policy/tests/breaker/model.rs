//! The specification as a program: it keeps everything that ever happened in a generation and counts anew at each step.

mod asked;
mod history;
mod told;

use seawall_policy::breaker::window::Geometry;
use seawall_policy::breaker::{Phase, Settings};
use seawall_policy::outcome::Outcome;
use seawall_policy::ratio::Share;

use asked::{Asked, tenth_span, tenths};
use history::{Seen, recent, row, told_lately};
pub(crate) use told::{End, Made, Told, Why};

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
        verdicts: Vec<(u64, Outcome)>,
        wait_from: Option<u64>,
        asked: Asked,
    },
}

fn half_open(at: u64) -> State {
    State::HalfOpen {
        held: Vec::new(),
        verdicts: Vec::new(),
        wait_from: None,
        asked: Asked {
            begun: tenths(at),
            verdict: tenths(at),
            ..Asked::default()
        },
    }
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

/// Of ten thousand. Where own probes closed it and no request was answered since, the ramp begins when permits would have lapsed.
fn admitted_share(settings: &Settings, ramp_from: Option<u64>, trips: u32, now: u64) -> u128 {
    let ramp = settings.ramp.as_nanos();
    let trial = match trips {
        0 => 0,
        _ => settings.half_open.wait.as_nanos(),
    };
    match ramp_from.map(|from| now.saturating_sub(from + trial)) {
        Some(elapsed) if elapsed < ramp => 1_000 + u128::from(elapsed) * 9_000 / u128::from(ramp),
        _ => 10_000,
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

    /// Time passes: what is due happens when it is due, however late anybody looks. Permits that were held for too long
    /// without a verdict are nobody's.
    pub(crate) fn pass(&mut self, clock: u64) -> Vec<Made> {
        let now = self.now.max(clock);
        let mut made = Vec::new();
        if let State::Open { until } = self.state
            && until <= now
        {
            made.push(self.change(half_open(until), Why::TimeOver, until, None));
        }
        if let State::HalfOpen {
            held, wait_from, ..
        } = &mut self.state
            && wait_from.is_some_and(|from| from + self.settings.half_open.wait.as_nanos() <= now)
        {
            held.clear();
            *wait_from = None;
        }
        self.now = now;
        made
    }

    pub(crate) fn admit(
        &mut self,
        instance: u64,
        ramp_draw: u32,
        peer: u32,
        complete: bool,
    ) -> Told {
        let (now, generation) = (self.now, self.generation);
        let permits = self.settings.half_open.permits as usize;
        let used = self.used();
        match &mut self.state {
            State::Closed { ramp_from, .. } => {
                let share = admitted_share(&self.settings, *ramp_from, self.trips, now);
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
            State::HalfOpen {
                held,
                wait_from,
                asked,
                ..
            } => {
                let tenth = tenths(now);
                let open_for = self.settings.open.base.as_nanos();
                asked.first.get_or_insert(tenth);
                if !asked.may(peer, complete, open_for, tenth) {
                    return Told::NoPermit;
                }
                if used >= permits {
                    asked.refuse(peer, tenth);
                    return Told::NoPermit;
                }
                asked.refused.retain(|(refused, _)| *refused != peer);
                asked.marked.retain(|(marked, _)| *marked != peer);
                if !complete {
                    asked.incomplete_granted = Some(tenth);
                }
                held.push(instance);
                wait_from.get_or_insert(now);
                Told::Admitted {
                    generation,
                    probe: true,
                }
            }
        }
    }

    /// A request's end, or the end of its permit where its outcome does not count.
    pub(crate) fn end(&mut self, end: End, draw: u32) -> Option<Made> {
        if end.generation != self.generation {
            return None;
        }
        let now = self.now;
        let room = self.used() < self.settings.half_open.permits as usize;
        match &mut self.state {
            State::Closed {
                seen, ramp_from, ..
            } => {
                if !end.outcome.counts() {
                    return None;
                }
                // Here nobody is silent: what is no failure is an answer.
                if self.trips > 0
                    && admitted_share(&self.settings, *ramp_from, self.trips, now) < 10_000
                {
                    *ramp_from = Some(now);
                    if end.outcome != Outcome::Failure {
                        self.trips = 0;
                    }
                }
                seen.push(Seen {
                    at: now,
                    id: end.id,
                    outcome: end.outcome,
                    host: end.host,
                    late: false,
                });
                let why = self.trips_now()?;
                Some(self.trip(why, now, draw, end.retry_after))
            }
            State::Open { .. } => None,
            State::HalfOpen {
                held,
                verdicts,
                wait_from,
                asked,
            } => {
                let mine = held.iter().position(|holder| Some(*holder) == end.probe);
                if let Some(mine) = mine {
                    held.remove(mine);
                }
                if held.is_empty() {
                    *wait_from = None;
                }
                if !end.outcome.counts() {
                    if mine.is_some() && end.peer != 0 {
                        asked.marked.retain(|(peer, _)| *peer != end.peer);
                        asked.marked.push((end.peer, tenths(now)));
                        asked.wasted = true;
                    }
                    return None;
                }
                if mine.is_none() && (end.probe.is_some() || !room) {
                    return None;
                }
                verdicts.push((end.id, end.outcome));
                asked.wasted = false;
                asked.marked.retain(|(peer, _)| *peer != end.peer);
                self.decide(draw, end.retry_after)
            }
        }
    }

    /// A request that had ended well failed after all.
    pub(crate) fn fail_late(
        &mut self,
        generation: u64,
        id: u64,
        host: u32,
        draw: u32,
    ) -> Option<Made> {
        if generation != self.generation {
            return None;
        }
        let now = self.now;
        match &mut self.state {
            State::Closed { seen, .. } => {
                let recent = recent(&self.settings, seen, now);
                let found = recent.iter().find(|verdict| verdict.id == id);
                if found.is_none_or(|verdict| verdict.outcome == Outcome::Failure) {
                    return None;
                }
                seen.push(Seen {
                    at: now,
                    id,
                    outcome: Outcome::Failure,
                    host,
                    late: true,
                });
                let why = self.trips_now()?;
                Some(self.trip(why, now, draw, None))
            }
            State::Open { .. } => None,
            State::HalfOpen { verdicts, .. } => {
                let (_, verdict) = verdicts.iter_mut().find(|(of, _)| *of == id)?;
                if *verdict == Outcome::Failure {
                    return None;
                }
                *verdict = Outcome::Failure;
                self.decide(draw, None)
            }
        }
    }

    /// What the verdicts of half-open say so far.
    fn decide(&mut self, draw: u32, retry_after: Option<u64>) -> Option<Made> {
        let now = self.now;
        let State::HalfOpen {
            held,
            verdicts,
            wait_from,
            asked,
        } = &mut self.state
        else {
            return None;
        };
        *wait_from = (!held.is_empty()).then_some(now);
        asked.verdict = tenths(now);
        asked.first = None;
        asked.good = 0;
        let count = |kind| {
            verdicts
                .iter()
                .filter(|(_, verdict)| *verdict == kind)
                .count()
        };
        let (failures, slow, all) = (
            count(Outcome::Failure),
            count(Outcome::Slow),
            verdicts.len(),
        );
        let limits = self.settings.thresholds;
        let rate_off = limits.failure_rate == Share::NONE;
        let only_a_row = rate_off && (limits.slow_rate == Share::NONE || limits.consecutive > 0);
        if only_a_row && failures > 0 {
            return Some(self.trip(Why::ProbesBad, now, draw, retry_after));
        }
        if all < self.settings.half_open.permits as usize {
            return None;
        }
        let bad =
            reached(limits.failure_rate, failures, all) || reached(limits.slow_rate, slow, all);
        Some(match bad {
            true => self.trip(Why::ProbesBad, now, draw, retry_after),
            false => self.close(Why::ProbesGood),
        })
    }

    fn close(&mut self, why: Why) -> Made {
        if why != Why::OwnProbes {
            self.trips = 0;
        }
        let now = self.now;
        let ramp_from = (self.settings.ramp.as_nanos() > 0).then_some(now);
        self.change(closed(ramp_from), why, now, None)
    }

    /// Somebody asked an upstream of this generation, and got an answer.
    pub(crate) fn answered(&mut self, generation: u64, good: bool) -> Option<Made> {
        if generation != self.generation {
            return None;
        }
        let now = self.now;
        match &mut self.state {
            State::Open { .. } if good => {
                Some(self.change(half_open(now), Why::OwnProbe, now, None))
            }
            State::HalfOpen { asked, .. }
                if self.settings.ramp.as_nanos() > 0
                    && tenth_span(asked.verdict, tenths(now)) >= 20_000_000_000 =>
            {
                asked.good = if good { asked.good + 1 } else { 0 };
                (asked.good == 3).then(|| self.close(Why::OwnProbes))
            }
            _ => None,
        }
    }

    /// Whether requests came, no verdict did for as long as permits may be held, and nobody has said so yet.
    pub(crate) fn starves(&mut self) -> bool {
        let now = tenths(self.now);
        let State::HalfOpen { asked, .. } = &mut self.state else {
            return false;
        };
        let wait = self.settings.half_open.wait.as_nanos();
        let due = asked
            .first
            .is_some_and(|first| tenth_span(first, now) >= wait);
        if due {
            asked.first = None;
        }
        due
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
        if let State::HalfOpen {
            held, wait_from, ..
        } = &mut self.state
        {
            held.retain(|holder| *holder != instance);
            if held.is_empty() {
                *wait_from = None;
            }
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
        let recent = recent(&settings, seen, now);
        let (minimum, over) = match settings.window {
            Geometry::Time { slice } => {
                (limits.minimum_calls as usize, Some(slice.as_nanos() * 10))
            }
            Geometry::Count { calls } => {
                (limits.minimum_calls.min(u32::from(calls)) as usize, None)
            }
        };
        let count = |kind| recent.iter().filter(|seen| seen.outcome == kind).count();
        let row = row(seen, over);
        let enough = recent.len() >= minimum;
        let failing = enough && reached(limits.failure_rate, count(Outcome::Failure), recent.len());
        let by_row_alone = limits.failure_rate == Share::NONE;
        let in_a_row =
            (!enough || by_row_alone) && limits.consecutive > 0 && row >= limits.consecutive;
        let slow = enough && reached(limits.slow_rate, count(Outcome::Slow), recent.len());
        let by_failures = failing || (in_a_row && !slow);

        // A host is seen, and fails, when that is told.
        let told = told_lately(&settings, seen, now);
        let mut hosts: Vec<u32> = told
            .iter()
            .map(|seen| seen.host)
            .filter(|host| *host != 0)
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        let fails = |host: &&u32| {
            told.iter()
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
