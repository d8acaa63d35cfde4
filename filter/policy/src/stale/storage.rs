//! Slots and sets in shared data: to keep an answer, to find it, to forget it.
//!
//! A set is changed by compare-and-swap, so that over all workers one of them writes a key's answer in a second, and one
//! of them that it was given. The slot
//! is written after its set: whoever reads in between, or after two of them met, finds another key in the slot than the
//! set says, and that is as if nothing were there.

use super::Headers;
use super::rules::lookup::RequestDirectives;
use super::rules::response::CacheableResponse;
use super::set::{Entry, Set, WAYS};
use super::size::SLOT_BYTES_MAX;
use super::stored_response::{self, StoredResponse};
use crate::shared::keys;
use crate::shared::store::{CREATE, HostError, SharedStore, exchange};
use crate::time::{Span, Timestamp};

/// What became of an answer that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept.
    Kept,
    /// There is one already, by this worker or another, that was asked for at most a second earlier, or later.
    Rests,
    /// Somebody else came in between, or what stands there is of a later version.
    Lost,
    /// Its body is not what it said, or too long.
    Broken,
}

/// Keeps an answer that was asked for so often of late (what [`super::Sampling::sample`] said). `body` is all that came of it.
///
/// # Errors
/// The host's status.
pub fn keep(
    store: &impl SharedStore,
    asked: &RequestDirectives,
    offer: &CacheableResponse,
    body: &[u8],
    heat: u8,
    now: Timestamp,
) -> Result<Outcome, HostError> {
    let cut = offer.length.is_some_and(|length| length != body.len());
    if cut || body.len() > offer.room {
        return Ok(Outcome::Broken);
    }
    let number = asked.set();
    let entry = Entry {
        key: asked.hash,
        whole: offer.hash,
        for_all: offer.for_all,
        at: asked.at,
    };
    let mut place = None;
    let mut later = false;
    let stands = exchange(store, &set_key(number), &mut |bytes| {
        let set = Set::decode(bytes);
        later = set.is_none();
        let mut set = set?;
        place = set.place(entry, heat, now);
        place.map(|_| set.encode())
    })?;
    if !stands || later {
        return Ok(Outcome::Lost);
    }
    let Some(place) = place else {
        return Ok(Outcome::Rests);
    };
    let bytes = stored_response::encode(asked, offer, body);
    if bytes.len() > SLOT_BYTES_MAX {
        return Ok(Outcome::Broken);
    }
    let key = slot_key(number, place);
    let found = store.load(&key)?;
    let cas = found.as_ref().map_or(CREATE, |found| found.cas);
    if found.is_some_and(|found| stored_response::is_later(&found.bytes)) {
        return Ok(Outcome::Lost);
    }
    Ok(match store.swap(&key, &bytes, cas)? {
        true => Outcome::Kept,
        false => Outcome::Lost,
    })
}

/// Finds a kept answer for a request, and shows it with its age; says whether there was one.
///
/// # Errors
/// The host's status.
pub fn find(
    store: &impl SharedStore,
    asked: &RequestDirectives,
    request: &dyn Headers,
    max_age: Span,
    now: Timestamp,
    give: &mut dyn FnMut(&StoredResponse<'_>, Span),
) -> Result<bool, HostError> {
    if !asked.takes {
        return Ok(false);
    }
    let number = asked.set();
    let key = set_key(number);
    let Some(stands) = store.load(&key)? else {
        return Ok(false);
    };
    let set = Set::decode(&stands.bytes).unwrap_or_default();
    for place in set.places(asked.hash, asked.per_client) {
        let Some(found) = store.load(&slot_key(number, place))? else {
            continue;
        };
        let slot = StoredResponse::decode(&found.bytes);
        let age = slot
            .as_ref()
            .and_then(|slot| slot.age_for(asked, request, max_age, now));
        if let (Some(slot), Some(age)) = (slot, age) {
            let mut given = set.clone();
            if given.give(place, now) {
                // Who comes in between writes it down within a second.
                let _ = store.swap(&key, &given.encode(), stands.cas);
            }
            give(&slot, age);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets what this request might have been given: its last answer was good and may not be kept, so that an older one is no
/// longer the last. Only for answers that say something about the resource ([`RequestDirectives::is_told_by`]).
///
/// # Errors
/// The host's status.
pub fn forget(store: &impl SharedStore, asked: &RequestDirectives) -> Result<(), HostError> {
    let key = set_key(asked.set());
    exchange(store, &key, &mut |bytes| {
        let mut set = Set::decode(bytes)?;
        set.forget(asked.hash, asked.per_client, asked.at)
            .then(|| set.encode())
    })?;
    Ok(())
}

/// Modules before this layout wrote under `v1`, by other rules about who is given what: neither reads what the other wrote.
fn set_key(number: usize) -> String {
    keys::stale_set(number)
}

fn slot_key(set: usize, place: usize) -> String {
    keys::stale(set.saturating_mul(WAYS).saturating_add(place))
}
