//! The attempts of a request at its end: what was paid for and not sent, what nobody else accounted for, and what of it
//! the client need not see.

use crate::outcome::ResponseSource;
use crate::retry::attempts::{Attempts, Flags};

use super::propagation::PropagatedContext;
use crate::attempt::state::{self, NO_RETRY, VETO, VOTE};
use crate::environment::Environment;
use crate::environment::effects::Effects;
use crate::environment::facts::ResponsePhase;
use crate::response_facts::FactCache;
use crate::worker::Worker;
use crate::worker::upstreams::Position;

/// How the attempts of a request are accounted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetrySettlement {
    /// By whom, as far as is known.
    pub(crate) position: Position,
    /// Whether this request finds it out.
    pub(crate) asks: bool,
    /// Whether it is itself a retry, which pays nothing in.
    pub(crate) marked: bool,
    /// Whether retries are Seawall's, not the route's.
    pub(crate) enforced: bool,
    /// Whether it would be retried if its attempts were seen behind the router.
    pub(crate) unsafe_coarse: bool,
    /// How many places to wait are reserved for its hedges.
    pub(crate) places: u8,
}

/// Whether an answer may have been voted on.
pub(crate) fn looks_bad(status: u16, grpc: Option<u16>) -> bool {
    !(100..400).contains(&status) || grpc.is_some_and(|status| status != 0)
}

/// The same where no attempt failed that this VM saw. The request paid in when it was admitted; `began` is whether an attempt did.
pub(crate) fn finish_kept<E: Environment>(
    worker: &mut Worker<E>,
    facts: &E::Response,
    upstream: usize,
    began: bool,
    (bad, asked): (bool, &mut FactCache),
) {
    if bad {
        finish_bad_kept(worker, facts, upstream, asked);
    } else if !began {
        worker.take_deposit_back(upstream);
    }
}

#[cold]
#[inline(never)]
fn finish_bad_kept<E: Environment>(
    worker: &mut Worker<E>,
    facts: &E::Response,
    upstream: usize,
    asked: &mut FactCache,
) {
    if !asked.was_sent(facts) {
        worker.take_deposit_back(upstream);
    }
    let attempts = asked.attempts(facts).unwrap_or(0);
    if attempts > 1 || asked.is_upstreams(facts) {
        // An attempt failed, and passed another VM than this one, or none.
        worker.learn_link(upstream, false);
        worker.account_request(upstream, attempts, true);
    }
}

/// Whether a request paid in when it was admitted.
fn deposited(known: &Attempts) -> bool {
    known.flags.has(Flags::DEPOSITED)
}

/// Settles the account of a request that has its answer, or ended without one. Says what is known of its attempts where
/// somebody looked.
pub(crate) fn finish<E: Environment>(
    worker: &mut Worker<E>,
    facts: &E::Response,
    upstream: usize,
    accounted: RetrySettlement,
    (bad, asked): (bool, &mut FactCache),
) -> Option<Attempts> {
    worker.unreserve(accounted.places);
    let known = (bad || accounted.asks)
        .then(|| state::load(facts))
        .flatten();
    let seen = known
        .as_ref()
        .is_some_and(|known| known.flags.has(Flags::SEEN));
    if seen {
        worker.learn_position(upstream, Position::Present);
        let here = known
            .as_ref()
            .is_some_and(|known| known.flags.has(Flags::HERE));
        worker.learn_link(upstream, here);
    } else if accounted.position != Position::Present || accounted.asks {
        // Whether there is none shows only where an attempt was made for certain. Nobody's answer is good, and a bad
        // one may be Envoy's own; were those of the upstream not believed, one that is down would never be retried.
        if accounted.asks && (!bad || asked.origin(facts).0 == ResponseSource::Upstream) {
            worker.learn_position(upstream, Position::Absent);
        }
        let count = asked.attempts(facts).unwrap_or(0);
        worker.account_request(upstream, count, accounted.marked);
    }
    if bad && !seen && known.as_ref().is_some_and(deposited) && !asked.was_sent(facts) {
        worker.take_deposit_back(upstream);
    }
    if let Some(known) = known.as_ref().filter(|known| known.unused() > 0) {
        worker.refund(upstream, known.unused());
    }
    known
}

/// Takes the votes off an answer that looks bad, and tells a peer that is trusted whether it was retried here or below.
/// `known` is what is known of its attempts, where its retries are accounted.
pub(crate) fn strip_attempt_headers<E: Environment>(
    worker: &Worker<E>,
    facts: &E::Response,
    out: &mut Effects,
    arrival: &PropagatedContext,
    known: Option<&Attempts>,
    (retried, asked): (bool, &mut FactCache),
) {
    if let Some(known) = known {
        out.remove_response_header(VOTE.as_bytes());
        if known.flags.has(Flags::VETOED) {
            out.remove_response_header(VETO.as_bytes());
        }
    } else if arrival.places.is_empty() {
        // Nothing here has to do with retries.
        return;
    }
    let told = facts.header(NO_RETRY).is_some();
    if retried || told {
        arrival.persist_failure(&worker.env);
    }
    let below = retried || told || arrival.failed_below(&worker.env);
    match below && arrival.is_trusted_as_asked(worker, facts, asked) {
        true if !told => out.set_response_header(NO_RETRY, "1"),
        false if told => out.remove_response_header(NO_RETRY.as_bytes()),
        true | false => {}
    }
}
