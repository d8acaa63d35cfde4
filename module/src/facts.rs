//! Which call of Envoy's answers which question of the core's.

use seawall_policy::environment::facts::{
    Answer, BodyPhase, Facts, RequestPhase, ResponseFact, ResponsePhase, RouteFact, StreamFact,
    TrailersPhase,
};
use seawall_policy::environment::headers::HeaderMap;

use crate::abi::{self, Attribute, Filter, Map};
use crate::headers::Headers;
use crate::{attempts, clock};

/// The namespace of what a route's metadata says to Seawall.
const METADATA: &str = "seawall";

/// The headers of a request are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtRequest(pub(crate) Filter);

/// The headers of a response are there, or were.
#[derive(Clone, Debug)]
pub(crate) struct AtResponse {
    filter: Filter,
    /// What they were, where Envoy cannot be asked any more.
    were: Option<Headers>,
}

impl AtResponse {
    /// In the hook of the headers.
    pub(crate) const fn now(filter: Filter) -> Self {
        Self { filter, were: None }
    }

    /// In a later hook; what the headers were, if that was kept.
    pub(crate) fn later(filter: Filter, were: Option<&Headers>) -> Self {
        let asks = abi::keeps_headers();
        Self {
            filter,
            were: (!asks).then(|| were.cloned().unwrap_or_default()),
        }
    }
}

/// A chunk of a response's body passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtBody(pub(crate) Filter);

/// The trailers of a response are there.
#[derive(Clone, Debug)]
pub(crate) struct AtTrailers(pub(crate) AtResponse);

fn text(filter: Filter, attribute: Attribute) -> Option<Vec<u8>> {
    abi::text(filter, attribute)
}

fn number(filter: Filter, attribute: Attribute) -> Option<Vec<u8>> {
    abi::number(filter, attribute).map(|number| number.to_le_bytes().to_vec())
}

fn of_stream(filter: Filter, fact: StreamFact) -> Option<Vec<u8>> {
    match fact {
        StreamFact::ConnectionId => number(filter, Attribute::ConnectionId),
        StreamFact::PeerAddress => text(filter, Attribute::SourceAddress),
        StreamFact::PeerUriSan => text(filter, Attribute::ConnectionUriSanPeerCertificate),
        StreamFact::AttemptCount => number(filter, Attribute::UpstreamRequestAttemptCount),
        StreamFact::AttemptState => attempts::read(filter),
        StreamFact::Direction => number(filter, Attribute::XdsListenerDirection),
    }
}

fn of_route(filter: Filter, fact: RouteFact) -> Option<Vec<u8>> {
    match fact {
        // Envoy 1.38 and 1.39 know the cluster by the call alone.
        RouteFact::Cluster => text(filter, Attribute::XdsClusterName)
            .filter(|name| !name.is_empty())
            .or_else(|| abi::cluster_name(filter)),
        RouteFact::Route => text(filter, Attribute::XdsRouteName),
        RouteFact::VirtualHost => text(filter, Attribute::XdsVirtualHostName),
        RouteFact::FilterChain => text(filter, Attribute::XdsFilterChainName),
        RouteFact::ListenerPort => number(filter, Attribute::DestinationPort),
        RouteFact::Policy => abi::route_metadata(filter, METADATA, "policy"),
        RouteFact::Priority => abi::route_metadata(filter, METADATA, "priority"),
        RouteFact::Timeout => abi::route_metadata(filter, METADATA, "timeout"),
        // Envoy before 1.40 does not tell: the request has just come.
        RouteFact::ArrivedAt => abi::timing(filter)
            .and_then(|timing| u64::try_from(timing.start_unix).ok())
            .or_else(clock::wall)
            .map(|nanos| nanos.to_le_bytes().to_vec()),
    }
}

fn of_response(filter: Filter, fact: ResponseFact) -> Option<Vec<u8>> {
    let of = |filter| match fact {
        ResponseFact::Flags => number(filter, Attribute::ResponseFlags),
        ResponseFact::Details => text(filter, Attribute::ResponseCodeDetails),
        ResponseFact::UpstreamAddress => text(filter, Attribute::UpstreamAddress),
        // The first byte goes as soon as a connection takes the request.
        ResponseFact::PoolReady => abi::timing(filter)
            .and_then(|timing| u64::try_from(timing.first_upstream_tx).ok())
            .map(|nanos| nanos.to_le_bytes().to_vec()),
        ResponseFact::TransportFailure => text(filter, Attribute::UpstreamTransportFailureReason),
    };
    // Of an attempt that is being destroyed Envoy says nothing any more: its request knows what it died of.
    of(filter).or_else(|| of(attempts::request_of(filter)?))
}

fn answer(found: Option<Vec<u8>>) -> Answer<Vec<u8>> {
    found.map_or(Answer::Absent, Answer::Known)
}

impl Facts<StreamFact> for AtRequest {
    fn ask(&self, fact: StreamFact) -> Answer<Vec<u8>> {
        answer(of_stream(self.0, fact))
    }
}

impl Facts<RouteFact> for AtRequest {
    fn ask(&self, fact: RouteFact) -> Answer<Vec<u8>> {
        answer(of_route(self.0, fact))
    }
}

impl RequestPhase for AtRequest {
    type Headers = Headers;

    fn headers(&self) -> Headers {
        abi::headers(self.0, Map::Request)
    }
}

impl Facts<StreamFact> for AtResponse {
    fn ask(&self, fact: StreamFact) -> Answer<Vec<u8>> {
        answer(of_stream(self.filter, fact))
    }
}

impl Facts<ResponseFact> for AtResponse {
    fn ask(&self, fact: ResponseFact) -> Answer<Vec<u8>> {
        answer(of_response(self.filter, fact))
    }
}

impl ResponsePhase for AtResponse {
    type Headers = Headers;

    fn headers(&self) -> Headers {
        match &self.were {
            Some(were) => were.clone(),
            None => abi::headers(self.filter, Map::Response),
        }
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        match &self.were {
            Some(were) => were.value(name).map(<[u8]>::to_vec),
            None => abi::header(self.filter, Map::Response, name),
        }
    }
}

impl Facts<StreamFact> for AtTrailers {
    fn ask(&self, fact: StreamFact) -> Answer<Vec<u8>> {
        self.0.ask(fact)
    }
}

impl Facts<ResponseFact> for AtTrailers {
    fn ask(&self, fact: ResponseFact) -> Answer<Vec<u8>> {
        self.0.ask(fact)
    }
}

impl ResponsePhase for AtTrailers {
    type Headers = Headers;

    fn headers(&self) -> Headers {
        self.0.headers()
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.0.header(name)
    }
}

impl TrailersPhase for AtTrailers {
    fn trailer(&self, name: &str) -> Option<Vec<u8>> {
        abi::header(self.0.filter, Map::ResponseTrailers, name)
    }
}

impl BodyPhase for AtBody {
    fn chunk(&self, size: usize) -> Option<Vec<u8>> {
        abi::passing_bytes(self.0).filter(|chunk| chunk.len() == size)
    }
}
