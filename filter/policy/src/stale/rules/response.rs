//! What an answer says: may it be kept, for whom, until which age, and which of its headers go with it.
//!
//! It is for all if it says so: `public`, or `s-maxage` together with `stale-if-error`. What says nothing is for the one who
//! asked, unless the request carried nothing that tells clients apart.

use super::super::Headers;
use super::super::directives::{decimal, directives, is_plain, words};
use super::super::key::Varying;
use super::super::size::room_for_body;
use super::lookup::RequestDirectives;
use super::{begins_with_one_of, is_credential};
use crate::text::{self, trimmed};
use crate::time::Span;

/// What is worth keeping of what RFC 9110 (15.1) lets a cache keep on its own: the answer itself, and where it went for
/// good. Not 404 and its like: a stale "there is none" helps nobody; not 204: nothing is kept better as nothing; not
/// 206 and 304: they are parts.
const STATUSES: [u16; 5] = [200, 203, 301, 308, 410];

/// Lines that belong to one connection or to one exchange, or that are made anew: not given again.
const DROPPED: [&[u8]; 19] = [
    b"age",
    b"connection",
    b"content-length",
    b"keep-alive",
    b"nel",
    b"proxy-connection",
    b"report-to",
    b"retry-after",
    b"server-timing",
    b"te",
    b"traceparent",
    b"traceresponse",
    b"tracestate",
    b"transfer-encoding",
    b"upgrade",
    b"x-correlation-id",
    b"x-request-id",
    b"x-response-time",
    b"x-runtime",
];

/// The same, whatever follows.
const DROPPED_BEGINNINGS: [&[u8]; 6] = [
    b":",
    b"endpoint-load-metrics",
    b"ratelimit",
    b"x-b3-",
    b"x-envoy-",
    b"x-ratelimit",
];

/// An answer with one of these was for one caller, is no whole answer, or was stale when it came.
const REFUSED: [&[u8]; 7] = [
    b"clear-site-data",
    b"content-range",
    b"grpc-status",
    b"set-cookie",
    b"set-cookie2",
    b"trailer",
    b"warning",
];

/// Words after which an answer may not be given to anybody without asking the origin.
const FORBIDDING: [&str; 3] = ["private", "no-store", "no-cache"];
/// Words after which it may not be given once it is stale (RFC 9111, 5.2.2). Nothing is kept for the time before: while an
/// answer is fresh, its upstream had it a moment ago.
const CONFIRMING: [&str; 2] = ["must-revalidate", "proxy-revalidate"];
/// More lines are not kept.
const HEADERS_MAX: usize = 64;

/// An answer that may be kept, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheableResponse {
    /// How long its body says it is, in bytes.
    pub length: Option<usize>,
    /// The longest body for which there is room, in bytes.
    pub room: usize,
    pub(in super::super) status: u16,
    pub(in super::super) headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The names of `Vary` with the request's values.
    pub(in super::super) variant: Vec<u8>,
    /// It says that it is for all.
    pub(in super::super) for_all: bool,
    /// A hash of the whole key.
    pub(in super::super) hash: u64,
    /// Its age when it came.
    pub(in super::super) age: Span,
    /// The answer forbids to give it at this age.
    pub(in super::super) age_end: Option<Span>,
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// The answer forbids it, or is none that is kept at all.
    Forbidden,
    /// It does not say that it is for all, and the request carried a header that may tell one client from another.
    PerClient,
}

/// What was found in the lines of an answer.
#[derive(Default)]
struct Lines {
    refused: bool,
    confirming: bool,
    quoted: bool,
    expires: bool,
    chunked: bool,
    /// `max-age` and `s-maxage`, the smallest of each.
    fresh: Option<u64>,
    fresh_shared: Option<u64>,
    if_error: Option<u64>,
    /// What permits, each written as it should be.
    public: bool,
    shared: bool,
    tolerant: bool,
    age: u64,
    length: Option<u64>,
    varying: Varying,
    /// Names that belong to the connection.
    hops: Vec<Vec<u8>>,
    kept: Vec<(Vec<u8>, Vec<u8>)>,
}

impl CacheableResponse {
    /// Reads an answer to `asked`, whose header lines were `request`. `ended` says that it has no body.
    ///
    /// # Errors
    /// Why it may not be kept.
    pub fn read(
        asked: &RequestDirectives,
        request: &dyn Headers,
        status: u16,
        answer: &dyn Headers,
        ended: bool,
    ) -> Result<Self, NotStored> {
        if !asked.keeps || !STATUSES.contains(&status) {
            return Err(NotStored::Forbidden);
        }
        let mut lines = Lines::default();
        answer.each(&mut |name, value| lines.see(name, value));
        let for_all = lines.is_for_all();
        let offer = Self::made(asked, request, status, lines, ended).ok_or(NotStored::Forbidden)?;
        match for_all || !asked.per_client {
            true => Ok(offer),
            false => Err(NotStored::PerClient),
        }
    }

    /// What is kept of an answer with these lines, if they do not forbid it.
    fn made(
        asked: &RequestDirectives,
        request: &dyn Headers,
        status: u16,
        lines: Lines,
        ended: bool,
    ) -> Option<Self> {
        let for_all = lines.is_for_all();
        let age_end = lines.age_end();
        let age = Span::secs(lines.age);
        let over = age_end.is_some_and(|end| end <= age);
        // `Expires` alone is how old applications say "do not keep", with all kinds of dates.
        let old = lines.expires && lines.fresh.is_none() && lines.fresh_shared.is_none();
        // A body that lasts until the connection ends looks whole wherever it was cut (RFC 9112, 6.3).
        let framed = ended || lines.chunked || lines.length.is_some();
        // `s-maxage` forbids a stale one as `must-revalidate` does, unless `stale-if-error` says otherwise.
        let never = lines.confirming || (lines.fresh_shared.is_some() && lines.if_error.is_none());
        if lines.refused || never || over || old || !framed {
            return None;
        }
        let (mut kept, hops) = (lines.kept, lines.hops);
        kept.retain(|(name, _)| !hops.contains(name));
        if kept.len() > HEADERS_MAX {
            return None;
        }
        let variant = lines.varying.of(request, asked.secret)?;
        let whole = [&asked.key[..], &variant, &[u8::from(for_all)]];
        let mut offer = Self {
            length: None,
            room: 0,
            status,
            headers: kept,
            for_all,
            hash: asked.secret.hash64("stale whole", &whole),
            variant,
            age,
            age_end,
        };
        offer.room = room_for_body(&asked.key, &offer.variant, &offer.headers)?;
        if let Some(length) = lines.length {
            offer.length = Some(usize::try_from(length).ok()?);
        }
        (offer.length.unwrap_or(0) <= offer.room).then_some(offer)
    }
}

impl Lines {
    fn see(&mut self, name: &[u8], value: &[u8]) {
        let name = name.to_ascii_lowercase();
        match &*name {
            b"cache-control" => self.control(value),
            b"age" => self.age(value),
            b"content-length" => self.length(value),
            // Who does not take this coding could not read it, whether a `Vary` says so or not.
            b"content-encoding" => self.refused |= !self.varying.read(b"accept-encoding"),
            b"vary" => self.refused |= !self.varying.read(value),
            b"expires" => self.expires = true,
            b"transfer-encoding" => self.chunked |= trimmed(value).ends_with(b"chunked"),
            b"connection" => self.hops.extend(
                value
                    .split(|byte| *byte == b',')
                    .map(|hop| trimmed(hop).to_ascii_lowercase()),
            ),
            b"content-type" => self.refused |= is_no_document(value),
            b"pragma" => self.refused |= forbids(value),
            // Targeted at other caches (RFC 9213, Edge Architecture); what is not for them is not for us.
            name if name.ends_with(b"cache-control") || name == b"surrogate-control" => {
                self.refused |= forbids(value);
                self.confirming |= words(value).any(|word| word.is_one_of(&CONFIRMING));
            }
            name if REFUSED.contains(&name) => self.refused = true,
            name if is_credential(name) => self.refused = true,
            // Another Seawall's own answer, or one that it gave a second time.
            name if name.starts_with(b"x-seawall-") => self.refused = true,
            _ => {}
        }
        if !DROPPED.contains(&&*name) && !begins_with_one_of(&name, &DROPPED_BEGINNINGS) {
            self.kept.push((name, value.to_vec()));
        }
    }

    fn control(&mut self, value: &[u8]) {
        self.refused |= forbids(value);
        self.quoted |= value.contains(&b'"');
        for (name, number) in directives(value) {
            self.public |= text::equals_ignoring_case(name, b"public");
            self.shared |= text::equals_ignoring_case(name, b"s-maxage") && number.is_some();
            self.tolerant |=
                text::equals_ignoring_case(name, b"stale-if-error") && number > Some(0);
        }
        for word in words(value) {
            self.confirming |= word.is_one_of(&CONFIRMING);
            for (name, place) in [
                ("max-age", &mut self.fresh),
                ("s-maxage", &mut self.fresh_shared),
                ("stale-if-error", &mut self.if_error),
            ] {
                if word.is(name) {
                    let seconds = word.seconds();
                    *place = Some(place.map_or(seconds, |known| known.min(seconds)));
                }
            }
        }
    }

    /// Whether it says that it is for all. A quote anywhere makes it doubtful what stands in it.
    fn is_for_all(&self) -> bool {
        !self.quoted && (self.public || (self.shared && self.tolerant))
    }

    /// At which age the answer itself ends. Without a word about it, only the policy does: it is the configuration that
    /// RFC 9111 (4.2.4) lets a stale answer be given by. `stale-if-error` says how long it may be (RFC 5861).
    fn age_end(&self) -> Option<Span> {
        let fresh = self.fresh_shared.or(self.fresh).unwrap_or(0);
        // What stands between quotes may be an argument of something else: it makes nothing last longer.
        let (fresh, if_error) = match self.quoted {
            true => (0, self.if_error.map(|_| 0)),
            false => (fresh, self.if_error),
        };
        if_error.map(|more| Span::secs(fresh.saturating_add(more)))
    }

    fn age(&mut self, value: &[u8]) {
        match decimal(trimmed(value)) {
            Some(age) => self.age = self.age.max(age),
            None => self.refused = true,
        }
    }

    /// All lines have to say the same.
    fn length(&mut self, value: &[u8]) {
        let length = decimal(trimmed(value));
        let differs = self.length.is_some() && self.length != length;
        self.refused |= length.is_none() || differs;
        self.length = length;
    }
}

fn forbids(value: &[u8]) -> bool {
    !is_plain(value) || words(value).any(|word| word.is_one_of(&FORBIDDING))
}

/// Whether a content type is of something that has no end, or of parts, or of gRPC.
fn is_no_document(value: &[u8]) -> bool {
    const NONE: [&[u8]; 5] = [
        b"application/grpc",
        b"multipart/",
        b"text/event-stream",
        b"application/x-ndjson",
        b"application/stream+json",
    ];
    NONE.iter().any(|kind| {
        let start = trimmed(value).get(..kind.len());
        start.is_some_and(|start| text::equals_ignoring_case(start, kind))
    })
}

#[cfg(test)]
mod tests;
