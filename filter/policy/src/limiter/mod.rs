//! How many requests an upstream can work on at once, learned from how long they take.
//!
//! The rule is a gradient: a latency within `tolerance` of what it is without a queue lets the limit grow, a longer one
//! makes it fall, both in proportion (after Netflix's Gradient2, concurrency-limits, 2018, which compares a short average
//! with a long one). What is different is where the latency without a queue, the *base*, comes from, since a long average
//! learns the queue itself under lasting overload, and a minimum that is measured by holding traffic back hurts it:
//!
//! * While the limit holds nothing back, the base follows the mean latency, up and down.
//! * While it does, only a sharp fall of latency is followed, on trial. Where latency is too long then, the limit falls, and **what the cut does
//!   is the measurement**: if latency falls along with what is in flight, it was a queue; if it does not, the service
//!   itself has become slower, so that latency is the base, and the limit goes back (Little's law: throughput would only
//!   fall). If latency then rises again along with what is in flight, that was wrong, and is taken back.
//!
//! So nothing is ever held back to find something out. One state in shared data serves all VMs: samples enter in the swap
//! that gives a slot back, those of slots that are kept some at a time ([`crate::concurrency::credits`]). Integers only: limits are in 1/256 slots, latencies in nanoseconds.

mod codec;
mod rules;
mod window;

use crate::time::{Span, Timestamp};
use window::Window;

/// A slot in the units of the limit.
const PLACE: u64 = 256;
/// The limit is thought about after this time at the earliest,
const WINDOW: Span = Span::millis(250);
/// and after this many latencies, so that it is the answers to the last limit that are looked at,
const WINDOW_LATENCIES: u64 = 2;
/// and after so many samples: of 200 with a coefficient of variation of 1 the mean is within 7 %. Where they are rare, fewer
/// must do after a while.
const WINDOW_SAMPLES: [(Span, u32); 3] =
    [(Span::ZERO, 200), (Span::secs(1), 50), (Span::secs(4), 20)];
/// A single latency counts as no more than so many times the base: the mean of a few samples with a heavy tail says little.
const LATENCY_MAX: u64 = 8;

/// Within what the limit moves, and when. The floor is below Gradient2's 20: in front of three servers 20 in flight are
/// a queue of six times the time of service, and nothing could be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Never fewer slots, at least 1.
    pub floor: u32,
    /// Never more.
    pub ceiling: u32,
    /// What it starts with.
    pub initial: u32,
    /// How long latency may be, in percent of what it is without a queue; at least 100.
    pub tolerance: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            floor: 5,
            ceiling: 1_000,
            initial: 20,
            tolerance: 150,
        }
    }
}

impl Settings {
    /// The tolerance in percent, as it can be used.
    fn tolerance(&self) -> u64 {
        u64::from(self.tolerance.max(100))
    }
}

/// What became of a request, as the limit sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was answered: its latency counts.
    Answered,
    /// It says that the upstream has too much to do: a time-out, an answer "overloaded".
    Dropped,
    /// Its client went away before the answer, or its own limit passed: the latency is at least this, which says something
    /// once it is longer than it would be without a queue; eight times as long, and it was dropped.
    Abandoned,
    /// It says nothing: an upgrade, a failure of its own.
    Ignored,
}

/// What one request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// From its admission to its answer.
    pub latency: Span,
    /// How many were in flight when it was admitted, with it.
    pub in_flight: u32,
    /// Whether it got one of the last slots for its priority.
    pub pressed: bool,
    /// What became of it.
    pub kind: Kind,
}

/// Where something was seen: so much in flight took so long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Point {
    in_flight: u64,
    latency: Span,
}

/// A question that is open about the base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trial {
    /// None.
    #[default]
    None,
    /// So much was in flight, under this limit, and it is less since: did latency fall along?
    Cut { from: Point, limit: u64 },
    /// It did not. Once more, since it may have been chance.
    Again { from: Point, limit: u64 },
    /// The base was set anew: does latency stay as the limit grows? Otherwise the base is another.
    Growing { from: Point, otherwise: Span },
}

/// The limit of one upstream and all it needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limiter {
    /// In [`PLACE`]ths.
    limit: u64,
    /// What the limit was before requests were dropped; 0 where that does not matter any more, and the greatest number
    /// until the limit was first too much: it is doubled until then. In [`PLACE`]ths.
    before: u64,
    /// The share of dropped requests when the limit began to fall for them, in basis points.
    first: u32,
    /// The share of dropped requests that no limit helps against, in basis points.
    dropped: u32,
    /// The mean latency without a queue; zero while unknown.
    base: Span,
    /// The mean latency of the last window.
    latest: Span,
    trial: Trial,
    /// How many windows there were in a row in which nothing can have been held back.
    calm: u8,
    /// The least mean latency in them.
    least: Span,
    window: Window,
}

impl Limiter {
    /// A limit that knows nothing yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            limit: u64::from(settings.initial).saturating_mul(PLACE),
            before: u64::MAX,
            first: 0,
            dropped: 0,
            base: Span::ZERO,
            latest: Span::ZERO,
            trial: Trial::None,
            calm: 0,
            least: Span::ZERO,
            window: Window::default(),
        }
    }

    /// How many may be in flight, within these settings.
    pub fn limit(&self, settings: &Settings) -> u32 {
        let floor = settings.floor.max(1);
        self.now().clamp(floor, settings.ceiling.max(floor))
    }

    /// How many may be in flight as things stand.
    pub fn now(&self) -> u32 {
        u32::try_from(self.limit / PLACE).unwrap_or(u32::MAX)
    }

    /// The mean latency without a queue, as far as it is known.
    pub const fn base(&self) -> Span {
        self.base
    }

    /// One sample more. The limit changes only where its window is over.
    pub fn enter(&mut self, settings: &Settings, sample: Sample, now: Timestamp) {
        let longest = match self.base {
            Span::ZERO => Span::MAX,
            base => base.times(LATENCY_MAX),
        };
        let told = sample.kind != Kind::Abandoned || sample.latency > self.base;
        if told {
            self.window.add(sample, longest, now);
        }
        let needed = self.latest.times(WINDOW_LATENCIES).max(WINDOW);
        let open_for = self.window.open_for(now);
        let samples = self.window.samples();
        // What was dropped is over, or not: that shows in a few.
        let returns = self.returns();
        let enough = WINDOW_SAMPLES
            .iter()
            .any(|(after, count)| samples >= *count && (returns || open_for >= *after));
        if open_for >= needed && enough {
            let seen = std::mem::replace(&mut self.window, Window::begun(now)).seen();
            self.think(settings, &seen);
            let floor = u64::from(settings.floor.max(1)).saturating_mul(PLACE);
            let ceiling = u64::from(settings.ceiling).saturating_mul(PLACE);
            self.limit = self.limit.clamp(floor, ceiling.max(floor));
            // What it goes back to is no more than it may be by now.
            if self.before != u64::MAX {
                self.before = self.before.min(ceiling.max(floor));
            }
        }
    }

    /// Whether a sample of this time is older than the last thought about the limit, and nothing came since.
    pub fn is_before_window(&self, at: Timestamp) -> bool {
        self.window.samples() == 0 && at < self.window.begin()
    }

    /// Whether the limit is below what it was before requests were dropped.
    const fn returns(&self) -> bool {
        self.before < u64::MAX && self.limit < self.before
    }
}

#[cfg(test)]
mod tests;
