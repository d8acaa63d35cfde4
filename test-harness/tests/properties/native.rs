//! Workers on shared data without the WebAssembly: the rules are the filter's own (`seawall_policy`), what joins them is a copy
//! of `filter/policy/src/worker/exchanges.rs` and `request/`, as short as it can be: whoever changes those changes
//! it too. VMs that die, retries, places and own probes are not in it.
//!
//! Ticks come each 0.4 s; of those at which nothing is on the way only the last before an event is run.

mod callbacks;
mod exchange;
mod memory;

use std::sync::LazyLock;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use seawall_harness::random::chance;
use seawall_policy::admission::{self, Settlement};
use seawall_policy::breaker::{Breaker, Moment, Permit, Phase, State, Transition};
use seawall_policy::breaker::{Counted, LastWord, Verdict};
use seawall_policy::outcome::end::{Afterwards, Judgement, TimeLimits};
use seawall_policy::outcome::pool::PoolWait;
use seawall_policy::outcome::stall::Stalls;
use seawall_policy::outcome::{Ignored, Outcome, exchange as rules};
use seawall_policy::policy::Policy;
use seawall_policy::ratio::Share;
use seawall_policy::shared::configurations::Standing;
use seawall_policy::shared::instance;
use seawall_policy::shared::keys::{self, Part};
use seawall_policy::shared::leases::LocalLease;
use seawall_policy::shared::record::Record;
use seawall_policy::shared::state::{self, Key, SharedState};
use seawall_policy::shared::upstream::{GovernedUpstream, StepReport};
use seawall_policy::time::{Span, Timestamp};

use crate::filter::{Change, Id};
use crate::former::Former;
use exchange::{Due, Exchange, Exchanges, Stage};
use memory::Memory;

/// When a process starts, in nanoseconds.
pub(crate) const START: u64 = 1_000_000_000;
const TICK: u64 = seawall_policy::worker::TICK_MILLIS as u64 * 1_000_000;
static RECORD: LazyLock<Key<Record>> = LazyLock::new(|| keys::record("p", "up", Part::Whole));
static STALLS: LazyLock<Key<Stalls>> = LazyLock::new(|| keys::stalls(&RECORD));

#[derive(Debug)]
struct Worker {
    holding: LocalLease,
    /// What it saw last.
    phase: Phase,
    exchanges: Exchanges,
    ended_at: Timestamp,
    told: Timestamp,
    stand_still: bool,
}

/// All workers of a process.
pub(crate) struct Native {
    policy: Policy,
    former: Option<Former>,
    memory: Memory,
    workers: Vec<Worker>,
    now: u64,
    /// The next tick.
    tick: u64,
    random: ChaCha8Rng,
    changes: Vec<Change>,
    /// When half-open began, or had its last verdict: for what was before.
    quiet_from: Timestamp,
}

impl Native {
    pub(crate) fn new(policy: &Policy, workers: usize, seed: u64, former: Option<Former>) -> Self {
        let mut random = chance(seed, "filter");
        let workers = (0..workers).map(|_| Worker {
            holding: LocalLease::none(instance::vm(random.next_u64())),
            phase: Phase::Closed,
            exchanges: Exchanges::default(),
            ended_at: Timestamp::ZERO,
            told: Timestamp::ZERO,
            stand_still: false,
        });
        Self {
            policy: policy.clone(),
            former,
            workers: workers.collect(),
            memory: Memory::new(chance(seed, "races")),
            now: START,
            tick: START + TICK,
            random,
            changes: Vec::new(),
            quiet_from: Timestamp::ZERO,
        }
    }

    fn is(&self, former: Former) -> bool {
        self.former == Some(former)
    }

    fn moment(&mut self) -> Moment {
        Moment {
            now: Timestamp::nanos(self.now),
            draw: self.random.next_u32(),
        }
    }

    fn slow_over(&self) -> Option<Span> {
        let thresholds = &self.policy.breaker.thresholds;
        (thresholds.slow_rate > Share::NONE).then_some(thresholds.slow_over)
    }

    fn note(&mut self, worker: usize, phase: Option<Phase>, transitions: &[Transition]) {
        if let Some(phase) = phase {
            self.workers[worker].phase = phase;
        }
        for made in transitions {
            self.made(made);
        }
    }

    fn made(&mut self, made: &Transition) {
        if made.to == Phase::HalfOpen {
            self.quiet_from = made.at;
        }
        self.changes.push(Change {
            at: made.at.as_nanos(),
            to: made.to,
            open_for: made.open_for.map(Span::as_nanos),
        });
    }

    /// A step of a worker on the record.
    fn step<T>(
        &mut self,
        run: impl FnOnce(&Memory, &GovernedUpstream<'_>, Moment) -> (StepReport, T),
    ) -> (StepReport, T) {
        self.wait_as_before();
        let moment = self.moment();
        let place = GovernedUpstream {
            dead: &[],
            policy: &self.policy,
            key: Some(&RECORD),
            standing: &Standing::since(Timestamp::nanos(START)),
        };
        run(&self.memory, &place, moment)
    }

    /// What `half_open.wait` led to before: open again, for twice as long.
    fn wait_as_before(&mut self) {
        let held_matters = match self.former {
            Some(Former::WaitRunsOn) => false,
            Some(Former::NoVerdict) => true,
            _ => return,
        };
        let Some(mut record) = self.memory.record() else {
            return;
        };
        let settings = &self.policy.breaker;
        let breaker = &mut record.breaker;
        let held = match &breaker.state {
            State::HalfOpen(probing) => probing.holders.in_flight() > 0,
            State::Closed(_) | State::Open { .. } => return,
        };
        let due = self.quiet_from.after(settings.half_open.wait);
        if held != held_matters || due > Timestamp::nanos(self.now) {
            return;
        }
        let times = 1_u64.checked_shl(breaker.trips).unwrap_or(u64::MAX);
        let open_for = settings.open.base.times(times).min(settings.open.cap);
        *breaker = Breaker {
            generation: breaker.generation + 1,
            trips: breaker.trips + 1,
            state: State::Open {
                until: due.after(open_for),
            },
            ..breaker.clone()
        };
        self.changes.push(Change {
            at: due.as_nanos(),
            to: Phase::Open,
            open_for: Some(open_for.as_nanos()),
        });
        self.memory.put(&record);
    }

    fn settle(&mut self, worker: usize, permit: Permit, settlement: Settlement) -> Option<Counted> {
        if let Some(instance) = permit.probe.filter(|_| settlement.gives_back()) {
            let holding = &mut self.workers[worker].holding;
            holding.returned(instance, permit.generation);
        }
        let (notes, ()) = self.step(|memory, place, moment| {
            let notes = admission::settle(memory, place, permit, settlement, moment);
            (notes, ())
        });
        if notes.counted.is_some() && notes.phase == Some(Phase::HalfOpen) {
            self.quiet_from = Timestamp::nanos(self.now);
        }
        self.note(worker, notes.phase, &notes.transitions);
        assert!(notes.is_committed(), "races are lost seldom");
        notes.counted
    }

    fn conclude(&mut self, worker: usize, id: Id, judged: Judgement, peer: u32) {
        let Some(exchange) = self.workers[worker].exchanges.get(id).copied() else {
            return;
        };
        let outcome = self.policy.outcomes.verdict(judged.outcome);
        let verdict = Verdict {
            outcome,
            host: 0,
            retry_after: None,
            peer,
            silent: false,
        };
        let settlement = match exchange.stage {
            Stage::Counted(_) if exchange.failed || outcome != Outcome::Failure => return,
            Stage::Counted(None) => None,
            Stage::Counted(Some(counted)) => Some(Settlement::Late {
                counted,
                word: LastWord::Failed { host: 0 },
            }),
            Stage::Waiting | Stage::Streaming(..) => Some(Settlement::Verdict(verdict)),
        };
        let owed = exchange.permit.zip(settlement);
        let counted = owed.and_then(|(permit, settlement)| self.settle(worker, permit, settlement));
        if let Some(exchange) = self.workers[worker].exchanges.get_mut(id) {
            exchange.stage = Stage::Counted(counted);
            exchange.failed |= outcome == Outcome::Failure;
        }
    }

    /// A request is over: a verdict that was put off is counted.
    fn end(&mut self, worker: usize, id: Id) {
        let exchange = self.workers[worker].exchanges.get(id).copied();
        if let Some(Exchange {
            stage: Stage::Streaming(outcome, _),
            peer,
            ..
        }) = exchange
        {
            self.conclude(worker, id, outcome.into(), peer);
        }
        self.workers[worker].exchanges.remove(id);
    }

    /// The rules' view of a request.
    fn request(&self, exchange: &Exchange, sent: bool) -> rules_request::RequestTiming {
        let caller_limits = self.is(Former::CallerLimits);
        rules_request::RequestTiming {
            exempt: exchange.waiting.exempt,
            sent: sent && !self.is(Former::Silence),
            admitted_at: exchange.waiting.admitted_at,
            complete_at: exchange.waiting.complete_at,
            pool: PoolWait::None,
            limits: match caller_limits {
                true => TimeLimits::default(),
                false => exchange.limits,
            },
            slow_over: self.slow_over(),
            now: Timestamp::nanos(self.now),
        }
    }

    /// Before, a time-out under `slow_call.over` was ignored whoever's it was.
    fn as_before(&self, exchange: &Exchange, judged: Judgement) -> Judgement {
        let now = Timestamp::nanos(self.now);
        let sooner =
            now.since(exchange.waiting.admitted_at) < self.policy.breaker.thresholds.slow_over;
        match self.is(Former::CallerLimits) && exchange.limits.has_caller() && sooner {
            true => Ignored::CallerLimit.into(),
            false => judged,
        }
    }

    fn is_stall_of_upstream(&mut self, worker: usize, exchange: &Exchange) -> bool {
        let now = Timestamp::nanos(self.now);
        let ended_at = self.workers[worker].ended_at;
        let mut blamed = false;
        let stored = self.memory.update(&STALLS, |stored| {
            let stalls = stored.or_empty();
            stalls.watch(now);
            stalls.ended(ended_at);
            blamed = stalls.is_upstreams(exchange.connection, exchange.quiet_since, now);
            state::Change::Store
        });
        stored.unwrap_or(false) && blamed
    }

    fn tick_worker(&mut self, worker: usize) {
        let holding = self.workers[worker].holding;
        if self.workers[worker].phase != Phase::Closed || holding.quantity > 0 {
            let (notes, _) = self.step(|memory, place, moment| {
                let held = (holding, true);
                let notes = admission::maintain(memory, place, held, &mut |_| false, moment);
                (notes, ())
            });
            self.expired(worker, notes.expired);
            self.note(worker, notes.phase, &notes.transitions);
        }
        self.tend_exchanges(worker);
    }

    fn expired(&mut self, worker: usize, expired: bool) {
        if expired {
            let holding = &mut self.workers[worker].holding;
            *holding = holding.anew();
        }
    }

    fn tend_exchanges(&mut self, worker: usize) {
        let now = Timestamp::nanos(self.now);
        let (slow_over, wait) = (self.slow_over(), self.policy.breaker.half_open.wait);
        let this = &mut self.workers[worker];
        let mut due = Vec::new();
        for (id, exchange) in this.exchanges.iter_mut() {
            exchange.look(now);
            due.extend(exchange.due(slow_over, wait, now).map(|due| (id, due)));
            this.stand_still |=
                exchange.answered && !exchange.waiting.exempt && exchange.is_quiet(now);
        }
        self.tell_stalls(worker, now);
        for (id, due) in due {
            let Some(peer) = self.workers[worker]
                .exchanges
                .get(id)
                .map(|exchange| exchange.peer)
            else {
                continue;
            };
            match due {
                Due::Count(outcome) => self.conclude(worker, id, outcome.into(), peer),
                Due::Rule(rules::Due::Lapse) if self.is(Former::NoVerdict) => {}
                Due::Rule(rules::Due::Lapse) => self.lapse(worker, id),
                Due::Rule(rules::Due::Slow) if self.is(Former::Silence) => {}
                Due::Rule(rules::Due::Slow) => {
                    self.conclude(worker, id, Outcome::Slow.into(), peer)
                }
                Due::Rule(rules::Due::Failed) => {
                    self.conclude(worker, id, Outcome::Failure.into(), peer);
                }
            }
        }
    }

    fn tell_stalls(&mut self, worker: usize, now: Timestamp) {
        let this = &mut self.workers[worker];
        let stand_still = std::mem::take(&mut this.stand_still);
        let ended_at = this.ended_at;
        if !stand_still && ended_at == std::mem::replace(&mut this.told, ended_at) {
            return;
        }
        let stored = self.memory.update(&STALLS, |stored| {
            let stalls = stored.or_empty();
            let mut changed = stand_still && stalls.watch(now);
            changed |= stalls.is_watched(now) && stalls.ended(ended_at);
            state::Change::stored_if(changed)
        });
        assert_eq!(stored, Ok(true));
    }

    fn lapse(&mut self, worker: usize, id: Id) {
        let Some(exchange) = self.workers[worker].exchanges.get_mut(id) else {
            return;
        };
        exchange.waiting.probe = false;
        let (peer, permit) = (exchange.peer, exchange.permit);
        exchange.permit = permit.map(|permit| Permit {
            probe: None,
            ..permit
        });
        if let Some(permit) = permit {
            self.settle(worker, permit, Settlement::GiveBack { peer });
        }
    }

    fn worker_of(&self, id: Id) -> Option<(usize, Exchange)> {
        self.workers.iter().enumerate().find_map(|(worker, this)| {
            let exchange = this.exchanges.get(id)?;
            Some((worker, *exchange))
        })
    }

    /// A stream that ended before the headers of its response.
    fn over(&mut self, worker: usize, id: Id, exchange: &Exchange, flags: u64) {
        let request = self.request(exchange, true);
        let judged = self.policy.outcomes.judge_end(flags, &request);
        let judged = self.as_before(exchange, judged);
        self.conclude(worker, id, judged, exchange.peer);
        self.end(worker, id);
    }

    /// A stream that ended after them.
    fn cut_afterwards(&mut self, worker: usize, id: Id, exchange: &Exchange, flags: u64) {
        let request = self.request(exchange, true);
        let now = Timestamp::nanos(self.now);
        let tunnel = exchange.tunnel && !self.is(Former::Tunnels);
        let flowing = !exchange.is_quiet(now) || self.is(Former::Tunnels);
        let mut judged = self
            .policy
            .outcomes
            .judge_afterwards(flags, tunnel, flowing, &request);
        if judged == Afterwards::AskOthers {
            let callers = self.is(Former::CallerLimits) && exchange.limits.has_caller();
            let failed = callers
                || self.is(Former::SlowReaders)
                || self.is_stall_of_upstream(worker, exchange);
            judged = match failed {
                true => Afterwards::Failed,
                false => Afterwards::Stands(Some(Ignored::StalledAfterHeaders)),
            };
        }
        if judged == Afterwards::Failed {
            let judged = self.as_before(exchange, Outcome::Failure.into());
            self.conclude(worker, id, judged, exchange.peer);
        }
        self.end(worker, id);
    }
}

use seawall_policy::outcome::end as rules_request;
