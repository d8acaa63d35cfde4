//! What a world needs of a filter: the callbacks that Envoy makes of it, and what became of its breaker.

use seawall_policy::breaker::Phase;
use seawall_policy::time::Span;

/// A request, by the world's number.
pub(crate) type Id = u64;

/// What kind of request it is, as its headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Plain,
    Grpc,
    /// An upgrade.
    Tunnel,
    EventStream,
    LongPoll,
}

impl Kind {
    /// Silence says nothing.
    pub(crate) fn is_exempt(self) -> bool {
        matches!(self, Self::Tunnel | Self::EventStream | Self::LongPoll)
    }

    /// Nobody knows when it ends.
    pub(crate) fn is_open_ended(self, caller: Option<Span>) -> bool {
        match self {
            Self::Tunnel | Self::EventStream => true,
            Self::Grpc => caller.is_none(),
            Self::Plain | Self::LongPoll => false,
        }
    }
}

/// The headers of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) worker: usize,
    pub(crate) connection: u64,
    /// Whether the headers end it.
    pub(crate) complete: bool,
    pub(crate) kind: Kind,
    /// `grpc-timeout`.
    pub(crate) caller: Option<Span>,
}

/// What the filter said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Went,
    /// Refused by the breaker.
    Refused,
    /// Its caller left it no time.
    Doomed,
}

/// The headers of a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) grpc: Option<u16>,
    /// Whether they end it.
    pub(crate) end: bool,
    /// Envoy's response flags where Envoy answered.
    pub(crate) local: Option<u64>,
    /// A retry that Seawall refused, with no failure known.
    pub(crate) refused: bool,
}

impl Head {
    pub(crate) fn upstream(status: u16, end: bool) -> Self {
        Self {
            status,
            grpc: None,
            end,
            local: None,
            refused: false,
        }
    }

    pub(crate) fn local(status: u16, flags: u64) -> Self {
        Self {
            local: Some(flags),
            ..Self::upstream(status, true)
        }
    }
}

/// What happens to a request that went.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callback {
    /// The last byte of the request came.
    RequestEnded,
    /// The headers of the response came.
    Headers(Head),
    /// A part of the body came.
    Chunk,
    /// The response ended, with trailers where there is a gRPC status.
    Ended(Option<u16>),
    /// The stream is over without that, with these flags of Envoy's.
    Cut(u64),
}

impl Callback {
    /// Whether the request is over then.
    pub(crate) fn ends(&self) -> bool {
        match self {
            Self::RequestEnded | Self::Chunk => false,
            Self::Headers(head) => head.end || head.local.is_some(),
            Self::Ended(_) | Self::Cut(_) => true,
        }
    }
}

/// A change of the breaker's state, as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// In nanoseconds.
    pub(crate) at: u64,
    pub(crate) to: Phase,
    /// Where it opened: for how long.
    pub(crate) open_for: Option<u64>,
}

/// A filter on a virtual clock.
pub(crate) trait Filter {
    /// Time passes up to this, with its ticks.
    fn pass(&mut self, until: u64);
    fn ask(&mut self, id: Id, ask: &Ask) -> Told;
    /// Something happens to a request that went.
    fn call(&mut self, id: Id, callback: Callback);
    /// What the breaker's changes were so far.
    fn changes(&self) -> &[Change];
    /// Where it stands, as far as its changes tell.
    fn phase(&self) -> Phase {
        self.changes().last().map_or(Phase::Closed, |last| last.to)
    }
}
