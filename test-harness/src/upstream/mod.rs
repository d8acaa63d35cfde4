//! An upstream as a queue in front of servers: first come, first served, with a bound.

use std::collections::VecDeque;

/// What becomes of a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A server takes it at once.
    Served,
    /// It waits.
    Queued,
    /// There is no place left.
    Full,
}

/// Servers and their queue. Who calls says when service ends; nothing here knows time.
#[derive(Clone, Debug)]
pub struct Servers {
    servers: usize,
    places: usize,
    busy: usize,
    waiting: VecDeque<u64>,
}

impl Servers {
    /// So many servers, and so many places to wait.
    pub fn new(servers: usize, places: usize) -> Self {
        Self {
            servers,
            places,
            busy: 0,
            waiting: VecDeque::new(),
        }
    }

    /// A request arrives.
    pub fn arrive(&mut self, request: u64) -> Arrival {
        if self.busy < self.servers {
            self.busy += 1;
            Arrival::Served
        } else if self.waiting.len() < self.places {
            self.waiting.push_back(request);
            Arrival::Queued
        } else {
            Arrival::Full
        }
    }

    /// How many servers are at work.
    pub fn busy(&self) -> usize {
        self.busy
    }

    /// A server is done; whom it takes next.
    pub fn finish(&mut self) -> Option<u64> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.busy = self.busy.saturating_sub(1);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::Rng;
    use rand_distr::{Distribution, Exp};

    use super::*;
    use crate::sim::{Queue, chance};

    enum Event {
        Arrive(u64),
        Finish,
    }

    struct Found {
        waited: f64,
        mean_wait: f64,
        p99_wait: f64,
        lost: f64,
    }

    /// Poisson arrivals at `load` x servers, exponential service of mean 1 s.
    fn run(servers: usize, places: usize, load: f64, requests: u64) -> Found {
        let mut random = chance(11, "queue");
        let seconds = |random: &mut dyn Rng, rate: f64| {
            (Exp::new(rate).expect("a rate").sample(random) * 1e9) as u64
        };
        let mut queue = Queue::default();
        let mut upstream = Servers::new(servers, places);
        let mut arrived = BTreeMap::new();
        let mut waits = Vec::new();
        let mut lost = 0;
        queue.push(0, Event::Arrive(0));
        while let Some((now, event)) = queue.pop() {
            match event {
                Event::Arrive(number) => {
                    match upstream.arrive(number) {
                        Arrival::Served => {
                            waits.push(0.0);
                            queue.push(now + seconds(&mut random, 1.0), Event::Finish);
                        }
                        Arrival::Queued => drop(arrived.insert(number, now)),
                        Arrival::Full => lost += 1,
                    }
                    if number < requests {
                        let gap = seconds(&mut random, load * servers as f64);
                        queue.push(now + gap, Event::Arrive(number + 1));
                    }
                }
                Event::Finish => {
                    if let Some(next) = upstream.finish() {
                        let since = arrived.remove(&next).expect("it waited");
                        waits.push((now - since) as f64 / 1e9);
                        queue.push(now + seconds(&mut random, 1.0), Event::Finish);
                    }
                }
            }
        }
        waits.sort_by(f64::total_cmp);
        let served = waits.len() as f64;
        Found {
            waited: waits.iter().filter(|wait| **wait > 0.0).count() as f64 / served,
            mean_wait: waits.iter().sum::<f64>() / served,
            p99_wait: waits[(served * 0.99) as usize],
            lost: lost as f64 / (requests + 1) as f64,
        }
    }

    #[track_caller]
    fn near(found: f64, expected: f64, tolerance: f64) {
        assert!(
            (found - expected).abs() <= expected * tolerance,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn eight_servers_at_load_0_8_wait_as_erlang_says() {
        let found = run(8, usize::MAX, 0.8, 1_000_000);
        near(found.waited, 0.4576, 0.03);
        near(found.mean_wait, 0.286, 0.06);
        near(found.p99_wait, 2.39, 0.06);
        let without_queue = run(8, 0, 0.8, 1_000_000);
        near(without_queue.lost, 0.144, 0.03);
    }

    #[test]
    fn one_server_at_load_0_8_waits_as_theory_says() {
        let found = run(1, usize::MAX, 0.8, 3_000_000);
        near(found.waited, 0.8, 0.02);
        near(found.mean_wait, 4.0, 0.06);
        near(found.p99_wait, 21.9, 0.08);
    }
}
