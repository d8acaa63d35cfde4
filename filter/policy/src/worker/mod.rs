//! What lives as long as one configuration in one VM: upstreams as this VM knows them, leases, pending settlements, the
//! tick's work.

mod acquisition;
mod admission;
mod admission_input;
mod ask_breaker;
mod authorities;
mod bounds;
mod broken_streams;
mod by_name;
mod concurrency;
mod credits;
pub(crate) mod exchanges;
pub(crate) mod handover;
mod health_check;
mod latency;
mod limit_reached;
mod liveness;
pub(crate) mod local_leases;
mod lots;
mod membership;
mod pending_settlements;
mod permits;
mod pool;
mod record_cache;
mod retry_budget;
pub(crate) mod selection;
mod shapes;
mod state_page;
mod step_reports;
pub(crate) mod upstreams;
mod vm;

pub(crate) use admission::AdmissionOutput;
pub(crate) use admission_input::{AdmissionInput, PolicyMatch};
pub(crate) use concurrency::Feedback;
pub(crate) use vm::CapturedBody;
pub use vm::Vm;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::admission::{self as records, Settlement};
use crate::breaker::{Counted, Moment, Permit};
use crate::policy::Policy;
use crate::position::FilterPosition;
use crate::retry::payment::Entry;
use crate::route::Routing;
use crate::shared::configurations::Standing;
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::leases::Lease;
use crate::shared::record::Record;
use crate::shared::state::Key;
use crate::time::{Span, Timestamp};
use crate::trust::Trust;

use crate::draws::Draws;
use crate::environment::Environment;
use crate::telemetry::{Event, InternalEvent, OwnSeries};
use by_name::ByName;
use pending_settlements::PendingSettlement;
use step_reports::note;
use upstreams::Upstreams;

/// The tick's period in milliseconds. What a dead VM held is free four of them after its last sign of life, at the latest.
pub const TICK_MILLIS: u32 = 400;
/// While hedges wait, ticks come more often; what belongs to a whole tick is done after this time.
const TICK_DUE: Span = Span::millis(TICK_MILLIS as u64 - 20);
/// A tick later than this after the last one is not on time: the process was frozen.
const ON_TIME: Span = Span::millis(2 * TICK_MILLIS as u64);
/// For so many upstreams the others and the host are told what is new at one tick; where there are more, they take turns.
const PUBLISHED_MAX: usize = 256;

/// One root in one VM.
#[derive(Debug)]
pub struct Worker<E: Environment> {
    pub(crate) env: E,
    pub(crate) vm: Rc<Vm>,
    /// Where all of its streams stand, where that is known.
    pub(crate) position: Option<FilterPosition>,
    routing: Routing,
    /// Whether any of its policies has a say in anything.
    governs: bool,
    /// Whether any of them gives attempts a time of their own.
    limits_attempts: bool,
    /// How many requests came while none has.
    ungoverned: u32,
    shapes: shapes::Shapes,
    upstreams: Upstreams,
    /// How many of them there were when the process's were last counted.
    upstreams_shown: usize,
    /// How many ticks there were, wrapping.
    ticks: u32,
    /// By cluster, where no route named a policy.
    selections: ByName<Option<PolicyMatch>>,
    pending_settlements: VecDeque<PendingSettlement>,
    /// Entries into retry budgets that could not be stored.
    unstored_entries: Vec<(usize, Entry)>,
    /// Places that could not be given back.
    unreturned_slots: concurrency::UnreturnedSlots,
    /// This VM among the others of the process.
    liveness: membership::Membership,
    /// Which keys with slots are looked at.
    looks: membership::Looks,
    /// Own probes on their way.
    probes: Vec<health_check::ProbeInFlight>,
    /// Requests that went, until they are over.
    exchanges: exchanges::Exchanges,
    /// Hedges that wait, by their context.
    parked: Vec<u32>,
    /// Places to wait that are reserved for hedges of requests on their way.
    reserved: Cell<u32>,
    /// Whether ticks come more often because of them.
    often: bool,
    /// Until when broken streams of some upstream are watched, as far as is known here.
    broken_streams_until: Timestamp,
    /// Whether more verdicts are due than one tick counts.
    more_is_due: bool,
    own: OwnSeries,
    draws: Draws,
    last_tick: Timestamp,
    /// Which upstreams' turn it was at the last tick.
    turn: usize,
    /// Whether its root went: there are no ticks any more.
    is_over: bool,
}

impl<E: Environment> Worker<E> {
    /// A worker for this configuration. Writes nothing: it is made in canary VMs too.
    pub fn new(env: E, vm: Rc<Vm>, routing: Routing) -> Self {
        let now = env.now();
        let mut draws = Draws::seeded(env.seed(now.as_nanos()));
        let number = draws.next_u64();
        vm.handover.number(number);
        let mut policies = routing.policies.iter();
        Self {
            governs: policies.any(|policy| routing.governs(policy)),
            limits_attempts: routing
                .policies
                .iter()
                .any(|policy| policy.time.per_try.is_some()),
            ungoverned: 0,
            shapes: shapes::Shapes::new(routing.policies.len(), now),
            liveness: membership::Membership::new(number, &routing.policies),
            env,
            vm,
            position: None,
            routing,
            upstreams: Upstreams::default(),
            upstreams_shown: 0,
            ticks: 0,
            selections: ByName::default(),
            pending_settlements: VecDeque::new(),
            unstored_entries: Vec::new(),
            unreturned_slots: concurrency::UnreturnedSlots::default(),
            looks: membership::Looks::begun(now),
            probes: Vec::new(),
            exchanges: exchanges::Exchanges::new(),
            parked: Vec::new(),
            reserved: Cell::new(0),
            often: false,
            broken_streams_until: Timestamp::ZERO,
            more_is_due: false,
            own: OwnSeries::default(),
            draws,
            last_tick: now,
            turn: 0,
            is_over: false,
        }
    }

    /// The same, all of whose streams stand there.
    #[must_use]
    pub fn at(self, position: Option<FilterPosition>) -> Self {
        Self { position, ..self }
    }

    /// The body that it runs in.
    pub const fn env(&self) -> &E {
        &self.env
    }

    /// Counts something about the filter itself.
    pub(crate) fn count_event(&mut self, event: InternalEvent) {
        self.own.count(event);
    }

    /// A policy by its number.
    pub(crate) fn policy(&self, number: usize) -> Option<&Policy> {
        self.routing.policies.get(number)
    }

    /// Whose marks are believed.
    pub(crate) fn trust(&self) -> &Trust {
        &self.routing.trust
    }

    /// Settles a permit; what cannot be stored now is tried again at the tick. Says where a verdict was counted.
    pub(crate) fn settle(
        &mut self,
        upstream: usize,
        permit: Permit,
        settlement: Settlement,
    ) -> Option<Counted> {
        let pending = PendingSettlement {
            upstream,
            permit,
            settlement,
        };
        if let Some(entry) = self.upstreams.entry(upstream)
            && let Some(instance) = permit.probe.filter(|_| settlement.gives_back())
        {
            entry.holding.returned(instance, permit.generation);
        }
        let notes = self.try_settlement(pending);
        if !notes.is_committed() {
            self.queue_settlement(pending);
        }
        notes.counted
    }

    /// Counts an event of an upstream.
    pub(crate) fn count(&mut self, upstream: usize, event: Event) {
        if let Some(entry) = self.upstreams.entry(upstream) {
            entry.series.count(event);
        }
    }

    /// A stale answer of so many seconds stood in at an upstream.
    pub(crate) fn record_stale_age(&mut self, upstream: usize, seconds: u64) {
        if let Some(entry) = self.upstreams.entry(upstream) {
            entry.series.stale_age(&self.env, seconds);
        }
    }

    /// What is done at each tick: pending settlements, timed transitions, heartbeats, deposits, latencies, metrics; and more
    /// often, while hedges wait, only for them. [`Worker::parked`] says which hedges the body has to look at after it.
    pub fn tick(&mut self) {
        let (now, moment) = self.moment();
        if self.often && now.since(self.last_tick) < TICK_DUE {
            if self.hurries() {
                self.look_at_next_keys();
            }
            if self.more_is_due {
                self.count_due_verdicts(now);
            }
            return;
        }
        let on_time = now.since(self.last_tick) <= ON_TIME;
        self.last_tick = now;
        self.maintain_authorities(moment);
        self.maintain_shapes(on_time);
        self.retry_pending_settlements();
        self.look_at_members(on_time, now);
        for number in 0..self.upstreams.len() {
            self.refresh(number);
            self.settle_idle(number);
            self.maintain(number);
            self.probe(number);
        }
        self.show_upstreams();
        self.maintain_slots();
        let turns = self.upstreams.len().div_ceil(PUBLISHED_MAX).max(1);
        self.turn = self.turn.wrapping_add(1).checked_rem(turns).unwrap_or(0);
        self.publish(turns, self.turn);
        // These speak for streams, so that nothing is done for the root any more after them.
        self.count_due_verdicts(now);
    }

    /// The root goes: what is still owed or not told yet does not go with it. Nothing is started any more.
    pub fn done(&mut self) {
        self.is_over = true;
        self.retry_pending_settlements();
        for number in 0..self.upstreams.len() {
            self.refresh(number);
            self.settle_idle(number);
        }
        self.sign_off();
        self.publish(1, 0);
    }

    /// Tells the others and the host what they do not know yet, of those upstreams whose turn it is.
    fn publish(&mut self, turns: usize, turn: usize) {
        for number in (turn..self.upstreams.len()).step_by(turns) {
            self.flush_deposits(number);
            self.maintain_latency(number);
            if let Some(entry) = self.upstreams.entry(number) {
                entry.series.flush(&self.env);
            }
        }
        self.own.flush(&self.env);
    }

    fn maintain(&mut self, number: usize) {
        let (_, moment) = self.moment();
        let owes = !self.pending_settlements.is_empty();
        let Some(entry) = self
            .upstreams
            .entry(number)
            .filter(|entry| entry.needs_maintenance())
        else {
            return;
        };
        let Some(policy) = self.routing.policies.get(entry.policy) else {
            return;
        };
        let place = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            &[],
        );
        let view = &mut self.liveness.view;
        let mut gone = |lease: &Lease| view.is_gone(lease.liveness());
        let held = (entry.holding, owes);
        let notes = records::maintain(&self.env, &place, held, &mut gone, moment);
        entry.series.tell_state_again();
        if notes.expired {
            entry.holding = entry.holding.anew();
        }
        note(&self.env, entry, &mut self.own, &notes);
    }

    fn moment(&mut self) -> (Timestamp, Moment) {
        let now = self.env.now();
        let draw = self.draws.next_u32();
        (now, Moment { now, draw })
    }
}

fn upstream_of<'a>(
    policy: &'a Policy,
    key: Option<&'a Key<Record>>,
    standing: &'a Standing,
    dead: &'a [u64],
) -> GovernedUpstream<'a> {
    GovernedUpstream {
        policy,
        key,
        standing,
        dead,
    }
}
