//! A host as a queue in front of servers, with a bound on its length and one on the wait.

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

/// Who of those that wait is served next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Who came first.
    #[default]
    Fifo,
    /// Who came last: under overload some are quick, where all would be late.
    Lifo,
}

/// A queue that drops what waited too long, by the rule of controlled delay: where it has not been empty for an interval,
/// nothing waits longer than the target; else nothing waits longer than the interval. (B. Maurer, "Fail at Scale", 2015)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlledDelay {
    /// What waits in a queue that is never empty, in nanoseconds.
    pub target: u64,
    /// How long a queue may be there before it counts as one, in nanoseconds.
    pub interval: u64,
}

/// Servers and their queue. Who calls says what time it is and when service ends.
#[derive(Clone, Debug)]
pub struct Servers {
    servers: usize,
    places: usize,
    order: Order,
    busy: usize,
    /// Requests that wait, and since when.
    waiting: VecDeque<(u64, u64)>,
    delay: Option<ControlledDelay>,
    empty_at: u64,
    dropped: Vec<u64>,
}

impl Servers {
    /// So many servers, and so many places to wait.
    pub fn new(servers: usize, places: usize) -> Self {
        Self {
            servers,
            places,
            order: Order::Fifo,
            busy: 0,
            waiting: VecDeque::new(),
            delay: None,
            empty_at: 0,
            dropped: Vec::new(),
        }
    }

    /// The same, with a bound on how long requests wait.
    pub fn with_controlled_delay(self, delay: Option<ControlledDelay>) -> Self {
        Self { delay, ..self }
    }

    /// The same, with another order.
    pub fn with_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// A request arrives, at this time in nanoseconds.
    pub fn arrive(&mut self, request: u64, now: u64) -> Arrival {
        if self.waiting.is_empty() {
            self.empty_at = now;
        }
        if self.busy < self.servers {
            self.busy += 1;
            Arrival::Served
        } else if self.waiting.len() < self.places {
            self.waiting.push_back((request, now));
            Arrival::Queued
        } else {
            Arrival::Full
        }
    }

    /// How many servers are at work.
    pub fn busy(&self) -> usize {
        self.busy
    }

    /// A server is done at this time in nanoseconds; whom it takes next.
    pub fn finish(&mut self, now: u64) -> Option<u64> {
        while let Some((next, since)) = self.next() {
            let longest = self.longest_wait(now);
            if self.waiting.is_empty() {
                self.empty_at = now;
            }
            if now.saturating_sub(since) <= longest {
                return Some(next);
            }
            self.dropped.push(next);
        }
        self.busy = self.busy.saturating_sub(1);
        None
    }

    fn next(&mut self) -> Option<(u64, u64)> {
        match self.order {
            Order::Fifo => self.waiting.pop_front(),
            Order::Lifo => self.waiting.pop_back(),
        }
    }

    /// Everything in it is lost. Who waited.
    pub fn crash(&mut self) -> Vec<u64> {
        self.busy = 0;
        self.waiting.drain(..).map(|(request, _)| request).collect()
    }

    /// How many wait.
    pub fn queued(&self) -> usize {
        self.waiting.len()
    }

    /// What was dropped since the last time.
    pub fn take_dropped(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.dropped)
    }

    fn longest_wait(&self, now: u64) -> u64 {
        let Some(delay) = self.delay else {
            return u64::MAX;
        };
        let standing = now.saturating_sub(self.empty_at) > delay.interval;
        if standing {
            delay.target
        } else {
            delay.interval
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::Rng;
    use rand_distr::{Distribution, Exp};

    use super::*;
    use crate::random::chance;
    use crate::sim::Queue;

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
                    match upstream.arrive(number, now) {
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
                    if let Some(next) = upstream.finish(now) {
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
        let found = run(8, usize::MAX, 0.8, 4_000_000);
        near(found.waited, 0.4576, 0.02);
        near(found.mean_wait, 0.286, 0.02);
        near(found.p99_wait, 2.39, 0.05);
        let without_queue = run(8, 0, 0.8, 1_000_000);
        near(without_queue.lost, 0.144, 0.02);
    }

    #[test]
    fn who_came_last_is_served_first_if_that_is_the_order() {
        for (order, next) in [(Order::Fifo, 2), (Order::Lifo, 3)] {
            let mut host = Servers::new(1, 2).with_order(order);
            let arrived = [1, 2, 3, 4].map(|request| host.arrive(request, 0));
            let (served, queued, full) = (Arrival::Served, Arrival::Queued, Arrival::Full);
            assert_eq!(arrived, [served, queued, queued, full]);
            assert_eq!(host.finish(1), Some(next), "{order:?}");
            assert_eq!((host.queued(), host.crash().len(), host.busy()), (1, 1, 0));
        }
    }

    #[test]
    fn one_server_at_load_0_8_waits_as_theory_says() {
        let found = run(1, usize::MAX, 0.8, 8_000_000);
        near(found.waited, 0.8, 0.02);
        near(found.mean_wait, 4.0, 0.02);
        near(found.p99_wait, 21.9, 0.05);
    }
}
