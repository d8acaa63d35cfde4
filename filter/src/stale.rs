//! The last good answer to a request: taken along as it passes, and given when there is no other.
//!
//! An answer is looked at once a second and key, at its headers; only then its body is taken along, chunk by chunk, while it
//! goes to the client undelayed. Whether it came whole shows only in `on_log`, where it is kept. A VM takes no more than
//! [`CAPTURES_MAX`] along at a time; what a stream took goes with the stream.

use std::cell::{Cell, RefCell};

use seawall_policy::policy::Policy;
use seawall_policy::stale::{
    Asked, Headers, Offer, Outcome, Recent, Scope, Settings, Slot, find, forget, keep,
};
use seawall_policy::text;
use seawall_policy::time::Span;

use crate::answer::{About, DEGRADED, Need, REASON};
use crate::host::headers::{Map, Pairs};
use crate::host::reply::{self, Plain};
use crate::host::shared::Shared;
use crate::host::{body, clock, properties};
use crate::seen;
use crate::telemetry::Concern;

/// The most answers whose bodies are taken along at a time, with at most 64 KB each.
const CAPTURES_MAX: u32 = 16;
/// What kept header lines are remembered of a request: a longer head is nobody's plain question, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1_024;

thread_local! {
    static RECENT: RefCell<Recent> = RefCell::new(Recent::default());
    static CAPTURES: Cell<u32> = const { Cell::new(0) };
}

/// A request whose answer may be kept, or that may be given a kept one.
#[derive(Debug)]
pub(crate) struct Exchange {
    asked: Asked,
    /// The request's header lines, which are gone when the answer comes: its `Vary` may name any of them.
    lines: Pairs,
    settings: Settings,
    capture: Option<Capture>,
}

/// An answer that is taken along.
#[derive(Debug)]
struct Capture {
    offer: Offer,
    body: Vec<u8>,
    heat: u8,
    ended: bool,
    _place: Place,
}

/// A place among the captures of this VM, given back when it is dropped.
#[derive(Debug)]
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let taken = CAPTURES.get();
        (taken < CAPTURES_MAX).then(|| {
            CAPTURES.set(taken.saturating_add(1));
            Self
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        CAPTURES.set(CAPTURES.get().saturating_sub(1));
    }
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
        let settings = *policy.fallback.stale()?;
        let method = lines.value(":method");
        if ![Some(&b"GET"[..]), Some(b"HEAD")].contains(&method) || lines.size() > HEAD_BYTES_MAX {
            return None;
        }
        let route = properties::text("xds\0route_name").unwrap_or_default();
        let scope = Scope {
            policy: &policy.name,
            cluster,
            route: &route,
        };
        let asked = Asked::read(scope, lines, ended, settings, clock::now())?;
        Some(Box::new(Self {
            asked,
            lines: lines.clone(),
            settings,
            capture: None,
        }))
    }

    /// The headers of a good answer are there: decides whether it is taken along.
    pub(crate) fn answered(&mut self, status: u16, ended: bool) -> Option<Concern> {
        let look = |recent: &RefCell<Recent>| {
            let mut recent = recent.try_borrow_mut().ok()?;
            recent.look(&self.asked, clock::now())
        };
        let heat = RECENT.with(look).filter(|_| self.asked.keeps)?;
        if !seen::is_upstreams() {
            return None;
        }
        let lines = Map::Response.pairs();
        let Some(offer) = Offer::read(&self.asked, &self.lines, status, &lines, ended) else {
            // What is not known to be forgotten gets too old by itself.
            let _ = forget(&Shared, &self.asked, status);
            return None;
        };
        let Some(place) = Place::take() else {
            return Some(Concern::Stale("no_room"));
        };
        self.capture = Some(Capture {
            body: Vec::with_capacity(offer.length.unwrap_or(0)),
            offer,
            heat,
            ended,
            _place: place,
        });
        None
    }

    /// A chunk of the answer's body passes.
    pub(crate) fn chunk(&mut self, size: usize, ended: bool) {
        let Some(capture) = &mut self.capture else {
            return;
        };
        let fits = capture.body.len().saturating_add(size) <= capture.offer.room;
        let chunk = match size {
            0 => Some(Vec::new()),
            size => fits.then(|| body::answer_chunk(size)).flatten(),
        };
        match chunk {
            Some(chunk) => {
                capture.body.extend_from_slice(&chunk);
                capture.ended = ended;
            }
            None => self.capture = None,
        }
    }

    /// The request is over: keeps the answer if it came whole.
    pub(crate) fn over(&mut self) -> Option<Concern> {
        let capture = self.capture.take()?;
        if !capture.ended || seen::flags() != 0 {
            return Some(Concern::Stale("broken"));
        }
        let Capture {
            offer, body, heat, ..
        } = &capture;
        let outcome = keep(&Shared, &self.asked, offer, body, *heat, clock::now());
        Some(Concern::Stale(match outcome {
            Ok(Outcome::Kept) => "kept",
            Ok(Outcome::Rests) => "rests",
            Ok(Outcome::Broken) => "broken",
            Ok(Outcome::Lost) | Err(_) => "lost",
        }))
    }

    /// Gives a kept answer, and says how many seconds old it was; nothing if there is none, or the host did not take it.
    pub(crate) fn give(&self, policy: &Policy, need: Need) -> Option<u64> {
        let mut sent = None;
        let mut give = |slot: &Slot<'_>, age: Span| {
            let seconds = age.as_secs_ceil();
            let age = text::written(seconds);
            let mut headers = slot.headers.clone();
            headers.push((b"age", age.as_bytes()));
            if policy.answer_headers {
                headers.push((DEGRADED.as_bytes(), b"stale"));
                headers.push((REASON.as_bytes(), need.name().as_bytes()));
            }
            let about = About {
                policy: &policy.name,
                decision: "degraded",
                reason: need.name(),
            };
            about.tell_degraded("stale");
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
            self.settings,
            clock::now(),
            &mut give,
        );
        sent.filter(|_| found == Ok(true))
    }
}
