//! What answers a guest's own calls: clusters by name, each with somebody who answers, nobody, or a test that answers by hand.
//!
//! An answer says what comes and how much later. What never comes ends by the call's time-out, as in Envoy: a 504, or gRPC
//! status 14.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::stream::{HeaderMap, headers};

/// An HTTP call of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCall {
    /// The cluster that it is for.
    pub cluster: String,
    /// Its headers, `content-length` of a body among them.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: HeaderMap,
    /// How long it may take, in nanoseconds; without it, for ever.
    pub timeout: Option<u64>,
}

/// The answer to an HTTP call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// Its headers, `:status` among them.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: HeaderMap,
}

impl HttpResponse {
    /// An answer of a status and a body.
    pub fn new(status: u16, body: &str) -> Self {
        let (status, length) = (status.to_string(), body.len().to_string());
        Self {
            headers: headers(&[(":status", &status), ("content-length", &length)]),
            body: body.as_bytes().to_vec(),
            trailers: HeaderMap::new(),
        }
    }

    /// An answer that Envoy gives in the upstream's place.
    fn local(status: u16, body: &str) -> Self {
        let mut response = Self::new(status, body);
        let kind = (b"content-type".to_vec(), b"text/plain".to_vec());
        response.headers.push(kind);
        response
    }
}

/// What becomes of an HTTP call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpOutcome {
    /// An answer.
    Response(HttpResponse),
    /// The connection is refused: Envoy makes a 503 of it.
    Refused,
    /// The answer breaks off: the guest sees no headers and status 11.
    Broken,
    /// Nothing, until the call's time-out.
    Never,
}

impl HttpOutcome {
    /// What the guest sees: an answer, or nothing if it broke off.
    pub(super) fn seen(self) -> Option<HttpResponse> {
        match self {
            Self::Response(response) => Some(response),
            Self::Refused => Some(HttpResponse::local(
                503,
                &reset("remote connection failure"),
            )),
            Self::Broken => None,
            Self::Never => Some(HttpResponse::local(504, TIMED_OUT)),
        }
    }
}

pub(super) const TIMED_OUT: &str = "upstream request timeout";

pub(super) fn reset(reason: &str) -> String {
    format!("upstream connect error or disconnect/reset before headers. reset reason: {reason}")
}

/// A gRPC call or stream of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcCall {
    /// The cluster that it is for.
    pub cluster: String,
    /// The service's name.
    pub service: String,
    /// The method's name.
    pub method: String,
    /// Its initial metadata.
    pub metadata: HeaderMap,
    /// The message of a call; a stream has none yet.
    pub message: Vec<u8>,
    /// How long a call may take, in nanoseconds; without it, for ever.
    pub timeout: Option<u64>,
}

/// What becomes of a gRPC call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrpcOutcome {
    /// The answer's message: `proxy_on_grpc_receive`, and nothing after it.
    Message(Vec<u8>),
    /// A status and its message: `proxy_on_grpc_close`.
    Status(u32, String),
    /// Nothing, until the call's time-out.
    Never,
}

/// What comes on a gRPC stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrpcEvent {
    /// The initial metadata.
    InitialMetadata(HeaderMap),
    /// A message.
    Message(Vec<u8>),
    /// The trailing metadata.
    TrailingMetadata(HeaderMap),
    /// The end: a status and its message.
    Close(u32, String),
}

/// Who answers the calls to a cluster. Times are in nanoseconds from the call. It is asked from inside of a host call, so
/// it must not drive the process.
pub trait Upstream {
    /// Answers an HTTP call.
    fn http(&self, _call: &HttpCall) -> (u64, HttpOutcome) {
        (0, HttpOutcome::Response(HttpResponse::new(404, "")))
    }

    /// Answers a gRPC call.
    fn grpc(&self, _call: &GrpcCall) -> (u64, GrpcOutcome) {
        (0, GrpcOutcome::Status(12, "unimplemented".to_owned()))
    }

    /// What comes on a gRPC stream that was just opened.
    fn opened(&self, _call: &GrpcCall) -> Vec<(u64, GrpcEvent)> {
        Vec::new()
    }

    /// What comes on a gRPC stream after a message of the guest; `end` is that it was the last.
    fn sent(&self, _call: &GrpcCall, _message: &[u8], _end: bool) -> Vec<(u64, GrpcEvent)> {
        Vec::new()
    }
}

/// Answers every HTTP call by a function.
pub struct Answers<F>(pub F);

impl<F: Fn(&HttpCall) -> (u64, HttpOutcome)> Upstream for Answers<F> {
    fn http(&self, call: &HttpCall) -> (u64, HttpOutcome) {
        (self.0)(call)
    }
}

/// A cluster that guests may call.
#[derive(Clone)]
pub enum Cluster {
    /// It has no hosts.
    Empty,
    /// Somebody answers.
    Answered(Rc<dyn Upstream>),
    /// Calls wait until the test answers them: [`crate::process::Process::answer`].
    Held,
}

/// All clusters by name. A name that is not there is an unknown cluster.
pub type Clusters = BTreeMap<String, Cluster>;
