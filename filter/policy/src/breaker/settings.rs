//! What a breaker is told: thresholds, times and modes, already valid.

use crate::breaker::window::Geometry;
use crate::ratio::Share;
use crate::time::Span;

/// What the breaker does with its own verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Neither counts nor refuses.
    Off,
    /// Counts and changes state on real outcomes, refuses nothing and marks what it would have refused.
    Shadow,
    /// Refuses this share of the requests it would refuse, chosen by request id; the rest is treated as in shadow.
    Enforce(Share),
    /// Refuses everything and counts nothing.
    ForcedOpen,
}

impl Mode {
    /// Whether outcomes feed the state machine in this mode.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Shadow | Self::Enforce(_))
    }
}

/// When a closed breaker opens. A rate is reached at equality; a rate of zero is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures among the calls of the window.
    pub failure_rate: Share,
    /// Slow successes among the calls of the window.
    pub slow_rate: Share,
    /// A success whose headers took longer than this is slow.
    pub slow_over: Span,
    /// Failures in a row, whatever the rate; 0 is off.
    pub consecutive: u32,
    /// Calls that must stand in the window before a rate is judged; at least 1.
    pub minimum_calls: u32,
}

/// How long an open breaker stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTime {
    /// After the first trip; doubled at each further trip in a row.
    pub base: Span,
    /// The doubling, and a Retry-After of the upstream, end here.
    pub cap: Span,
    /// Up to this share is added at random, after the cap.
    pub jitter: Share,
}

impl OpenTime {
    /// The longest time that a breaker stays open after one trip.
    pub fn longest(&self) -> Span {
        // Every step on a record asks: exact to 10 us, without a division of 128 bits.
        let part = Span::nanos(self.cap.as_nanos() / 10_000);
        let jitter = u64::from(self.jitter.as_basis_points());
        self.cap.plus(part.times(jitter))
    }
}

/// How a half-open breaker probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfOpen {
    /// Probes in flight plus verdicts, over all workers together; at least 1.
    pub permits: u32,
    /// Permits that are held for this long without a verdict are taken back: their holders are dead, since living ones give
    /// theirs back sooner.
    pub wait: Span,
}

/// Everything one breaker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is done with the verdict.
    pub mode: Mode,
    /// Whether it also works on inbound listeners, where it would cut its own application off.
    pub inbound: bool,
    /// When it opens.
    pub thresholds: Thresholds,
    /// The window over which rates are taken.
    pub window: Geometry,
    /// How long it stays open.
    pub open: OpenTime,
    /// How it probes.
    pub half_open: HalfOpen,
    /// After closing, the admitted share grows from 10 % to all over this time; zero is off.
    pub ramp: Span,
    /// While a minority of the hosts fails, a trip is withheld for this long; zero is off.
    pub host_grace: Span,
}

impl Settings {
    /// The most probes a half-open breaker may allow.
    pub const PERMITS_MAX: u32 = 1_000;
}

/// The times and rates are those of the best of the field. How a breaker probes is the fleet's arithmetic: 1,000 Envoys
/// with a request a second each, whose breakers stay open for 60 to 120 seconds and then probe twice, probe with
/// 22 requests a second together; and chance as long as the open time drives those apart that tripped together.
impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce(Share::ALL),
            inbound: false,
            thresholds: Thresholds {
                failure_rate: Share::percent(50),
                slow_rate: Share::percent(80),
                slow_over: Span::secs(2),
                consecutive: 7,
                minimum_calls: 20,
            },
            window: Geometry::time(Span::secs(10)),
            open: OpenTime {
                base: Span::secs(5),
                cap: Span::secs(60),
                jitter: Share::ALL,
            },
            half_open: HalfOpen {
                permits: 2,
                wait: Span::secs(20),
            },
            ramp: Span::secs(10),
            host_grace: Span::secs(10),
        }
    }
}
