//! What must hold, seen from outside: in the bytes that stand in shared data, and in what clients and upstreams see.

mod epochs;
mod slots;

use std::collections::BTreeMap;

use seawall_policy::breaker::{Phase, State, TransitionLine};
use seawall_policy::deadline::Follow;
use seawall_policy::latency::Latencies;
use seawall_policy::policy::Policy;
use seawall_policy::ratio::Share;
use seawall_policy::retry_budget::RETRY;
use seawall_policy::shared::keys;
use seawall_policy::shared::record::Record;
use seawall_policy::shared::registry;
use seawall_policy::shared::state::SharedRecord as _;
use seawall_policy::time::{Span, Timestamp};

use super::environment::{Event, Tally};
use super::scenario::Scenario;

/// One write that was stored.
pub(super) struct Write<'a> {
    pub(super) key: &'a str,
    pub(super) before: Option<&'a [u8]>,
    pub(super) after: &'a [u8],
    pub(super) cas: u32,
}

/// The process as it is.
pub(super) struct View<'a> {
    pub(super) store: Vec<(&'a str, &'a [u8])>,
    /// Of each worker: what was seen of it, and whether it is dead.
    pub(super) workers: Vec<(Tally, bool)>,
    pub(super) now: u64,
    /// Whether a worker, dead or not, stands between a swap and the increment that tells of it.
    pub(super) telling: bool,
}

/// What must hold in one scenario.
#[derive(Clone)]
pub(super) struct Checks {
    policy: Policy,
    scenario: Scenario,
    start: u64,
    /// Whether the host fails: then nothing may happen that must not, and what must happen need not.
    faulty: bool,
    /// How things were when what is explored began: the breaker, and what each worker had been seen to do.
    begin: Option<(Phase, u64, Vec<Tally>)>,
    /// When that was.
    begun_at: u64,
}

impl Checks {
    pub(super) fn new(scenario: &Scenario, policy: Policy, start: u64, faulty: bool) -> Self {
        Self {
            policy,
            scenario: scenario.clone(),
            start,
            faulty,
            begin: None,
            begun_at: start,
        }
    }

    /// A process begins anew.
    pub(super) fn before(&mut self) {
        self.begin = None;
    }

    /// What is explored begins here.
    pub(super) fn begin(&mut self, view: &View<'_>) {
        let breaker = view.record().map(|record| record.breaker);
        let (phase, generation) = breaker.map_or((Phase::Closed, 0), |breaker| {
            (breaker.phase(), breaker.generation)
        });
        let tallies = view.workers.iter().map(|(tally, _)| *tally).collect();
        self.begin = Some((phase, generation, tallies));
        self.begun_at = view.now;
    }

    /// After each write.
    pub(super) fn stored(&self, write: &Write<'_>) -> Result<(), String> {
        if write.cas == 0 && write.before.is_some() {
            return Err(format!("{} is live and was swapped against 0", write.key));
        }
        self.slots_stored(write)?;
        let before = write.before.and_then(|bytes| Record::decode(bytes).ok());
        let after = Record::decode(write.after).ok();
        let (before, after) = match (before, after) {
            (Some(_), None) => return Err(format!("the record {} was destroyed", write.key)),
            (None, Some(after)) => (None, after),
            (Some(before), Some(after)) => (Some(before), after),
            (None, None) => return Ok(()),
        };
        if let State::HalfOpen(probing) = &after.breaker.state {
            let (held, told) = (probing.holders.in_flight(), probing.verdicts.calls);
            let permits = self.policy.breaker.half_open.permits;
            if held + told > permits {
                return Err(format!(
                    "{held} permits held and {told} verdicts of {permits}"
                ));
            }
        }
        let Some(before) = before else {
            return Ok(());
        };
        let (old, new) = (&before.breaker, &after.breaker);
        if new.generation < old.generation || new.last < old.last {
            return Err(format!(
                "the record went back in time: from {:?} in generation {} to {:?} in {}",
                old.last, old.generation, new.last, new.generation
            ));
        }
        let same = new.generation == old.generation;
        if same && new.phase() != old.phase() {
            return Err("the state changed without a new generation".to_owned());
        }
        if same
            && let (State::Closed(old), State::Closed(new)) = (&old.state, &new.state)
            && new.verdicts < old.verdicts
        {
            return Err("verdicts were lost".to_owned());
        }
        Ok(())
    }

    /// After each choice.
    pub(super) fn step(&self, view: &View<'_>, seen: &[Event]) -> Result<(), String> {
        for event in seen {
            if let Event::Trapped(text) = event {
                return Err(format!("a VM trapped: {text}"));
            }
        }
        self.slots_used(view)?;
        let goes = |event: &Event| matches!(event, Event::Sent | Event::Retried);
        if !seen.iter().any(goes) {
            return Ok(());
        }
        self.heeded(view)?;
        if let (Some(record), Some((phase, generation, _))) = (view.record(), &self.begin) {
            let probing = record.breaker.phase() == Phase::HalfOpen;
            let this = match phase {
                Phase::Closed => false,
                Phase::Open => record.breaker.generation == generation + 1,
                Phase::HalfOpen => record.breaker.generation == *generation,
            };
            // As many again may go each time that permits lapse.
            let lapses = self.lapses(view);
            let permits = self.policy.breaker.half_open.permits * (1 + lapses);
            let sent = self.sent(view);
            // A request of which the host does not say where it goes, or whose refusal it does not take, passes.
            let excused = u32::from(self.faulty);
            if probing && this && sent > permits + excused {
                return Err(format!("{sent} probes went for {permits} permits"));
            }
        }
        if let Some(retries) = &self.policy.retries {
            let all = view.all();
            let passed = view.now.saturating_sub(self.start);
            let flowed = passed / 1_000_000 * u64::from(retries.budget.floor) / 1_000;
            let ratio = u64::from(retries.budget.ratio);
            let there = u64::from(all.sent) * ratio + flowed;
            if u64::from(all.retried) * RETRY > there {
                return Err(format!(
                    "{} retries went, which {} first attempts do not pay for",
                    all.retried, all.sent
                ));
            }
        }
        Ok(())
    }

    /// When all have done what they had to do, and what comes after.
    pub(super) fn end(&self, view: &View<'_>, events: &[Vec<&Event>]) -> Result<(), String> {
        if self.faulty {
            return Ok(());
        }
        let dead = view.workers.iter().filter(|(_, dead)| *dead).count() as u32;
        self.registry(view)?;
        self.latencies(view)?;
        self.slots_kept(view)?;
        let Some(record) = view.record() else {
            return Ok(());
        };
        transitions(&record, events, dead)?;
        self.breaker(&record, view, dead)?;
        self.heeded_at_end(&record, view, events)?;
        self.budget(record, view, dead)
    }

    /// Permits are back, verdicts are there once each.
    fn breaker(&self, record: &Record, view: &View<'_>, dead: u32) -> Result<(), String> {
        let Some((_, generation, begin)) = &self.begin else {
            return Ok(());
        };
        match &record.breaker.state {
            State::Closed(closed) if record.breaker.generation == *generation => {
                let Some(expected) = self.scenario.verdicts else {
                    return Ok(());
                };
                // What a dead VM had begun may stand or not.
                if closed.verdicts > expected || closed.verdicts + dead * 2 < expected {
                    return Err(format!(
                        "{} verdicts stand for {expected} answers",
                        closed.verdicts
                    ));
                }
            }
            State::HalfOpen(probing) if self.policy.retries.is_none() => {
                let alive = view
                    .workers
                    .iter()
                    .zip(begin)
                    .filter(|((_, dead), _)| !dead);
                let flying = alive.fold(0, |sum, ((tally, _), _)| {
                    sum + tally.sent - tally.ended - tally.left
                });
                let held = probing.holders.in_flight();
                // A probe whose permit lapsed flies on without one.
                let lapsed = flying.saturating_sub(held);
                let may = self.policy.breaker.half_open.permits * self.lapses(view);
                if held > flying || lapsed > may {
                    return Err(format!("{held} permits are held and {flying} probes fly"));
                }
                let sent = self.sent(view);
                if let Some(expected) = self.scenario.probes.filter(|_| dead == 0)
                    && sent != expected
                {
                    return Err(format!("{sent} probes went where {expected} could"));
                }
            }
            State::Closed(_) | State::Open { .. } | State::HalfOpen(_) => {}
        }
        Ok(())
    }

    /// What is there is what was paid in less what was sent: nothing was given twice, nothing was lost.
    fn budget(&self, record: Record, view: &View<'_>, dead: u32) -> Result<(), String> {
        let (Some(retries), Some(mut budget)) = (&self.policy.retries, record.budget) else {
            return Ok(());
        };
        let all = view.all();
        let begin = self.begin.iter().flat_map(|(_, _, tallies)| tallies);
        let went = all.retried - begin.map(|tally| tally.retried).sum::<u32>();
        let expected = self.scenario.retries.filter(|_| dead == 0);
        if expected.is_some_and(|expected| expected != went) {
            return Err(format!("{went} retries went of {expected:?} that were due"));
        }
        let ratio = u64::from(retries.budget.ratio);
        let paid_in = u64::from(all.sent) * ratio;
        let spent = u64::from(all.retried) * RETRY;
        let expected = paid_in.saturating_sub(spent);
        let there = budget.balance(&retries.budget, Timestamp::nanos(view.now));
        let exact = dead == 0 && retries.budget.floor == 0;
        if there > expected && retries.budget.floor == 0 || exact && there < expected {
            return Err(format!(
                "the budget has {there} where {paid_in} were paid in and {spent} were spent"
            ));
        }
        Ok(())
    }

    fn registry(&self, view: &View<'_>) -> Result<(), String> {
        let is_record = |(key, bytes): &&(&str, &[u8])| {
            !key.ends_with("/latency") && Record::decode(bytes).is_ok()
        };
        let records = view.store.iter().filter(is_record).count() as u32;
        let list = view
            .store
            .iter()
            .find(|(key, _)| *key == keys::REGISTRY.as_str());
        let count = list.map_or(0, |(_, bytes)| registry::count(bytes));
        // A VM that died in between costs one place, never more, and never gives one too many.
        let dead = view.workers.iter().filter(|(_, dead)| *dead).count() as u32;
        match count < records || count > records + dead {
            true => Err(format!("{count} records are counted and {records} stand")),
            false => Ok(()),
        }
    }

    fn latencies(&self, view: &View<'_>) -> Result<(), String> {
        let Some(expected) = self.scenario.latencies else {
            return Ok(());
        };
        let found = view.store.iter().find(|(key, _)| key.ends_with("/latency"));
        let latencies = found.and_then(|(_, bytes)| Latencies::decode(bytes).ok());
        let has = |samples| {
            let follow = Follow {
                percentile: Share::percent(50),
                factor: 100,
                min: Span::ZERO,
                max: Span::secs(1_000),
                samples,
            };
            let latencies = latencies.as_ref();
            latencies.is_some_and(|latencies| latencies.limit(&follow).is_some())
        };
        match has(expected) && !has(expected + 1) {
            true => Ok(()),
            false => Err(format!("not all of {expected} latencies stand, or more")),
        }
    }

    /// How often a permit may have lapsed since what is explored began: a probe keeps its own no longer than a slow call
    /// takes, and a second.
    fn lapses(&self, view: &View<'_>) -> u32 {
        let slow = self.policy.breaker.thresholds.slow_over;
        let after = slow.plus(Span::secs(1)).as_nanos();
        let passed = view.now.saturating_sub(self.begun_at);
        (passed / after) as u32
    }

    /// Attempts that living workers sent since what is explored began, without those whose client has gone: they give
    /// their permits back without a verdict.
    fn sent(&self, view: &View<'_>) -> u32 {
        let begin = self
            .begin
            .as_ref()
            .map(|(_, _, tallies)| tallies.as_slice());
        let workers = view.workers.iter().zip(begin.unwrap_or_default());
        let alive = workers.filter(|((_, dead), _)| !dead);
        alive.fold(0, |sum, ((tally, _), begin)| {
            sum + (tally.sent - begin.sent) + (tally.retried - begin.retried)
                - (tally.left - begin.left)
        })
    }
}

impl View<'_> {
    /// The record of the upstream.
    fn record(&self) -> Option<Record> {
        let mut records = self.store.iter();
        records.find_map(|(_, bytes)| Record::decode(bytes).ok())
    }

    fn all(&self) -> Tally {
        let mut all = Tally::default();
        for (tally, _) in &self.workers {
            all.sent += tally.sent;
            all.retried += tally.retried;
        }
        all
    }
}

/// Every generation was begun by one VM, which said so.
fn transitions(record: &Record, events: &[Vec<&Event>], dead: u32) -> Result<(), String> {
    let mut said: BTreeMap<u64, u32> = BTreeMap::new();
    for event in events.iter().flatten() {
        let Event::Said(text) = event else {
            continue;
        };
        if let Some(logged) = TransitionLine::parse(text) {
            *said.entry(logged.generation).or_default() += 1;
        }
    }
    if let Some((number, times)) = said.iter().find(|(_, times)| **times > 1) {
        return Err(format!("generation {number} was begun {times} times"));
    }
    let missing = (1..=record.breaker.generation).filter(|number| !said.contains_key(number));
    let missing = missing.count() as u32;
    // A VM may die between its write and its word; one write makes at most three transitions.
    match missing > dead * 3 {
        true => Err(format!("{missing} transitions were lost")),
        false => Ok(()),
    }
}
