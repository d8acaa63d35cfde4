//! The bytes of a request or of an answer on a connection: in which pieces they come, when, and whether all of them do.
//!
//! What goes wrong with them is what Toxiproxy 2 does: `bandwidth` holds each piece back for as long as its bytes take, and cuts
//! it where that is more than 100 ms; `slicer` halves pieces until they are small enough, and waits behind each; `limit_data` closes
//! the connection once so many bytes have passed; `slow_close` lets that be seen later. Several of them work one behind the
//! other. What is held back when a fault ends comes then.

use std::collections::VecDeque;

use rand::{Rng, RngExt};

use crate::fault::{Fault, Kind, Toxic};

/// A head, with the request's or the status line, has so many bytes.
pub(super) const HEAD: u64 = 200;
/// A proxy reads so many bytes at a time.
const READ: u64 = 32 * 1024;
/// `bandwidth` lets a part of what it holds back go so often, in nanoseconds.
const STEP: u64 = 100_000_000;
/// A message comes in twice as many pieces at most: smaller ones are put together, and take as long.
const PIECES_MAX: u64 = 1_000;

/// Some bytes, and when they are there, in nanoseconds since the first one was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wire {
    pieces: Vec<Piece>,
    /// When it is seen that the sender closed the connection, if it did.
    closed: Option<u64>,
    /// Whether the end of the connection is the end of the message.
    until_close: bool,
    /// Whether bytes are missing.
    cut: bool,
}

/// What comes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// When its head is there; none comes at all.
    pub(super) head: Option<u64>,
    /// Its body, in pieces.
    pub(super) body: VecDeque<Piece>,
    /// When it is over.
    pub(super) end: u64,
    /// Whether it is whole; else the connection was closed before.
    pub(super) whole: bool,
}

impl Wire {
    /// A head, and so many bytes behind it.
    pub(super) fn of(body: u64, until_close: bool) -> Self {
        let all = HEAD.saturating_add(body);
        let read = READ.max(all / PIECES_MAX);
        Self {
            pieces: parts(all, read)
                .map(|bytes| Piece { at: 0, bytes })
                .collect(),
            closed: until_close.then_some(0),
            until_close,
            cut: false,
        }
    }

    /// The same through a fault, which is over so many nanoseconds after the first byte was sent.
    pub(super) fn through(mut self, fault: &Fault, ends: u64, random: &mut impl Rng) -> Self {
        let Some(toxic) = fault.toxic else {
            return self;
        };
        match fault.kind {
            Kind::Bandwidth => self.slowed(toxic.rate.max(1), ends),
            Kind::Slicer => self.sliced(&toxic, fault.by, ends, random),
            Kind::LimitData => self.limited(toxic.bytes),
            Kind::SlowClose => {
                self.closed = self.closed.map(|at| held(at, fault.by, ends));
            }
            _ => {}
        }
        self
    }

    fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }

    /// So many thousands of bytes a second, which are bytes a millisecond.
    fn slowed(&mut self, rate: u64, ends: u64) {
        let takes = |bytes: u64| bytes.saturating_mul(1_000_000) / rate;
        let step = rate.saturating_mul(STEP / 1_000_000);
        let step = step.max(self.bytes() / PIECES_MAX);
        let mut free = 0;
        let mut slow = Vec::new();
        for piece in &self.pieces {
            for bytes in parts(piece.bytes, step) {
                free = free.max(piece.at).saturating_add(takes(bytes));
                slow.push(Piece {
                    at: free.min(ends.max(piece.at)),
                    bytes,
                });
            }
        }
        self.pieces = slow;
        self.closes_behind_the_last();
    }

    fn sliced(&mut self, toxic: &Toxic, delay: u64, ends: u64, random: &mut impl Rng) {
        let size = (toxic.average_size.max(1), toxic.size_variation);
        let together = (self.bytes() / size.0).div_ceil(PIECES_MAX).max(1);
        let mut free: u64 = 0;
        let mut small: Vec<Piece> = Vec::new();
        for piece in &self.pieces {
            free = free.max(piece.at);
            let mut slices = 0;
            halve(piece.bytes, size, random, &mut |bytes| {
                let at = free.min(ends.max(piece.at));
                match small.last_mut().filter(|_| slices % together > 0) {
                    Some(last) => (last.at, last.bytes) = (at, last.bytes + bytes),
                    None => small.push(Piece { at, bytes }),
                }
                slices += 1;
                free = free.saturating_add(delay);
            });
        }
        self.pieces = small;
        // What is behind the last piece waits as well.
        self.closed = self.closed.map(|at| at.max(free.min(ends.max(at))));
    }

    /// The connection is closed once so many bytes have passed, even if these are all.
    fn limited(&mut self, most: u64) {
        let mut left = most;
        let all = self.bytes();
        let mut at = 0;
        self.pieces.retain_mut(|piece| {
            let passes = left > 0;
            piece.bytes = piece.bytes.min(left);
            left -= piece.bytes;
            if passes {
                at = piece.at;
            }
            passes
        });
        if most <= all {
            let before = self.closed.unwrap_or(u64::MAX);
            self.closed = Some(at.min(before));
        }
        self.cut |= most < all;
    }

    fn closes_behind_the_last(&mut self) {
        let last = self.pieces.last().map_or(0, |piece| piece.at);
        self.closed = self.closed.map(|at| at.max(last));
    }

    /// What comes of it.
    pub(super) fn delivery(self) -> Delivery {
        let mut missing = HEAD;
        let mut head = None;
        let mut body = VecDeque::new();
        for piece in &self.pieces {
            let of_head = piece.bytes.min(missing);
            missing -= of_head;
            if missing == 0 {
                head.get_or_insert(piece.at);
                body.push_back(Piece {
                    bytes: piece.bytes - of_head,
                    ..*piece
                });
            }
        }
        body.retain(|piece| piece.bytes > 0);
        let last = self.pieces.last().map_or(0, |piece| piece.at);
        let closed = self.closed.map_or(last, |at| at.max(last));
        let has_end = self.until_close || self.cut;
        Delivery {
            head,
            body,
            end: if has_end { closed } else { last },
            // What lasts until the connection is closed looks whole, wherever that is.
            whole: head.is_some() && (self.until_close || !self.cut),
        }
    }
}

/// Later by so much, but not later than the fault's end.
pub(super) fn held(at: u64, by: u64, ends: u64) -> u64 {
    at.saturating_add(by).min(ends.max(at))
}

/// So many bytes in parts of a size; the last one has what is left.
fn parts(all: u64, size: u64) -> impl Iterator<Item = u64> {
    let size = size.max(1);
    (0..all.div_ceil(size)).map(move |number| size.min(all - number * size))
}

/// Halves a piece, by a little more or less, until none is larger than it may be.
fn halve(bytes: u64, size: (u64, u64), random: &mut impl Rng, give: &mut impl FnMut(u64)) {
    let (average, variation) = size;
    if bytes <= average.saturating_add(variation) || bytes < 2 {
        return give(bytes);
    }
    let more = match variation {
        0 => 0,
        _ => random.random_range(0..2 * variation),
    };
    let left = (bytes / 2 + more).saturating_sub(variation);
    let left = left.clamp(1, bytes - 1);
    halve(left, size, random, give);
    halve(bytes - left, size, random, give);
}

#[cfg(test)]
mod tests;
