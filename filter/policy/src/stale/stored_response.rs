//! One kept answer as bytes: its full key, when it was asked for, until when it is good, status, headers, body.

use super::Headers;
use super::key::is_same_variant;
use super::rules::lookup::RequestDirectives;
use super::rules::response::CacheableResponse;
use crate::shared::envelope::{Reader, Writer};
use crate::time::{Span, Timestamp};

const VERSION: u16 = 2;
const MAGIC: [u8; 2] = *b"SB";

/// A kept answer, as it stands in shared data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse<'a> {
    /// The status it was given with.
    pub status: u16,
    /// Its header lines, names in lower case.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
    /// Its body, whole.
    pub body: &'a [u8],
    key: &'a [u8],
    variant: &'a [u8],
    for_all: bool,
    asked_at: Timestamp,
    age: Span,
    age_end: Option<Span>,
}

/// The bytes for shared data; at most [`super::size::SLOT_BYTES_MAX`] for a body that has room.
pub(super) fn encode(asked: &RequestDirectives, offer: &CacheableResponse, body: &[u8]) -> Vec<u8> {
    let mut out = Writer::new(MAGIC, VERSION);
    out.bytes(&asked.key);
    out.bytes(&offer.variant);
    out.u8(u8::from(offer.for_all));
    out.u64(asked.at.as_nanos());
    out.u64(offer.age.as_nanos());
    out.u64(offer.age_end.map_or(u64::MAX, Span::as_nanos));
    out.u16(offer.status);
    out.u16(u16::try_from(offer.headers.len()).unwrap_or(u16::MAX));
    for (name, value) in &offer.headers {
        out.bytes(name);
        out.bytes(value);
    }
    out.bytes(body);
    out.sealed(VERSION)
}

/// Whether a later version wrote these bytes: they are to be left alone.
pub(super) fn is_later(bytes: &[u8]) -> bool {
    Reader::open(bytes, MAGIC).is_some_and(|(version, _)| version > VERSION)
}

impl<'a> StoredResponse<'a> {
    /// Reads what [`encode`] wrote; nothing if it is damaged or of another version.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (version, mut reader) = Reader::open(bytes, MAGIC)?;
        if version != VERSION {
            return None;
        }
        let (key, variant) = (reader.bytes()?, reader.bytes()?);
        let for_all = reader.flag()?;
        let (asked_at, age) = (reader.time()?, Span::nanos(reader.u64()?));
        let age_end = match reader.u64()? {
            u64::MAX => None,
            nanos => Some(Span::nanos(nanos)),
        };
        let (status, count) = (reader.u16()?, reader.u16()?);
        let mut headers = Vec::new();
        for _ in 0..count {
            headers.push((reader.bytes()?, reader.bytes()?));
        }
        let body = reader.bytes()?;
        // Another status would go out as broken HTTP.
        let whole = reader.is_empty() && (200..600).contains(&status);
        whole.then_some(Self {
            status,
            headers,
            body,
            key,
            variant,
            for_all,
            asked_at,
            age,
            age_end,
        })
    }

    /// Its age, if it may be given to this request now. `request` are the request's header lines.
    pub(super) fn age_for(
        &self,
        asked: &RequestDirectives,
        request: &dyn Headers,
        max_age: Span,
        now: Timestamp,
    ) -> Option<Span> {
        let age = self.age.plus(now.since(self.asked_at));
        let ends = [Some(max_age), self.age_end, asked.max_age];
        let young = ends.into_iter().flatten().all(|end| age < end);
        let same = self.key == asked.key && is_same_variant(self.variant, request, asked.secret);
        let for_it = self.for_all || !asked.per_client;
        (asked.takes && young && same && for_it).then_some(age)
    }
}
