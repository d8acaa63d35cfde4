//! One kept answer: its full key, when it was asked for, until when it is good, status, headers, body.

use super::Headers;
use super::key::is_same_variant;
use super::rules::lookup::RequestDirectives;
use super::rules::response::CacheableResponse;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{SharedRecord, Unreadable};
use crate::time::{Span, Timestamp};

const VERSION: u16 = 2;
const MAGIC: [u8; 2] = *b"SB";

/// A kept answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// The status it was given with.
    pub status: u16,
    /// Its header lines, names in lower case.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its body, whole.
    pub body: Vec<u8>,
    key: Vec<u8>,
    variant: Vec<u8>,
    for_all: bool,
    asked_at: Timestamp,
    age: Span,
    age_end: Option<Span>,
}

impl StoredResponse {
    /// An answer with this body.
    pub(super) fn new(asked: &RequestDirectives, offer: &CacheableResponse, body: &[u8]) -> Self {
        Self {
            status: offer.status,
            headers: offer.headers.clone(),
            body: body.to_vec(),
            key: asked.key.clone(),
            variant: offer.variant.clone(),
            for_all: offer.for_all,
            asked_at: asked.at,
            age: offer.age,
            age_end: offer.age_end,
        }
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
        let same = self.key == asked.key && is_same_variant(&self.variant, request, asked.secret);
        let for_it = self.for_all || !asked.per_client;
        (asked.takes && young && same && for_it).then_some(age)
    }
}

impl SharedRecord for StoredResponse {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        out.bytes(&self.key);
        out.bytes(&self.variant);
        out.u8(u8::from(self.for_all));
        out.u64(self.asked_at.as_nanos());
        out.u64(self.age.as_nanos());
        out.u64(self.age_end.map_or(u64::MAX, Span::as_nanos));
        out.u16(self.status);
        out.u16(u16::try_from(self.headers.len()).unwrap_or(u16::MAX));
        for (name, value) in &self.headers {
            out.bytes(name);
            out.bytes(value);
        }
        out.bytes(&self.body);
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Reader::whole(bytes, MAGIC, VERSION, read)
    }
}

fn read(reader: &mut Reader<'_>) -> Option<StoredResponse> {
    let (key, variant) = (owned(reader)?, owned(reader)?);
    let for_all = reader.flag()?;
    let (asked_at, age) = (reader.time()?, Span::nanos(reader.u64()?));
    let age_end = match reader.u64()? {
        u64::MAX => None,
        nanos => Some(Span::nanos(nanos)),
    };
    let (status, count) = (reader.u16()?, reader.u16()?);
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push((owned(reader)?, owned(reader)?));
    }
    let body = owned(reader)?;
    // Another status would go out as broken HTTP.
    (200..600).contains(&status).then_some(StoredResponse {
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

fn owned(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    reader.bytes().map(<[u8]>::to_vec)
}
