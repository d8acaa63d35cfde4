//! The last good answer to a request: taken along as it passes, and given when there is no other.
//!
//! An answer is looked at once a second and key, at its headers; only then its body is taken along, chunk by chunk, while it
//! goes to the client undelayed. Whether it came whole shows only in `on_log`, where it is kept. A VM captures no more than
//! a few at a time; what a stream took goes with the stream, or earlier: where all places are taken, who
//! took the longest gives way, so that a few answers that never end do not keep all others out.

use crate::admission::Reason;
use crate::environment::Environment;
use crate::environment::effects::{Effects, Reply};
use crate::environment::facts::{BodyPhase, Facts, ResponsePhase, RouteFact};
use crate::environment::headers::HeaderMap;
use crate::policy::Policy;
use crate::stale::{
    CacheableResponse, NotStored, Outcome, RequestDirectives, Scope, StoredResponse, find, forget,
    keep,
};
use crate::telemetry::InternalEvent;
use crate::text;
use crate::time::Span;
use crate::worker::{CapturedBody, Worker};

use super::Answered;
use super::local_reply::{DEGRADED, LocalReplyCause, LogFields};
use crate::response_facts;

/// What tells the way of a request apart; a listener has no name that a filter could read.
const PLACE: [RouteFact; 4] = [
    RouteFact::Route,
    RouteFact::VirtualHost,
    RouteFact::FilterChain,
    RouteFact::ListenerPort,
];
/// What kept header lines are remembered of a request: a longer head is nobody's plain question, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1_024;

/// A request whose response may be kept, or that may be given a kept one.
#[derive(Debug)]
pub(crate) struct Exchange<H> {
    asked: RequestDirectives,
    /// The request's header lines, which are gone when the response comes: its `Vary` may name any of them.
    lines: H,
    max_age: Span,
    capture: Option<Capture>,
}

/// A response that is captured.
#[derive(Debug)]
struct Capture {
    offer: CacheableResponse,
    body: CapturedBody,
    heat: u8,
    ended: bool,
}

impl<H: HeaderMap> Exchange<H> {
    /// Reads a request to this cluster; nothing if it has nothing to do with stale responses. `ended` says that it has no
    /// body.
    pub(crate) fn read<E: Environment<Headers = H>>(
        worker: &Worker<E>,
        policy: &Policy,
        cluster: &str,
        lines: &H,
        facts: &E::Request,
        ended: bool,
    ) -> Option<Box<Self>> {
        let settings = policy.fallback.stale()?;
        let method = lines.value(":method");
        if ![Some(&b"GET"[..]), Some(b"HEAD")].contains(&method) || lines.size() > HEAD_BYTES_MAX {
            return None;
        }
        let place = || PLACE.map(|fact| facts.bytes(fact).unwrap_or_default());
        let scope = Scope {
            policy: &policy.name,
            cluster,
            place: &place,
            deadlines: &policy.time.propagate,
            // Without it nothing is kept: the host has no shared data then, or no randomness.
            secret: worker.vm.process_key(&worker.env)?,
        };
        let now = worker.env.now();
        let asked = RequestDirectives::read(scope, lines, ended, settings, now)?;
        Some(Box::new(Self {
            asked,
            lines: lines.clone(),
            max_age: settings.max_age,
            capture: None,
        }))
    }

    /// The headers of a good response are there: decides whether it is captured.
    pub(crate) fn answered<E: Environment<Headers = H>>(
        &mut self,
        worker: &Worker<E>,
        facts: &E::Response,
        answered: &Answered,
    ) -> Option<InternalEvent> {
        let (status, ended) = (answered.status, answered.end_of_stream);
        if !self.asked.is_told_by(status) {
            return None;
        }
        let mut sampling = worker.vm.sampling.try_borrow_mut().ok()?;
        let heat = sampling.sample(&self.asked)?;
        if !response_facts::is_upstreams(facts, answered.origin) {
            return None;
        }
        let lines = facts.headers();
        let offer = match CacheableResponse::read(&self.asked, &self.lines, status, &lines, ended) {
            Ok(offer) => offer,
            Err(unkept) => {
                // What is not known to be forgotten gets too old by itself.
                let _ = forget(&worker.env, &self.asked);
                return (unkept == NotStored::PerClient)
                    .then_some(InternalEvent::Stale("per_client"));
            }
        };
        let Some(body) = worker.vm.capture(worker.env.now()) else {
            return Some(InternalEvent::Stale("no_room"));
        };
        self.capture = Some(Capture {
            offer,
            body,
            heat,
            ended,
        });
        None
    }

    /// A chunk of the response's body passes.
    pub(crate) fn chunk(&mut self, facts: &impl BodyPhase, size: usize, ended: bool) {
        let Some(capture) = &mut self.capture else {
            return;
        };
        let Ok(mut place) = capture.body.try_borrow_mut() else {
            return;
        };
        let Some(body) = place.as_mut() else {
            return;
        };
        let fits = body.len().saturating_add(size) <= capture.offer.room;
        let chunk = match size {
            0 => Some(Vec::new()),
            size => fits.then(|| facts.chunk(size)).flatten(),
        };
        match chunk {
            Some(chunk) => {
                body.extend_from_slice(&chunk);
                capture.ended = ended;
            }
            None => {
                drop(place);
                self.capture = None;
            }
        }
    }

    /// The request is over: keeps the response if it came whole.
    pub(crate) fn over<E: Environment<Headers = H>>(
        &mut self,
        worker: &Worker<E>,
        facts: &E::Response,
    ) -> Option<InternalEvent> {
        let capture = self.capture.take()?;
        let Some(body) = capture.body.try_borrow_mut().ok()?.take() else {
            return Some(InternalEvent::Stale("no_room"));
        };
        if !capture.ended || response_facts::flags_told(facts) != 0 {
            return Some(InternalEvent::Stale("broken"));
        }
        let Capture { offer, heat, .. } = &capture;
        let (env, now) = (&worker.env, worker.env.now());
        let outcome = keep(env, &self.asked, offer, &body, *heat, now);
        Some(InternalEvent::Stale(match outcome {
            Ok(Outcome::Kept) => "kept",
            Ok(Outcome::Rests) => "rests",
            Ok(Outcome::Broken) => "broken",
            Ok(Outcome::Lost) | Err(_) => "lost",
        }))
    }

    /// Gives a kept response, and says how many seconds old it was; nothing if there is none.
    pub(crate) fn give<E: Environment<Headers = H>>(
        &self,
        worker: &Worker<E>,
        policy: &Policy,
        need: LocalReplyCause,
        out: &mut Effects,
    ) -> Option<u64> {
        let mut given = None;
        let mut give = |slot: StoredResponse, age: Span| {
            let seconds = age.as_secs_ceil();
            let age = text::written(seconds);
            let mut reply = Reply {
                status: slot.status,
                details: need.details().into(),
                body: slot.body,
                ..Reply::default()
            };
            let kept = slot.headers.into_iter();
            let kept = kept.map(|(name, value)| (name.into(), value.into()));
            reply.headers.extend(kept);
            reply.header("age", age.clone());
            if policy.answer_headers {
                reply.header(DEGRADED, "stale");
                reply.header(Reason::HEADER, need.name());
            }
            let about = LogFields {
                policy: &policy.name,
                decision: "degraded",
                reason: need.name(),
            };
            about.set_degraded("stale", out);
            out.log_field("seawall.age", age);
            out.reply(reply);
            given = Some(seconds);
        };
        let (env, now) = (&worker.env, worker.env.now());
        let found = find(env, &self.asked, &self.lines, self.max_age, now, &mut give);
        given.filter(|_| found == Ok(true))
    }
}
