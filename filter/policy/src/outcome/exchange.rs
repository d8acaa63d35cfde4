//! When the verdict on one request is due: at its end; where the upstream is silent, after a while; where its response goes on, a
//! second after the headers.

use crate::time::{Span, Timestamp};

/// A response whose end was not seen for this long after its headers is counted as its headers say; a request with a
/// half-open permit has this long to be completed.
pub const GRACE: Span = Span::secs(1);

/// How long silence may last under one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A slow call takes longer than this; `None` where slow calls are off.
    pub slow_over: Option<Span>,
    /// How long a half-open permit may be held.
    pub wait: Span,
    /// The operator's own limit of a request.
    pub limit: Option<Span>,
}

/// A request that waits for the headers of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// When its last byte had come, if it did.
    pub complete_at: Option<Timestamp>,
    /// A tunnel, an event stream or a long poll: silence says nothing.
    pub exempt: bool,
    /// Whether it holds a half-open permit.
    pub probe: bool,
}

/// What is due for a request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Its permit is given back without a verdict; the request goes on.
    Lapse,
    /// The upstream was silent for too long: a slow call.
    Slow,
    /// Where slow calls are off: a probe without a response has failed.
    Failed,
}

impl Waiting {
    /// Whether its upstream has been silent for a while, so that it may be slow soon.
    pub fn is_awaited(&self, now: Timestamp) -> bool {
        let silent = |since| now.since(since) >= GRACE;
        !self.exempt && self.complete_at.is_some_and(silent)
    }

    /// What is due now, if anything.
    pub fn due(&self, patience: &Patience, now: Timestamp) -> Option<Due> {
        let silent_for = |since: Timestamp, at_least: Span| now.since(since) >= at_least;
        match (self.complete_at, patience.slow_over) {
            (None, _) => (self.probe && silent_for(self.admitted_at, GRACE)).then_some(Due::Lapse),
            (Some(since), Some(over)) if silent_for(since, over.plus(GRACE)) => match self.exempt {
                true => self.probe.then_some(Due::Lapse),
                false => Some(Due::Slow),
            },
            (Some(since), None) if self.probe => {
                let most = patience.limit.unwrap_or(Span::ZERO).max(patience.wait);
                silent_for(since, most).then_some(match self.exempt {
                    true => Due::Lapse,
                    false => Due::Failed,
                })
            }
            (Some(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::nanos(millis * 1_000_000)
    }

    fn due(
        complete: Option<u64>,
        exempt: bool,
        probe: bool,
        slow: Option<u64>,
        now: u64,
    ) -> Option<Due> {
        let waiting = Waiting {
            admitted_at: at(0),
            complete_at: complete.map(at),
            exempt,
            probe,
        };
        let patience = Patience {
            slow_over: slow.map(Span::millis),
            wait: Span::secs(20),
            limit: Some(Span::secs(30)),
        };
        waiting.due(&patience, at(now))
    }

    #[test]
    fn silence_is_a_slow_call_a_second_after_it_became_slow() {
        for probe in [false, true] {
            assert_eq!(due(Some(500), false, probe, Some(2_000), 3_499), None);
            assert_eq!(
                due(Some(500), false, probe, Some(2_000), 3_500),
                Some(Due::Slow)
            );
        }
    }

    #[test]
    fn an_unfinished_probe_lapses_after_a_second_and_other_unfinished_requests_never() {
        assert_eq!(due(None, false, true, Some(2_000), 999), None);
        assert_eq!(due(None, false, true, Some(2_000), 1_000), Some(Due::Lapse));
        assert_eq!(due(None, false, false, Some(2_000), 1_000_000), None);
    }

    #[test]
    fn silence_of_streams_says_nothing() {
        assert_eq!(
            due(Some(0), true, true, Some(2_000), 3_000),
            Some(Due::Lapse)
        );
        assert_eq!(due(Some(0), true, true, None, 30_000), Some(Due::Lapse));
        assert_eq!(due(Some(0), true, false, Some(2_000), 1_000_000), None);
    }

    #[test]
    fn without_slow_calls_a_probe_fails_after_the_longest_limit_and_nothing_else_does() {
        assert_eq!(due(Some(0), false, true, None, 29_999), None);
        assert_eq!(due(Some(0), false, true, None, 30_000), Some(Due::Failed));
        assert_eq!(due(Some(0), false, false, None, 1_000_000), None);
    }
}
