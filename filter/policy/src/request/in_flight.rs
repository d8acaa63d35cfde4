//! The slots that a request holds: given back once, at the headers of its answer or at its end.
//!
//! What a request teaches about the limit is how long its answer's headers took: the time that the upstream needed, not
//! the client that reads slowly. It enters together with the slot, if that is given back soon after; otherwise by a step
//! of its own, as what an upstream says of its load always does: both are about now, and a body may take minutes.

use crate::breaker::Verdict;
use crate::bulkhead::Until;
use crate::concurrency::partitions::Partition;
use crate::limiter::{Kind, Sample};
use crate::orca;
use crate::outcome::{Outcome, ResponseSource, flag};
use crate::policy::Policy;
use crate::time::{Span, Timestamp};

use super::{HttpRequest, PendingRequest};
use crate::environment::facts::{ResponsePhase, TrailersPhase};
use crate::environment::headers::HeaderMap;
use crate::environment::{Clock, Environment};
use crate::response_facts;
use crate::worker::local_leases::HeldSlots;
use crate::worker::{Feedback, Worker};

/// What was learned so long ago is not kept back for the slot any longer,
const SOON: Span = Span::millis(100);
/// and after so long says nothing any more.
const STALE: Span = Span::secs(1);

/// The slots of one request, and what it learned meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    taken: HeldSlots,
    upstream: usize,
    /// What it says about the limit, as long as nobody was told.
    sample: Option<Sample>,
    /// When it was learned.
    learned_at: Timestamp,
    /// Whether a report of the upstream's load is looked for in the trailers.
    reports: bool,
}

impl InFlight {
    /// What was taken at this upstream, if anything was.
    pub(super) fn of(taken: HeldSlots, upstream: usize) -> Option<Box<Self>> {
        let held = Self {
            taken,
            upstream,
            sample: None,
            learned_at: Timestamp::ZERO,
            reports: false,
        };
        (!taken.is_empty()).then(|| Box::new(held))
    }
}

impl<H: HeaderMap> HttpRequest<H> {
    /// The headers of the answer are there: learns from them, and gives back what is held no longer than that. `lines` are all of
    /// them, where they were read.
    pub(super) fn record_outcome<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        (facts, lines): (&E::Response, Option<&H>),
        waiting: &PendingRequest,
        verdict: &Verdict,
        (origin, latency): (ResponseSource, Option<Span>),
    ) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        let (asks_load, shared, slot) =
            worker.policy(waiting.policy).map(until).unwrap_or_default();
        let kind = match verdict.outcome {
            _ if waiting.exempt => Kind::Ignored,
            Outcome::Success | Outcome::Slow => Kind::Answered,
            Outcome::Overloaded => Kind::Dropped,
            Outcome::Failure if ran_out(origin) => Kind::Dropped,
            // The caller's own limit, below the policy's: as if it had gone away.
            Outcome::Ignored if ran_out(origin) => Kind::Abandoned,
            Outcome::Failure | Outcome::Ignored => Kind::Ignored,
        };
        held.sample = latency.and_then(|latency| sample(held.taken, latency, kind));
        held.learned_at = worker.env.now();
        held.reports = asks_load;
        record_reports(worker, facts, &held, verdict.host, &|name| match lines {
            Some(lines) => lines.value(name).map(<[u8]>::to_vec),
            None => facts.header(name),
        });
        let mut taken = held.taken;
        let mut leaving = taken.split(|place| match place {
            Partition::Unfinished => shared == Until::Headers,
            _ => slot == Until::Headers,
        });
        if shared == Until::Headers {
            leaving.shared = taken.shared.take();
        }
        if !taken.is_unfinished() {
            leaving.connection = taken.connection.take();
        }
        let leaving = InFlight {
            taken: leaving,
            ..*held
        };
        if leaving.taken.shared.is_some() {
            // It enters with the slot.
            held.sample = None;
        }
        held.taken = taken;
        settle(worker, &leaving);
        self.held = Some(held).filter(|held| !held.taken.is_empty() || held.reports);
    }

    /// A part of the body passes: what was learned from the headers is not kept back any longer.
    pub(super) fn record_meanwhile<E: Environment>(&mut self, worker: &mut Worker<E>) {
        let Some(held) = &mut self.held else {
            return;
        };
        let upstream = held.upstream;
        let due = held.sample.is_some() && worker.env.now().since(held.learned_at) > SOON;
        if let Some(sample) = due.then(|| held.sample.take()).flatten() {
            worker.record_feedback(upstream, Feedback::Sample(sample));
        }
    }

    /// The trailers of the answer are there: gRPC reports its load in them, and says there that it has too much to do.
    pub(super) fn record_trailers<E: Environment>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Trailers,
        overloaded: bool,
    ) {
        let Some(held) = &mut self.held else {
            return;
        };
        if let Some(sample) = held.sample.as_mut().filter(|_| overloaded) {
            sample.kind = Kind::Dropped;
        }
        let held = **held;
        record_reports(worker, facts, &held, 0, &|name| facts.trailer(name));
    }

    /// The body of the request is complete: it is one like any other from now on.
    pub(super) fn is_finished<E: Environment>(&mut self, worker: &mut Worker<E>) {
        let Some(held) = &mut self.held else {
            return;
        };
        let taken = held.taken.split_unfinished();
        let finished = InFlight {
            taken,
            sample: None,
            ..**held
        };
        settle(worker, &finished);
    }

    /// The client went away before there was an answer.
    pub(super) fn record_no_response(&mut self, clock: &impl Clock, latency: Option<Span>) {
        if let Some(held) = &mut self.held {
            let taken = held.taken;
            held.sample = latency.and_then(|latency| sample(taken, latency, Kind::Abandoned));
            held.learned_at = clock.now();
        }
    }

    /// The request is over: gives back what is still held.
    pub(super) fn release<E: Environment>(&mut self, worker: &mut Worker<E>) {
        if let Some(held) = self.held.take() {
            settle(worker, &held);
        }
    }
}

/// Gives back what is held here.
fn settle<E: Environment>(worker: &mut Worker<E>, held: &InFlight) {
    if held.taken.is_empty() {
        return;
    }
    let now = worker.env.now();
    let fresh = |_: &Sample| now.since(held.learned_at) <= STALE;
    worker.release_slots(held.upstream, held.taken, held.sample.filter(fresh));
}

/// Passes on what the upstream reports in these headers, if anybody asks. The host that answered is asked for where it is 0.
fn record_reports<E: Environment>(
    worker: &mut Worker<E>,
    facts: &impl ResponsePhase,
    held: &InFlight,
    host: u32,
    header: &dyn Fn(&str) -> Option<Vec<u8>>,
) {
    if let Some(utilisation) = held.reports.then(|| reported(header)).flatten() {
        let host = match host {
            0 => response_facts::host(facts),
            known => known,
        };
        worker.record_feedback(held.upstream, Feedback::Report { host, utilisation });
    }
}

/// Whether the upstream's reports are asked for, and until when slots are held: those that all share, and those of a
/// header's value.
fn until(policy: &Policy) -> (bool, Until, Until) {
    let (bulkhead, shedding) = (policy.bulkhead.as_ref(), policy.shedding.as_ref());
    let slot = bulkhead.map_or(Until::End, |bulkhead| bulkhead.until);
    let shared = shedding.map_or(slot, |shedding| shedding.until);
    (policy.reads_reports(), shared, slot)
}

/// What a request with these slots says about the limit, if it counts for one.
fn sample(taken: HeldSlots, latency: Span, kind: Kind) -> Option<Sample> {
    taken.shared.map(|place| Sample {
        latency,
        in_flight: place.in_flight,
        pressed: place.pressed,
        kind,
    })
}

/// Whether time was over, which is how an upstream with too much to do answers.
fn ran_out(origin: ResponseSource) -> bool {
    matches!(origin, ResponseSource::Local { flags } if flags & flag::UPSTREAM_TIMEOUT != 0)
}

/// The utilisation that the upstream reports here, if it does.
fn reported(header: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<u32> {
    let binary = header(orca::HEADER_BINARY);
    let tagged = match binary {
        Some(_) => None,
        None => header(orca::HEADER),
    };
    orca::utilisation(binary.as_deref(), tagged.as_deref())
}
