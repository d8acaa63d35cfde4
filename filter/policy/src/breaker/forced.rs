//! What an operator asks of one upstream for a time. It wins over the policy's `mode` and over the breaker's own state.
//!
//! The breaker goes on beneath it: while requests pass, their verdicts count. When the time is over the breaker stands where
//! its verdicts brought it. A breaker whose mode is `off` is not asked at all, and so cannot be forced.

use crate::time::{Span, Timestamp};

/// The longest time for which an upstream is forced.
pub const FORCED_FOR_MAX: Span = Span::secs(24 * 3_600);
/// The longest name of an operator, in bytes.
pub const BY_MAX: usize = 64;

/// What an operator asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Every request is refused.
    Open,
    /// Every request passes.
    Closed,
}

impl Force {
    /// The word on the state page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What is asked, until when, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forced {
    force: Force,
    expires: Timestamp,
    by: Box<str>,
}

impl Forced {
    /// What somebody called `by` asks from `now` on. The time is cut to [`FORCED_FOR_MAX`], the name to [`BY_MAX`].
    pub fn new(force: Force, lasts: Span, by: &str, now: Timestamp) -> Self {
        let end = by.floor_char_boundary(BY_MAX);
        Self {
            force,
            expires: now.after(lasts.min(FORCED_FOR_MAX)),
            by: by.get(..end).unwrap_or_default().into(),
        }
    }

    /// What was stored; nothing if the name is longer than one can be.
    pub(crate) fn stored(force: Force, expires: Timestamp, by: &str) -> Option<Self> {
        (by.len() <= BY_MAX).then(|| Self {
            force,
            expires,
            by: by.into(),
        })
    }

    /// What is asked.
    pub const fn force(&self) -> Force {
        self.force
    }

    /// Who asked.
    pub const fn by(&self) -> &str {
        &self.by
    }

    /// Until when it holds.
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Whether it still holds.
    pub fn is_on(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    /// Whether its end lies further ahead than any can: the record is damaged.
    pub fn is_too_far_ahead(&self, now: Timestamp) -> bool {
        self.expires > now.after(FORCED_FOR_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::nanos(5_000_000_000);

    #[test]
    fn it_holds_until_its_time_is_over_and_a_day_at_most() {
        let forced = Forced::new(Force::Open, Span::secs(60), "ops", NOW);
        assert!(forced.is_on(NOW.after(Span::millis(59_999))));
        assert!(!forced.is_on(NOW.after(Span::secs(60))));
        let long = Forced::new(Force::Closed, Span::MAX, "ops", NOW);
        assert_eq!(long.expires(), NOW.after(FORCED_FOR_MAX));
        assert!(!long.is_too_far_ahead(NOW));
        let later = NOW.after(FORCED_FOR_MAX).after(Span::nanos(1));
        let damaged = Forced::stored(Force::Open, later, "ops").unwrap();
        assert!(damaged.is_too_far_ahead(NOW));
    }

    #[test]
    fn a_name_is_cut_between_characters() {
        for (by, length) in [
            ("ops", 3),
            (&"x".repeat(99), 64),
            (&"\u{e9}".repeat(64), 64),
            (&"\u{20ac}".repeat(64), 63),
        ] {
            let forced = Forced::new(Force::Open, Span::secs(1), by, NOW);
            assert!(by.starts_with(forced.by()));
            assert_eq!(forced.by().len(), length);
        }
        assert_eq!(Forced::stored(Force::Open, NOW, &"x".repeat(65)), None);
    }
}
