//! The requests of this VM whose verdict may fall due while nothing happens to them: the upstream is silent, or the response goes
//! on. The rules are `crate::outcome::exchange` and `stall`.

use crate::breaker::{Counted, LastWord, Permit, Verdict};
use crate::direction::Direction;
use crate::environment::Environment;
use crate::environment::facts::{Facts, StreamFact};
use crate::outcome::end::Judgement;
use crate::outcome::exchange::{self, Due, Patience};
use crate::outcome::stall;
use crate::outcome::{Ignored, Outcome};
use crate::policy::Policy;
use crate::ratio::Share;
use crate::shared::keys;
use crate::shared::state::Change;
use crate::time::{Span, Timestamp};
use slab::Slab;

use super::Worker;
use super::pool::PropertyReads;
use crate::admission::Settlement;
use crate::response_facts;
use crate::telemetry::Event;

/// The most verdicts that fall due in one tick; the others do in the next ones, which come sooner.
const DUE_MAX: usize = 64;

/// One request that went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// Its stream.
    pub(crate) context: u32,
    /// Its upstream.
    pub(crate) upstream: usize,
    /// `None` where nothing is counted.
    pub(crate) permit: Option<Permit>,
    /// Whether it would have been refused.
    pub(crate) marked: bool,
    /// Who asked, where that was read.
    pub(crate) peer: u32,
    /// How far it has come.
    pub(crate) waiting: exchange::Waiting,
    /// The operator's limit.
    pub(crate) limit: Option<Span>,
    /// Where its verdict stands.
    pub(crate) stage: Stage,
    /// Until when it waited in Envoy's connection pool, as far as that is known and the upstream takes connections.
    queued_until: Timestamp,
    /// Chunks of the response's body so far, and how many there were at the last tick.
    chunks: u32,
    chunks_seen: u32,
    /// Since when no chunk came, to a tick.
    quiet_since: Timestamp,
    /// Whether the headers of the response came.
    pub(super) answered: bool,
    /// What Envoy said of its connection.
    pub(super) connection: PropertyReads,
    /// Whether it is counted as a failure: it cannot get worse.
    failed: bool,
    /// By which listener, as far as anybody asked.
    pub(super) direction: Direction,
}

/// Where the verdict of a request stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// No response yet.
    Waiting,
    /// The headers came, with this verdict; the response goes on.
    Streaming(Verdict, Timestamp),
    /// It is counted.
    Counted(Option<Counted>),
}

/// Whether a verdict may still be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The request is over.
    Last,
    /// Its response goes on, or has not come.
    SoFar,
}

/// What is done for one request at the tick.
#[derive(Clone, Copy, Debug)]
enum Work {
    Due(Due),
    Count(Verdict),
}

impl Exchange {
    /// A request that was just admitted.
    pub(crate) fn new(
        context: u32,
        upstream: usize,
        permit: Option<Permit>,
        marked: bool,
        peer: u32,
        waiting: exchange::Waiting,
        limit: Option<Span>,
    ) -> Self {
        Self {
            context,
            upstream,
            permit,
            marked,
            peer,
            waiting,
            limit,
            stage: Stage::Waiting,
            queued_until: Timestamp::ZERO,
            chunks: 0,
            chunks_seen: 0,
            quiet_since: waiting.admitted_at,
            answered: false,
            connection: PropertyReads::default(),
            failed: false,
            direction: Direction::Other,
        }
    }

    /// The same, which came by such a listener.
    pub(crate) const fn came(self, direction: Direction) -> Self {
        Self { direction, ..self }
    }

    fn work(&self, policy: &Policy, now: Timestamp) -> Option<Work> {
        match self.stage {
            Stage::Waiting => {
                let patience = Patience {
                    slow_over: slow_over(policy),
                    wait: policy.breaker.half_open.wait,
                    limit: self.limit,
                };
                let waiting = exchange::Waiting {
                    complete_at: self.waiting.complete_at.map(|_| self.silent_since()),
                    ..self.waiting
                };
                waiting.due(&patience, now).map(Work::Due)
            }
            Stage::Streaming(verdict, since) if now.since(since) >= exchange::GRACE => {
                Some(Work::Count(verdict))
            }
            Stage::Streaming(..) | Stage::Counted(_) => None,
        }
    }

    /// Since when a complete request waits for its upstream.
    fn silent_since(&self) -> Timestamp {
        let complete = self.waiting.complete_at.unwrap_or_default();
        complete.max(self.queued_until)
    }

    /// Whether a verdict on it is counted: as long as it has no response, one that its upstream was silent.
    pub(super) const fn is_counted(&self) -> bool {
        matches!(self.stage, Stage::Counted(_))
    }

    fn is_quiet(&self, now: Timestamp) -> bool {
        self.chunks == self.chunks_seen && now.since(self.quiet_since) >= stall::STILL
    }
}

/// When a call is slow; nothing where slow calls are off.
pub(crate) fn slow_over(policy: &Policy) -> Option<Span> {
    let thresholds = &policy.breaker.thresholds;
    (thresholds.slow_rate > Share::NONE).then_some(thresholds.slow_over)
}

/// All of them, by the number that [`Worker::begin`] gave.
pub(super) type Exchanges = Slab<Exchange>;

impl<E: Environment> Worker<E> {
    /// A request went: its verdict is owed from now on.
    pub(crate) fn begin(&mut self, exchange: Exchange) -> usize {
        self.exchanges.insert(exchange)
    }

    /// What is known of a request that went.
    pub(crate) fn exchange(&mut self, number: usize) -> Option<&mut Exchange> {
        self.exchanges.get_mut(number)
    }

    /// The last byte of the request came.
    pub(crate) fn request_ended(&mut self, number: usize) {
        if let Some(exchange) = self.exchanges.get_mut(number) {
            exchange.waiting.complete_at.get_or_insert(self.env.now());
        }
    }

    /// A part of the response's body came.
    pub(crate) fn chunk(&mut self, number: usize) {
        if let Some(exchange) = self.exchanges.get_mut(number) {
            exchange.chunks = exchange.chunks.wrapping_add(1);
        }
    }

    /// The headers came and the response goes on: the verdict is counted at its end, or after a while.
    pub(crate) fn defer(&mut self, number: usize, verdict: Verdict) {
        let now = self.env.now();
        if let Some(exchange) = self.exchanges.get_mut(number) {
            exchange.quiet_since = now;
            exchange.answered = true;
            if matches!(exchange.stage, Stage::Waiting) {
                exchange.stage = Stage::Streaming(verdict, now);
            }
        }
    }

    /// The headers came and are judged at once; the response goes on.
    pub(crate) fn judged_at_headers(&mut self, number: usize, judged: Judgement, verdict: Verdict) {
        let now = self.env.now();
        self.conclude(number, judged, verdict, Word::SoFar);
        if let Some(exchange) = self.exchanges.get_mut(number) {
            exchange.quiet_since = now;
            exchange.answered = true;
        }
    }

    /// The verdict on a request is there, or its last word: a failure takes the place of what was counted before.
    pub(crate) fn conclude(
        &mut self,
        number: usize,
        judged: Judgement,
        verdict: Verdict,
        word: Word,
    ) {
        let Some(exchange) = self.exchanges.get(number).copied() else {
            return;
        };
        let Exchange {
            upstream, marked, ..
        } = exchange;
        let policy = self
            .upstreams
            .entry(upstream)
            .and_then(|entry| self.routing.policies.get(entry.policy));
        let verdict = Verdict {
            outcome: policy.map_or(judged.outcome, |policy| {
                policy.outcomes.verdict(judged.outcome)
            }),
            ..verdict
        };
        let settlement = match exchange.stage {
            Stage::Counted(_) if exchange.failed || judged.is_break_of_client() => return,
            Stage::Counted(counted) if verdict.outcome != Outcome::Failure => {
                return self.silence_ended(number, counted, verdict);
            }
            Stage::Counted(None) => None,
            Stage::Counted(Some(counted)) => Some(Settlement::Late {
                counted,
                // Without headers it has no good verdict of its own that another could stand for.
                word: match verdict.silent && exchange.answered {
                    true => LastWord::Stalled { host: verdict.host },
                    false => LastWord::Failed { host: verdict.host },
                },
            }),
            Stage::Waiting | Stage::Streaming(..) => Some(Settlement::Verdict(verdict)),
        };
        self.count(
            upstream,
            match marked {
                true => Event::MarkedOutcome(judged.outcome),
                false => Event::Outcome(judged.outcome),
            },
        );
        if let Some(why) = judged.ignored {
            self.count(upstream, Event::Ignored(why));
        }
        let counted = match exchange.permit.zip(settlement) {
            Some((permit, Settlement::Verdict(verdict)))
                if word == Word::Last && self.collect(number, upstream, permit, &verdict) =>
            {
                None
            }
            Some(_) if self.came_inbound(number) => None,
            Some((permit, settlement)) => self.settle(upstream, permit, settlement),
            None => None,
        };
        if let Some(exchange) = self.exchanges.get_mut(number) {
            exchange.stage = Stage::Counted(counted);
            exchange.failed |= verdict.outcome == Outcome::Failure;
        }
    }

    /// The upstream answers a request that was counted while it was silent, or the request ends without an answer.
    #[cold]
    fn silence_ended(&mut self, number: usize, counted: Option<Counted>, verdict: Verdict) {
        let Some(exchange) = self.exchanges.get_mut(number) else {
            return;
        };
        let Some(counted) = counted.filter(Counted::is_silent) else {
            return;
        };
        exchange.stage = Stage::Counted(Some(counted.answered()));
        let word = match (verdict.silent, verdict.outcome) {
            (false, _) => LastWord::Answered,
            (true, Outcome::Slow) => LastWord::Unanswered,
            // What ended it is no word on the upstream: it was Envoy's own doing.
            (true, _) => return,
        };
        let upstream = exchange.upstream;
        if let Some(permit) = exchange.permit {
            self.settle(upstream, permit, Settlement::Late { counted, word });
        }
    }

    /// A request is over: a verdict that was put off is counted.
    pub(crate) fn end(&mut self, number: usize) {
        if let Some(Exchange {
            stage: Stage::Streaming(verdict, _),
            ..
        }) = self.exchanges.get(number)
        {
            let verdict = *verdict;
            self.conclude(number, verdict.outcome.into(), verdict, Word::Last);
        }
        self.exchanges.try_remove(number);
    }

    /// A response ended well.
    pub(crate) fn response_ended(&mut self, upstream: usize) {
        if let Some(entry) = self.upstreams.entry(upstream) {
            entry.responses.pool.ended_at = self.env.now();
        }
    }

    /// Whether parts of a response came a moment ago.
    pub(crate) fn is_flowing(&self, number: usize) -> bool {
        let exchange = self.exchanges.get(number);
        exchange.is_some_and(|exchange| !exchange.is_quiet(self.env.now()))
    }

    /// A response was cut while it stood still: whether that is the upstream's fault, as far as other requests tell.
    pub(crate) fn is_stall_of_upstream(&mut self, number: usize, connection: u64) -> bool {
        let now = self.env.now();
        let Some(exchange) = self.exchanges.get(number).copied() else {
            return false;
        };
        let Some(entry) = self.upstreams.entry(exchange.upstream) else {
            return false;
        };
        let Some(key) = entry.key.as_ref().map(keys::stalls) else {
            return false;
        };
        let ended_at = entry.responses.pool.ended_at;
        let mut blamed = false;
        let stored = self.env.update(&key, |stored| {
            let stalls = stored.or_empty();
            stalls.watch(now);
            stalls.ended(ended_at);
            blamed = stalls.is_upstreams(connection, exchange.quiet_since, now);
            Change::Store
        });
        // Where it cannot be stored it is not known, and says nothing.
        stored.unwrap_or(false) && blamed
    }

    /// Counts what fell due, and tells other workers of responses that ended while some stand still. Speaks for streams,
    /// so nothing may be done for the root after it in the same callback.
    pub(super) fn count_due_verdicts(&mut self, now: Timestamp) {
        let mut works = Vec::new();
        let mut more = false;
        for (number, exchange) in &mut self.exchanges {
            if exchange.chunks != exchange.chunks_seen {
                exchange.chunks_seen = exchange.chunks;
                exchange.quiet_since = now;
            }
            let Some(entry) = self.upstreams.entry(exchange.upstream) else {
                continue;
            };
            let Some(policy) = self.routing.policies.get(entry.policy) else {
                continue;
            };
            if let Some(work) = exchange.work(policy, now) {
                match works.len() < DUE_MAX {
                    true => works.push((number, work)),
                    false => more = true,
                }
            }
            entry.responses.stand_still |=
                exchange.answered && !exchange.waiting.exempt && exchange.is_quiet(now);
            entry.responses.awaited |= !exchange.answered && exchange.waiting.is_awaited(now);
        }
        self.look_for_held_connections(now);
        self.more_is_due = more;
        if more {
            self.tick_often();
        }
        for upstream in 0..self.upstreams.len() {
            let entry = self.upstreams.entry(upstream);
            if entry.is_some_and(|entry| entry.sees_trouble()) {
                self.look_for_broken_streams(upstream, now);
            }
            self.publish_stalls(upstream, now);
        }
        for (number, work) in works {
            match work {
                Work::Count(verdict) => {
                    self.conclude(number, verdict.outcome.into(), verdict, Word::SoFar);
                }
                Work::Due(Due::Lapse) => self.lapse(number, Ignored::Unfinished),
                Work::Due(Due::Slow) => self.silent(number, Outcome::Slow, now),
                Work::Due(Due::Failed) => self.silent(number, Outcome::Failure, now),
            }
        }
    }

    /// The upstream has been silent for too long; unless it did not get the request, since a filter behind this one holds it, or
    /// others hold all connections.
    fn silent(&mut self, number: usize, outcome: Outcome, now: Timestamp) {
        let Some(exchange) = self.exchanges.get(number).copied() else {
            return;
        };
        let takes_connections = exchange
            .waiting
            .complete_at
            .is_some_and(|since| self.takes_connections_since(exchange.upstream, since));
        if let Some(facts) = self.env.stream(exchange.context) {
            if facts.number(StreamFact::AttemptCount) == Some(0) {
                if let Some(exchange) = self.exchanges.get_mut(number) {
                    exchange.waiting.complete_at = Some(now);
                }
                return;
            }
            let admitted_at = exchange.waiting.admitted_at;
            let waited = takes_connections.then(|| response_facts::pool_wait(&facts));
            let until = waited.map(|waited| waited.map_or(now, |waited| admitted_at.after(waited)));
            if let Some(until) = until.filter(|until| *until > exchange.silent_since()) {
                if let Some(exchange) = self.exchanges.get_mut(number) {
                    exchange.queued_until = until;
                }
                if exchange.waiting.probe {
                    self.lapse(number, Ignored::Envoy);
                }
                return;
            }
        }
        let verdict = Verdict {
            outcome,
            host: 0,
            retry_after: None,
            peer: exchange.peer,
            silent: true,
        };
        self.conclude(number, outcome.into(), verdict, Word::SoFar);
    }

    /// A probe without a verdict gives its permit back, and goes on without one.
    fn lapse(&mut self, number: usize, why: Ignored) {
        let Some(exchange) = self.exchanges.get_mut(number) else {
            return;
        };
        let (upstream, peer) = (exchange.upstream, exchange.peer);
        exchange.waiting.probe = false;
        let Some(permit) = exchange.permit else {
            return;
        };
        exchange.permit = Some(Permit {
            probe: None,
            ..permit
        });
        self.count(upstream, Event::Ignored(why));
        self.settle(upstream, permit, Settlement::GiveBack { peer });
    }

    fn publish_stalls(&mut self, upstream: usize, now: Timestamp) {
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        let stand_still = std::mem::take(&mut entry.responses.stand_still);
        let ended_at = entry.responses.pool.ended_at;
        if !stand_still && ended_at == std::mem::replace(&mut entry.responses.told, ended_at) {
            return;
        }
        let Some(key) = entry.key.as_ref().map(keys::stalls) else {
            return;
        };
        self.look_for_broken_streams(upstream, now);
        // Host errors are counted where they are seen; without an answer nobody is blamed.
        let _ = self.env.update(&key, |stored| {
            let stalls = stored.or_empty();
            let mut changed = stand_still && stalls.watch(now);
            changed |= stalls.is_watched(now) && stalls.ended(ended_at);
            Change::stored_if(changed)
        });
    }
}
