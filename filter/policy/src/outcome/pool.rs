//! Requests that wait in Envoy's connection pool: whether that is the upstream's silence, or the work of those who hold the
//! connections.
//!
//! Envoy counts an attempt from its start, though no connection took it yet. Clients can hold all connections: by bodies that
//! they do not finish, by responses that they do not read, by streams. An upstream that takes no connections looks the
//! same from one request. So another request decides: the wait says nothing only if the upstream ended a response meanwhile, or
//! a client holds a connection meanwhile. A complete request without a response is no such holder, since its own silence counts.
//! Where more requests wait for an answer that is overdue than clients hold connections, it is they that the others wait for:
//! then held connections say nothing until the upstream ends a response.

use crate::time::Timestamp;

/// How a request stands with Envoy's connection pool, where the upstream is known to take connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolWait {
    /// It waits for the upstream, as far as is known.
    #[default]
    None,
    /// It waits for a connection.
    Waits,
    /// A connection took it at this time.
    Left(Timestamp),
}

/// What a request tells of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionUse {
    /// It holds one for as long as its client likes.
    Holds,
    /// If it has one, its client holds it: Envoy has to be asked.
    Perhaps,
    /// Nothing: it waits for the upstream.
    No,
}

impl ConnectionUse {
    /// By how far a request has come.
    pub const fn of(complete: bool, exempt: bool, answered: bool) -> Self {
        match (answered, !complete || exempt) {
            (true, _) => Self::Holds,
            (false, true) => Self::Perhaps,
            (false, false) => Self::No,
        }
    }
}

/// What shows that an upstream takes connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolEvidence {
    /// When a response ended last.
    pub ended_at: Timestamp,
    /// When clients were last seen to hold connections.
    pub held_at: Timestamp,
    /// When more requests were last seen to wait for an overdue answer than clients held connections.
    pub overdue_at: Timestamp,
}

impl PoolEvidence {
    /// So many clients hold connections now, and so many requests wait for an answer that is overdue.
    pub fn look(&mut self, held: u32, overdue: u32, now: Timestamp) {
        if overdue > held {
            self.overdue_at = now;
        } else if held > 0 {
            self.held_at = now;
        }
    }

    /// Whether it did so while a request waited that was complete at `since`.
    pub fn takes_connections_since(&self, since: Timestamp) -> bool {
        let held = self.held_at > since && self.overdue_at <= self.ended_at;
        self.ended_at > since || held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_the_upstream_is_no_evidence_that_it_takes_connections() {
        for (complete, exempt, answered, expected) in [
            (true, false, false, ConnectionUse::No),
            (true, true, false, ConnectionUse::Perhaps),
            (false, false, false, ConnectionUse::Perhaps),
            (false, true, false, ConnectionUse::Perhaps),
            (true, false, true, ConnectionUse::Holds),
            (false, false, true, ConnectionUse::Holds),
            (true, true, true, ConnectionUse::Holds),
            (false, true, true, ConnectionUse::Holds),
        ] {
            let holder = ConnectionUse::of(complete, exempt, answered);
            assert_eq!(holder, expected, "{complete} {exempt} {answered}");
        }
    }

    #[test]
    fn only_what_was_seen_while_a_request_waited_says_anything_about_it() {
        let at = Timestamp::nanos;
        for (ended, held, since, expected) in [
            (0, 0, 5, false),
            (5, 5, 5, false),
            (6, 0, 5, true),
            (0, 6, 5, true),
            (4, 3, 5, false),
        ] {
            let evidence = PoolEvidence {
                ended_at: at(ended),
                held_at: at(held),
                ..PoolEvidence::default()
            };
            let takes = evidence.takes_connections_since(at(since));
            assert_eq!(takes, expected, "{ended} {held} {since}");
        }
    }

    #[test]
    fn few_held_connections_excuse_no_upstream_that_is_silent_to_more_requests() {
        let at = Timestamp::nanos;
        for (held, overdue, expected) in [(0, 0, false), (2, 0, true), (2, 2, true), (2, 3, false)]
        {
            let mut evidence = PoolEvidence::default();
            evidence.look(held, overdue, at(6));
            let takes = evidence.takes_connections_since(at(5));
            assert_eq!(takes, expected, "{held} {overdue}");
        }
        let mut evidence = PoolEvidence::default();
        evidence.look(2, 3, at(6));
        evidence.look(2, 0, at(7));
        assert!(
            !evidence.takes_connections_since(at(5)),
            "their clients left"
        );
        evidence.ended_at = at(8);
        evidence.look(2, 0, at(9));
        assert!(evidence.takes_connections_since(at(8)), "it answered");
    }
}
