//! One request of a worker, as `filter/policy/src/worker/exchanges.rs` keeps it.

use seawall_policy::breaker::{Counted, Permit};
use seawall_policy::outcome::end::TimeLimits;
use seawall_policy::outcome::exchange::{self as rules, GRACE, Patience};
use seawall_policy::outcome::{Outcome, stall};
use seawall_policy::time::{Span, Timestamp};

use crate::filter::{Ask, Id, Kind};

#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    Waiting,
    Streaming(Outcome, Timestamp),
    Counted(Option<Counted>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    Rule(rules::Due),
    Count(Outcome),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) permit: Option<Permit>,
    pub(super) peer: u32,
    pub(super) waiting: rules::Waiting,
    pub(super) limits: TimeLimits,
    pub(super) connection: u64,
    /// It asked for a tunnel; after the headers, whether one stands.
    pub(super) tunnel: bool,
    pub(super) stage: Stage,
    pub(super) chunks: u32,
    chunks_seen: u32,
    pub(super) quiet_since: Timestamp,
    pub(super) answered: bool,
    pub(super) failed: bool,
    /// What the headers said.
    pub(super) outcome: Outcome,
}

impl Exchange {
    pub(super) fn new(
        permit: Option<Permit>,
        peer: u32,
        waiting: rules::Waiting,
        limits: TimeLimits,
        ask: &Ask,
    ) -> Self {
        Self {
            permit,
            peer,
            waiting,
            limits,
            connection: ask.connection,
            tunnel: ask.kind == Kind::Tunnel,
            stage: Stage::Waiting,
            chunks: 0,
            chunks_seen: 0,
            quiet_since: waiting.admitted_at,
            answered: false,
            failed: false,
            outcome: Outcome::Ignored,
        }
    }

    pub(super) fn headers(&mut self, outcome: Outcome, tunnel: bool, waits: bool, now: Timestamp) {
        self.quiet_since = now;
        self.answered = true;
        self.outcome = outcome;
        self.tunnel = tunnel;
        if waits && matches!(self.stage, Stage::Waiting) {
            self.stage = Stage::Streaming(outcome, now);
        }
    }

    /// At a tick: whether chunks came.
    pub(super) fn look(&mut self, now: Timestamp) {
        if self.chunks != self.chunks_seen {
            self.chunks_seen = self.chunks;
            self.quiet_since = now;
        }
    }

    pub(super) fn is_quiet(&self, now: Timestamp) -> bool {
        self.chunks == self.chunks_seen && now.since(self.quiet_since) >= stall::STILL
    }

    pub(super) fn due(&self, slow_over: Option<Span>, wait: Span, now: Timestamp) -> Option<Due> {
        match self.stage {
            Stage::Waiting => {
                let limit = self.limits.set.filter(|(_, by)| by.is_operators());
                let patience = Patience {
                    slow_over,
                    wait,
                    limit: limit.map(|(limit, _)| limit),
                };
                self.waiting.due(&patience, now).map(Due::Rule)
            }
            Stage::Streaming(outcome, since) if now.since(since) >= GRACE => {
                Some(Due::Count(outcome))
            }
            Stage::Streaming(..) | Stage::Counted(_) => None,
        }
    }
}

/// All of them; a place that is free is the first to be taken again, as in a slab.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    places: Vec<Option<(Id, Exchange)>>,
    free: Vec<usize>,
    by_id: std::collections::HashMap<Id, usize>,
}

impl Exchanges {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn insert(&mut self, id: Id, exchange: Exchange) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some((id, exchange));
        self.by_id.insert(id, place);
    }

    pub(super) fn get(&self, id: Id) -> Option<&Exchange> {
        let place = self.by_id.get(&id)?;
        self.places[*place].as_ref().map(|(_, exchange)| exchange)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Exchange> {
        let place = self.by_id.get(&id)?;
        self.places[*place].as_mut().map(|(_, exchange)| exchange)
    }

    pub(super) fn remove(&mut self, id: Id) {
        if let Some(place) = self.by_id.remove(&id) {
            self.places[place] = None;
            self.free.push(place);
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Id, &mut Exchange)> {
        let all = self.places.iter_mut().flatten();
        all.map(|(id, exchange)| (*id, exchange))
    }
}
