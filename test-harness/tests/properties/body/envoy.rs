//! What Envoy knows of requests: their headers, and the facts that the core asks for.
//!
//! Each connection comes from an address of its own, or from one that it shares: with other clients, or since a header named it.
//! Which of it, and how long a request waits for its connection, follows from the seed.

use std::collections::HashMap;

use rand::RngExt;
use seawall_harness::random::chance;
use seawall_native::{Headers, StreamFacts};
use seawall_policy::environment::facts::{ResponseFact, RouteFact, StreamFact};

use crate::filter::{Ask, Head, Kind};
use crate::mixture::{MILLI, flags};
use crate::policies::pick;
use crate::world::CALLERS;

pub(super) const CLUSTER: &str = "up";

/// How the addresses of clients are.
#[derive(Clone, Copy, Debug)]
enum Addresses {
    /// Each connection has one of its own.
    Own,
    /// The good callers have one together.
    CallersShare,
    /// All others have one together.
    OthersShare,
    /// All have one together.
    AllShare,
    /// A header named them.
    Forwarded,
}

/// An Envoy in front of one cluster.
#[derive(Debug)]
pub(super) struct Envoy {
    addresses: Addresses,
    /// How long a request waits for its connection, where that is told.
    pool: Option<u64>,
    /// Headers that are always the same.
    requests: HashMap<(Kind, bool), Headers>,
}

impl Envoy {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = chance(seed, "envoy");
        let all = [
            Addresses::Own,
            Addresses::Own,
            Addresses::CallersShare,
            Addresses::OthersShare,
            Addresses::AllShare,
            Addresses::Forwarded,
        ];
        let addresses = pick(&mut random, &all);
        let waits = random.random_range(0..5 * MILLI);
        Self {
            addresses,
            pool: pick(&mut random, &[None, Some(0), Some(waits)]),
            requests: HashMap::new(),
        }
    }

    /// A request whose headers came, at this time of the wall clock.
    pub(super) fn request(&mut self, ask: &Ask, wall: u64) -> StreamFacts {
        let stream = [
            (StreamFact::ConnectionId, number(connection(ask.connection))),
            (StreamFact::PeerAddress, self.address(ask.connection)),
        ];
        let route = [
            (RouteFact::Cluster, CLUSTER.as_bytes().to_vec()),
            (RouteFact::ArrivedAt, number(wall)),
        ];
        let request = match ask.caller {
            None => {
                let known = self.requests.entry((ask.kind, ask.complete));
                known.or_insert_with(|| request(ask)).clone()
            }
            Some(_) => request(ask),
        };
        StreamFacts {
            request,
            stream: stream.into(),
            route: route.into(),
            ..StreamFacts::default()
        }
    }

    /// It went to the upstream.
    pub(super) fn sent(&self, known: &mut StreamFacts, attempts: u64) {
        known
            .stream
            .insert(StreamFact::AttemptCount, number(attempts));
        let host = b"10.1.1.1:80".to_vec();
        known.answer.insert(ResponseFact::UpstreamAddress, host);
        if let Some(waits) = self.pool {
            known.answer.insert(ResponseFact::PoolReady, number(waits));
        }
    }

    fn address(&self, connection: u64) -> Vec<u8> {
        let shared = match self.addresses {
            Addresses::Own => false,
            Addresses::CallersShare => connection < CALLERS,
            Addresses::OthersShare => connection >= CALLERS,
            Addresses::AllShare | Addresses::Forwarded => true,
        };
        match (shared, self.addresses) {
            (_, Addresses::Forwarded) => b"192.0.2.1:0".to_vec(),
            (true, _) => b"192.0.2.1:40000".to_vec(),
            (false, _) => {
                let [.., a, b, c] = connection.to_be_bytes();
                format!("10.{a}.{b}.{c}:40000").into_bytes()
            }
        }
    }
}

/// The number of a connection; 0 is none.
const fn connection(number: u64) -> u64 {
    number + 1
}

fn number(value: u64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn request(ask: &Ask) -> Headers {
    let method = if ask.complete { "GET" } else { "POST" };
    let kind = match ask.kind {
        Kind::Plain => None,
        Kind::Grpc => Some(("content-type", "application/grpc")),
        Kind::Tunnel => Some(("upgrade", "websocket")),
        Kind::EventStream => Some(("accept", "text/event-stream")),
        Kind::LongPoll => Some(("prefer", "wait=30")),
    };
    let limit = ask.caller.map(|limit| format!("{}m", limit.as_millis()));
    let mut lines = vec![(":method", method), (":path", "/"), (":authority", CLUSTER)];
    lines.extend(kind);
    lines.extend(limit.as_deref().map(|limit| ("grpc-timeout", limit)));
    Headers::of(&lines)
}

/// The response is there, of the upstream's or of Envoy's own; or the stream is over, with these flags.
pub(super) fn answered(known: &mut StreamFacts, local: Option<u64>, refused: bool) {
    let details: &[u8] = match local {
        None => b"via_upstream",
        Some(_) if refused => b"seawall_retry_budget",
        Some(flags::LIMIT) => b"response_timeout",
        Some(flags::SERVER_CLOSED) => {
            b"upstream_reset_before_response_started{connection_termination}"
        }
        Some(_) => b"downstream_remote_disconnect",
    };
    let answer = [
        (ResponseFact::Flags, number(local.unwrap_or(0))),
        (ResponseFact::Details, details.to_vec()),
    ];
    known.answer.extend(answer);
}

/// The headers of a response to a request of this kind.
pub(super) fn response(head: &Head, kind: Kind) -> Headers {
    let status = head.status.to_string();
    let grpc = head.grpc.map(|grpc| grpc.to_string());
    let mut lines = vec![(":status", status.as_str())];
    lines.extend((kind == Kind::Grpc).then_some(("content-type", "application/grpc")));
    lines.extend(grpc.as_deref().map(|grpc| ("grpc-status", grpc)));
    Headers::of(&lines)
}
