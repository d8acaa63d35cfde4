//! What a request says: may its answer be kept, may it be given a kept one, and under which key.

use super::super::key::{Parts, Scope, hash};
use super::super::words::{decimal, is_plain, words};
use super::super::{Headers, Settings};
use super::{begins_with_one_of, holds_one_of, is_credential};
use crate::deadline::Form;
use crate::text;
use crate::time::{Span, Timestamp};

/// What a server answers by most often. Only a first look goes by it, before the answer's `Vary` is known.
const NEGOTIATED: [&[u8]; 3] = [b"accept", b"accept-encoding", b"accept-language"];

/// What clients, proxies and tracers add to nearly every request, and what no answer belongs to anybody by: all that is
/// not part of the key. A name that is not here is, whatever it is called: no list of callers' and credentials' names is
/// ever whole, and a name that is missing here costs an answer that could have been given, no more.
const NEUTRAL: [&[u8]; 37] = [
    b"accept-charset",
    b"b3",
    b"cdn-loop",
    b"cf-connecting-ip",
    b"cf-ray",
    b"connection",
    b"date",
    b"dnt",
    b"host",
    b"if-modified-since",
    b"if-none-match",
    b"priority",
    b"referer",
    b"save-data",
    b"sec-gpc",
    b"sec-purpose",
    b"sentry-trace",
    b"te",
    b"traceparent",
    b"tracestate",
    b"true-client-ip",
    b"uber-trace-id",
    b"upgrade-insecure-requests",
    b"user-agent",
    b"via",
    b"x-amzn-trace-id",
    b"x-cloud-trace-context",
    b"x-correlation-id",
    b"x-datadog-parent-id",
    b"x-datadog-trace-id",
    b"x-envoy-attempt-count",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-external-address",
    b"x-forwarded-for",
    b"x-real-ip",
    b"x-request-id",
    b"x-request-start",
];

/// The same, whatever follows.
const NEUTRAL_BEGINNINGS: [&[u8]; 4] = [b"sec-ch-", b"sec-fetch-", b"x-b3-", b"x-seawall-"];

/// With one of these a request is for something else than the whole answer to a plain GET. `if-none-match` and
/// `if-modified-since` are not among them: a whole answer is always right there (RFC 9110, 13.1).
const SPECIAL: [&[u8]; 7] = [
    b"expect",
    b"if-match",
    b"if-range",
    b"if-unmodified-since",
    b"range",
    b"transfer-encoding",
    b"upgrade",
];

/// The same for names in which one of these stands: it is no GET then, or goes to somewhere else.
const OVERRIDING: [&[u8]; 2] = [b"http-method", b"override"];

/// A request that has to do with kept answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// When it came.
    pub at: Timestamp,
    /// Whether its answer may be kept. An answer to HEAD has no body to keep.
    pub keeps: bool,
    /// Whether it may be given a kept answer.
    pub takes: bool,
    /// The key without what the answer's `Vary` adds.
    pub(in super::super) key: Vec<u8>,
    /// A hash of that.
    pub(in super::super) hash: u64,
    /// A hash of that and of what usually varies.
    pub(in super::super) first_look: u64,
    /// It wants no older answer (`Cache-Control: max-age`).
    pub(in super::super) max_age: Option<Span>,
}

/// What was found in the lines of a request.
#[derive(Default)]
struct Lines<'a> {
    method: &'a [u8],
    scheme: &'a [u8],
    host: &'a [u8],
    path: &'a [u8],
    /// Beyond any doubt not ours.
    foreign: bool,
    credential: bool,
    cookie: bool,
    no_store: bool,
    /// It wants an answer that was confirmed.
    confirmed: bool,
    max_age: Option<u64>,
    /// What is part of the key besides where the request goes.
    told: Parts,
    negotiated: Parts,
}

impl Asked {
    /// Reads a request. `ended` says that nothing follows its headers: whoever sends a body with a GET may be answered by
    /// it. Nothing if it has nothing to do with kept answers, as most requests with credentials.
    pub fn read(
        scope: Scope<'_>,
        headers: &dyn Headers,
        ended: bool,
        settings: Settings,
        now: Timestamp,
    ) -> Option<Self> {
        let mut lines = Lines::default();
        let mut lower = Vec::new();
        headers.each(&mut |name, value| {
            let same = |form: &Form| text::same(form.name().as_bytes(), name);
            if scope.deadlines.iter().any(same) {
                return;
            }
            if !name.iter().any(u8::is_ascii_uppercase) {
                return lines.see(name, value);
            }
            lower.clear();
            lower.extend_from_slice(name);
            lower.make_ascii_lowercase();
            lines.see(&lower, value);
        });
        let refused = (lines.credential && !settings.authorized)
            || (lines.cookie && !settings.cookies)
            || lines.foreign
            || lines.no_store;
        let head = lines.method == b"HEAD";
        let known = head || lines.method == b"GET";
        let whole = !lines.host.is_empty() && lines.path.starts_with(b"/");
        if refused || !known || !whole || !ended {
            return None;
        }
        let mut key = Parts::of_a_key();
        key.add(scope.policy.as_bytes());
        key.add(scope.cluster.as_bytes());
        for part in (scope.place)() {
            key.add(&part);
        }
        key.add_lower(lines.scheme);
        key.add_lower(lines.host);
        key.add(lines.path);
        key.add(&lines.told.bytes()?);
        let key = key.bytes()?;
        let negotiated = lines.negotiated.bytes()?;
        let hash_of_key = hash(&[&key]);
        Some(Self {
            at: now,
            keeps: !head,
            takes: !lines.confirmed,
            first_look: hash(&[&hash_of_key.to_le_bytes(), &negotiated]),
            hash: hash_of_key,
            key,
            max_age: lines.max_age.map(Span::secs),
        })
    }
}

impl Asked {
    /// Whether an answer with this status says something about the resource, and not about the moment or a part: only
    /// then it is kept, or takes an older one away.
    pub fn is_told_by(&self, status: u16) -> bool {
        let says_something = match status {
            206 | 304 => false,
            200..400 => true,
            // It is gone, or not for everybody any more.
            _ => [401, 403, 404, 405, 410, 451].contains(&status),
        };
        self.keeps && says_something
    }
}

impl<'a> Lines<'a> {
    fn see(&mut self, name: &[u8], value: &'a [u8]) {
        match name {
            b":method" => once(&mut self.method, value, &mut self.foreign),
            b":scheme" => once(&mut self.scheme, value, &mut self.foreign),
            b":authority" => once(&mut self.host, value, &mut self.foreign),
            b":path" => once(&mut self.path, value, &mut self.foreign),
            _ if NEUTRAL.contains(&name) || begins_with_one_of(name, &NEUTRAL_BEGINNINGS) => {}
            // Another pseudo-header (RFC 8441) means another kind of request.
            [b':', ..] => self.foreign = true,
            b"cache-control" => self.control(value),
            b"pragma" => self.confirmed |= words(value).any(|word| word.is("no-cache")),
            b"content-length" => self.foreign |= decimal(value) != Some(0),
            b"accept" if is_stream(value) => self.foreign = true,
            b"cookie" | b"cookie2" => {
                self.cookie = true;
                self.tell(name, value);
            }
            b"content-type" if value.starts_with(b"application/grpc") => self.foreign = true,
            _ if SPECIAL.contains(&name) || holds_one_of(name, &OVERRIDING) => self.foreign = true,
            _ if NEGOTIATED.contains(&name) => {
                self.negotiated.add(name);
                self.negotiated.add(value);
            }
            _ => {
                self.credential |= is_credential(name) || is_a_key(name);
                self.tell(name, value);
            }
        }
    }

    fn tell(&mut self, name: &[u8], value: &[u8]) {
        self.told.add(name);
        self.told.add(value);
    }

    fn control(&mut self, value: &[u8]) {
        for word in words(value) {
            self.no_store |= word.is("no-store");
            self.confirmed |= word.is_one_of(&["no-cache", "min-fresh"]);
            if word.is("max-age") {
                let seconds = word.seconds();
                self.max_age = Some(self.max_age.map_or(seconds, |known| known.min(seconds)));
            }
        }
        self.foreign |= !is_plain(value);
    }
}

/// Whether a name, in lower case, is that of a key by which somebody is let in.
fn is_a_key(name: &[u8]) -> bool {
    (name.ends_with(b"-key") || name.ends_with(b"_key")) && name != b"idempotency-key"
}

/// A pseudo-header comes once.
fn once<'a>(place: &mut &'a [u8], value: &'a [u8], foreign: &mut bool) {
    *foreign |= !place.is_empty();
    *place = value;
}

fn is_stream(accept: &[u8]) -> bool {
    const STREAM: &[u8] = b"text/event-stream";
    let mut windows = accept.windows(STREAM.len());
    windows.any(|window| text::same(window, STREAM))
}

#[cfg(test)]
mod tests;
