//! One request in the router: its attempts, its retries, its end.
//!
//! Every event gives steps, in the order in which Envoy does them. An event of an attempt that is over gives none, so a
//! caller need not take back what it has scheduled.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use super::{Downstream, End, Orders, flag};
use crate::abi::stream::HeaderMap;
use crate::random::Seed;

/// Retries of one cluster in one Envoy that are on their way, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    active: u32,
    max: Option<u32>,
}

impl Default for Retries {
    /// A cluster that says nothing: 3.
    fn default() -> Self {
        Self::limited(Some(3))
    }
}

impl Retries {
    /// At most so many at a time.
    pub fn limited(max: Option<u32>) -> Self {
        Self { active: 0, max }
    }

    /// From now on at most so many at a time.
    pub fn allow(&mut self, max: u32) {
        self.max = Some(max);
    }

    fn take(&mut self) -> bool {
        let free = self.max.is_none_or(|max| self.active < max);
        self.active += u32::from(free);
        free
    }

    fn give_back(&mut self) {
        self.active = self.active.saturating_sub(1);
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send an attempt; they count from 1.
    Send(u32),
    /// Call [`Machine::retry_due`] after so many nanoseconds.
    Wait(u64),
    /// An attempt is over: its filter is done, its answer is awaited no more.
    End(u32),
    /// The request is over.
    Answer(Downstream),
}

enum Decision {
    Retry(u64),
    No,
    /// It would be tried again, but may not.
    Denied,
}

/// One request. After [`Step::Answer`], or [`Machine::abandon`], every event gives nothing.
#[derive(Clone, Debug)]
pub struct Machine {
    orders: Orders,
    seed: Seed,
    /// Made when the first back-off is drawn.
    random: Option<Box<ChaCha8Rng>>,
    /// Attempts whose end is awaited, and whether the next one was started beside them already.
    live: BTreeMap<u32, bool>,
    started: u32,
    /// Retries that wait.
    pending: u32,
    retries_left: u32,
    flags: u64,
    holds: bool,
    over: bool,
}

impl Machine {
    /// A request with these orders; back-off is drawn from this seed.
    pub fn new(orders: Orders, seed: Seed) -> Self {
        Self {
            retries_left: orders.retries,
            orders,
            seed,
            random: None,
            live: BTreeMap::new(),
            started: 0,
            pending: 0,
            flags: 0,
            holds: false,
            over: false,
        }
    }

    /// What holds for it.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Attempts that were started.
    pub fn attempts(&self) -> u32 {
        self.started
    }

    /// The first attempt.
    pub fn start(&mut self) -> Vec<Step> {
        self.send()
    }

    /// A retry's wait is over.
    pub fn retry_due(&mut self) -> Vec<Step> {
        if self.over || self.pending == 0 {
            return Vec::new();
        }
        self.pending -= 1;
        self.send()
    }

    /// The headers of an attempt's answer, as its filter left them.
    pub fn answered(
        &mut self,
        attempt: u32,
        status: u16,
        headers: HeaderMap,
        retries: &mut Retries,
    ) -> Vec<Step> {
        let Some(hedged) = self.live.get(&attempt).copied() else {
            return Vec::new();
        };
        let would = self.orders.covers(status, &headers);
        // One that was hedged had its retry already.
        let denied = if hedged {
            would && self.can_retry()
        } else {
            match self.decide(would, retries) {
                Decision::Retry(wait) => return self.wait(Some(attempt), wait),
                Decision::No => false,
                Decision::Denied => true,
            }
        };
        if denied && self.others(attempt) {
            self.live.remove(&attempt);
            return vec![Step::End(attempt)];
        }
        let answer = Downstream {
            headers,
            ..End::Answer(status).downstream()
        };
        self.finish(answer, retries)
    }

    /// An attempt ended without an answer.
    pub fn failed(&mut self, attempt: u32, end: End, retries: &mut Retries) -> Vec<Step> {
        let Some(hedged) = self.live.get(&attempt).copied() else {
            return Vec::new();
        };
        if !hedged && let Decision::Retry(wait) = self.decide(self.orders.on.covers(end), retries) {
            return self.wait(Some(attempt), wait);
        }
        if end != End::AttemptTimedOut && self.others(attempt) {
            self.live.remove(&attempt);
            return vec![Step::End(attempt)];
        }
        self.finish(end.downstream(), retries)
    }

    /// The limit of an attempt passed. With hedging it goes on beside the next one.
    pub fn attempt_timed_out(&mut self, attempt: u32, retries: &mut Retries) -> Vec<Step> {
        if !self.orders.hedge {
            return self.failed(attempt, End::AttemptTimedOut, retries);
        }
        if self.live.get(&attempt) != Some(&false) || !self.can_retry() {
            return Vec::new();
        }
        let Decision::Retry(wait) = self.decide(true, retries) else {
            return Vec::new();
        };
        self.live.insert(attempt, true);
        self.wait(None, wait)
    }

    /// The limit of the request passed.
    pub fn timed_out(&mut self, retries: &mut Retries) -> Vec<Step> {
        if self.over {
            return Vec::new();
        }
        self.finish(End::TimedOut.downstream(), retries)
    }

    /// The request ends otherwise: its client went away, or a filter answered in the upstream position. The attempts that
    /// are over with it.
    pub fn abandon(&mut self, retries: &mut Retries) -> Vec<u32> {
        self.over = true;
        self.pending = 0;
        self.release(retries);
        std::mem::take(&mut self.live).into_keys().collect()
    }

    fn send(&mut self) -> Vec<Step> {
        self.started += 1;
        self.live.insert(self.started, false);
        vec![Step::Send(self.started)]
    }

    fn wait(&mut self, ended: Option<u32>, wait: u64) -> Vec<Step> {
        self.pending += 1;
        let ended = ended.inspect(|attempt| {
            self.live.remove(attempt);
        });
        ended
            .map(Step::End)
            .into_iter()
            .chain([Step::Wait(wait)])
            .collect()
    }

    fn can_retry(&self) -> bool {
        !self.orders.on.is_none()
    }

    fn others(&self, attempt: u32) -> bool {
        self.pending > 0 || self.live.keys().any(|other| *other != attempt)
    }

    /// Whether the next attempt may start, and when. The flag of a refusal stays on the request, as in Envoy.
    fn decide(&mut self, would: bool, retries: &mut Retries) -> Decision {
        self.release(retries);
        if !would {
            return Decision::No;
        }
        if self.retries_left == 0 {
            self.flags |= flag::RETRIES_EXHAUSTED;
            return Decision::Denied;
        }
        if !retries.take() {
            self.flags |= flag::UPSTREAM_OVERFLOW;
            return Decision::Denied;
        }
        self.holds = true;
        self.retries_left -= 1;
        let retry = self.orders.retries - self.retries_left;
        let Some(back_off) = self.orders.back_off else {
            return Decision::Retry(0);
        };
        let seed = self.seed;
        let random = self.random.get_or_insert_with(|| Box::new(seed.start()));
        Decision::Retry(back_off.wait(retry, random.as_mut()))
    }

    fn release(&mut self, retries: &mut Retries) {
        if std::mem::take(&mut self.holds) {
            retries.give_back();
        }
    }

    fn finish(&mut self, answer: Downstream, retries: &mut Retries) -> Vec<Step> {
        let ended = self.abandon(retries).into_iter().map(Step::End);
        let answer = Downstream {
            flags: answer.flags | self.flags,
            ..answer
        };
        ended.chain([Step::Answer(answer)]).collect()
    }
}
