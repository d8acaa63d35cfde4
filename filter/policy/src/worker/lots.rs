//! Good verdicts go into a lot, lots into records; records that requests acted on unread are read at the tick. What is remembered of a record is
//! `record_cache`.

use crate::admission;
use crate::breaker::{Permit, Verdict};
use crate::direction::Direction;
use crate::environment::Environment;
use crate::outcome::Outcome;

use super::step_reports::note;
use super::{Worker, upstream_of};

impl<E: Environment> Worker<E> {
    /// How many VMs may collect lots; nothing while this one is not listed among them.
    pub(super) fn collecting_vms(&self) -> u32 {
        match self.liveness.view.is_listed() {
            true => self.liveness.view.alive(),
            false => u32::MAX,
        }
    }

    /// A request has its last word. Whether it is a good one that is entered with others later.
    pub(super) fn collect(
        &mut self,
        number: usize,
        upstream: usize,
        permit: Permit,
        verdict: &Verdict,
    ) -> bool {
        let plain = verdict.outcome == Outcome::Success && verdict.host == 0 && !verdict.silent;
        if !plain || permit.probe.is_some() {
            return false;
        }
        let Some(entry) = self.upstreams.entry(upstream) else {
            return false;
        };
        if !entry.cache.collect(&self.env, permit.generation) {
            return false;
        }
        if entry.cache.is_full() && !self.came_inbound(number) {
            self.look_at_record(upstream);
        }
        true
    }

    /// Whether a request came by an inbound listener, where the breaker counts nothing: asked once its verdict is to be entered.
    pub(super) fn came_inbound(&mut self, number: usize) -> bool {
        let Some(exchange) = self.exchanges.get_mut(number) else {
            return false;
        };
        let Some(entry) = self.upstreams.entry(exchange.upstream) else {
            return false;
        };
        let policy = self.routing.policies.get(entry.policy);
        let matters = policy.is_some_and(|policy| !policy.breaker.inbound);
        if matters && exchange.direction.is_unasked() {
            let facts = self.env.stream(exchange.context);
            exchange.direction = facts.map_or(Direction::Other, |facts| Direction::ask(&facts));
            entry.cache.came(exchange.direction);
        }
        matters && exchange.direction.is_inbound()
    }

    /// At the tick: reads a record on which requests acted without reading it, and enters its lot.
    pub(super) fn refresh(&mut self, upstream: usize) {
        let entry = self.upstreams.entry(upstream);
        if entry.is_some_and(|entry| entry.cache.is_due()) {
            self.look_at_record(upstream);
        }
    }

    /// Reads a record, and enters its lot.
    #[inline(never)]
    fn look_at_record(&mut self, upstream: usize) {
        let (_, moment) = self.moment();
        let vms = self.collecting_vms();
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        let Some(policy) = self.routing.policies.get(entry.policy) else {
            return;
        };
        let place = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            self.liveness.view.dead(),
        );
        let epoch = entry.cache.epoch(&self.env, &entry.series);
        let lot = entry.cache.lot();
        entry.cache.look_again(epoch);
        let report = admission::enter_lot(&self.env, &place, lot, moment);
        entry.cache.settled(&report, vms);
        note(&self.env, entry, &mut self.own, &report);
    }
}
