//! Whether the upstreams of this VM take connections while requests wait for one. The rules are `crate::outcome::pool`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::environment::Environment;
use crate::outcome::pool::ConnectionUse;
use crate::time::Timestamp;

use super::Worker;
use crate::response_facts;

/// So many requests are asked for their connection in one tick at most, those first that were not asked for longest.
const ASKED_MAX: usize = 16;

/// What Envoy said of the connection of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PropertyReads {
    /// Whether it has one.
    held: bool,
    /// When it was asked last.
    at: Timestamp,
}

impl<E: Environment> Worker<E> {
    /// Whether an upstream took connections while a request waited that was complete at `since`.
    pub(crate) fn takes_connections_since(&mut self, upstream: usize, since: Timestamp) -> bool {
        let entry = self.upstreams.entry(upstream);
        entry.is_some_and(|entry| {
            let responses = &entry.responses;
            responses.pool_known && responses.pool.takes_connections_since(since)
        })
    }

    /// Looks which upstreams have clients that hold connections, where others wait. Speaks for streams, so nothing may be done
    /// for the root after it in the same callback.
    pub(super) fn look_for_held_connections(&mut self, now: Timestamp) {
        let mut unknown = BinaryHeap::new();
        for (number, exchange) in &self.exchanges {
            let waiting = &exchange.waiting;
            let complete = waiting.complete_at.is_some();
            let holder = ConnectionUse::of(complete, waiting.exempt, exchange.answered);
            let Some(entry) = self.upstreams.entry(exchange.upstream) else {
                continue;
            };
            let responses = &mut entry.responses;
            if !responses.awaited {
                continue;
            }
            if holder == ConnectionUse::No {
                let overdue = u32::from(exchange.is_counted());
                responses.overdue = responses.overdue.saturating_add(overdue);
                continue;
            }
            let answered = holder == ConnectionUse::Holds && responses.pool_known;
            match answered || exchange.connection.held {
                true => responses.held = responses.held.saturating_add(1),
                false => {
                    let oldest = (exchange.connection.at, waiting.admitted_at, number);
                    unknown.push(Reverse(oldest));
                }
            }
        }
        let mut asked = 0_usize;
        while let Some(Reverse((_, _, number))) = unknown.pop() {
            let Some(exchange) = self.exchanges.get_mut(number) else {
                continue;
            };
            let Some(entry) = self.upstreams.entry(exchange.upstream) else {
                continue;
            };
            if asked >= ASKED_MAX {
                break;
            }
            if entry.responses.held > entry.responses.overdue {
                continue;
            }
            asked = asked.saturating_add(1);
            let held = self
                .env
                .stream(exchange.context)
                .is_some_and(|facts| response_facts::pool_wait(&facts).is_some());
            exchange.connection = PropertyReads { held, at: now };
            if held {
                entry.responses.held = entry.responses.held.saturating_add(1);
                entry.responses.pool_known = true;
            }
        }
        for upstream in 0..self.upstreams.len() {
            if let Some(entry) = self.upstreams.entry(upstream) {
                let responses = &mut entry.responses;
                let held = std::mem::take(&mut responses.held);
                let overdue = std::mem::take(&mut responses.overdue);
                responses.pool.look(held, overdue, now);
                responses.awaited = false;
            }
        }
    }
}
