//! The places that a request holds: given back once, at the headers of its answer or at its end.
//!
//! What a request teaches about the limit is how long its answer's headers took: the time that the upstream needed, not
//! the client that reads slowly. It enters together with the place.

use seawall_policy::bulkhead::Until;
use seawall_policy::limiter::{Kind, Sample};
use seawall_policy::orca;
use seawall_policy::outcome::{Origin, Outcome, flag};
use seawall_policy::policy::Policy;
use seawall_policy::time::Span;

use super::HttpRequest;
use crate::host::headers::Map;
use crate::seats::Taken;
use crate::worker::Lesson;

/// The places of one request, and what it learned meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    taken: Taken,
    upstream: usize,
    lesson: Lesson,
}

impl Held {
    /// What was taken at this upstream, if anything was.
    pub(super) fn of(taken: Taken, upstream: usize) -> Option<Box<Self>> {
        let held = Self {
            taken,
            upstream,
            lesson: Lesson::default(),
        };
        (!taken.is_empty()).then(|| Box::new(held))
    }
}

impl HttpRequest {
    /// The headers of the answer are there: learns from them, and gives back what is held no longer than that.
    pub(super) fn learn(
        &mut self,
        policy: usize,
        outcome: Outcome,
        origin: Origin,
        timed: bool,
        latency: Span,
    ) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        let (asks_load, shared, slot) = self.until(policy);
        let kind = match outcome {
            _ if !timed => Kind::Ignored,
            Outcome::Success | Outcome::Slow => Kind::Answered,
            Outcome::Overloaded => Kind::Dropped,
            Outcome::Failure if ran_out(origin) => Kind::Dropped,
            Outcome::Failure | Outcome::Ignored => Kind::Ignored,
        };
        held.lesson = Lesson {
            sample: held.taken.shared.map(|place| Sample {
                latency,
                in_flight: place.in_flight,
                pressed: place.pressed,
                kind,
            }),
            utilisation: asks_load.then(|| reported(Map::Response)).flatten(),
        };
        let leaving = Held {
            taken: Taken {
                shared: held.taken.shared.filter(|_| shared == Until::Headers),
                slot: held.taken.slot.filter(|_| slot == Until::Headers),
            },
            ..*held
        };
        let staying = Held {
            taken: Taken {
                shared: held.taken.shared.filter(|_| shared == Until::End),
                slot: held.taken.slot.filter(|_| slot == Until::End),
            },
            ..*held
        };
        self.give(leaving);
        *held = staying;
        self.held = Some(held).filter(|held| !held.taken.is_empty());
    }

    /// The trailers of the answer are there: gRPC reports its load in them.
    pub(super) fn learn_late(&mut self) {
        if let Some(held) = &mut self.held
            && held.taken.shared.is_some()
            && held.lesson.utilisation.is_none()
        {
            held.lesson.utilisation = reported(Map::ResponseTrailers);
        }
    }

    /// The client went away before there was an answer.
    pub(super) fn learn_of_no_answer(&mut self, timed: bool, latency: Span) {
        if let Some(held) = &mut self.held {
            held.lesson.sample = held.taken.shared.filter(|_| timed).map(|place| Sample {
                latency,
                in_flight: place.in_flight,
                pressed: place.pressed,
                kind: Kind::Abandoned,
            });
        }
    }

    /// The request is over: gives back what is still held.
    pub(super) fn let_be(&mut self) {
        if let Some(held) = self.held.take() {
            self.give(*held);
        }
    }

    fn give(&self, held: Held) {
        if held.taken.is_empty() {
            return;
        }
        self.with(|worker| {
            worker.leave(held.upstream, held.taken, held.lesson);
            Some(())
        });
    }

    /// Whether the upstream's reports are asked for, and until when places are held: those that all share, and those of a
    /// header's value.
    fn until(&self, policy: usize) -> (bool, Until, Until) {
        let told = self.with(|worker| Some(until(worker.policy(policy)?)));
        told.unwrap_or_default()
    }
}

fn until(policy: &Policy) -> (bool, Until, Until) {
    let (bulkhead, shedding) = (policy.bulkhead.as_ref(), policy.shedding.as_ref());
    let slot = bulkhead.map_or(Until::End, |bulkhead| bulkhead.until);
    let shared = shedding.map_or(slot, |shedding| shedding.until);
    let asks_load = shedding.is_some_and(|shedding| shedding.load_over.as_basis_points() > 0);
    (asks_load, shared, slot)
}

/// Whether time was over, which is how an upstream with too much to do answers.
fn ran_out(origin: Origin) -> bool {
    matches!(origin, Origin::Local { flags } if flags & flag::UPSTREAM_TIMEOUT != 0)
}

/// The utilisation that the upstream reports here, if it does.
fn reported(map: Map) -> Option<u32> {
    let binary = map.value(orca::HEADER_BINARY);
    let tagged = match binary {
        Some(_) => None,
        None => map.value(orca::HEADER),
    };
    orca::utilisation(binary.as_deref(), tagged.as_deref())
}
