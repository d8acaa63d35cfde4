//! The limits that are compared: Seawall's own, none, and three after Netflix's concurrency-limits
//! (github.com/Netflix/concurrency-limits, in `concurrency-limits-core/.../limits/limit/`).
//!
//! All get the same windows and the same bounds. What the field leaves open is set so that it serves them best: see each.

mod aimd;
mod gradient2;
mod vegas;

use seawall_policy::limiter::{Kind, Limiter, Sample, Settings};
use seawall_policy::time::Timestamp;

/// The bounds of all: those that Seawall has unless told otherwise.
const SETTINGS: Settings = Settings {
    floor: 5,
    ceiling: 1_000,
    initial: 20,
    tolerance: 150,
};

/// A limit on what is in flight.
pub(crate) trait Limit {
    /// How many may be in flight.
    fn limit(&self) -> u32;
    /// A request is over.
    fn enter(&mut self, sample: Sample, now: u64);
    /// What it would say of itself.
    fn state(&self) -> String {
        String::new()
    }
}

/// Whose limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    /// No limit at all.
    None,
    Gradient2,
    Aimd,
    Vegas,
    Seawall,
}

impl Rival {
    pub(crate) const ALL: [Self; 5] = [
        Self::None,
        Self::Gradient2,
        Self::Aimd,
        Self::Vegas,
        Self::Seawall,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "no limit",
            Self::Gradient2 => "gradient2",
            Self::Aimd => "AIMD",
            Self::Vegas => "Vegas",
            Self::Seawall => "Seawall",
        }
    }

    /// The limit as it starts. Who needs to be told knows that an answer takes `service_ms` on average at first.
    pub(crate) fn limit(self, service_ms: f64) -> Box<dyn Limit> {
        match self {
            Self::None => Box::new(Unlimited),
            Self::Gradient2 => Box::new(Windowed::new(gradient2::Gradient2::default())),
            Self::Aimd => Box::new(Windowed::new(aimd::Aimd::new(service_ms))),
            Self::Vegas => Box::new(Windowed::new(vegas::Vegas::default())),
            Self::Seawall => Box::new(Limiter::new(&SETTINGS)),
        }
    }
}

struct Unlimited;

impl Limit for Unlimited {
    fn limit(&self) -> u32 {
        u32::MAX
    }

    fn enter(&mut self, _: Sample, _: u64) {}
}

impl Limit for Limiter {
    fn limit(&self) -> u32 {
        Limiter::limit(self, &SETTINGS)
    }

    fn enter(&mut self, sample: Sample, now: u64) {
        Limiter::enter(self, &SETTINGS, sample, Timestamp::nanos(now));
    }

    fn state(&self) -> String {
        format!("{self:?}")
    }
}

/// What a rival learns of a window.
struct Window {
    /// The mean latency of the answers, in milliseconds; `None` without any.
    rtt_ms: Option<f64>,
    /// The most in flight.
    in_flight: f64,
    /// Whether so many were dropped that it counts.
    dropped: bool,
}

impl Window {
    /// Whether half of the limit was used; a place for what its integer part loses.
    fn is_half(&self, limit: f64) -> bool {
        (self.in_flight + 1.0) * 2.0 >= limit
    }
}

/// A rule that is asked once a window.
trait Rule {
    /// The next limit.
    fn update(&mut self, limit: f64, window: &Window) -> f64;
}

/// A rule with its windows (concurrency-limits' `WindowedLimit`, with shorter windows than its second, which serves all).
struct Windowed<R> {
    rule: R,
    limit: f64,
    from: u64,
    answered: f64,
    dropped: f64,
    latency_ms: f64,
    in_flight: f64,
}

impl<R> Windowed<R> {
    const LENGTH: u64 = 250_000_000;
    const SAMPLES: f64 = 20.0;

    fn new(rule: R) -> Self {
        Self {
            rule,
            limit: f64::from(SETTINGS.initial),
            from: 0,
            answered: 0.0,
            dropped: 0.0,
            latency_ms: 0.0,
            in_flight: 0.0,
        }
    }
}

impl<R: Rule> Limit for Windowed<R> {
    fn limit(&self) -> u32 {
        self.limit as u32
    }

    fn enter(&mut self, sample: Sample, now: u64) {
        match sample.kind {
            Kind::Answered => {
                self.answered += 1.0;
                self.latency_ms += sample.latency.as_nanos() as f64 / 1e6;
            }
            Kind::Dropped => self.dropped += 1.0,
            Kind::Abandoned | Kind::Ignored => return,
        }
        self.in_flight = self.in_flight.max(f64::from(sample.in_flight));
        let samples = self.answered + self.dropped;
        if now - self.from < Self::LENGTH || samples < Self::SAMPLES {
            return;
        }
        let window = Window {
            rtt_ms: (self.answered > 0.0).then(|| self.latency_ms / self.answered),
            in_flight: self.in_flight,
            dropped: self.dropped * 10.0 >= samples,
        };
        let (floor, ceiling) = (f64::from(SETTINGS.floor), f64::from(SETTINGS.ceiling));
        self.limit = self.rule.update(self.limit, &window).clamp(floor, ceiling);
        (self.answered, self.dropped, self.latency_ms) = (0.0, 0.0, 0.0);
        (self.in_flight, self.from) = (0.0, now);
    }
}
