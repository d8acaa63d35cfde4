//! The Wasm body of the core: which host call answers which fact, and what each effect is to the host.

use std::fmt;

use seawall_policy::environment::Environment;
use seawall_policy::environment::effects::{Effect, Effects, HeadersOf};
use seawall_policy::environment::facts::{
    Answer, BodyPhase, Facts, RequestPhase, ResponseFact, ResponsePhase, RouteFact, StreamFact,
    TrailersPhase,
};

use crate::host::headers::{Map, Pairs};
use crate::host::{body, properties, reply, streams};

/// The property in which both positions of the filter keep the attempts of a request.
const ATTEMPTS: &str = "seawall.attempts";

/// What the host offers at any time; its capabilities stand in [`crate::host`], one file for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wasm;

/// The headers of a request are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtRequest;

/// The headers of a response are there, or were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtResponse;

/// A chunk of a response's body passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtBody;

/// The trailers of a response are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtTrailers;

impl Environment for Wasm {
    type Headers = Pairs;
    type Request = AtRequest;
    type Response = AtResponse;
    type Body = AtBody;
    type Trailers = AtTrailers;

    fn stream(&self, context: u32) -> Option<AtResponse> {
        streams::speak_for(context).then_some(AtResponse)
    }

    fn keep_attempts(&self, context: u32, attempts: &[u8]) -> bool {
        streams::speak_for(context) && properties::set(ATTEMPTS, attempts)
    }
}

/// A fact that is a property of the host.
trait Property: Copy + fmt::Debug {
    /// Its path, parts separated by NUL.
    fn path(self) -> &'static str;

    fn read(self) -> Answer<Vec<u8>> {
        properties::bytes(self.path()).map_or(Answer::Absent, Answer::Known)
    }
}

impl Property for StreamFact {
    fn path(self) -> &'static str {
        match self {
            Self::ConnectionId => "connection\0id",
            Self::PeerAddress => "source\0address",
            Self::PeerUriSan => "connection\0uri_san_peer_certificate",
            Self::AttemptCount => "upstream\0request_attempt_count",
            Self::AttemptState => ATTEMPTS,
            Self::Direction => "xds\0listener_direction",
        }
    }
}

impl Property for RouteFact {
    fn path(self) -> &'static str {
        match self {
            Self::Cluster => "xds\0cluster_name",
            Self::Route => "xds\0route_name",
            Self::VirtualHost => "xds\0virtual_host_name",
            Self::FilterChain => "xds\0filter_chain_name",
            Self::ListenerPort => "destination\0port",
            Self::Policy => "xds\0route_metadata\0filter_metadata\0seawall\0policy",
            Self::Priority => "xds\0route_metadata\0filter_metadata\0seawall\0priority",
            Self::Timeout => "xds\0route_metadata\0filter_metadata\0seawall\0timeout",
            Self::ArrivedAt => "request\0time",
        }
    }
}

impl Property for ResponseFact {
    fn path(self) -> &'static str {
        match self {
            Self::Flags => "response\0flags",
            Self::Details => "response\0code_details",
            Self::UpstreamAddress => "upstream\0address",
            Self::PoolReady => "upstream\0cx_pool_ready_duration",
            Self::TransportFailure => "upstream\0transport_failure_reason",
        }
    }
}

impl Facts<StreamFact> for AtRequest {
    fn ask(&self, fact: StreamFact) -> Answer<Vec<u8>> {
        fact.read()
    }
}

impl Facts<RouteFact> for AtRequest {
    fn ask(&self, fact: RouteFact) -> Answer<Vec<u8>> {
        fact.read()
    }
}

impl RequestPhase for AtRequest {
    type Headers = Pairs;

    fn headers(&self) -> Pairs {
        Map::Request.pairs()
    }
}

impl<Fact: Property> Facts<Fact> for AtResponse
where
    Fact: OfResponse,
{
    fn ask(&self, fact: Fact) -> Answer<Vec<u8>> {
        fact.read()
    }
}

impl<Fact: Property> Facts<Fact> for AtTrailers
where
    Fact: OfResponse,
{
    fn ask(&self, fact: Fact) -> Answer<Vec<u8>> {
        fact.read()
    }
}

/// A fact that is known from the response's headers on.
trait OfResponse {}

impl OfResponse for StreamFact {}
impl OfResponse for ResponseFact {}

impl ResponsePhase for AtResponse {
    type Headers = Pairs;

    fn headers(&self) -> Pairs {
        Map::Response.pairs()
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        Map::Response.value(name)
    }
}

impl ResponsePhase for AtTrailers {
    type Headers = Pairs;

    fn headers(&self) -> Pairs {
        AtResponse.headers()
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        AtResponse.header(name)
    }
}

impl TrailersPhase for AtTrailers {
    fn trailer(&self, name: &str) -> Option<Vec<u8>> {
        Map::ResponseTrailers.value(name)
    }
}

impl BodyPhase for AtBody {
    fn chunk(&self, size: usize) -> Option<Vec<u8>> {
        body::answer_chunk(size)
    }
}

/// Does what is to be done on the stream at work; says whether the host took a local reply, if one was among it.
pub(crate) fn apply(effects: &mut Effects) -> Option<bool> {
    if effects.is_empty() {
        return None;
    }
    let mut replied = None;
    for effect in effects.take() {
        match effect {
            Effect::SetHeader(of, name, value) => map(of).set(&name, &value),
            Effect::RemoveHeader(of, name) => map(of).remove(&name),
            Effect::LogField(key, value) => drop(properties::set(key, value.as_bytes())),
            Effect::KeepAttempts(bytes) => drop(properties::set(ATTEMPTS, &bytes)),
            Effect::Reply(reply) => replied = Some(reply::send(&reply)),
            Effect::Resume => streams::resume(),
        }
    }
    replied
}

const fn map(of: HeadersOf) -> Map {
    match of {
        HeadersOf::Request => Map::Request,
        HeadersOf::Response => Map::Response,
    }
}
