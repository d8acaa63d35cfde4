//! What Envoy makes of the filter: `filter/policy/src/request/`, as short as they can be.

use rand::Rng;
use seawall_policy::admission::{self, Decision, MayHold, Request as Asked};
use seawall_policy::breaker::{Asker, Phase};
use seawall_policy::deadline::{DeadlineInputs as AskedTime, Limit};
use seawall_policy::outcome::end::TimeLimits;
use seawall_policy::outcome::{Outcome, ResponseFacts, ResponseSource, exchange as rules};
use seawall_policy::time::Timestamp;

use super::exchange::Exchange;
use super::{Native, TICK};
use crate::filter::{Ask, Change, Filter, Head, Id, Kind, Told};
use crate::former::Former;

/// As the filter hashes a connection.
fn peer_of(connection: u64) -> u32 {
    ((connection.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32).max(1)
}

impl Filter for Native {
    fn pass(&mut self, until: u64) {
        let busy = |this: &Self| {
            this.workers.iter().any(|worker| {
                worker.exchanges.len() > 0
                    || worker.ended_at != worker.told
                    || worker.holding.quantity > 0
            })
        };
        while self.tick <= until {
            if !busy(self) {
                self.tick += (until - self.tick) / TICK * TICK;
            }
            self.now = self.tick;
            self.tick += TICK;
            for worker in 0..self.workers.len() {
                self.tick_worker(worker);
            }
        }
        self.now = until;
    }

    fn ask(&mut self, id: Id, ask: &Ask) -> Told {
        let worker = ask.worker;
        let time = AskedTime {
            incoming: ask.caller,
            open_ended: ask.kind.is_open_ended(ask.caller),
            ..AskedTime::default()
        };
        let set = match self.policy.time.resolve(&time) {
            Limit::Doomed => return Told::Doomed,
            Limit::Within { total, by } => Some((total, by)),
            Limit::None => None,
        };
        let peer = match self.workers[worker].phase {
            Phase::HalfOpen => peer_of(ask.connection),
            Phase::Closed | Phase::Open => 0,
        };
        let (seen_as, complete) = match self.is(Former::AnyPeer) {
            true => (0, true),
            false => (peer, ask.complete && !ask.kind.is_exempt()),
        };
        let request = Asked {
            inbound: false,
            asker: Asker {
                peer: seen_as,
                complete,
            },
            draw: self.random.next_u32(),
            local_permits: self.workers[worker].holding,
            may_hold: MayHold::Yes,
            deposits: 0,
        };
        let (notes, decision) = self.step(|memory, place, moment| {
            let (decision, notes) = admission::admit(memory, place, &request, moment);
            (notes, decision)
        });
        self.expired(worker, notes.expired);
        self.note(worker, notes.phase, &notes.transitions);
        let permit = match decision {
            Decision::Refuse { .. } => return Told::Refused,
            Decision::Admit(permit) => permit,
            Decision::Mark(_) => None,
        };
        if let Some((permit, instance)) = permit.and_then(|permit| Some((permit, permit.probe?))) {
            let holding = &mut self.workers[worker].holding;
            holding.took(instance, permit.generation);
        }
        let now = Timestamp::nanos(self.now);
        let complete = ask.complete || self.is(Former::Uploads);
        let waiting = rules::Waiting {
            admitted_at: now,
            complete_at: complete.then_some(now),
            exempt: ask.kind.is_exempt(),
            probe: permit.is_some_and(|permit| permit.probe.is_some()),
        };
        let limits = TimeLimits {
            set,
            caller: ask.caller.filter(|_| ask.kind == Kind::Grpc),
        };
        let exchange = Exchange::new(permit, peer, waiting, limits, ask);
        self.workers[worker].exchanges.insert(id, exchange);
        Told::Went
    }

    fn request_ended(&mut self, id: Id) {
        let now = Timestamp::nanos(self.now);
        let mut workers = self.workers.iter_mut();
        if let Some(exchange) = workers.find_map(|worker| worker.exchanges.get_mut(id)) {
            exchange.waiting.complete_at.get_or_insert(now);
        }
    }

    fn headers(&mut self, id: Id, head: &Head) {
        let Some((worker, exchange)) = self.worker_of(id) else {
            return;
        };
        const RESET: u64 = 0x10;
        let suspect = self.policy.outcomes.is_suspect(head.status, head.grpc);
        let origin = match head.local {
            Some(_) if head.refused && self.is(Former::Ourselves) => {
                ResponseSource::Local { flags: RESET }
            }
            Some(flags) => ResponseSource::Local { flags },
            None if suspect || exchange.waiting.probe => ResponseSource::Upstream,
            None => ResponseSource::Unknown,
        };
        let answer = ResponseFacts {
            status: head.status,
            grpc: head.grpc.filter(|_| head.end),
            origin,
            not_grpc: false,
            refused: None,
        };
        let request = self.request(&exchange, true);
        let mut judged = self.policy.outcomes.judge(&answer, &request);
        if head.local.is_some() {
            judged = self.as_before(&exchange, judged);
        }
        let good = matches!(judged.outcome, Outcome::Success | Outcome::Slow);
        let tunnel = exchange.tunnel && matches!(head.status, 101 | 200);
        let goes_on = !head.end && head.local.is_none();
        let waits = goes_on && good && !tunnel && !exchange.waiting.exempt;
        let now = Timestamp::nanos(self.now);
        if !waits {
            self.conclude(worker, id, judged, exchange.peer);
        }
        if let Some(known) = self.workers[worker].exchanges.get_mut(id) {
            known.headers(judged.outcome, tunnel, waits, now);
        }
        if !goes_on {
            self.end(worker, id);
        }
        if head.end && good {
            self.workers[worker].ended_at = now;
        }
    }

    fn chunk(&mut self, id: Id) {
        let mut workers = self.workers.iter_mut();
        if let Some(exchange) = workers.find_map(|worker| worker.exchanges.get_mut(id)) {
            exchange.chunks = exchange.chunks.wrapping_add(1);
        }
    }

    fn ended(&mut self, id: Id, grpc: Option<u16>) {
        let Some((worker, exchange)) = self.worker_of(id) else {
            return;
        };
        let judged = grpc.and_then(|status| {
            let request = self.request(&exchange, true);
            let judged = self.policy.outcomes.judge_trailers(status, &request);
            judged.map(|judged| self.as_before(&exchange, judged))
        });
        let judged = judged.unwrap_or(exchange.outcome.into());
        self.conclude(worker, id, judged, exchange.peer);
        self.workers[worker].ended_at = Timestamp::nanos(self.now);
        self.end(worker, id);
    }

    fn cut(&mut self, id: Id, flags: u64) {
        let Some((worker, exchange)) = self.worker_of(id) else {
            return;
        };
        match exchange.answered {
            true => self.cut_afterwards(worker, id, &exchange, flags),
            false => self.over(worker, id, &exchange, flags),
        }
    }

    fn changes(&self) -> &[Change] {
        &self.changes
    }
}
