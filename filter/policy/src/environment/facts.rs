//! What can be known of a request, by name and by phase.
//!
//! A host answers a question only in some phases: the headers and the route of a request are gone when its response comes.
//! So each phase is a trait of its own, and a question that comes too late does not compile. What a later phase needs is
//! kept before the first returns.

use super::headers::HeaderMap;

/// What a body knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// This.
    Known(T),
    /// There is no such thing for this request.
    Absent,
    /// This body, or this version of the proxy, cannot say.
    Unavailable,
}

impl<T> Answer<T> {
    /// What is known; nothing otherwise.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unavailable => None,
        }
    }
}

/// A fact of the stream and its connection, known in every phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamFact {
    /// The number of the client's connection.
    ConnectionId,
    /// The peer's address with its port.
    PeerAddress,
    /// The URI names in the peer's certificate.
    PeerUriSan,
    /// How many attempts were made; before the router 0 or absent.
    AttemptCount,
    /// What both positions of the filter keep of the request's attempts.
    AttemptState,
    /// Whether the listener is inbound: a number, 1 for inbound.
    Direction,
}

/// A fact of a request's route and arrival, known while its headers are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteFact {
    /// The cluster that the route picked.
    Cluster,
    /// The route's name.
    Route,
    /// The virtual host's name.
    VirtualHost,
    /// The filter chain's name.
    FilterChain,
    /// The port that the listener bound, as the host writes it.
    ListenerPort,
    /// The policy that the route's metadata names.
    Policy,
    /// The priority that the route's metadata names.
    Priority,
    /// The route's time limit, as its metadata repeats it.
    Timeout,
    /// When the request arrived, in nanoseconds since 1970.
    ArrivedAt,
}

/// A fact of a response, known from its headers to the request's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseFact {
    /// Response flags, as the bits of [`crate::outcome::flag`].
    Flags,
    /// Response code details.
    Details,
    /// The address of the host that answered.
    UpstreamAddress,
    /// How long the request waited until a connection took it, in nanoseconds.
    PoolReady,
    /// Why the transport failed.
    TransportFailure,
}

/// Answers to questions of one kind.
pub trait Facts<Fact> {
    /// A fact as bytes.
    fn ask(&self, fact: Fact) -> Answer<Vec<u8>>;

    /// A fact as bytes, if it is known.
    fn bytes(&self, fact: Fact) -> Option<Vec<u8>> {
        self.ask(fact).known()
    }

    /// A fact that is text. Other bytes are as if it were not there.
    fn text(&self, fact: Fact) -> Option<String> {
        String::from_utf8(self.bytes(fact)?).ok()
    }

    /// A fact that is a number of 64 bits.
    fn number(&self, fact: Fact) -> Option<u64> {
        self.bytes(fact)?.try_into().ok().map(u64::from_le_bytes)
    }
}

/// The headers of a request, or of an attempt behind the router, are there.
pub trait RequestPhase: Facts<StreamFact> + Facts<RouteFact> {
    /// A header map as it came.
    type Headers: HeaderMap;

    /// The request's headers.
    fn headers(&self) -> Self::Headers;
}

/// The headers of a response are there, or were; until the end of its request.
pub trait ResponsePhase: Facts<StreamFact> + Facts<ResponseFact> {
    /// A header map as it came.
    type Headers: HeaderMap;

    /// The response's headers.
    fn headers(&self) -> Self::Headers;

    /// The first value of a header of the response.
    fn header(&self, name: &str) -> Option<Vec<u8>>;

    /// The first value of a header of the response, as a decimal number.
    fn header_number<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        T::try_from(super::headers::decimal(&self.header(name)?)?).ok()
    }
}

/// A chunk of a response's body passes.
pub trait BodyPhase {
    /// The chunk that is passing, of so many bytes; nothing if the host hands out another number.
    fn chunk(&self, size: usize) -> Option<Vec<u8>>;
}

/// The trailers of a response are there.
pub trait TrailersPhase: ResponsePhase {
    /// The first value of a trailer.
    fn trailer(&self, name: &str) -> Option<Vec<u8>>;
}
