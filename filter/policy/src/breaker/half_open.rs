//! Half-open: counted permits, and the verdicts that decide.
//!
//! **Invariant:** permits held plus verdicts never exceed the permits allowed. A request whose permit lapsed goes on without
//! one: its verdict counts if there is room for it, and it releases nothing. Half-open ends by verdicts alone; a permit that
//! ends without one only makes room.

use super::candidates::{Asker, Candidates, tenths};
use super::packed;
use super::rules::probes_failed;
use super::starvation::Starvation;
use super::{Cause, HOLDERS_MAX, Settings};
use crate::breaker::window::Counts;
use crate::outcome::Outcome;
use crate::shared::leases::{Lease, Leases, LocalLease};
use crate::time::{Span, Timestamp};

/// What a half-open breaker keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probing {
    /// Who holds permits.
    pub holders: Leases,
    /// The verdicts so far.
    pub verdicts: Counts,
    /// Since when permits are held without a verdict; `None` while none is held.
    pub wait_from: Option<Timestamp>,
    /// Who asked.
    pub candidates: Candidates,
    /// How long there was no verdict.
    pub starvation: Starvation,
}

impl Probing {
    /// Half-open begins, as this generation.
    pub(super) fn begun(at: Timestamp, generation: u64) -> Self {
        Self {
            holders: Leases::begun(generation),
            candidates: Candidates::begun(at),
            starvation: Starvation::begun(at),
            ..Self::default()
        }
    }

    /// Takes all permits back where they were held for `wait` without a verdict: living holders give theirs back sooner.
    pub(super) fn take_back(&mut self, wait: Span, now: Timestamp) {
        if self.wait_from.is_some_and(|from| from.after(wait) <= now) {
            self.holders.clear();
        }
        self.remaining();
    }

    /// Asks for a permit; `false` if there is none for this request.
    pub(super) fn ask(
        &mut self,
        settings: &Settings,
        asker: Asker,
        instance: u64,
        now: Timestamp,
    ) -> bool {
        let (tenth, open_for) = (tenths(now), settings.open.base);
        self.starvation.asked(tenth);
        let may = self.candidates.may_have(asker, open_for, tenth);
        let got = may && self.has_room(settings) && self.holders.take(instance, 1, HOLDERS_MAX);
        if got {
            self.wait_from.get_or_insert(now);
            self.candidates.granted(asker, tenth);
        } else if may {
            self.candidates.refused(asker.peer, open_for, tenth);
        }
        self.trim();
        got
    }

    /// A request of this VM ends, or its permit lapses: gives the permit back, if it still stands.
    pub(super) fn release(&mut self, instance: Option<u64>) -> bool {
        let held = instance.is_some_and(|instance| self.holders.give_back(instance, 1));
        self.remaining();
        held
    }

    /// A permit of this peer ended without a verdict.
    pub(super) fn wasted(&mut self, peer: u32, now: Timestamp) {
        self.candidates.wasted(peer, tenths(now));
        self.trim();
    }

    /// Counts the verdict of a probe; the cause of the transition if that is decided by it.
    pub(super) fn verdict(
        &mut self,
        settings: &Settings,
        outcome: Outcome,
        peer: u32,
        now: Timestamp,
    ) -> Option<Cause> {
        self.verdicts.add(outcome);
        self.candidates.decided(peer);
        self.decide(settings, now)
    }

    /// A request whose verdict was counted failed after all; `None` if there is no such verdict, or it was a failure.
    pub(super) fn fail_late(
        &mut self,
        settings: &Settings,
        counted: Outcome,
        now: Timestamp,
    ) -> Option<Option<Cause>> {
        if counted == Outcome::Failure || !self.verdicts.take_out(counted) {
            return None;
        }
        self.verdicts.add(Outcome::Failure);
        Some(self.decide(settings, now))
    }

    /// Whether there is room for one more permit or verdict.
    pub(super) fn has_room(&self, settings: &Settings) -> bool {
        let held = self.holders.in_flight();
        held.saturating_add(self.verdicts.calls) < settings.half_open.permits
    }

    /// Takes back what VMs held that are marked as dead; `false` if they hold none.
    #[inline(never)]
    pub(super) fn expire(&mut self, dead: &[u64]) -> bool {
        let expired = self.holders.expire(dead);
        self.remaining();
        expired
    }

    /// Takes back what is nobody's any more, as a VM finds it at its tick; `false` if there is none.
    pub(super) fn sweep(
        &mut self,
        local: &LocalLease,
        owes: bool,
        gone: &mut dyn FnMut(&Lease) -> bool,
    ) -> bool {
        let swept = self.holders.sweep(local, owes, gone);
        self.remaining();
        swept
    }

    /// The words that stand in the record in the empty places of the holders.
    pub(crate) fn words(&self) -> Vec<u64> {
        packed::words(&self.candidates, &self.starvation)
    }

    /// Takes in such words, of a record whose last step was at `last`.
    pub(crate) fn remember(&mut self, words: impl Iterator<Item = u64>, last: Timestamp) {
        (self.candidates, self.starvation) = packed::read(words, tenths(last));
        self.remaining();
    }

    fn decide(&mut self, settings: &Settings, now: Timestamp) -> Option<Cause> {
        self.starvation.fed(tenths(now));
        self.wait_from = Some(now);
        self.remaining();
        self.trim();
        let counts = self.verdicts;
        let last = counts.calls >= settings.half_open.permits;
        if !last && !one_is_enough(settings, counts) {
            return None;
        }
        Some(match probes_failed(&settings.thresholds, counts) {
            true => Cause::ProbesBad { counts },
            false => Cause::ProbesGood { counts },
        })
    }

    /// Nobody waits where nothing is held.
    fn remaining(&mut self) {
        if self.holders.in_flight() == 0 {
            self.wait_from = None;
        }
    }

    /// What is remembered fits into the places that the holders leave.
    fn trim(&mut self) {
        let free = HOLDERS_MAX.saturating_sub(self.holders.list().len());
        let turns = self.candidates.turns();
        if free < turns.saturating_add(3) {
            self.candidates.take_no_turns();
        }
        self.candidates
            .trim(free.saturating_sub(3).saturating_sub(turns));
        if free < 3 {
            self.starvation.asked = 0;
        }
        if free < 2 {
            self.starvation = Starvation::default();
        }
        if free < 1 {
            self.candidates = Candidates::default();
        }
        // It stands beside the last verdict's time.
        if self.starvation.verdict == 0 {
            self.candidates.wasted = false;
        }
    }
}

/// Whether a failed probe decides by itself, before the others come back.
fn one_is_enough(settings: &Settings, counts: Counts) -> bool {
    counts.failures > 0 && super::rules::one_failure_decides(&settings.thresholds)
}
