//! What a worker does for retries: it collects deposits, pays, refunds, and keeps hedges that wait.

use crate::environment::Environment;
use crate::environment::effects::Effects;
use crate::environment::facts::RequestPhase;
use crate::policy::Policy;
use crate::retry::Conditions;
use crate::retry::attempts::{AttemptResponse, Attempts, Denial, Flags, RemainingTime};
use crate::retry::payment::{self, Entry};
use crate::retry_budget::RETRY;
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::upstream::StepReport;
use crate::time::{Span, Timestamp};

use super::pending_settlements::PENDING_MAX;
use super::step_reports::note;
use super::upstreams::{AUTHORITY, Name, Position};
use super::{AdmissionInput, Worker, upstream_of};
use crate::request::router_headers;
use crate::telemetry::{Event, InternalEvent};

/// So many places to wait may be reserved for hedges by the requests of one VM.
const RESERVED_MAX: u32 = 256;
/// The most hedges that may wait in one VM: where the upstream position is a VM of its own, it has room for all that the
/// requests of sixteen others reserved.
const PARKED_MAX: usize = 16 * RESERVED_MAX as usize;
/// The tick's period in milliseconds while hedges wait: a client waits as long.
const PARKED_TICK_MILLIS: u32 = 20;

impl<E: Environment> Worker<E> {
    /// A first attempt starts; what it pays in is told to the others later.
    pub(crate) fn deposit(&mut self, known: &Attempts) -> Option<()> {
        let number = self.upstream_of(known)?;
        self.upstreams.entry(number)?.add_deposit();
        Some(())
    }

    /// Attempt `number` failed with an answer: pays for the next one, if there may be one.
    pub(crate) fn vote(
        &mut self,
        known: &Attempts,
        number: u8,
        answer: &AttemptResponse,
    ) -> Result<(), Denial> {
        let upstream = self.upstream_of(known).ok_or(Denial::Undecided)?;
        let may = self.judge(known, |on, left| known.may_follow(number, answer, on, left));
        self.withdraw_and_count(upstream, known, may)
    }

    /// Attempt `number` is about to start without a vote: pays for it, if it may.
    pub(crate) fn pay_for_start(&mut self, known: &Attempts, number: u8) -> Result<(), Denial> {
        let upstream = self.upstream_of(known).ok_or(Denial::Undecided)?;
        let may = self.judge(known, |on, left| known.may_start_unvoted(number, on, left));
        self.withdraw_and_count(upstream, known, may)
    }

    /// The limit of one attempt.
    pub(crate) fn per_try(&self, known: &Attempts) -> Option<Span> {
        let (_, policy) = self.routing.named(&known.policy)?;
        policy.time.per_try
    }

    /// The attempt at work, which is not the first, is about to be sent: what it carries says how much time is left now.
    pub(crate) fn send_time_left(&self, known: &Attempts, facts: &E::Request, out: &mut Effects) {
        if known.deadline != Timestamp::ZERO
            && let Some((_, policy)) = self.routing.named(&known.policy)
        {
            let left = known.deadline.since(self.env.now());
            router_headers::time_left(policy, left, &facts.headers(), out);
        }
    }

    /// Retries that were paid for were never sent.
    pub(crate) fn refund(&mut self, upstream: usize, retries: u8) {
        self.enter(upstream, Entry::Refund(retries));
        self.count(upstream, Event::RetryRefunded);
    }

    /// Reserves places to wait for the hedges of a request, all or none; `false` if there are not as many.
    pub(crate) fn reserve(&self, places: u8) -> bool {
        let reserved = self.reserved.get().saturating_add(u32::from(places));
        let fits = reserved <= RESERVED_MAX;
        if fits {
            self.reserved.set(reserved);
        }
        fits
    }

    /// Gives them back: nothing of the request is on its way any more.
    pub(crate) fn unreserve(&self, places: u8) {
        let reserved = self.reserved.get().saturating_sub(u32::from(places));
        self.reserved.set(reserved);
    }

    /// A request is over of which nobody accounted the attempts one by one.
    pub(crate) fn account_request(&mut self, upstream: usize, attempts: u64, marked: bool) {
        let Some(entry) = self.upstreams.entry(upstream).filter(|_| attempts > 0) else {
            return;
        };
        if !marked {
            entry.add_deposit();
        }
        let retries = attempts.saturating_sub(1).min(u64::from(u8::MAX)) as u8;
        if retries > 0 {
            self.enter(upstream, Entry::Charge(retries));
            for _ in 0..retries {
                self.count(upstream, Event::RetryCharged);
            }
        }
    }

    /// What was learned of the upstream position.
    pub(crate) fn learn_position(&mut self, upstream: usize, position: Position) {
        if let Some(entry) = self
            .upstreams
            .entry(upstream)
            .filter(|entry| entry.position != position)
        {
            entry.position = position;
            entry
                .series
                .position(&self.env, if position == Position::Present { 2 } else { 1 });
        }
    }

    /// Whether a retry would be paid for, asked where no admission said it.
    pub(super) fn affords(&mut self, upstream: usize) -> Result<(), Denial> {
        let (_, moment) = self.moment();
        let entry = self.upstreams.entry(upstream).ok_or(Denial::Undecided)?;
        let policy = self.routing.policies.get(entry.policy);
        let policy = policy.ok_or(Denial::Undecided)?;
        let place = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            self.liveness.view.dead(),
        );
        let (afforded, notes) = payment::affords(&self.env, &place, entry.deposits.get(), moment);
        note(&self.env, entry, &mut self.own, &notes);
        afforded
    }

    /// A hedge waits from now on; `false` if there is no place for it.
    pub(crate) fn park(&mut self, context: u32) -> bool {
        if self.parked.len() >= PARKED_MAX {
            self.own.count(InternalEvent::HedgeNotAllowed);
            return false;
        }
        self.parked.push(context);
        self.tick_often();
        true
    }

    /// A hedge waits no longer; `false` if it did not.
    pub(crate) fn unpark(&mut self, context: u32) -> bool {
        let before = self.parked.len();
        self.parked.retain(|parked| *parked != context);
        self.parked.len() < before
    }

    /// The hedges that wait: each is to be looked at, by [`crate::stream::look_at_parked`].
    pub fn parked(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.parked)
    }

    /// A hedge that was looked at waits on.
    pub(crate) fn stays_parked(&mut self, context: u32) {
        self.parked.push(context);
    }

    /// All hedges that wait were looked at: without any, ticks need not come more often.
    pub fn parked_seen(&mut self) {
        if self.often && self.parked.is_empty() && !self.hurries() && !self.more_is_due {
            self.often = !self.env.set_tick_period(super::TICK_MILLIS);
        }
    }

    /// Ticks come more often from now on.
    pub(super) fn tick_often(&mut self) {
        if !self.often {
            self.often = self.env.set_tick_period(PARKED_TICK_MILLIS);
        }
    }

    /// Tells the others what first attempts paid in.
    pub(super) fn flush_deposits(&mut self, number: usize) {
        let pending = self
            .upstreams
            .entry(number)
            .map(|entry| entry.deposits.get());
        if pending.is_some_and(|deposits| deposits > 0) {
            self.enter(number, Entry::Flush);
        }
    }

    /// Tries again what could not be entered.
    pub(super) fn enter_unstored(&mut self) {
        for (upstream, what) in std::mem::take(&mut self.unstored_entries) {
            self.enter(upstream, what);
        }
    }

    /// Enters something into an account; what cannot be stored now is tried again at the tick, but for deposits, which
    /// are still there then.
    fn enter(&mut self, upstream: usize, what: Entry) {
        let (_, moment) = self.moment();
        let mut stands = true;
        let left = self.with_account(upstream, |env, policy, place, deposits| {
            let retries = policy.retries.as_ref()?;
            let (left, notes) = payment::enter(env, place, retries, deposits, what, moment);
            stands = notes.is_committed();
            Some((left, notes))
        });
        if !stands && what != Entry::Flush {
            if self.unstored_entries.len() < PENDING_MAX {
                self.unstored_entries.push((upstream, what));
            } else {
                self.own.count(InternalEvent::SettlementDropped);
            }
        }
        if let (Some(Some(left)), Some(entry)) = (left, self.upstreams.entry(upstream)) {
            entry.series.budget(&self.env, left / RETRY);
        }
    }

    fn withdraw_and_count(
        &mut self,
        upstream: usize,
        known: &Attempts,
        may: Result<(), Denial>,
    ) -> Result<(), Denial> {
        let (_, moment) = self.moment();
        let paid = may.and_then(|()| {
            let paid = self.with_account(upstream, |env, policy, place, deposits| {
                let retries = policy.retries.as_ref()?;
                Some(payment::withdraw(env, place, retries, deposits, moment))
            });
            paid.unwrap_or(Err(Denial::Undecided))
        });
        match paid {
            Ok(()) => self.count(upstream, Event::RetryGranted),
            Err(Denial::NotRetriable | Denial::Overtaken) => {}
            Err(denial) if known.flags.has(Flags::SHADOW) => {
                self.count(upstream, Event::RetryMarked(denial));
            }
            Err(denial) => self.count(upstream, Event::RetryDenied(denial)),
        }
        paid
    }

    /// Runs something on an account, with the deposits that are due; they are told once what was done stands.
    fn with_account<T>(
        &mut self,
        upstream: usize,
        run: impl FnOnce(&E, &Policy, &GovernedUpstream<'_>, u64) -> Option<(T, StepReport)>,
    ) -> Option<T> {
        let entry = self.upstreams.entry(upstream)?;
        let policy = self.routing.policies.get(entry.policy)?;
        let place = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            self.liveness.view.dead(),
        );
        let (value, notes) = run(&self.env, policy, &place, entry.deposits.get())?;
        if notes.is_committed() {
            entry.deposits.set(0);
        }
        note(&self.env, entry, &mut self.own, &notes);
        Some(value)
    }

    /// Asks whether there may be another attempt, by the policy's conditions and the time that is left.
    fn judge(
        &mut self,
        known: &Attempts,
        ask: impl FnOnce(&Conditions, RemainingTime) -> Result<(), Denial>,
    ) -> Result<(), Denial> {
        let (now, _) = self.moment();
        let named = self.routing.named(&known.policy);
        let (_, policy) = named.ok_or(Denial::Undecided)?;
        let retries = policy.retries.as_ref().ok_or(Denial::Undecided)?;
        let needed = policy.time.doomed_under;
        ask(&retries.on, RemainingTime { now, needed })
    }

    /// The upstream of these attempts, which is made known if it is not.
    fn upstream_of(&mut self, known: &Attempts) -> Option<usize> {
        let part = known.part.as_ref().map(|(kind, part)| {
            let kind = if kind == AUTHORITY {
                AUTHORITY
            } else {
                "route"
            };
            (kind, part.as_str())
        });
        let (policy, _) = self.routing.named(&known.policy)?;
        let name = Name {
            policy,
            scope: &known.policy,
            cluster: &known.cluster,
            part,
        };
        if let Some(number) = name.key().and_then(|key| self.upstreams.find(key.as_str())) {
            return Some(number);
        }
        let selected = self.selected(&known.cluster, Some(&known.policy)).0?;
        let part = part.map(|(kind, part)| (kind, part.to_owned()));
        self.upstream(&AdmissionInput::naming(
            selected,
            known.cluster.clone(),
            part,
        ))
    }
}
