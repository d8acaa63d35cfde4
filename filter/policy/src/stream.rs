//! One stream, in whichever of the two positions it turns out to stand.
//!
//! A root may be told its position by its name ([`crate::position`]). Otherwise the same configuration in both positions is the same root to
//! Envoy, so that only the stream itself can tell: the router counts attempts, and before it the count is 0.

use crate::attempt::{self, Attempt};
use crate::environment::Environment;
use crate::environment::effects::{Action, Effects};
use crate::environment::facts::{Facts, StreamFact};
use crate::environment::headers::HeaderMap;
use crate::position::FilterPosition;
use crate::request::HttpRequest;
use crate::worker::Worker;

/// One stream: the events that a body tells the core of it. Each leaves behind what is to be done.
#[derive(Debug)]
pub struct Stream<H>(Position<H>);

#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "each stream stands in a box of its own, and most are requests"
)]
enum Position<H> {
    /// A client's request, before the router.
    Request(HttpRequest<H>),
    /// An attempt, behind it.
    Attempt(Attempt),
}

impl<H: HeaderMap> Stream<H> {
    /// A stream of this context.
    pub fn new(context: u32) -> Self {
        Self(Position::Request(HttpRequest::new(context)))
    }

    /// The headers of the request are there.
    pub fn request_headers<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        end_of_stream: bool,
        out: &mut Effects,
    ) -> Action {
        let number = match worker.position {
            Some(FilterPosition::Downstream) => 0,
            Some(FilterPosition::Upstream) | None => {
                facts.number(StreamFact::AttemptCount).unwrap_or(0)
            }
        };
        if worker.position == Some(FilterPosition::Upstream) && number == 0 {
            // No router has seen it: nothing is known of it.
            return Action::Continue;
        }
        if let Position::Request(request) = &self.0
            && number > 0
        {
            self.0 = Position::Attempt(Attempt::new(request.context(), number));
        }
        match &mut self.0 {
            Position::Request(request) => {
                request.request_headers(worker, facts, end_of_stream, out)
            }
            Position::Attempt(attempt) => attempt.request_headers(worker, facts, out),
        }
    }

    /// Whether the host took the local reply that the last event, one about the request's headers, left behind.
    pub fn replied_to_request<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        accepted: bool,
        out: &mut Effects,
    ) -> Action {
        match &mut self.0 {
            Position::Request(request) => request.replied_to_request(worker, facts, accepted, out),
            Position::Attempt(attempt) => attempt.replied(worker, facts, accepted, out),
        }
    }

    /// The last byte of the request is there.
    pub fn request_ended<E: Environment<Headers = H>>(&mut self, worker: &mut Worker<E>) {
        if let Position::Request(request) = &mut self.0 {
            request.request_ended(worker);
        }
    }

    /// The headers of the response are there.
    pub fn response_headers<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        end_of_stream: bool,
        out: &mut Effects,
    ) -> Action {
        match &mut self.0 {
            Position::Request(request) => {
                request.response_headers(worker, facts, end_of_stream, out)
            }
            Position::Attempt(attempt) => {
                attempt.response_headers(worker, facts, out);
                Action::Continue
            }
        }
    }

    /// Whether the host took the local reply that the last event, one about the response's headers, left behind.
    pub fn replied_to_response<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        accepted: bool,
        out: &mut Effects,
    ) -> Action {
        match &mut self.0 {
            Position::Request(request) => request.replied_to_response(worker, facts, accepted, out),
            Position::Attempt(_) => Action::Continue,
        }
    }

    /// A chunk of the response's body passes, of so many bytes, and whether it is the last.
    pub fn response_body<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        body: &E::Body,
        chunk: (usize, bool),
    ) {
        if let Position::Request(request) = &mut self.0 {
            request.response_body(worker, facts, body, chunk);
        }
    }

    /// The trailers of the response are there.
    pub fn response_trailers<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Trailers,
    ) {
        if let Position::Request(request) = &mut self.0 {
            request.response_trailers(worker, facts);
        }
    }

    /// The request is over, and is logged.
    pub fn log<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
    ) {
        if let Position::Request(request) = &mut self.0 {
            request.on_end(worker, facts);
        }
    }

    /// The stream is over. A request that was not logged before never is, or only when its context is gone: so Envoy does
    /// with HTTP/3, where it logs once the client has acknowledged the response.
    pub fn done<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        out: &mut Effects,
    ) {
        match &mut self.0 {
            Position::Request(request) => request.on_end(worker, facts),
            Position::Attempt(attempt) => attempt.done(worker, facts, out),
        }
    }
}

/// A hedge that waits is looked at, after a tick: [`Worker::parked`] says which do. The effects are for its own stream.
pub fn look_at_parked<E: Environment>(
    worker: &mut Worker<E>,
    context: u32,
    facts: (&E::Response, &E::Request),
    out: &mut Effects,
) {
    attempt::leave_parking(worker, context, facts, out);
}
