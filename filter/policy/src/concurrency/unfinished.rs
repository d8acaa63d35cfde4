//! Unfinished requests: those whose body is not complete yet.
//!
//! The upstream waits for their clients, who may take as long as they like: some twenty uploads that never end would hold
//! every slot of an upstream that has nothing to do. So they hold a part of the slots at most, each a second slot under
//! a key of its own beside that of the first, and give it back when the body is complete. Beyond that part a new one is
//! refused. One connection has at most a quarter of the part where others have any, or were refused a short time ago: a
//! lone connection, such as that of a proxy in front, may use all of it.

use super::Bound;
use crate::ratio::Share;
use crate::time::{Span, Timestamp};

/// A connection has this share of what unfinished requests may hold.
const SHARE_OF_CONNECTION: u32 = 4;
/// So long it counts that somebody was refused.
const WAITED: Span = Span::secs(10);

/// How many slots unfinished requests may hold of so many, at least one; `None` where they may hold all.
pub fn most(limit: u32, share: Share) -> Option<u32> {
    let points = u64::from(share.as_basis_points());
    let scaled = u64::from(limit).saturating_mul(points) / 10_000;
    let places = u32::try_from(scaled).unwrap_or(u32::MAX).max(1);
    (share < Share::ALL).then_some(places)
}

/// The unfinished requests of one VM at one upstream, by their connection. There are no more entries than slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    held: Vec<(u64, u32)>,
    /// Who was refused last of those that hold none, and when.
    refused: Option<(u64, Timestamp)>,
}

impl Connections {
    /// What bounds one more of this connection where unfinished requests may hold so many slots.
    pub fn bound(&self, connection: u64, most: u32, now: Timestamp) -> Bound {
        let known = self.held.iter().find(|(known, _)| *known == connection);
        let own = known.map_or(0, |(_, held)| *held);
        let quarter = (most / SHARE_OF_CONNECTION).max(1);
        let waited = self
            .refused
            .is_some_and(|(other, at)| other != connection && now.since(at) < WAITED);
        let room = match own < quarter {
            true => most,
            false if waited => 0,
            // Only as long as nobody else holds any.
            false => most.min(own.saturating_add(1)),
        };
        Bound {
            places_max: Some(room),
            limit: None,
        }
    }

    /// One more.
    pub fn acquired(&mut self, connection: u64) {
        match self.held.iter_mut().find(|(known, _)| *known == connection) {
            Some((_, held)) => *held = held.saturating_add(1),
            None => self.held.push((connection, 1)),
        }
    }

    /// One less.
    pub fn released(&mut self, connection: u64) {
        if let Some((_, held)) = self.held.iter_mut().find(|(known, _)| *known == connection) {
            *held = held.saturating_sub(1);
        }
        self.held.retain(|(_, held)| *held > 0);
    }

    /// One was refused: others wait for it if it holds none yet.
    pub fn refused(&mut self, connection: u64, now: Timestamp) {
        if !self.held.iter().any(|(known, _)| *known == connection) {
            self.refused = Some((connection, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::nanos(1_000_000_000);

    fn room(connections: &Connections, connection: u64, most: u32, now: Timestamp) -> u32 {
        connections.bound(connection, most, now).places_max.unwrap()
    }

    #[test]
    fn they_may_hold_a_share_and_at_least_one() {
        for (limit, percent, expected) in [
            (20, 50, Some(10)),
            (1, 50, Some(1)),
            (3, 50, Some(1)),
            (100_000, 1, Some(1_000)),
            (10, 1, Some(1)),
            (20, 100, None),
        ] {
            assert_eq!(
                most(limit, Share::percent(percent)),
                expected,
                "{percent} % of {limit}"
            );
        }
        assert!(most(u32::MAX, Share::percent(99)).is_some());
    }

    #[test]
    fn a_lone_connection_may_use_all_and_one_among_others_a_quarter() {
        let mut connections = Connections::default();
        for held in 0..10 {
            assert!(room(&connections, 1, 10, NOW) > held, "{held}");
            connections.acquired(1);
        }
        assert_eq!(room(&connections, 1, 10, NOW), 10, "and no more");
        // With two of another in flight, of 12 in all.
        let mut one = Connections::default();
        (0..3).for_each(|_| one.acquired(1));
        assert_eq!(
            room(&one, 1, 12, NOW),
            4,
            "so that with any of another there is none"
        );
        assert_eq!(room(&one, 2, 12, NOW), 12);
    }

    #[test]
    fn whoever_was_refused_goes_before_more_of_a_connection_that_has_its_quarter() {
        let mut connections = Connections::default();
        (0..3).for_each(|_| connections.acquired(1));
        connections.refused(1, NOW);
        assert!(
            room(&connections, 1, 12, NOW) > 3,
            "its own wait is nobody's"
        );
        connections.refused(2, NOW);
        connections.refused(1, NOW);
        assert_eq!(room(&connections, 1, 12, NOW), 0);
        assert_eq!(room(&connections, 2, 12, NOW), 12);
        assert!(room(&connections, 1, 12, NOW.after(WAITED)) > 3);
        connections.released(1);
        assert_eq!(
            room(&connections, 1, 12, NOW),
            12,
            "it has less than its quarter"
        );
        (0..5).for_each(|_| connections.released(1));
        assert_eq!(connections.held, []);
    }
}
