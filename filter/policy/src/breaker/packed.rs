//! How candidates and starvation stand in a record: in the empty places of its holders, whose instance number means nothing.
//!
//! A word is four bits of its kind, 28 of a peer or of something small, and 32 of a time in tenths of a second. Filters from
//! before these notes skip empty places, and overwrite them when they need one: then a note is lost, which is harmless.
//! They also leave the number of the last holder there, which is random: so a word whose time is after the record's last
//! step, or for a peer long before it, is no note.

use super::candidates::{Candidates, Seen};
use super::starvation::Starvation;
use crate::time::Span;

const KIND_BITS: u32 = 60;
const SMALL_MAX: u64 = (1 << 28) - 1;
const BEGUN: u64 = 1;
const VERDICT: u64 = 2;
const ASKED: u64 = 3;
const REFUSED: u64 = 4;
const MARKED: u64 = 5;
/// The last permit of a request that was not complete.
const INCOMPLETE_GRANTED: u64 = 6;
/// The last such request that was refused.
const INCOMPLETE: u64 = 7;
/// In [`VERDICT`], beside the good probes: whether a permit was wasted since.
const WASTED: u32 = 1 << 8;
/// What is older says nothing about who waits now.
const PEER_LASTS: Span = Span::secs(3_600);

fn word(kind: u64, small: u64, at: u32) -> u64 {
    (kind << KIND_BITS) | (small.min(SMALL_MAX) << 32) | u64::from(at)
}

/// All notes, the most important first.
pub(crate) fn words(candidates: &Candidates, starvation: &Starvation) -> Vec<u64> {
    let mut words = Vec::new();
    let Starvation {
        verdict,
        asked,
        good,
    } = *starvation;
    if candidates.begun != 0 {
        // A complete request asks after half-open began: how long after, one tenth more, so that 0 says never.
        let after = candidates.complete.saturating_sub(candidates.begun);
        let after = u64::from(after).saturating_add(1);
        let small = if candidates.complete == 0 { 0 } else { after };
        words.push(word(BEGUN, small, candidates.begun));
    }
    if verdict != 0 {
        let wasted = if candidates.wasted { WASTED } else { 0 };
        words.push(word(VERDICT, u64::from(u32::from(good) | wasted), verdict));
    }
    if asked != 0 {
        words.push(word(ASKED, 0, asked));
    }
    if candidates.incomplete_granted != 0 {
        words.push(word(INCOMPLETE_GRANTED, 0, candidates.incomplete_granted));
    }
    if candidates.incomplete != 0 {
        words.push(word(INCOMPLETE, 0, candidates.incomplete));
    }
    let refused = candidates.refused.iter().map(|seen| (REFUSED, seen));
    let marked = candidates.marked.iter().map(|seen| (MARKED, seen));
    for (kind, seen) in refused.chain(marked) {
        if seen.peer != 0 {
            words.push(word(kind, u64::from(seen.peer), seen.at));
        }
    }
    words
}

/// What these words say, in a record whose last step was at `last`, in tenths of a second.
pub(crate) fn read(words: impl Iterator<Item = u64>, last: u32) -> (Candidates, Starvation) {
    let (mut candidates, mut starvation) = (Candidates::default(), Starvation::default());
    let mut refused = candidates.refused.iter_mut();
    let mut marked = candidates.marked.iter_mut();
    for word in words {
        let (kind, small) = (word >> KIND_BITS, (word >> 32) & SMALL_MAX);
        let (small, at) = (small as u32, word as u32);
        if at == 0 || at > last {
            continue;
        }
        let seen = Seen { peer: small, at };
        let lasts = super::candidates::since(last, at) <= PEER_LASTS && small != 0;
        match kind {
            BEGUN => {
                candidates.begun = at;
                let complete = at.saturating_add(small).saturating_sub(1).min(last);
                candidates.complete = if small == 0 { 0 } else { complete };
            }
            VERDICT => {
                starvation.verdict = at;
                starvation.good = small as u8;
                candidates.wasted = small & WASTED != 0;
            }
            ASKED => starvation.asked = at,
            INCOMPLETE_GRANTED => candidates.incomplete_granted = at,
            INCOMPLETE => candidates.incomplete = at,
            REFUSED if lasts => {
                if let Some(place) = refused.next() {
                    *place = seen;
                }
            }
            MARKED if lasts => {
                if let Some(place) = marked.next() {
                    *place = seen;
                }
            }
            _ => {}
        }
    }
    (candidates, starvation)
}
