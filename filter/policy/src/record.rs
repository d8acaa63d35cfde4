//! What stands in shared data for one upstream, as bytes: fixed width, little endian, versioned, checked.
//!
//! The first eight bytes (`SW`, version, checksum of the rest) never change their meaning, so that a filter can tell a
//! record of a later version, which it must leave alone, from a damaged one, which it may replace. The geometry of the
//! windows stands in the record, so that an old and a new configuration that live side by side cut it the same way.
//! The checksum finds damage; it is no protection against somebody who can write shared data.

use crate::breaker::{
    Breaker, Closed, Holder, Holders, Host, Hosts, Phase, Probing, State, Transition,
};
use crate::time::{Span, Timestamp};
use crate::window::{CountWindow, Counts, Geometry, SLICES, TimeWindow, Window};

/// The version of the layout.
pub const VERSION: u16 = 1;
/// No record is longer, in bytes.
pub const BYTES_MAX: usize = 1_024;
const MAGIC: [u8; 2] = *b"SW";
const HEADER: usize = 8;

/// The state of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the configuration was taken that shaped it.
    pub configured_at: Timestamp,
    /// Whether that configuration counts; a forced or switched-off breaker does not.
    pub counting: bool,
    /// The breaker.
    pub breaker: Breaker,
}

/// A root's claim on the shape of a record: the later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// When the root took its configuration.
    pub configured_at: Timestamp,
    /// Whether its breaker counts.
    pub counting: bool,
    /// The shape it wants.
    pub geometry: Geometry,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a later version: to be left alone.
    #[error("the record is of version {0}, later than {VERSION}")]
    Later(u16),
    /// Not a record, or a damaged one: to be replaced.
    #[error("the record is damaged")]
    Damaged,
}

impl Record {
    /// A closed, empty record.
    pub fn new(claim: Claim) -> Self {
        Self {
            configured_at: claim.configured_at,
            counting: claim.counting,
            breaker: Breaker::new(claim.geometry),
        }
    }

    /// Lets a root that was configured later have its shape. Leaving a mode that does not count starts anew. Says
    /// whether anything changed, and the transition if it was one.
    pub fn adopt(&mut self, claim: Claim, now: Timestamp) -> (bool, Option<Transition>) {
        let same = claim.geometry == self.breaker.geometry && claim.counting == self.counting;
        if same || claim.configured_at <= self.configured_at {
            return (false, None);
        }
        let restarted = claim.counting != self.counting;
        self.configured_at = claim.configured_at;
        self.counting = claim.counting;
        let transition = if restarted {
            self.breaker.restart(claim.geometry, now)
        } else {
            self.breaker.reshape(claim.geometry);
            None
        };
        (true, transition)
    }

    /// The bytes for shared data; at most [`BYTES_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(BYTES_MAX));
        out.0.extend_from_slice(&MAGIC);
        out.u16(VERSION);
        out.u32(0);
        out.u64(self.configured_at.as_nanos());
        out.u8(u8::from(self.counting));
        let breaker = &self.breaker;
        out.u64(breaker.generation);
        out.u32(breaker.trips);
        out.u64(breaker.last.as_nanos());
        match breaker.geometry {
            Geometry::Time { slice } => {
                out.u8(0);
                out.u64(slice.as_nanos());
            }
            Geometry::Count { calls } => {
                out.u8(1);
                out.u64(u64::from(calls));
            }
        }
        match &breaker.state {
            State::Closed(closed) => {
                out.u8(Phase::Closed.gauge() as u8);
                out.closed(closed);
            }
            State::HalfOpen(probing) => {
                out.u8(Phase::HalfOpen.gauge() as u8);
                out.probing(probing);
            }
            State::Open { until } => {
                out.u8(Phase::Open.gauge() as u8);
                out.u64(until.as_nanos());
            }
        }
        out.sealed()
    }

    /// Reads what [`Record::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or(Unreadable::Damaged)?;
        let mut header = Reader(header);
        let magic = header.take::<2>().ok_or(Unreadable::Damaged)?;
        let version = header.u16().ok_or(Unreadable::Damaged)?;
        let sum = header.u32().ok_or(Unreadable::Damaged)?;
        if magic != MAGIC || sum != checksum(version, body) {
            return Err(Unreadable::Damaged);
        }
        if version > VERSION {
            return Err(Unreadable::Later(version));
        }
        let mut reader = Reader(body);
        let record = reader.record().ok_or(Unreadable::Damaged)?;
        if version < VERSION || !reader.0.is_empty() {
            return Err(Unreadable::Damaged);
        }
        Ok(record)
    }
}

/// A checksum by words, multiply and rotate (the step of FxHash): damage of any one bit changes it.
fn checksum(version: u16, body: &[u8]) -> u32 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let step = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let seed = step(u64::from(version), body.len() as u64);
    let (words, rest) = body.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(seed, |sum, word| step(sum, u64::from_le_bytes(*word)));
    let sum = rest
        .iter()
        .fold(sum, |sum, byte| step(sum, u64::from(*byte)));
    ((sum >> 32) ^ sum) as u32
}

struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A point in time that may be missing: one later, so that 0 says "none".
    fn maybe(&mut self, at: Option<Timestamp>) {
        self.u64(at.map_or(0, |at| at.as_nanos().saturating_add(1)));
    }

    fn counts(&mut self, counts: Counts) {
        self.u32(counts.calls);
        self.u32(counts.failures);
        self.u32(counts.slow);
    }

    fn closed(&mut self, closed: &Closed) {
        self.u32(closed.consecutive);
        self.u64(closed.last_failure.as_nanos());
        self.maybe(closed.ramp_from);
        self.maybe(closed.grace_from);
        self.u32(closed.verdicts);
        let hosts = closed.hosts.known();
        self.u8(hosts.len() as u8);
        for host in hosts {
            self.u32(host.id);
            self.u32(host.seen);
            self.u8(u8::from(host.failed.is_some()));
            self.u32(host.failed.unwrap_or(0));
        }
        match &closed.window {
            Window::Time(window) => {
                self.u64(window.newest);
                for slice in window.slices {
                    self.counts(slice);
                }
            }
            Window::Count(window) => {
                let (_, filled, next, words) = window.parts();
                self.u16(filled);
                self.u16(next);
                for word in words {
                    self.u64(*word);
                }
            }
        }
    }

    fn probing(&mut self, probing: &Probing) {
        self.maybe(probing.wait_from);
        self.counts(probing.verdicts);
        for holder in &probing.holders.places {
            self.u64(holder.instance);
            self.u32(holder.permits);
            self.u32(holder.beat);
        }
    }

    fn sealed(mut self) -> Vec<u8> {
        let sum = checksum(VERSION, self.0.get(HEADER..).unwrap_or_default());
        for (place, byte) in self.0.iter_mut().skip(4).zip(sum.to_le_bytes()) {
            *place = byte;
        }
        self.0
    }
}

/// Reads from the front; `None` once there is too little.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.u64().map(Timestamp::nanos)
    }

    fn maybe(&mut self) -> Option<Option<Timestamp>> {
        self.u64().map(|at| at.checked_sub(1).map(Timestamp::nanos))
    }

    fn counts(&mut self) -> Option<Counts> {
        Some(Counts {
            calls: self.u32()?,
            failures: self.u32()?,
            slow: self.u32()?,
        })
    }

    fn record(&mut self) -> Option<Record> {
        let configured_at = self.time()?;
        let counting = self.flag()?;
        let generation = self.u64()?;
        let trips = self.u32()?;
        let last = self.time()?;
        let geometry = match (self.u8()?, self.u64()?) {
            (0, nanos @ 1..) => Geometry::Time {
                slice: Span::nanos(nanos),
            },
            (1, calls) => {
                let asked = u16::try_from(calls).ok()?;
                let geometry = Geometry::count(asked);
                (geometry == Geometry::Count { calls: asked }).then_some(geometry)?
            }
            _ => return None,
        };
        let state = match self.u8()? {
            0 => State::Closed(self.closed(geometry)?),
            1 => State::HalfOpen(self.probing()?),
            2 => State::Open {
                until: self.time()?,
            },
            _ => return None,
        };
        let breaker = Breaker {
            geometry,
            generation,
            trips,
            last,
            state,
        };
        Some(Record {
            configured_at,
            counting,
            breaker,
        })
    }

    fn closed(&mut self, geometry: Geometry) -> Option<Closed> {
        let consecutive = self.u32()?;
        let last_failure = self.time()?;
        let ramp_from = self.maybe()?;
        let grace_from = self.maybe()?;
        let verdicts = self.u32()?;
        let mut hosts = Hosts::default();
        let count = usize::from(self.u8()?);
        for place in hosts.tracked.get_mut(..count)? {
            let (id, seen) = (self.u32()?, self.u32()?);
            let (known, failed) = (self.flag()?, self.u32()?);
            *place = Host {
                id,
                seen,
                failed: known.then_some(failed),
            };
        }
        let window = match geometry {
            Geometry::Time { slice } => {
                let newest = self.u64()?;
                let mut slices = [Counts::default(); SLICES];
                for place in &mut slices {
                    *place = self.counts()?;
                }
                Window::Time(TimeWindow {
                    slice,
                    newest,
                    slices,
                })
            }
            Geometry::Count { calls } => {
                let (filled, next) = (self.u16()?, self.u16()?);
                let words = (0..CountWindow::words_needed(calls)).map(|_| self.u64());
                let words = words.collect::<Option<Vec<_>>>()?;
                Window::Count(CountWindow::stored(calls, filled, next, words)?)
            }
        };
        Some(Closed {
            window,
            consecutive,
            last_failure,
            ramp_from,
            grace_from,
            verdicts,
            hosts,
        })
    }

    fn probing(&mut self) -> Option<Probing> {
        let wait_from = self.maybe()?;
        let verdicts = self.counts()?;
        let mut holders = Holders::default();
        for place in &mut holders.places {
            *place = Holder {
                instance: self.u64()?,
                permits: self.u32()?,
                beat: self.u32()?,
            };
        }
        Some(Probing {
            holders,
            verdicts,
            wait_from,
        })
    }
}

#[cfg(test)]
mod tests;
