//! What was seen since the limit was last thought about.

use super::{Kind, PLACE, Sample};
use crate::shared::envelope::{Reader, Writer};
use crate::time::{Span, Timestamp};

/// Sums over the samples of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// When its first sample came; before that, when the window before it ended.
    from: Timestamp,
    answered: u32,
    dropped: u32,
    pressed: u32,
    latency_ns: u64,
    in_flight: u64,
    in_flight_max: u32,
}

/// How near requests came to what they may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pressure {
    /// None came near: nothing can have been held back.
    None,
    /// Some did.
    Some,
    /// So many did that others were held back.
    Held,
}

/// A window as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// How many requests were answered.
    pub(super) answered: u32,
    /// How many were dropped.
    pub(super) dropped: u32,
    /// The mean latency of the answered.
    pub(super) latency: Span,
    /// How many were in flight, on average, in [`PLACE`]ths.
    pub(super) in_flight: u64,
    /// How many were in flight at most.
    pub(super) in_flight_max: u32,
    /// How full it was for requests when they came.
    pub(super) pressure: Pressure,
}

impl Seen {
    /// How many requests there were.
    pub(super) const fn samples(&self) -> u32 {
        self.answered.saturating_add(self.dropped)
    }

    /// Which share of them was dropped, in basis points.
    pub(super) fn dropped_share(&self) -> u32 {
        let dropped = u64::from(self.dropped).saturating_mul(10_000);
        let share = dropped.checked_div(u64::from(self.samples()));
        share.unwrap_or(0) as u32
    }
}

impl Window {
    /// One that begins now, and in which nothing came yet.
    pub(super) fn begun(now: Timestamp) -> Self {
        Self {
            from: now,
            ..Self::default()
        }
    }

    /// When it began: with its first sample, or, before that, with the end of the one before.
    pub(super) const fn begin(&self) -> Timestamp {
        self.from
    }

    /// One more sample, whose latency counts as no longer than `longest`.
    pub(super) fn add(&mut self, sample: Sample, longest: Span, now: Timestamp) {
        if self.samples() == 0 {
            self.from = now;
        }
        match sample.kind {
            Kind::Abandoned if sample.latency >= longest => {
                self.dropped = self.dropped.saturating_add(1);
            }
            Kind::Answered | Kind::Abandoned => {
                let latency = sample.latency.min(longest).as_nanos();
                self.latency_ns = self.latency_ns.saturating_add(latency);
                self.answered = self.answered.saturating_add(1);
            }
            Kind::Dropped => self.dropped = self.dropped.saturating_add(1),
            Kind::Ignored => return,
        }
        let pressed = u32::from(sample.pressed);
        self.pressed = self.pressed.saturating_add(pressed);
        self.in_flight = self.in_flight.saturating_add(u64::from(sample.in_flight));
        self.in_flight_max = self.in_flight_max.max(sample.in_flight);
    }

    /// How many samples there are.
    pub(super) const fn samples(&self) -> u32 {
        self.answered.saturating_add(self.dropped)
    }

    /// For how long it has been open.
    pub(super) const fn open_for(&self, now: Timestamp) -> Span {
        now.since(self.from)
    }

    /// What was seen, as one.
    pub(super) fn seen(&self) -> Seen {
        let samples = u64::from(self.samples()).max(1);
        let answered = u64::from(self.answered).max(1);
        let places = self.in_flight.saturating_mul(PLACE);
        Seen {
            answered: self.answered,
            dropped: self.dropped,
            latency: Span::nanos(self.latency_ns.checked_div(answered).unwrap_or(0)),
            in_flight: places.checked_div(samples).unwrap_or(0),
            in_flight_max: self.in_flight_max,
            pressure: match u64::from(self.pressed) {
                0 => Pressure::None,
                pressed if pressed.saturating_mul(16) < samples => Pressure::Some,
                _ => Pressure::Held,
            },
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u64(self.from.as_nanos());
        for count in [
            self.answered,
            self.dropped,
            self.pressed,
            self.in_flight_max,
        ] {
            out.u32(count);
        }
        out.u64(self.latency_ns);
        out.u64(self.in_flight);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            from: reader.time()?,
            answered: reader.u32()?,
            dropped: reader.u32()?,
            pressed: reader.u32()?,
            in_flight_max: reader.u32()?,
            latency_ns: reader.u64()?,
            in_flight: reader.u64()?,
        })
    }
}
