//! One stream, in whichever of the two positions it turns out to stand.
//!
//! The same configuration in both positions is the same root to Envoy, so that only the stream itself can tell: the
//! router counts attempts, and before it the count is 0.

use crate::attempt::Attempt;
use crate::host::action::Action;
use crate::host::properties;
use crate::request::HttpRequest;
use crate::worker::handle::SharedWorker;

/// One stream.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "each stream stands in a box of its own, and most are requests"
)]
pub(crate) enum Stream {
    /// A client's request, before the router.
    Request(HttpRequest),
    /// An attempt, behind it.
    Attempt(Attempt),
}

impl Stream {
    /// A stream of the root that this worker belongs to.
    pub(crate) fn new(worker: SharedWorker) -> Self {
        Self::Request(HttpRequest::new(worker))
    }

    /// The headers of the request are there.
    pub(crate) fn request_headers(&mut self, id: u32, end_of_stream: bool) -> Action {
        let number = properties::number("upstream\0request_attempt_count").unwrap_or(0);
        if let Self::Request(request) = self
            && number > 0
        {
            *self = Self::Attempt(Attempt::new(request.worker(), number));
        }
        match self {
            Self::Request(request) => request.request_headers(id, end_of_stream),
            Self::Attempt(attempt) => attempt.request_headers(id),
        }
    }

    /// The last byte of the request is there.
    pub(crate) fn request_ended(&mut self) {
        if let Self::Request(request) = self {
            request.request_ended();
        }
    }

    /// The headers of the answer are there.
    pub(crate) fn response_headers(&mut self, end_of_stream: bool) -> Action {
        match self {
            Self::Request(request) => request.response_headers(end_of_stream),
            Self::Attempt(attempt) => {
                attempt.response_headers();
                Action::Continue
            }
        }
    }

    /// A chunk of the answer's body passes.
    pub(crate) fn response_body(&mut self, size: usize, end_of_stream: bool) {
        if let Self::Request(request) = self {
            request.response_body(size, end_of_stream);
        }
    }

    /// The trailers of the answer are there.
    pub(crate) fn response_trailers(&mut self) {
        if let Self::Request(request) = self {
            request.response_trailers();
        }
    }

    /// The request is over.
    pub(crate) fn log(&mut self) {
        if let Self::Request(request) = self {
            request.on_end();
        }
    }

    /// The stream is over. A request that was not logged before never is, or only when its context is gone: so Envoy does
    /// with HTTP/3, where it logs once the client has acknowledged the answer.
    pub(crate) fn done(&mut self, id: u32) {
        match self {
            Self::Request(request) => request.on_end(),
            Self::Attempt(attempt) => attempt.done(id),
        }
    }
}
