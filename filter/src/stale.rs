//! The last good answer to a request: taken along as it passes, and given when there is no other.
//!
//! An answer is looked at once a second and key, at its headers; only then its body is taken along, chunk by chunk, while it
//! goes to the client undelayed. Whether it came whole shows only in `on_log`, where it is kept. A VM takes no more than
//! [`CAPTURES_MAX`] along at a time; what a stream took goes with the stream, or earlier: where all places are taken, who
//! took the longest gives way, so that a few answers that never end do not keep all others out.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use seawall_policy::policy::Policy;
use seawall_policy::stale::{
    CacheableResponse, Headers, NotStored, Outcome, RequestDirectives, Sampling, Scope,
    StoredResponse, find, forget, keep,
};
use seawall_policy::text;
use seawall_policy::time::{Span, Timestamp};

use crate::host::headers::{Map, Pairs};
use crate::host::reply::{self, Plain};
use crate::host::shared::Shared;
use crate::host::{body, clock, properties};
use crate::local_reply::{DEGRADED, LocalReplyCause, LogFields, REASON};
use crate::process_key;
use crate::response;
use crate::telemetry::InternalEvent;

/// The most answers whose bodies are taken along at a time, with at most 64 KB each.
const CAPTURES_MAX: usize = 16;
/// Who takes longer gives way to another.
const UNDISTURBED: Span = Span::secs(10);
/// What tells the way of a request apart; a listener has no name that a filter could read.
const PLACE: [&str; 4] = [
    "xds\0route_name",
    "xds\0virtual_host_name",
    "xds\0filter_chain_name",
    "destination\0port",
];
/// What kept header lines are remembered of a request: a longer head is nobody's plain question, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1_024;

thread_local! {
    static RECENT: RefCell<Sampling> = RefCell::new(Sampling::default());
    static PLACES: RefCell<[SharedBody; CAPTURES_MAX]> =
        const { RefCell::new([const { (Timestamp::ZERO, Weak::new()) }; CAPTURES_MAX]) };
}

/// A request whose answer may be kept, or that may be given a kept one.
#[derive(Debug)]
pub(crate) struct Exchange {
    asked: RequestDirectives,
    /// The request's header lines, which are gone when the answer comes: its `Vary` may name any of them.
    lines: Pairs,
    max_age: Span,
    capture: Option<Capture>,
}

/// An answer that is taken along.
#[derive(Debug)]
struct Capture {
    offer: CacheableResponse,
    body: Body,
    heat: u8,
    ended: bool,
}

/// The body of a capture: its stream's, until it has to give way to another.
type Body = Rc<RefCell<Option<Vec<u8>>>>;
/// Since when a place is taken, and by whom, if he is still there.
type SharedBody = (Timestamp, Weak<RefCell<Option<Vec<u8>>>>);

/// A place for a body; nothing if all are taken by others who were not there for long.
fn place() -> Option<Body> {
    PLACES.with(|places| {
        let mut places = places.try_borrow_mut().ok()?;
        let now = clock::now();
        let since = |taken: &SharedBody| match taken.1.strong_count() {
            0 => Timestamp::ZERO,
            _ => taken.0,
        };
        let oldest = places.iter_mut().min_by_key(|taken| since(taken))?;
        if let Some(other) = oldest.1.upgrade() {
            if now.since(oldest.0) < UNDISTURBED {
                return None;
            }
            other.try_borrow_mut().ok()?.take();
        }
        let body = Rc::new(RefCell::new(Some(Vec::new())));
        *oldest = (now, Rc::downgrade(&body));
        Some(body)
    })
}

impl Headers for Pairs {
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in self.iter() {
            see(name, value);
        }
    }
}

impl Exchange {
    /// Reads a request to this cluster; nothing if it has nothing to do with stale answers. `ended` says that it has no
    /// body.
    pub(crate) fn read(
        policy: &Policy,
        cluster: &str,
        lines: &Pairs,
        ended: bool,
    ) -> Option<Box<Self>> {
        let settings = policy.fallback.stale()?;
        let method = lines.value(":method");
        if ![Some(&b"GET"[..]), Some(b"HEAD")].contains(&method) || lines.size() > HEAD_BYTES_MAX {
            return None;
        }
        let place = || PLACE.map(|path| properties::bytes(path).unwrap_or_default());
        let scope = Scope {
            policy: &policy.name,
            cluster,
            place: &place,
            deadlines: &policy.time.propagate,
            // Without it nothing is kept: the host has no shared data then, or no randomness.
            secret: process_key::get()?,
        };
        let asked = RequestDirectives::read(scope, lines, ended, settings, clock::now())?;
        Some(Box::new(Self {
            asked,
            lines: lines.clone(),
            max_age: settings.max_age,
            capture: None,
        }))
    }

    /// The headers of a good answer are there: decides whether it is taken along.
    pub(crate) fn answered(&mut self, status: u16, ended: bool) -> Option<InternalEvent> {
        if !self.asked.is_told_by(status) {
            return None;
        }
        let look = |recent: &RefCell<Sampling>| recent.try_borrow_mut().ok()?.sample(&self.asked);
        let heat = RECENT.with(look)?;
        if !response::is_upstreams() {
            return None;
        }
        let lines = Map::Response.pairs();
        let offer = match CacheableResponse::read(&self.asked, &self.lines, status, &lines, ended) {
            Ok(offer) => offer,
            Err(unkept) => {
                // What is not known to be forgotten gets too old by itself.
                let _ = forget(&Shared, &self.asked);
                return (unkept == NotStored::PerClient)
                    .then_some(InternalEvent::Stale("per_client"));
            }
        };
        let Some(body) = place() else {
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

    /// A chunk of the answer's body passes.
    pub(crate) fn chunk(&mut self, size: usize, ended: bool) {
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
            size => fits.then(|| body::answer_chunk(size)).flatten(),
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

    /// The request is over: keeps the answer if it came whole.
    pub(crate) fn over(&mut self) -> Option<InternalEvent> {
        let capture = self.capture.take()?;
        let Some(body) = capture.body.try_borrow_mut().ok()?.take() else {
            return Some(InternalEvent::Stale("no_room"));
        };
        if !capture.ended || response::flags_told() != 0 {
            return Some(InternalEvent::Stale("broken"));
        }
        let Capture { offer, heat, .. } = &capture;
        let outcome = keep(&Shared, &self.asked, offer, &body, *heat, clock::now());
        Some(InternalEvent::Stale(match outcome {
            Ok(Outcome::Kept) => "kept",
            Ok(Outcome::Rests) => "rests",
            Ok(Outcome::Broken) => "broken",
            Ok(Outcome::Lost) | Err(_) => "lost",
        }))
    }

    /// Gives a kept answer, and says how many seconds old it was; nothing if there is none, or the host did not take it.
    pub(crate) fn give(&self, policy: &Policy, need: LocalReplyCause) -> Option<u64> {
        let mut sent = None;
        let mut give = |slot: &StoredResponse<'_>, age: Span| {
            let seconds = age.as_secs_ceil();
            let age = text::written(seconds);
            let mut headers = slot.headers.clone();
            headers.push((b"age", age.as_bytes()));
            if policy.answer_headers {
                headers.push((DEGRADED.as_bytes(), b"stale"));
                headers.push((REASON.as_bytes(), need.name().as_bytes()));
            }
            let about = LogFields {
                policy: &policy.name,
                decision: "degraded",
                reason: need.name(),
            };
            about.log_degraded("stale");
            properties::set("seawall.age", &age);
            let reply = Plain {
                status: slot.status,
                details: &need.details(),
                headers: &headers,
                body: slot.body,
            };
            sent = reply::send_plain(&reply).then_some(seconds);
        };
        let found = find(
            &Shared,
            &self.asked,
            &self.lines,
            self.max_age,
            clock::now(),
            &mut give,
        );
        sent.filter(|_| found == Ok(true))
    }
}
