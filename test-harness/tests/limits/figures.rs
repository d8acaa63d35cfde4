//! What a run is judged by.

use hdrhistogram::Histogram;
use seawall_policy::priority::Priority;

use crate::scene::{SECOND, Scene};

/// A part of a second over which it is said whether things are stable.
const PART: u64 = SECOND / 2;
/// A load below this share of the capacity is one that is to be let in.
const RIGHTFUL: f64 = 0.9;

/// What a client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Good,
    Refused,
    Failed,
}

/// What happened in a part of a second.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    offered: f64,
    good: f64,
    latency_ms: f64,
}

/// What happened in a run.
pub(crate) struct Book {
    scene: Scene,
    parts: Vec<Part>,
    latency_us: Histogram<u64>,
    rightful: f64,
    refused_wrongly: f64,
    plus: f64,
    plus_good: f64,
}

/// The figures of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Answers in time, in shares of what could be: the smaller of what was offered and the capacity.
    pub goodput: f64,
    /// Latency of good answers, in milliseconds.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// The share of requests refused while there was no more than 0.9 of the capacity.
    pub wrong: f64,
    /// From the change until goodput is within a fifth of what could be, and latency within twice the time of service, for
    /// good, in seconds; infinite if never, and not a number without a change.
    pub stable_s: f64,
    /// The share of requests of the highest priority that got good answers.
    pub plus: f64,
}

impl Book {
    pub(crate) fn new(scene: &Scene) -> Self {
        Self {
            scene: scene.clone(),
            parts: vec![Part::default(); (scene.seconds * SECOND / PART) as usize],
            latency_us: Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("a histogram"),
            rightful: 0.0,
            refused_wrongly: 0.0,
            plus: 0.0,
            plus_good: 0.0,
        }
    }

    /// A request is over.
    pub(crate) fn ended(&mut self, priority: Priority, at: u64, now: u64, got: Got) {
        let (from, to) = self.scene.judged;
        let judged = (from * SECOND..to * SECOND).contains(&at);
        if let Some(part) = self.parts.get_mut((at / PART) as usize) {
            part.offered += 1.0;
        }
        if got == Got::Good {
            let part = &mut self.parts[(now / PART) as usize];
            part.good += 1.0;
            part.latency_ms += (now - at) as f64 / 1e6;
            if judged {
                self.latency_us.saturating_record((now - at) / 1_000);
            }
        }
        if self.scene.load(at) < RIGHTFUL && !self.scene.is_down(at) {
            self.rightful += 1.0;
            self.refused_wrongly += f64::from(u8::from(got == Got::Refused));
        }
        if priority == Priority::CriticalPlus && judged {
            self.plus += 1.0;
            self.plus_good += f64::from(u8::from(got == Got::Good));
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let parts = |second: u64| (second * SECOND / PART) as usize;
        let (from, to) = self.scene.judged;
        let (mut good, mut could) = (0.0, 0.0);
        for number in parts(from)..parts(to) {
            good += self.parts[number].good;
            could += self.could(number);
        }
        let percentile = |at| self.latency_us.value_at_quantile(at) as f64 / 1e3;
        Figures {
            goodput: good / could,
            p50_ms: percentile(0.5),
            p99_ms: percentile(0.99),
            wrong: self.refused_wrongly / self.rightful,
            stable_s: self.stable(),
            plus: self.plus_good / self.plus,
        }
    }

    /// How many could have been answered in a part.
    fn could(&self, number: usize) -> f64 {
        let at = number as u64 * PART;
        let seconds = PART as f64 / 1e9;
        self.parts[number]
            .offered
            .min(self.scene.capacity(at) * seconds)
    }

    /// The change until the end of the last of two parts running in which something was wrong. One part by itself is chance.
    fn stable(&self) -> f64 {
        let Some(change) = self.scene.change else {
            return f64::NAN;
        };
        let wrong = |number: usize| {
            let part = self.parts[number];
            let twice = 2.0 * self.scene.service_at(number as u64 * PART);
            part.good < 0.8 * self.could(number) || part.latency_ms > twice * part.good
        };
        let first = (change * SECOND / PART) as usize;
        let last = self.parts.len() - 1;
        let until = (first..last).rev().find(|at| wrong(*at) && wrong(at + 1));
        let seconds = until.map_or(0.0, |at| (at + 2 - first) as f64 * PART as f64 / 1e9);
        match until {
            Some(at) if at + 1 == last => f64::INFINITY,
            _ => seconds,
        }
    }
}
