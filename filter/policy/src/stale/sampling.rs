//! What this VM looked at within the last second: a URL that is asked for a thousand times a second costs one look at its
//! answer a second, and no more.
//!
//! The look is remembered whatever came of it, so that answers that may not be kept cost as little. A table without
//! chains: who comes later takes the place, and the other one is looked at again a little earlier.

use super::frequency::Heat;
use super::rules::lookup::RequestDirectives;
use super::set::REST;
use crate::time::Timestamp;

const PLACES: u64 = 1_024;

/// The last looks of a VM, by hash.
#[derive(Clone, Debug, Default)]
pub struct Sampling {
    looks: Vec<(u64, Timestamp)>,
    heat: Heat,
}

impl Sampling {
    /// Whether the answer to this is due for a look; if so, it is looked at now, and there were so many requests for it
    /// of late. What counts is when it was asked for, as it does where it is kept.
    pub fn sample(&mut self, asked: &RequestDirectives) -> Option<u8> {
        let heat = self.heat.count(asked.hash, asked.at);
        self.is_due(asked.first_look, asked.at).then_some(heat)
    }

    fn is_due(&mut self, hash: u64, now: Timestamp) -> bool {
        if self.looks.is_empty() {
            self.looks = vec![(0, Timestamp::ZERO); PLACES as usize];
        }
        let place = usize::try_from(hash % PLACES).unwrap_or(0);
        let Some(last) = self.looks.get_mut(place) else {
            return false;
        };
        let due = last.0 != hash || last.1 == Timestamp::ZERO || now.since(last.1) >= REST;
        if due {
            *last = (hash, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn a_hot_url_is_looked_at_once_a_second() {
        let mut recent = Sampling::default();
        let start = Timestamp::nanos(1);
        let looks = (0..5_000_u64).filter(|ms| recent.is_due(7, start.after(Span::millis(*ms))));
        assert_eq!(looks.count(), 5);
    }

    #[test]
    fn a_million_others_take_no_more_room_and_only_the_place() {
        let mut recent = Sampling::default();
        let now = Timestamp::nanos(1);
        assert!((1..=1_000_000_u64).all(|hash| recent.is_due(hash, now)));
        assert_eq!(recent.looks.len(), PLACES as usize);
        assert!(!recent.is_due(1_000_000, now));
        assert!(recent.is_due(1, now), "somebody else took its place");
    }
}
