//! What one root does in one VM: it joins the policies to shared data, time, randomness and telemetry.
//!
//! The rules stand in `seawall_policy`; here is only who is asked with what, and what is done with the notes.

mod acquisition;
mod authorities;
mod concurrency;
pub(crate) mod exchanges;
pub(crate) mod handle;
mod health_check;
mod latency;
mod limit_reached;
mod liveness;
mod pending_settlements;
mod permits;
mod pool;
mod retry_budget;
pub(crate) mod selection;
mod shapes;
mod state_page;
mod step_reports;

pub(crate) use concurrency::Feedback;
use pending_settlements::PendingSettlement;
use permits::{fresh, give_back, peer, take};
use step_reports::{note, note_undecided};

use std::cell::Cell;
use std::collections::VecDeque;

use seawall_policy::admission::{self, Decision, Reason, Request, Settlement};
use seawall_policy::breaker::{Asker, Counted, Moment, Permit, Phase};
use seawall_policy::policy::Policy;
use seawall_policy::priority::Priority;
use seawall_policy::retry::attempts::Denial;
use seawall_policy::retry::payment::Entry;
use seawall_policy::route::Routing;
use seawall_policy::shared::configurations::Standing;
use seawall_policy::shared::upstream::{GovernedUpstream, StepReport};
use seawall_policy::time::{Span, Timestamp};
use seawall_policy::trust::Trust;

use crate::host::clock;
use crate::host::random::Draws;
use crate::host::shared::Shared;
use crate::local_leases::HeldSlots;
use crate::sorted_map::SortedMap;
use crate::telemetry::{Event, InternalEvent, OwnSeries};
use crate::upstreams::{Position, Upstreams};

/// The tick's period in milliseconds. What a dead VM held is free four of them after its last sign of life, at the latest.
pub(crate) const TICK_MILLIS: u32 = 400;
/// While hedges wait, ticks come more often; what belongs to a whole tick is done after this time.
const TICK_DUE: Span = Span::millis(TICK_MILLIS as u64 - 20);
/// A tick later than this after the last one is not on time: the process was frozen.
const ON_TIME: Span = Span::millis(2 * TICK_MILLIS as u64);
/// For so many upstreams the others and the host are told what is new at one tick; where there are more, they take turns.
const PUBLISHED_MAX: usize = 256;

/// Which policy a request gets, and what else must be known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PolicyMatch {
    /// Index of the policy.
    pub(crate) policy: usize,
    /// Whether its route is part of the key.
    pub(crate) by_route: bool,
    /// Whether its authority is part of the key, and for how many authorities.
    pub(crate) by_authority: Option<u32>,
    /// The upstream's number, where the cluster alone names it and it was asked for before.
    pub(crate) upstream: Option<usize>,
}

/// What is known of one request when it is admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionInput<'a> {
    /// The policy.
    pub(crate) selected: PolicyMatch,
    /// The cluster.
    pub(crate) cluster: &'a str,
    /// A route or an authority that is part of the key.
    pub(crate) part: Option<(&'static str, &'a str)>,
    /// By an inbound listener.
    pub(crate) inbound: bool,
    /// Whether its headers ended it, and its silence says something: it gets a verdict for sure.
    pub(crate) complete: bool,
    /// From its id, where its peer is believed; all others get one at random.
    pub(crate) draw: Option<u32>,
    /// Whether its peer is believed, as far as anybody asked.
    pub(crate) trusted: bool,
    /// How important it is.
    pub(crate) priority: Priority,
    /// Whose slots of the bulkhead it needs, where each value of a header has its own.
    pub(crate) tag: Option<u64>,
    /// Its connection, where its body is not complete and that counts.
    pub(crate) unfinished: Option<u64>,
    /// Whether neither bulkhead nor shedding has to do with it.
    pub(crate) exempt: bool,
}

/// A decision and what goes with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionOutput {
    /// The decision.
    pub(crate) decision: Decision,
    /// Why it would have been refused if all were enforced for it.
    pub(crate) marked: Option<Reason>,
    /// The slots that it holds.
    pub(crate) taken: HeldSlots,
    /// Whether a retry would be paid for, where the policy has retries.
    pub(crate) retries: Option<Result<(), Denial>>,
    /// Whether attempts are accounted one by one.
    pub(crate) position: Position,
    /// Whether that is to be asked again.
    pub(crate) asks_position: bool,
    /// The hedging delay that follows latency.
    pub(crate) hedge: Option<Span>,
    /// When it was made.
    pub(crate) at: Timestamp,
    /// Whether the host of the answer is worth a host call.
    pub(crate) wants_host: bool,
    /// Who asked, where that was read; 0 otherwise.
    pub(crate) peer: u32,
}

/// One root in one VM.
#[derive(Debug)]
pub(crate) struct Worker {
    routing: Routing,
    shapes: shapes::Shapes,
    upstreams: Upstreams,
    /// How many of them there were when the process's were last counted.
    upstreams_shown: usize,
    /// How many ticks there were, wrapping.
    ticks: u32,
    /// By cluster, where no route named a policy.
    selections: SortedMap<Option<PolicyMatch>>,
    pending_settlements: VecDeque<PendingSettlement>,
    /// Entries into retry budgets that could not be stored.
    unstored_entries: Vec<(usize, Entry)>,
    /// Places that could not be given back.
    unreturned_slots: concurrency::UnreturnedSlots,
    /// Which VMs hold slots, and which of them live.
    liveness: liveness::Liveness,
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
    /// Whether more verdicts are due than one tick counts.
    more_is_due: bool,
    own: OwnSeries,
    draws: Draws,
    last_tick: Timestamp,
    /// Which upstreams' turn it was at the last tick.
    turn: usize,
}

impl Worker {
    /// A worker for this configuration. Writes nothing: it is made in canary VMs too.
    pub(crate) fn new(routing: Routing) -> Self {
        let now = clock::now();
        let mut draws = Draws::seeded(now.as_nanos());
        // Only who holds slots needs a number of its own.
        let vm = match routing.policies.iter().any(Policy::counts_slots) {
            true => draws.next_u64(),
            false => 0,
        };
        Self {
            shapes: shapes::Shapes::new(routing.policies.len(), now),
            routing,
            upstreams: Upstreams::default(),
            upstreams_shown: 0,
            ticks: 0,
            selections: SortedMap::default(),
            pending_settlements: VecDeque::new(),
            unstored_entries: Vec::new(),
            unreturned_slots: concurrency::UnreturnedSlots::default(),
            liveness: liveness::Liveness::new(vm, now),
            probes: Vec::new(),
            exchanges: exchanges::Exchanges::new(),
            parked: Vec::new(),
            reserved: Cell::new(0),
            often: false,
            more_is_due: false,
            own: OwnSeries::default(),
            draws,
            last_tick: now,
            turn: 0,
        }
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

    /// Whether a draw may decide about the next request to this upstream, so that it is worth asking whose request it is.
    pub(crate) fn uses_draw(&mut self, upstream: usize) -> bool {
        let Some(entry) = self.upstreams.entry(upstream) else {
            return false;
        };
        let policy = self.routing.policies.get(entry.policy);
        entry.gated || policy.is_some_and(Policy::draws_for_slots)
    }

    /// Decides about a request to this upstream.
    pub(crate) fn admit(
        &mut self,
        upstream: usize,
        asking: &AdmissionInput<'_>,
    ) -> Option<AdmissionOutput> {
        let (at, moment) = self.moment();
        let next_instance = self.draws.next_u64();
        let draw = asking.draw.unwrap_or_else(|| self.draws.next_u32());
        let entry = self.upstreams.entry(upstream)?;
        let policy = self.routing.policies.get(entry.policy)?;
        // Who asks matters only where permits are counted: a host call less on the usual way.
        let peer = match entry.phase {
            Phase::HalfOpen => peer(),
            Phase::Closed | Phase::Open => 0,
        };
        let request = Request {
            inbound: asking.inbound,
            asker: Asker {
                peer,
                complete: asking.complete,
            },
            draw,
            local_permits: entry.holding,
            next_instance,
            deposits: entry.deposits,
        };
        let place = upstream_of(
            policy,
            entry.key.as_deref(),
            self.shapes.standing(entry.policy),
        );
        let (mut decision, notes) = admission::admit(&Shared, &place, &request, moment);
        if notes.expired {
            entry.holding = fresh(next_instance);
        }
        if let Decision::Admit(Some(permit)) = decision {
            take(&mut entry.holding, permit);
        }
        let (mut taken, mut full) = (HeldSlots::default(), None);
        if entry.holdings.is_some() {
            (decision, taken, full) = self.acquire_after_breaker(upstream, asking, draw, decision);
        }
        let marked = match decision {
            Decision::Mark(reason) => Some(reason),
            Decision::Admit(_) | Decision::Refuse { .. } => full,
        };
        self.admitted(upstream, (decision, marked), taken, &notes, (at, peer))
    }

    /// Counts a decision, and says what goes with it.
    fn admitted(
        &mut self,
        upstream: usize,
        (decision, marked): (Decision, Option<Reason>),
        taken: HeldSlots,
        notes: &StepReport,
        (at, peer): (Timestamp, u32),
    ) -> Option<AdmissionOutput> {
        let entry = self.upstreams.entry(upstream)?;
        let policy = self.routing.policies.get(entry.policy)?;
        entry.series.count(match (decision, marked) {
            (Decision::Refuse { reason, .. }, _) => Event::Refused(reason),
            (_, Some(reason)) => Event::Marked(reason),
            (_, None) => Event::Admitted,
        });
        let wants_host = entry.wants_host() && policy.breaker.host_grace > Span::ZERO;
        note(entry, &mut self.own, notes);
        let (position, hedge) = (entry.position, entry.hedge);
        let asks_position = policy.retries.is_some() && entry.asks_position();
        let unasked = policy.retries.is_some() && position != Position::Present;
        let retries = match notes.retries {
            None if unasked => Some(self.affords(upstream)),
            seen => seen,
        };
        Some(AdmissionOutput {
            decision,
            marked,
            taken,
            retries,
            position,
            asks_position,
            hedge,
            at,
            wants_host,
            peer,
        })
    }

    /// Takes the slots of a request that the breaker lets go, and says why it would have been refused one. Without one
    /// its permit is given back, and it is refused.
    fn acquire_after_breaker(
        &mut self,
        upstream: usize,
        asking: &AdmissionInput<'_>,
        draw: u32,
        decision: Decision,
    ) -> (Decision, HeldSlots, Option<Reason>) {
        if matches!(decision, Decision::Refuse { .. }) {
            return (decision, HeldSlots::default(), None);
        }
        let full = match self.acquire_slots(upstream, asking, draw) {
            Ok((taken, marked)) => return (decision, taken, marked),
            Err(full) => full,
        };
        if let Decision::Admit(Some(permit)) = decision
            && permit.probe.is_some()
        {
            // It is not for what this peer did.
            self.settle(upstream, permit, Settlement::GiveBack { peer: 0 });
        }
        let decision = Decision::Refuse {
            reason: full.reason,
            retry_after: full.retry_after,
        };
        (decision, HeldSlots::default(), None)
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
        if let Some(entry) = self.upstreams.entry(upstream) {
            give_back(&mut entry.holding, permit, settlement);
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
            entry.series.stale_age(seconds);
        }
    }

    /// What is done at each tick: debts, timed transitions, signs of life, deposits, latencies, metrics; and more
    /// often, while hedges wait, only for them.
    pub(crate) fn tick(&mut self) {
        let (now, moment) = self.moment();
        if self.often && now.since(self.last_tick) < TICK_DUE {
            if self.hurries() {
                self.look_at_next_keys(false);
            }
            if self.more_is_due {
                self.count_due_verdicts(now);
            }
            self.maintain_parked();
            return;
        }
        let on_time = now.since(self.last_tick) <= ON_TIME;
        self.last_tick = now;
        self.maintain_authorities(moment);
        self.maintain_shapes(on_time);
        self.retry_pending_settlements();
        for number in 0..self.upstreams.len() {
            self.maintain(number, on_time);
            self.probe(number);
        }
        self.show_upstreams();
        self.maintain_slots(on_time);
        let turns = self.upstreams.len().div_ceil(PUBLISHED_MAX).max(1);
        self.turn = self.turn.wrapping_add(1).checked_rem(turns).unwrap_or(0);
        self.publish(turns, self.turn);
        // These speak for streams, so that nothing is done for the root any more after them.
        self.count_due_verdicts(now);
        self.maintain_parked();
    }

    /// The root goes: what is still owed or not told yet does not go with it. Nothing is started any more.
    pub(crate) fn done(&mut self) {
        self.retry_pending_settlements();
        self.sign_off();
        self.publish(1, 0);
    }

    /// Tells the others and the host what they do not know yet, of those upstreams whose turn it is.
    fn publish(&mut self, turns: usize, turn: usize) {
        for number in (turn..self.upstreams.len()).step_by(turns) {
            self.flush_deposits(number);
            self.maintain_latency(number);
            if let Some(entry) = self.upstreams.entry(number) {
                entry.series.flush();
            }
        }
        self.own.flush();
    }

    fn maintain(&mut self, number: usize, on_time: bool) {
        let (_, moment) = self.moment();
        let next_instance = self.draws.next_u64();
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
            entry.key.as_deref(),
            self.shapes.standing(entry.policy),
        );
        let (notes, holders) = admission::maintain(&Shared, &place, entry.holding, &[], moment);
        entry.series.tell_state_again();
        entry.watch.observe(&holders, on_time);
        let dead = entry.watch.dead();
        // Who showed no life for long enough is given up in the same tick.
        let taken_back = (!dead.is_empty()).then(|| {
            let (notes, holders) =
                admission::maintain(&Shared, &place, entry.holding, &dead, moment);
            entry.watch.observe(&holders, false);
            notes
        });
        for notes in [Some(notes), taken_back].into_iter().flatten() {
            if notes.expired {
                entry.holding = fresh(next_instance);
            }
            note(entry, &mut self.own, &notes);
        }
    }

    fn moment(&mut self) -> (Timestamp, Moment) {
        let now = clock::now();
        let draw = self.draws.next_u32();
        (now, Moment { now, draw })
    }
}

fn upstream_of<'a>(
    policy: &'a Policy,
    key: Option<&'a str>,
    standing: &'a Standing,
) -> GovernedUpstream<'a> {
    GovernedUpstream {
        policy,
        key,
        standing,
    }
}
