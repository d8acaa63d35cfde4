//! Slots and sets in shared data: to keep an answer, to find it, to forget it.
//!
//! A set is changed in one step, so that over all workers one of them writes a key's answer in a second, and one of them
//! that it was given. The slot is written after its set: whoever reads in between, or after two of them met, finds another key in the slot than the
//! set says, and that is as if nothing were there.

use super::Headers;
use super::rules::lookup::RequestDirectives;
use super::rules::response::CacheableResponse;
use super::set::{Entry, Set, WAYS};
use super::stored_response::StoredResponse;
use crate::shared::keys;
use crate::shared::state::{Change, HostError, Key, SharedState, unless_later};
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
    state: &impl SharedState,
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
    let stands = state.update(&set_key(number), |stored| {
        place = stored.or_empty().place(entry, heat, now);
        Change::stored_if(place.is_some())
    });
    if !unless_later(stands, false)? {
        return Ok(Outcome::Lost);
    }
    let Some(place) = place else {
        return Ok(Outcome::Rests);
    };
    let mut kept = Some(StoredResponse::new(asked, offer, body));
    let stands = state.update(&slot_key(number, place), |stored| {
        // Where somebody came in between, it is given up.
        stored.record = kept.take();
        Change::stored_if(stored.record.is_some())
    });
    Ok(match unless_later(stands, false)? {
        true => Outcome::Kept,
        false => Outcome::Lost,
    })
}

/// Finds a kept answer for a request, and shows it with its age; says whether there was one.
///
/// # Errors
/// The host's status.
pub fn find(
    state: &impl SharedState,
    asked: &RequestDirectives,
    request: &dyn Headers,
    max_age: Span,
    now: Timestamp,
    give: &mut dyn FnMut(StoredResponse, Span),
) -> Result<bool, HostError> {
    if !asked.takes {
        return Ok(false);
    }
    let number = asked.set();
    let key = set_key(number);
    let Some(set) = unless_later(state.view(&key).map(|stored| stored.record), None)? else {
        return Ok(false);
    };
    for place in set.places(asked.hash, asked.per_client) {
        let slot = state.view(&slot_key(number, place));
        let Some(slot) = unless_later(slot.map(|stored| stored.record), None)? else {
            continue;
        };
        let Some(age) = slot.age_for(asked, request, max_age, now) else {
            continue;
        };
        if set.clone().give(place, asked.hash, now) {
            // Where it cannot be stored, it is written down by whoever is given it within a second.
            let _ = state.update(&key, |stored| {
                Change::stored_if(stored.or_empty().give(place, asked.hash, now))
            });
        }
        give(slot, age);
        return Ok(true);
    }
    Ok(false)
}

/// Forgets what this request might have been given: its last answer was good and may not be kept, so that an older one is no
/// longer the last. Only for answers that say something about the resource ([`RequestDirectives::is_told_by`]).
///
/// # Errors
/// The host's status.
pub fn forget(state: &impl SharedState, asked: &RequestDirectives) -> Result<(), HostError> {
    let key = set_key(asked.set());
    let stands = state.update(&key, |stored| {
        let set = stored.or_empty();
        Change::stored_if(set.forget(asked.hash, asked.per_client, asked.at))
    });
    unless_later(stands, true)?;
    Ok(())
}

/// Modules before this layout wrote under `v1`, by other rules about who is given what: neither reads what the other wrote.
fn set_key(number: usize) -> Key<Set> {
    keys::stale_set(number)
}

fn slot_key(set: usize, place: usize) -> Key<StoredResponse> {
    keys::stale(set.saturating_mul(WAYS).saturating_add(place))
}
