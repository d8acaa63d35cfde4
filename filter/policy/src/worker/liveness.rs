//! What a worker does so that slots come back: it gives signs of life, watches those of the other VMs, and looks at what
//! is in use, a bounded number of keys at each tick.

use crate::concurrency::members::{self, Members, heartbeat};
use crate::concurrency::partitions::Partition;
use crate::concurrency::partitions::index::Index;
use crate::concurrency::rounds::{LOOKS_MAX, Round};
use crate::concurrency::{self, Bound, InFlightSlots, SlotReport};
use crate::environment::Environment;
use crate::liveness::LivenessMonitor;
use crate::shared::keys;
use crate::shared::state::{Key, SharedState};
use crate::time::Timestamp;

use super::Worker;
use super::concurrency::bounds;
use super::limit_reached::note;
use super::local_leases::{LocalHolding, LocalHoldings};
use crate::telemetry::InternalEvent;

/// The partitions of a policy that has none for values of a header.
const FEW: [Partition; 3] = [
    Partition::Rest,
    Partition::Unfinished,
    Partition::Rest.unfinished(),
];

/// This VM and the others.
#[derive(Debug)]
pub(super) struct Liveness {
    /// The number of this VM.
    pub(super) vm: u64,
    /// Whether it is listed: it is from its first slot on.
    listed: bool,
    /// Who else lives.
    pub(super) members: Members,
    watch: LivenessMonitor,
    /// The upstream that is looked at next.
    next: usize,
    /// How many keys this round has looked at, and since when it goes on.
    looks: u32,
    begun: Timestamp,
    /// Whether somebody died, so that the round goes on in quicker ticks until it is through.
    hurries: bool,
}

impl Liveness {
    /// A VM that holds nothing yet.
    pub(super) fn new(draw: u64, now: Timestamp) -> Self {
        Self {
            vm: members::vm(draw),
            listed: false,
            members: Members::default(),
            watch: LivenessMonitor::default(),
            next: 0,
            looks: 0,
            begun: now,
            hurries: false,
        }
    }
}

impl<E: Environment> Worker<E> {
    /// Lists this VM before it takes its first place: what it holds comes back when it dies.
    pub(super) fn enroll(&mut self) {
        if !std::mem::replace(&mut self.liveness.listed, true) {
            // The others are watched from tick to tick only.
            match heartbeat(&self.env, &keys::MEMBERS, self.liveness.vm, &[]) {
                Ok(seen) => self.liveness.members = seen.members,
                Err(undecided) => {
                    super::step_reports::note_undecided(&mut self.own, Some(&undecided))
                }
            }
        }
    }

    /// Whether ticks have to come more often, until everything that a dead VM may have held was looked at.
    pub(super) const fn hurries(&self) -> bool {
        self.liveness.hurries
    }

    /// A tick: a sign of life, and the next keys of the round.
    pub(super) fn maintain_slots(&mut self, on_time: bool) {
        if self.liveness.listed {
            self.beat(on_time);
            self.look_at_next_keys(on_time);
        }
    }

    /// This VM goes; what it still holds comes back as that of a dead one.
    pub(super) fn sign_off(&mut self) {
        self.look_at_next_keys(false);
        let mut holds = self.unreturned_count() > 0;
        for number in 0..self.upstreams.len() {
            let entry = self.upstreams.entry(number);
            holds |= entry.is_some_and(|entry| {
                entry
                    .holdings
                    .as_ref()
                    .is_some_and(LocalHoldings::holds_any)
            });
        }
        if self.liveness.listed && !holds {
            members::leave(&self.env, &keys::MEMBERS, self.liveness.vm);
            self.liveness.listed = false;
        }
    }

    /// A sign of life; those that were silent for too long are listed as dead.
    fn beat(&mut self, on_time: bool) {
        let seen = heartbeat(&self.env, &keys::MEMBERS, self.liveness.vm, &[]).and_then(|seen| {
            let watch = &mut self.liveness.watch;
            watch.observe(seen.members.liveness(), on_time);
            let silent = watch.dead();
            if seen.given_up || silent.is_empty() {
                return Ok(seen);
            }
            let buried = heartbeat(&self.env, &keys::MEMBERS, self.liveness.vm, &silent)?;
            watch.observe(buried.members.liveness(), false);
            Ok(buried)
        });
        let seen = match seen {
            Ok(seen) => seen,
            Err(undecided) => {
                return super::step_reports::note_undecided(&mut self.own, Some(&undecided));
            }
        };
        if seen.crowded {
            self.own.count(InternalEvent::Crowded);
        }
        let known = self.liveness.members.dead();
        let died = seen.members.dead().iter().any(|vm| !known.contains(vm));
        self.liveness.members = seen.members;
        if seen.given_up {
            self.own.count(InternalEvent::Expired);
            self.liveness.vm = members::vm(self.draws.next_u64());
            let vm = self.liveness.vm;
            self.each_holdings(|holdings| holdings.reset_all(vm));
            self.liveness.listed = false;
            return self.enroll();
        }
        if died {
            self.each_holdings(LocalHoldings::restart_round);
            self.liveness.next = 0;
            self.liveness.hurries = true;
            self.tick_often();
        }
    }

    fn each_holdings(&mut self, change: impl Fn(&mut LocalHoldings)) {
        for number in 0..self.upstreams.len() {
            let entry = self.upstreams.entry(number);
            if let Some(holdings) = entry.and_then(|entry| entry.holdings.as_mut()) {
                change(holdings);
            }
        }
    }

    /// Looks at the next keys of the round.
    pub(super) fn look_at_next_keys(&mut self, on_time: bool) {
        let mut left = LOOKS_MAX;
        for _ in 0..self.upstreams.len() {
            let before = left;
            let finished = self.look_at(self.liveness.next, on_time, &mut left);
            let looks = before.saturating_sub(left);
            self.liveness.looks = self.liveness.looks.saturating_add(looks);
            if !finished {
                return;
            }
            self.liveness.next = self.liveness.next.saturating_add(1);
            if self.liveness.next >= self.upstreams.len() {
                let now = self.env.now();
                let took = now.since(self.liveness.begun);
                self.own.round(&self.env, self.liveness.looks, took);
                self.liveness.begun = now;
                (self.liveness.next, self.liveness.looks) = (0, 0);
                self.liveness.hurries = false;
            }
            if left == 0 {
                return;
            }
        }
    }

    /// Looks at what is in use at one upstream, and shows how many are in flight; `false` if there is more to look at.
    fn look_at(&mut self, number: usize, on_time: bool, left: &mut u32) -> bool {
        let now = self.env.now();
        let Some(entry) = self.upstreams.entry(number) else {
            return true;
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(holdings)) = (policy, entry.holdings.as_mut()) else {
            return true;
        };
        let members = &self.liveness.members;
        let mut look = |key: &Key<InFlightSlots>, local: &mut LocalHolding| {
            let notes = maintain_membership(&self.env, key, local, members, on_time, now);
            note(&mut self.own, &notes);
            notes
        };
        let bounds = bounds(policy);
        let mut round = match holdings.round.take() {
            Some(round) => round,
            None if !holdings.is_used() => return true,
            None => {
                holdings.seen = (0, None);
                if bounds.shared != Bound::default() || bounds.load {
                    *left = left.saturating_sub(1);
                    let notes = look(&holdings.key, &mut holdings.shared);
                    holdings.shared_used = notes.in_flight != Some(0);
                    holdings.seen = (notes.in_flight.unwrap_or(0), notes.limit);
                } else {
                    holdings.shared_used = false;
                }
                match bounds.apart.filter(|_| holdings.slots_used) {
                    Some((count, _)) if count > 0 => {
                        let index = Index::load(&self.env, &keys::partitions(&holdings.key));
                        Round::begin(index, holdings.slots())
                    }
                    // There are no others.
                    _ if holdings.slots_used => Round::begin(Index::default(), FEW.into_iter()),
                    _ => Round::default(),
                }
            }
        };
        while let Some(slot) = round.next_slot() {
            let key = slot.key(&holdings.key);
            *left = left.saturating_sub(1);
            if let Some(local) = holdings.slot(slot) {
                round.saw(slot, look(&key, local).in_flight);
            }
            holdings.forget(slot);
            if *left == 0 {
                break;
            }
        }
        if !round.is_through() {
            holdings.round = Some(round);
            return false;
        }
        holdings.slots_used = match bounds.apart {
            Some((count, _)) if count > 0 => {
                round.tell(&self.env, &keys::partitions(&holdings.key))
            }
            _ => round.is_any_used(),
        };
        let (shared, limit) = holdings.seen;
        let limit = policy
            .shedding
            .as_ref()
            .and_then(|shedding| shedding.limit.in_force(limit));
        // Who holds a slot in a partition may hold one of all as well: it is one request.
        let in_flight = shared.max(round.in_flight());
        entry.series.slots(&self.env, in_flight, limit);
        true
    }
}

/// One look at one key. Who showed no life for long enough is given up in the same look.
fn maintain_membership(
    store: &impl SharedState,
    key: &Key<InFlightSlots>,
    local: &mut LocalHolding,
    members: &Members,
    on_time: bool,
    now: Timestamp,
) -> SlotReport {
    let (mut notes, mut signs) =
        concurrency::maintain(store, key, local.holding, members, &[], now);
    if notes.expired {
        *local = local.reset();
    }
    local.watch.observe(&signs, on_time);
    let silent = local.watch.dead();
    if !silent.is_empty() {
        (notes, signs) = concurrency::maintain(store, key, local.holding, members, &silent, now);
        local.watch.observe(&signs, false);
    }
    if !notes.stands() {
        // It was read, and not made so.
        notes.in_flight = None;
    }
    notes
}
