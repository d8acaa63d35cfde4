//! What clients do: each behaviour as a script of one request.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use seawall_policy::time::Span;

use crate::filter::Kind;
use crate::policies::{Drawn, pick};

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MILLI: u64 = 1_000_000;

/// Envoy's response flags.
pub(crate) mod flags {
    pub(crate) const LIMIT: u64 = 0x4;
    pub(crate) const SERVER_CLOSED: u64 = 0x40;
    pub(crate) const CLIENT_GONE: u64 = 0x4000;
    pub(crate) const IDLE: u64 = 0x1_0000;
    pub(crate) const CLIENT_PROTOCOL: u64 = 0x4_0000;
    pub(crate) const STREAM_LIMIT: u64 = 0x8_0000;
    pub(crate) const CLIENT_RESET: u64 = 0x1000_0000;
}

macro_rules! behaviours {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What a client does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Behaviour { $($(#[$meta])* $name,)* }
        impl Behaviour {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

behaviours! {
    /// A complete request that reads its response.
    Good,
    /// One that is answered with 404.
    NotFound,
    /// A response that takes as long as the limit allows.
    Page,
    /// A client that does not read.
    SlowReader,
    /// An HTTP/2 connection whose window stays shut, with many streams.
    ShutWindow,
    /// A client that leaves before the headers, or some time later.
    Abort,
    /// A client that breaks the protocol.
    BrokenProtocol,
    /// A call with a deadline of 1 ms to 60 s.
    Deadline,
    /// One whose deadline Envoy enforces from its start (`grpc_timeout_header_max`).
    StreamDeadline,
    /// A call that the upstream itself ends by its deadline, with status 4.
    UpstreamDeadline,
    /// A watch with a deadline.
    Watch,
    /// A body that comes late.
    SlowUpload,
    /// A body that never comes to its end.
    UnfinishedUpload,
    /// An upload that is answered before its end.
    AnsweredEarly,
    /// An upload on which the upstream hangs up.
    HungUpOn,
    /// A tunnel that the server closes.
    TunnelByServer,
    /// A tunnel that the client leaves.
    TunnelByClient,
    EventStream,
    LongPoll,
    /// A request with `x-envoy-upstream-stream-duration-ms` or the like, whose retry Seawall refuses.
    RefusedRetry,
}

impl Behaviour {
    /// Whether its client or its caller ends it after its headers, so that they are all that is known of the response.
    pub(crate) fn leaves_after_headers(self) -> bool {
        matches!(
            self,
            Self::SlowReader
                | Self::ShutWindow
                | Self::Deadline
                | Self::StreamDeadline
                | Self::UpstreamDeadline
                | Self::Watch
        )
    }

    /// Whether the time of its response is no latency: it comes before the request's end, or as late as it likes.
    pub(crate) fn tells_no_latency(self) -> bool {
        matches!(
            self,
            Self::AnsweredEarly
                | Self::TunnelByServer
                | Self::TunnelByClient
                | Self::EventStream
                | Self::LongPoll
        )
    }
}

/// How a response goes on after its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It ended with them.
    AtOnce,
    /// It ends after its chunks.
    Ends,
    /// It ends with trailers, with this gRPC status.
    Trailers(u16),
    /// It stands still after its chunks.
    StandsStill,
    /// The server closes the connection after its chunks.
    Closes,
}

/// One request. All times are from its start, but for `latency`, which is from its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) behaviour: Behaviour,
    pub(crate) kind: Kind,
    pub(crate) caller: Option<Span>,
    /// When the request is complete; never if not.
    pub(crate) complete: Option<u64>,
    pub(crate) latency: u64,
    pub(crate) status: u16,
    pub(crate) chunks: u64,
    pub(crate) gap: u64,
    pub(crate) then: Then,
    /// When its client leaves, and how.
    pub(crate) leaves: Option<(u64, u64)>,
    /// When something else of the upstream's happens.
    pub(crate) answered_early: Option<u64>,
    pub(crate) hung_up: Option<u64>,
    /// When its deadline ends it at the upstream.
    pub(crate) status_4: Option<u64>,
    pub(crate) refused_retry: Option<u64>,
}

impl Script {
    pub(crate) fn good(random: &mut ChaCha8Rng, drawn: &Drawn) -> Self {
        let (from, to) = drawn.latency;
        let latency = random.random_range(from.as_nanos()..=to.as_nanos());
        let body = random.random_range(0..2) == 0;
        let patience = drawn.policy.breaker.thresholds.slow_over.as_nanos();
        Self {
            behaviour: Behaviour::Good,
            kind: Kind::Plain,
            caller: None,
            complete: Some(0),
            latency,
            status: 200,
            chunks: u64::from(body),
            gap: MILLI,
            then: if body { Then::Ends } else { Then::AtOnce },
            leaves: Some((patience + 3 * SECOND, flags::CLIENT_GONE)),
            answered_early: None,
            hung_up: None,
            status_4: None,
            refused_retry: None,
        }
    }

    pub(crate) fn draw(behaviour: Behaviour, random: &mut ChaCha8Rng, drawn: &Drawn) -> Self {
        let good = Self {
            behaviour,
            leaves: None,
            ..Self::good(random, drawn)
        };
        let latency = good.latency;
        let within =
            |random: &mut ChaCha8Rng, from: u64, to: u64| random.random_range(from..=to.max(from));
        let gone = pick(random, &[flags::CLIENT_GONE, flags::CLIENT_RESET]);
        let deadline = Span::millis(match random.random_range(0..2) {
            0 => within(random, 1, 1_000),
            _ => within(random, 1, 60_000),
        });
        let stays = within(random, SECOND, 60 * SECOND);
        match behaviour {
            Behaviour::Good => Self::good(random, drawn),
            Behaviour::NotFound => Self {
                status: 404,
                ..good
            },
            Behaviour::Page => {
                let most = drawn.limit().map_or(30 * SECOND, |limit| {
                    (limit.as_nanos().saturating_sub(latency) * 9 / 10).min(60 * SECOND)
                });
                let chunks = within(random, 1, 20);
                let whole = within(random, most / 2, most);
                Self {
                    chunks,
                    gap: whole / chunks,
                    then: Then::Ends,
                    ..good
                }
            }
            Behaviour::SlowReader | Behaviour::ShutWindow => Self {
                chunks: match behaviour {
                    Behaviour::SlowReader => within(random, 0, 3),
                    _ => 0,
                },
                then: Then::StandsStill,
                leaves: Some((stays, gone)),
                ..good
            },
            Behaviour::Abort => Self {
                leaves: Some((within(random, 0, (latency * 5 / 4).max(MILLI)), gone)),
                ..good
            },
            Behaviour::BrokenProtocol => Self {
                leaves: Some((within(random, 0, latency), flags::CLIENT_PROTOCOL)),
                ..good
            },
            Behaviour::Deadline | Behaviour::StreamDeadline => Self {
                kind: Kind::Grpc,
                caller: Some(deadline),
                then: pick(random, &[Then::AtOnce, Then::Trailers(0)]),
                leaves: pick(random, &[None, Some((deadline.as_nanos(), gone))]),
                ..good
            },
            Behaviour::UpstreamDeadline => Self {
                kind: Kind::Grpc,
                caller: Some(deadline),
                then: pick(random, &[Then::AtOnce, Then::Trailers(0)]),
                status_4: Some(
                    deadline
                        .as_nanos()
                        .saturating_sub(within(random, 0, 100_000)),
                ),
                ..good
            },
            Behaviour::Watch => Self {
                kind: Kind::Grpc,
                caller: Some(deadline),
                chunks: within(random, 0, 10),
                gap: within(random, 10 * MILLI, SECOND),
                then: Then::StandsStill,
                ..good
            },
            Behaviour::SlowUpload => Self {
                complete: Some(within(random, MILLI, 20 * SECOND)),
                ..good
            },
            Behaviour::UnfinishedUpload => Self {
                complete: None,
                leaves: Some(match random.random_range(0..4) {
                    0 => (stays, flags::IDLE),
                    _ => (within(random, 0, 30 * SECOND), gone),
                }),
                ..good
            },
            Behaviour::AnsweredEarly => Self {
                complete: None,
                status: 413,
                answered_early: Some(within(random, 0, 10 * SECOND)),
                ..good
            },
            Behaviour::HungUpOn => Self {
                complete: None,
                hung_up: Some(within(random, MILLI, 20 * SECOND)),
                ..good
            },
            Behaviour::TunnelByServer | Behaviour::TunnelByClient => Self {
                kind: Kind::Tunnel,
                complete: None,
                status: 101,
                answered_early: Some(latency),
                chunks: within(random, 0, 5),
                gap: within(random, MILLI, 2 * SECOND),
                then: match behaviour {
                    Behaviour::TunnelByServer => Then::Closes,
                    _ => Then::StandsStill,
                },
                leaves: Some((stays, gone)),
                ..good
            },
            Behaviour::EventStream => Self {
                kind: Kind::EventStream,
                latency: pick(random, &[latency, stays]),
                chunks: within(random, 0, 10),
                gap: within(random, MILLI, 3 * SECOND),
                then: Then::StandsStill,
                leaves: Some((stays, gone)),
                ..good
            },
            Behaviour::LongPoll => Self {
                kind: Kind::LongPoll,
                latency: match drawn.limit() {
                    // It is silent for as long as the limit allows.
                    Some(limit) => within(random, 0, limit.as_nanos() * 9 / 10),
                    None => stays,
                },
                leaves: pick(random, &[None, Some((stays, gone))]),
                ..good
            },
            Behaviour::RefusedRetry => Self {
                refused_retry: Some(within(random, MILLI, (latency * 5 / 4).max(2 * MILLI))),
                ..good
            },
        }
    }
}
