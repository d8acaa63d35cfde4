//! What stands in shared data for one upstream, as bytes: fixed width, little endian, versioned, checked.
//!
//! The geometry of the windows stands in the record, so that an old and a new configuration that live side by side cut it
//! the same way. Breaker and retry budget share a record: a retry is paid for in the step that sees the breaker closed.

mod latest;
mod shape;

use crate::breaker::window::{CountWindow, Counts, Geometry, SLICES, TimeWindow, Window};
use crate::breaker::{
    Breaker, Closed, Force, Forced, HOLDERS_MAX, Host, Hosts, Phase, Probing, State,
};
use crate::retry_budget::Budget;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::leases::{Lease, Leases};
use crate::shared::state::SharedRecord;
use crate::time::{Span, Timestamp};

pub use crate::shared::state::Unreadable;
pub use shape::{RecordShape, Shape};

/// The version of the layout: 2 has the retry budget.
pub const VERSION: u16 = 2;
/// The version of a record that an operator forced. Only such a record has it: a filter that does not know it leaves
/// the record alone and lets traffic pass until the time is over.
pub const VERSION_FORCED: u16 = 3;
/// No record is longer, in bytes.
pub const BYTES_MAX: usize = 1_024;
const MAGIC: [u8; 2] = *b"SW";

/// The state of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the configuration was taken that shaped it.
    pub configured_at: Timestamp,
    /// Whether that configuration counts; a forced or switched-off breaker does not.
    pub counting: bool,
    /// The breaker.
    pub breaker: Breaker,
    /// The retry budget, where the policy has retries.
    pub budget: Option<Budget>,
    /// What an operator asks.
    pub forced: Option<Box<Forced>>,
}

impl Record {
    /// A closed, empty record.
    pub fn new(claim: RecordShape) -> Self {
        Self {
            configured_at: claim.configured_at,
            counting: claim.counting,
            breaker: Breaker::new(claim.geometry),
            budget: claim.slice.map(Budget::new),
            forced: None,
        }
    }

    /// The bytes for shared data; at most [`BYTES_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let version = match self.forced {
            Some(_) => VERSION_FORCED,
            None => VERSION,
        };
        let mut out = Writer::new(MAGIC, version);
        out.u64(self.configured_at.as_nanos());
        out.u8(u8::from(self.counting));
        out.u8(u8::from(self.budget.is_some()));
        if let Some(budget) = &self.budget {
            out.budget(budget);
        }
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
        if let Some(forced) = &self.forced {
            out.forced(forced);
        }
        out.sealed(version)
    }

    /// Reads what [`Record::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        // Not by `Reader::whole`: a reader that is passed on costs a request some 1,000 fuel.
        let (version, mut reader) = match Reader::open(bytes, MAGIC) {
            Some((later, _)) if later > VERSION_FORCED => return Err(Unreadable::Later(later)),
            Some((version @ (VERSION | VERSION_FORCED), reader)) => (version, reader),
            _ => return Err(Unreadable::Damaged),
        };
        let record = reader.record(version).filter(|_| reader.is_empty());
        record.ok_or(Unreadable::Damaged)
    }
}

impl SharedRecord for Record {
    fn encode(&self) -> Vec<u8> {
        Self::encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::decode(bytes)
    }
}

impl Writer {
    #[cold]
    fn forced(&mut self, forced: &Forced) {
        self.u8(match forced.force() {
            Force::Open => 0,
            Force::Closed => 1,
        });
        self.u64(forced.expires().as_nanos());
        self.bytes(forced.by().as_bytes());
    }

    fn budget(&mut self, budget: &Budget) {
        self.u64(budget.slice.as_nanos());
        self.u64(budget.newest);
        self.u64(budget.floor);
        self.u64(budget.floor_at.as_nanos());
        self.u64(budget.owed);
        for bucket in budget.buckets {
            self.u32(bucket);
        }
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
        let leases = &probing.holders;
        for lease in leases.list() {
            self.u64(lease.instance);
            self.u32(lease.quantity);
            self.u32(lease.beat);
        }
        // The empty places: notes, and in the first one the highest beat where no lease has it any more.
        let beats = leases.list().iter().map(|lease| lease.beat);
        let mut newest = match beats.max() {
            Some(highest) if highest >= leases.newest() => 0,
            _ => leases.newest(),
        };
        let mut words = probing.words().into_iter();
        for _ in leases.list().len()..HOLDERS_MAX {
            self.u64(words.next().unwrap_or(0));
            self.u32(0);
            self.u32(std::mem::take(&mut newest));
        }
    }
}

impl Reader<'_> {
    fn record(&mut self, version: u16) -> Option<Record> {
        let configured_at = self.time()?;
        let counting = self.flag()?;
        let budget = match self.flag()? {
            true => Some(self.budget()?),
            false => None,
        };
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
        // In one expression: what is large is not moved from place to place.
        Some(Record {
            configured_at,
            counting,
            budget,
            breaker: Breaker {
                geometry,
                generation,
                trips,
                last,
                state: match self.u8()? {
                    0 => State::Closed(self.closed(geometry)?),
                    1 => {
                        let (state, rest) = probing(Reader::clone(self), generation, last)?;
                        *self = rest;
                        state
                    }
                    2 => State::Open {
                        until: self.time()?,
                    },
                    _ => return None,
                },
            },
            forced: match version {
                VERSION_FORCED => Some(self.forced()?),
                _ => None,
            },
        })
    }

    #[cold]
    fn forced(&mut self) -> Option<Box<Forced>> {
        let force = match self.u8()? {
            0 => Force::Open,
            1 => Force::Closed,
            _ => return None,
        };
        let expires = self.time()?;
        let by = std::str::from_utf8(self.bytes()?).ok()?;
        Forced::stored(force, expires, by).map(Box::new)
    }

    fn budget(&mut self) -> Option<Budget> {
        let slice = Span::nanos(self.u64()?);
        let mut budget = Budget::new(slice);
        if budget.slice != slice {
            return None;
        }
        budget.newest = self.u64()?;
        budget.floor = self.u64()?;
        budget.floor_at = self.time()?;
        budget.owed = self.u64()?;
        for bucket in &mut budget.buckets {
            *bucket = self.u32()?;
        }
        Some(budget)
    }

    fn closed(&mut self, geometry: Geometry) -> Option<Box<Closed>> {
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
        Some(Box::new(Closed {
            window,
            consecutive,
            last_failure,
            ramp_from,
            grace_from,
            verdicts,
            hosts,
        }))
    }
}

/// A half-open state, and what stands behind it. It is rare, and makes the way of all others longer where it is inlined.
#[inline(never)]
fn probing(
    mut reader: Reader<'_>,
    generation: u64,
    last: Timestamp,
) -> Option<(State, Reader<'_>)> {
    let wait_from = reader.maybe()?;
    let verdicts = reader.counts()?;
    let mut list: Vec<Lease> = Vec::new();
    let (mut words, mut newest) = (Vec::new(), 0);
    for _ in 0..HOLDERS_MAX {
        let (instance, quantity, beat) = (reader.u64()?, reader.u32()?, reader.u32()?);
        newest = beat.max(newest);
        // The number of an empty place holds a note.
        match quantity {
            0 => words.push(instance),
            _ => list.push(Lease {
                instance,
                quantity,
                beat,
            }),
        }
    }
    let mut probing = Probing {
        holders: Leases::stored(generation, newest, list),
        verdicts,
        wait_from,
        ..Probing::default()
    };
    probing.remember(words.into_iter(), last);
    Some((State::HalfOpen(Box::new(probing)), reader))
}

#[cfg(test)]
mod tests;
