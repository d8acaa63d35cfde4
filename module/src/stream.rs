//! One stream of Envoy's: each hook is an event for the core, and what the core wants done follows once no lock is held.

use std::sync::Arc;

use seawall_policy::environment::effects::{Action, Effects};

use crate::abi::{self, Filter};
use crate::configuration::Configuration;
use crate::effects::apply;
use crate::environment::Module;
use crate::facts::{AtBody, AtRequest, AtResponse, AtTrailers};
use crate::thread::{AfterTick, Place, Thread};
use crate::{attempts, ticks};

/// One stream.
#[derive(Debug)]
pub(crate) struct HttpStream {
    configuration: Arc<Configuration>,
    thread: Arc<Thread>,
    place: Place,
    filter: Filter,
}

impl HttpStream {
    /// A stream that begins on this thread.
    pub(crate) fn new(configuration: &Arc<Configuration>, filter: Filter) -> Self {
        let thread = Thread::here();
        let place = thread.lock().begin(filter);
        Self {
            configuration: Arc::clone(configuration),
            thread,
            place,
            filter,
        }
    }

    /// The headers of the request are there.
    pub(crate) fn request_headers(&self, end_of_stream: bool) -> Action {
        let (facts, mut out) = (AtRequest(self.filter), Effects::NONE);
        let mut action =
            self.thread
                .lock()
                .event(&self.configuration, self.place, |core, worker| {
                    core.request_headers(worker, &facts, end_of_stream, &mut out)
                });
        while let Some(accepted) = apply(self.filter, &mut out) {
            action = self
                .thread
                .lock()
                .event(&self.configuration, self.place, |core, worker| {
                    core.replied_to_request(worker, &facts, accepted, &mut out)
                });
        }
        action.unwrap_or(Action::Continue)
    }

    /// The last byte of the request is there.
    pub(crate) fn request_ended(&self) {
        self.thread
            .lock()
            .event(&self.configuration, self.place, |core, worker| {
                core.request_ended(worker);
            });
    }

    /// The headers of the response are there.
    pub(crate) fn response_headers(&self, end_of_stream: bool) -> Action {
        let (facts, mut out) = (AtResponse(self.filter), Effects::NONE);
        let mut action =
            self.thread
                .lock()
                .event(&self.configuration, self.place, |core, worker| {
                    core.response_headers(worker, &facts, end_of_stream, &mut out)
                });
        while let Some(accepted) = apply(self.filter, &mut out) {
            action = self
                .thread
                .lock()
                .event(&self.configuration, self.place, |core, worker| {
                    core.replied_to_response(worker, &facts, accepted, &mut out)
                });
        }
        action.unwrap_or(Action::Continue)
    }

    /// A chunk of the response's body passes.
    pub(crate) fn response_body(&self, end_of_stream: bool) {
        let (facts, body) = (AtResponse(self.filter), AtBody(self.filter));
        let chunk = (abi::passing_size(self.filter), end_of_stream);
        self.thread
            .lock()
            .event(&self.configuration, self.place, |core, worker| {
                core.response_body::<Module>(worker, &facts, &body, chunk);
            });
    }

    /// The trailers of the response are there.
    pub(crate) fn response_trailers(&self) {
        let facts = AtTrailers(self.filter);
        self.thread
            .lock()
            .event(&self.configuration, self.place, |core, worker| {
                core.response_trailers(worker, &facts);
            });
    }

    /// The request is over, and is logged next.
    pub(crate) fn complete(&self) {
        let facts = AtResponse(self.filter);
        self.thread
            .lock()
            .event(&self.configuration, self.place, |core, worker| {
                core.log(worker, &facts);
            });
    }

    /// The thread was woken by this stream.
    pub(crate) fn woken(&self) {
        let after = self.thread.lock().tick_if_due();
        self.settle(after);
    }

    fn settle(&self, after: AfterTick) {
        for (filter, mut effects) in after.effects {
            // A hedge was never answered before: nobody is to be told whether this reply was taken.
            apply(filter, &mut effects);
        }
        ticks::queue(&self.thread, after.health_checks);
    }
}

impl Drop for HttpStream {
    /// The stream is over. What it holds is given back here, whatever came before: behind the router no other hook tells of the end.
    fn drop(&mut self) {
        let (facts, mut out) = (AtResponse(self.filter), Effects::NONE);
        let mut inside = self.thread.lock();
        inside.event(&self.configuration, self.place, |core, worker| {
            core.done(worker, &facts, &mut out);
        });
        inside.end(self.place);
        let after = inside.tick_if_due();
        drop(inside);
        apply(self.filter, &mut out);
        attempts::forget(self.filter);
        self.settle(after);
    }
}
