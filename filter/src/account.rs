//! The attempts of a request at its end: what was paid for and not sent, what nobody else accounted for, and what of it
//! the client need not see.

use seawall_policy::retry::attempts::{Attempts, Flags};

use crate::arrival::PropagatedContext;
use crate::attempt_state::{self, NO_RETRY, VETO, VOTE};
use crate::host::headers::Map;
use crate::host::properties;
use crate::response;
use crate::upstreams::Position;
use crate::worker::Worker;

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

/// Settles the account of a request that has its answer, or ended without one. Says what is known of its attempts where
/// somebody looked.
pub(crate) fn finish(
    worker: &mut Worker,
    upstream: usize,
    accounted: RetrySettlement,
    bad: bool,
) -> Option<Attempts> {
    worker.unreserve(accounted.places);
    let known = (bad || accounted.asks).then(attempt_state::load).flatten();
    let seen = known
        .as_ref()
        .is_some_and(|known| known.flags.has(Flags::SEEN));
    if seen {
        worker.learn_position(upstream, Position::Present);
    } else if accounted.position != Position::Present || accounted.asks {
        // Whether there is none shows only where an attempt was made for certain. Nobody's answer is good, and a bad
        // one may be Envoy's own; were those of the upstream not believed, one that is down would never be retried.
        if accounted.asks && (!bad || response::is_upstreams()) {
            worker.learn_position(upstream, Position::Absent);
        }
        let count = properties::number("upstream\0request_attempt_count").unwrap_or(0);
        worker.account_request(upstream, count, accounted.marked);
    }
    if let Some(known) = known.as_ref().filter(|known| known.unused() > 0) {
        worker.refund(upstream, known.unused());
    }
    known
}

/// Takes the votes off an answer that looks bad, and tells a peer that is trusted whether it was retried here or below.
/// `known` is what is known of its attempts, where its retries are accounted.
pub(crate) fn strip_attempt_headers(
    worker: &Worker,
    arrival: &PropagatedContext,
    known: Option<&Attempts>,
    retried: bool,
) {
    if let Some(known) = known {
        Map::Response.remove(VOTE.as_bytes());
        if known.flags.has(Flags::VETOED) {
            Map::Response.remove(VETO.as_bytes());
        }
    } else if arrival.places.is_empty() {
        // Nothing here has to do with retries.
        return;
    }
    let told = Map::Response.value(NO_RETRY).is_some();
    if retried || told {
        arrival.persist_failure();
    }
    let below = retried || told || arrival.failed_below();
    match below && arrival.is_trusted(worker) {
        true if !told => Map::Response.set(NO_RETRY, "1"),
        false if told => Map::Response.remove(NO_RETRY.as_bytes()),
        true | false => {}
    }
}
