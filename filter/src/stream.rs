//! A stream of the host: each callback is an event for the core, and what the core wants done follows.

use seawall_policy::environment::effects::{Action, Effects};
use seawall_policy::stream::Stream;

use crate::body::{AtBody, AtRequest, AtResponse, AtTrailers, Wasm, apply};
use crate::host::headers::Pairs;
use crate::worker::{SharedWorker, with};

/// One stream and the worker of its root.
#[derive(Debug)]
pub(crate) struct HttpStream {
    worker: SharedWorker,
    core: Stream<Pairs>,
}

impl HttpStream {
    /// A stream of the root that this worker belongs to.
    pub(crate) fn new(worker: SharedWorker, context: u32) -> Self {
        Self {
            worker,
            core: Stream::new(context),
        }
    }

    /// The headers of the request are there.
    pub(crate) fn request_headers(&mut self, end_of_stream: bool) -> Action {
        let mut out = Effects::NONE;
        let (worker, core) = (&self.worker, &mut self.core);
        let mut action = with(worker, |worker| {
            core.request_headers(worker, &AtRequest, end_of_stream, &mut out)
        });
        while let Some(accepted) = apply(&mut out) {
            action = with(worker, |worker| {
                core.replied_to_request(worker, &AtRequest, accepted, &mut out)
            });
        }
        action.unwrap_or(Action::Continue)
    }

    /// The last byte of the request is there.
    pub(crate) fn request_ended(&mut self) {
        with(&self.worker, |worker| self.core.request_ended(worker));
    }

    /// The headers of the response are there.
    pub(crate) fn response_headers(&mut self, end_of_stream: bool) -> Action {
        let mut out = Effects::NONE;
        let (worker, core) = (&self.worker, &mut self.core);
        let mut action = with(worker, |worker| {
            core.response_headers(worker, &AtResponse, end_of_stream, &mut out)
        });
        while let Some(accepted) = apply(&mut out) {
            action = with(worker, |worker| {
                core.replied_to_response(worker, &AtResponse, accepted, &mut out)
            });
        }
        action.unwrap_or(Action::Continue)
    }

    /// A chunk of the response's body passes.
    pub(crate) fn response_body(&mut self, size: usize, end_of_stream: bool) {
        let chunk = (size, end_of_stream);
        with(&self.worker, |worker: &mut _| {
            self.core
                .response_body::<Wasm>(worker, &AtResponse, &AtBody, chunk);
        });
    }

    /// The trailers of the response are there.
    pub(crate) fn response_trailers(&mut self) {
        with(&self.worker, |worker| {
            self.core.response_trailers(worker, &AtTrailers);
        });
    }

    /// The request is over.
    pub(crate) fn log(&mut self) {
        with(&self.worker, |worker| self.core.log(worker, &AtResponse));
    }

    /// The stream is over.
    pub(crate) fn done(&mut self) {
        let mut out = Effects::NONE;
        with(&self.worker, |worker| {
            self.core.done(worker, &AtResponse, &mut out);
        });
        apply(&mut out);
    }
}
