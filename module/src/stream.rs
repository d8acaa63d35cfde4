//! One stream of Envoy's: each hook is an event for the core, and what the core wants done follows once no lock is held.
//!
//! Envoy may destroy a stream while a local reply of its is sent, in the middle of the hook that sends it. So a hook holds its stream until it
//! returns, and asks after each reply whether there still is one.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use seawall_policy::environment::effects::{Action, Effect, Effects};
use seawall_policy::environment::facts::ResponsePhase;
use seawall_policy::stream::Stream;
use seawall_policy::worker::Worker;

use crate::abi::{self, Filter};
use crate::configuration::Configuration;
use crate::effects::apply;
use crate::environment::Module;
use crate::facts::{AtBody, AtRequest, AtResponse, AtTrailers};
use crate::headers::Headers;
use crate::thread::{AfterTick, StreamKey, Thread};
use crate::{attempts, threads, ticks};

/// One stream.
#[derive(Debug)]
pub(crate) struct HttpStream {
    configuration: Arc<Configuration>,
    thread: Arc<Thread>,
    key: StreamKey,
    filter: Filter,
    /// The response's headers, where Envoy cannot be asked for them later.
    response: RefCell<Option<Headers>>,
    /// Whether Envoy has destroyed it: its filter is no more.
    is_over: Cell<bool>,
}

impl HttpStream {
    /// A stream that begins on this thread.
    pub(crate) fn new(configuration: &Arc<Configuration>, filter: Filter) -> Self {
        let thread = threads::here();
        let key = thread.lock().begin(filter);
        Self {
            configuration: Arc::clone(configuration),
            thread,
            key,
            filter,
            response: RefCell::default(),
            is_over: Cell::new(false),
        }
    }

    /// The headers of the request are there.
    pub(crate) fn request_headers(&self, end_of_stream: bool) -> Action {
        let facts = AtRequest(self.filter);
        self.decided(
            |core, worker, out| core.request_headers(worker, &facts, end_of_stream, out),
            |core, worker, out| core.replied_to_request(worker, &facts, true, out),
        )
    }

    /// The last byte of the request is there.
    pub(crate) fn request_ended(&self) {
        self.thread
            .lock()
            .event(&self.configuration, self.key, |core, worker| {
                core.request_ended(worker);
            });
    }

    /// The headers of the response are there.
    pub(crate) fn response_headers(&self, end_of_stream: bool) -> Action {
        let facts = AtResponse::now(self.filter);
        if !abi::keeps_headers() {
            self.response.replace(Some(facts.headers()));
        }
        self.decided(
            |core, worker, out| core.response_headers(worker, &facts, end_of_stream, out),
            |core, worker, out| core.replied_to_response(worker, &facts, true, out),
        )
    }

    /// What the core decides in an event, and what it does about its own local reply: Envoy takes every one, and the core is told so before it is
    /// sent, since the stream may be over afterwards.
    fn decided(
        &self,
        event: impl FnOnce(&mut Stream<Headers>, &mut Worker<Module>, &mut Effects) -> Action,
        replied: impl Fn(&mut Stream<Headers>, &mut Worker<Module>, &mut Effects) -> Action,
    ) -> Action {
        let (mut effects, mut out) = (Vec::new(), Effects::NONE);
        let mut inside = self.thread.lock();
        let mut action = inside.event(&self.configuration, self.key, |core, worker| {
            event(core, worker, &mut out)
        });
        loop {
            let more = out.take();
            let replies = more.iter().any(|effect| matches!(effect, Effect::Reply(_)));
            effects.extend(more);
            if !replies {
                break;
            }
            action = inside.event(&self.configuration, self.key, |core, worker| {
                replied(core, worker, &mut out)
            });
        }
        drop(inside);
        self.apply(effects);
        match self.is_over.get() {
            true => Action::Pause,
            false => action.unwrap_or(Action::Continue),
        }
    }

    /// What can be asked about the response after its headers.
    fn later(&self) -> AtResponse {
        AtResponse::later(self.filter, self.response.borrow().as_ref())
    }

    /// A chunk of the response's body passes.
    pub(crate) fn response_body(&self, end_of_stream: bool) {
        let (facts, body) = (self.later(), AtBody(self.filter));
        let chunk = (abi::passing_size(self.filter), end_of_stream);
        self.thread
            .lock()
            .event(&self.configuration, self.key, |core, worker| {
                core.response_body::<Module>(worker, &facts, &body, chunk);
            });
    }

    /// The trailers of the response are there.
    pub(crate) fn response_trailers(&self) {
        let facts = AtTrailers(self.later());
        self.thread
            .lock()
            .event(&self.configuration, self.key, |core, worker| {
                core.response_trailers(worker, &facts);
            });
    }

    /// The request is over, and is logged next.
    pub(crate) fn complete(&self) {
        let facts = self.later();
        self.thread
            .lock()
            .event(&self.configuration, self.key, |core, worker| {
                core.log(worker, &facts);
            });
    }

    /// The thread was woken by this stream.
    pub(crate) fn woken(&self) {
        let after = self.thread.lock().tick_if_due();
        self.settle(after);
    }

    /// Envoy destroys the stream. What it holds is given back here, whatever came before: behind the router no other hook tells of the end.
    pub(crate) fn end(&self) {
        // Whatever panics: nobody may speak to it any more.
        let _gone = Gone(self);
        let (facts, mut out) = (self.later(), Effects::NONE);
        self.thread
            .lock()
            .event(&self.configuration, self.key, |core, worker| {
                core.done(worker, &facts, &mut out);
            });
        self.apply(out.take());
    }

    fn apply(&self, effects: Vec<Effect>) {
        apply(self.filter, effects, || !self.is_over.get());
    }

    fn settle(&self, after: AfterTick) {
        for (number, context) in after.parked {
            let found = self.thread.lock().look_at(number, context);
            if let Some((filter, mut effects)) = found {
                apply(filter, effects.take(), || self.thread.lock().has(context));
            }
        }
        self.thread.lock().looked_at();
        ticks::queue(&self.thread, after.health_checks);
    }
}

/// Takes a stream out of everything that knows it.
struct Gone<'a>(&'a HttpStream);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let stream = self.0;
        stream.is_over.set(true);
        attempts::forget(stream.filter);
        let mut inside = stream.thread.lock();
        inside.end(stream.key);
        // It may have been woken for a tick: another stream does that. In this hook no other stream may be spoken to.
        inside.wake_a_stream();
    }
}
