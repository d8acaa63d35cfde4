//! What is known of a request from its headers: read once, as bytes, in one pass.

use crate::control::steers;
use crate::deadline::Form;
use crate::event_stream::Accepted;
use crate::fallback::Kind;
use crate::grpc::is_grpc;
use crate::policy::Policy;
use crate::retry::is_idempotent;
use crate::time::Span;

use crate::environment::headers::{HeaderMap, decimal};
use crate::hash::hash;

const OWN: &[u8] = b"x-seawall-";

/// What the headers of a request say.
#[derive(Debug, Default)]
pub(crate) struct RequestFacts {
    /// A call of gRPC.
    pub(crate) grpc: bool,
    /// Whether it can be repeated without harm.
    pub(crate) idempotent: bool,
    /// The length of its body, as far as it says so.
    pub(crate) length: u64,
    /// Whether it says what Envoy expects of its time.
    pub(crate) expected: bool,
    /// Upgrades, CONNECT, requests for nothing but an event stream, long polls: they take their time.
    pub(crate) never_slow: bool,
    /// Marked as a long poll by its policy.
    pub(crate) long_poll: bool,
    /// Upgrades and CONNECT.
    pub(crate) tunnel: bool,
    /// Those and what may become an event stream: they last as long as they are wanted.
    pub(crate) endless: bool,
    /// The limit that a gRPC caller brought.
    pub(crate) grpc_limit: Option<Span>,
    /// Those, and gRPC without a limit: nobody knows when they end.
    pub(crate) open_ended: bool,
    /// Control headers that a client sent, to be removed.
    pub(crate) control: Vec<Vec<u8>>,
    /// Whether any of them is one of ours, which nobody may send.
    pub(crate) own: bool,
}

impl RequestFacts {
    /// Reads them.
    pub(crate) fn read(pairs: &impl HeaderMap) -> Self {
        let mut facts = Self::default();
        let mut accepted = Accepted::default();
        let mut waits = false;
        for (key, value) in pairs.iter() {
            match key {
                b":method" => {
                    facts.tunnel |= value == b"CONNECT";
                    facts.idempotent |= is_idempotent(value);
                }
                b"idempotency-key" => facts.idempotent |= !value.is_empty(),
                b"content-length" => facts.length = number(value),
                b"x-envoy-expected-rq-timeout-ms" => facts.expected = true,
                b"upgrade" => facts.tunnel = true,
                b"accept" => accepted.line(value),
                b"prefer" => waits |= has(value, b"wait"),
                b"content-type" => facts.grpc = is_grpc(value),
                b"grpc-timeout" => {
                    let brought = Form::Grpc.read(value);
                    facts.grpc_limit = facts.grpc_limit.into_iter().chain(brought).min();
                }
                key if Self::is_own(key) => {
                    facts.own = true;
                    facts.control.push(key.to_vec());
                }
                key if steers(key) => facts.control.push(key.to_vec()),
                _ => {}
            }
        }
        let endless = facts.tunnel || accepted.events;
        facts.endless = endless;
        facts.never_slow = facts.tunnel || accepted.only_events() || waits;
        facts.grpc_limit = facts.grpc_limit.filter(|_| facts.grpc);
        facts.open_ended = endless || (facts.grpc && facts.grpc_limit.is_none());
        facts
    }

    /// The policy may mark it as a long poll. The name of its route is asked for only where that can decide.
    pub(crate) fn mark(
        &mut self,
        policy: &Policy,
        pairs: &impl HeaderMap,
        route: impl FnOnce() -> Option<String>,
    ) {
        let target = || pairs.value(":path");
        self.long_poll = policy.long_polls.matches(target, route);
        self.never_slow |= self.long_poll;
    }

    /// A hash of the request id.
    pub(crate) fn draw(pairs: &impl HeaderMap) -> Option<u32> {
        let ids = pairs.iter().filter(|(key, _)| *key == b"x-request-id");
        ids.last().map(|(_, value)| hash(value))
    }

    /// What kind of answer its caller can take.
    pub(crate) const fn kind(&self) -> Kind {
        match (self.tunnel, self.grpc) {
            (true, _) => Kind::Tunnel,
            (false, true) => Kind::Grpc,
            (false, false) => Kind::Plain,
        }
    }

    /// Whether this is one of our own headers.
    pub(crate) fn is_own(name: &[u8]) -> bool {
        name.starts_with(OWN)
    }
}

/// Whether a list-like value holds a word; without regard to what stands around it.
fn has(value: &[u8], word: &[u8]) -> bool {
    value
        .windows(word.len())
        .any(|part| part.eq_ignore_ascii_case(word))
}

/// A length; what cannot be read is longer than anything.
fn number(value: &[u8]) -> u64 {
    decimal(value).unwrap_or(u64::MAX)
}
