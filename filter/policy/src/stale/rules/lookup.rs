//! What a request says: may its answer be kept, may it be given a kept one, and under which key.
//!
//! The key is where the request goes: policy, cluster, route, and the URI with what names it before somebody in front. Every
//! other header is either harmless, or listed by the policy (`ignore_headers`), or may tell one client from another. A
//! request with one of the last kind has to do only with answers that say that they are for all.

use super::super::directives::{decimal, is_plain, words};
use super::super::ignored::Ignored;
use super::super::key::{Parts, Scope};
use super::super::placement;
use super::super::{Headers, Settings};
use super::names::{addresses_in, is_address, is_harmless, is_usual};
use super::{holds_one_of, is_a_key, is_credential};
use crate::deadline::Form;
use crate::shared::process_key::ProcessKey;
use crate::text;
use crate::time::{Span, Timestamp};

/// What a server answers by most often. Only a first look goes by it, before the answer's `Vary` is known.
const NEGOTIATED: [&[u8]; 3] = [b"accept", b"accept-encoding", b"accept-language"];

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
pub struct RequestDirectives {
    /// When it came.
    pub at: Timestamp,
    /// Whether its answer may be kept. An answer to HEAD has no body to keep.
    pub keeps: bool,
    /// Whether it may be given a kept answer.
    pub takes: bool,
    /// It carries a header that may tell one client from another: it has to do only with answers for all.
    pub(in super::super) per_client: bool,
    /// The key without what the answer's `Vary` adds.
    pub(in super::super) key: Vec<u8>,
    /// A hash of that.
    pub(in super::super) hash: u64,
    /// A hash of that and of what usually varies.
    pub(in super::super) first_look: u64,
    /// How many bytes of the key say which route it takes, and how many which host of it.
    pub(in super::super) ends: (usize, usize),
    /// It wants no older answer (`Cache-Control: max-age`).
    pub(in super::super) max_age: Option<Span>,
    /// The process's key.
    pub(in super::super) secret: ProcessKey,
}

/// What was found in the lines of a request.
struct Lines<'a> {
    ignored: &'a Ignored,
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
    per_client: bool,
    /// What is part of the key besides where the request goes: credentials, and what the URI was before.
    told: Parts,
    negotiated: Parts,
}

impl RequestDirectives {
    /// Reads a request. `ended` says that nothing follows its headers: whoever sends a body with a GET may be answered by
    /// it. Nothing if it has nothing to do with kept answers, as most requests with credentials.
    pub fn read(
        scope: Scope<'_>,
        headers: &dyn Headers,
        ended: bool,
        settings: &Settings,
        now: Timestamp,
    ) -> Option<Self> {
        let mut lines = Lines::new(&settings.ignored);
        let mut lower = Vec::new();
        headers.each(&mut |name, value| {
            let same = |form: &Form| text::equals_ignoring_case(form.name().as_bytes(), name);
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
        let secret = scope.secret;
        let way = (scope.place)();
        // With another list of ignored headers, what was kept may be for one client alone. An empty name parts the two.
        let mut ignored = settings.ignored.names().peekable();
        if ignored.peek().is_some() {
            lines.told.add(b"");
        }
        ignored.for_each(|name| lines.told.add(name));
        let mut key = Parts::of_a_key();
        key.add(scope.policy.as_bytes());
        key.add(scope.cluster.as_bytes());
        way.iter().for_each(|part| key.add(part));
        let route_end = key.len();
        key.add_lower(lines.host);
        let host_end = key.len();
        key.add_lower(lines.scheme);
        key.add(lines.path);
        if lines.told.len() > 0 {
            key.add(&lines.told.hashed(secret, "stale told"));
        }
        let key = key.bytes()?;
        let hash = secret.hash64("stale key", &[&key]);
        let negotiated = lines.negotiated.bytes()?;
        Some(Self {
            at: now,
            keeps: !head,
            takes: !lines.confirmed,
            per_client: lines.per_client,
            first_look: looked_at(hash, &negotiated, lines.per_client),
            ends: (route_end, host_end),
            hash,
            key,
            max_age: lines.max_age.map(Span::secs),
            secret,
        })
    }
}

impl RequestDirectives {
    /// The number of the set in which its answers stand. Asked for only where shared data is, since it costs two hashes.
    pub(in super::super) fn set(&self) -> usize {
        let of = |purpose, end| {
            let part = self.key.get(..end).unwrap_or_default();
            self.secret.hash64(purpose, &[part])
        };
        let (route, host) = self.ends;
        placement::set_of(of("stale route", route), of("stale host", host), self.hash)
    }

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
    fn new(ignored: &'a Ignored) -> Self {
        Self {
            ignored,
            method: &[],
            scheme: &[],
            host: &[],
            path: &[],
            foreign: false,
            credential: false,
            cookie: false,
            no_store: false,
            confirmed: false,
            max_age: None,
            per_client: false,
            told: Parts::default(),
            negotiated: Parts::default(),
        }
    }

    fn see(&mut self, name: &[u8], value: &'a [u8]) {
        match name {
            b":method" => once(&mut self.method, value, &mut self.foreign),
            b":scheme" => once(&mut self.scheme, value, &mut self.foreign),
            b":authority" => once(&mut self.host, value, &mut self.foreign),
            b":path" => once(&mut self.path, value, &mut self.foreign),
            _ if is_harmless(name) => {}
            // Another pseudo-header (RFC 8441) means another kind of request.
            [b':', ..] => self.foreign = true,
            b"cache-control" => self.control(value),
            b"pragma" => self.confirmed |= words(value).any(|word| word.is("no-cache")),
            b"content-length" => self.foreign |= decimal(value) != Some(0),
            b"accept" if is_stream(value) => self.foreign = true,
            _ if is_usual(name) => self.see_other(name, value),
            _ if is_address(name) => self.tell(name, value),
            b"cookie" | b"cookie2" => {
                self.cookie = true;
                self.tell(name, value);
            }
            b"content-type" if value.starts_with(b"application/grpc") => self.foreign = true,
            _ if SPECIAL.contains(&name) || holds_one_of(name, &OVERRIDING) => self.foreign = true,
            _ if is_credential(name) || is_a_key(name) => {
                self.credential = true;
                self.tell(name, value);
            }
            _ => self.see_other(name, value),
        }
    }

    /// A header that may tell one client from another, unless the policy says that it does not.
    fn see_other(&mut self, name: &[u8], value: &'a [u8]) {
        self.per_client |= !self.ignored.holds(name);
        if NEGOTIATED.contains(&name) {
            self.negotiated.add(name);
            self.negotiated.add(value);
        }
        if name == b"forwarded" {
            addresses_in(value).for_each(|part| self.tell(name, part));
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

/// What a look is remembered by: the key's hash, which nobody can guess, and by FNV-1a (Fowler, Noll, Vo) what usually varies. Who
/// finds two of one hash gains no more than by the same request.
fn looked_at(hash: u64, negotiated: &[u8], per_client: bool) -> u64 {
    let client = u8::from(per_client);
    let bytes = negotiated.iter().chain(std::iter::once(&client));
    let varies = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ varies
}

/// A pseudo-header comes once.
fn once<'a>(place: &mut &'a [u8], value: &'a [u8], foreign: &mut bool) {
    *foreign |= !place.is_empty();
    *place = value;
}

fn is_stream(accept: &[u8]) -> bool {
    const STREAM: &[u8] = b"text/event-stream";
    let mut windows = accept.windows(STREAM.len());
    windows.any(|window| text::equals_ignoring_case(window, STREAM))
}

#[cfg(test)]
pub(in super::super) mod tests;
