//! What Envoy does by itself for a cluster: limits on requests and connections, and outlier detection.
//!
//! As in Envoy 1.40 with one priority. The limits are of one Envoy, over all of its workers. A connection carries one request
//! at a time, as with HTTP/1; where only `max_requests` is set that bounds requests in flight, as with HTTP/2. Not modelled:
//! connections that are made ahead, success-rate outliers.

use std::collections::VecDeque;

use super::key::Key;
use crate::router::Retries;

/// Limits and outlier detection of a cluster; what is not set does not bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Native {
    /// `max_connections`: requests in flight, if each has a connection of its own.
    pub connections: Option<usize>,
    /// `max_pending_requests`: requests that wait for a connection.
    pub pending: Option<usize>,
    /// `max_requests`: requests in flight.
    pub requests: Option<usize>,
    /// `max_retries`: retries at a time.
    pub retries: Option<u32>,
    /// `retry_budget`, in the place of `max_retries`.
    pub retry_budget: Option<RetryBudget>,
    /// `outlier_detection`.
    pub outliers: Option<Outliers>,
}

/// A retry budget: retries at a time by how many requests are in flight or wait for a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// `budget_percent`: so many percent of them.
    pub percent: f64,
    /// `min_retry_concurrency`: and so many at least.
    pub least: u32,
}

impl RetryBudget {
    /// What Envoy does where the field is there and says nothing.
    pub const DEFAULT: Self = Self {
        percent: 20.0,
        least: 3,
    };
}

/// Outlier detection: a host that fails so often in a row gets nothing for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outliers {
    /// Failures in a row: statuses of 500 or more, and what broke.
    pub failures: u32,
    /// Whether only 502, 503, 504 and what broke count.
    pub gateway_only: bool,
    /// How long a host is out the first time; the second time twice as long, and so on; in nanoseconds.
    pub base: u64,
    /// No time is longer, in nanoseconds.
    pub longest: u64,
    /// At most so many percent of the hosts are out: with Envoy's 10 none of nine or fewer ever is.
    pub most: f64,
    /// Where fewer than so many percent are in, all get requests.
    pub panic_below: f64,
}

impl Outliers {
    /// What Envoy does where the field is there and says nothing.
    pub const DEFAULT: Self = Self {
        failures: 5,
        gateway_only: false,
        base: 30_000_000_000,
        longest: 300_000_000_000,
        most: 10.0,
        panic_below: 50.0,
    };
}

/// Whether an attempt may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At once.
    Free,
    /// When another one is over.
    Wait,
    /// Not at all.
    Overflow,
}

/// What one Envoy knows of one cluster.
#[derive(Debug)]
pub(super) struct Pool {
    retries: Retries,
    active: usize,
    waiting: VecDeque<(Key, u32)>,
    hosts: Vec<Ejection>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ejection {
    failures: u32,
    times: u32,
    until: u64,
}

impl Pool {
    /// One that has seen nothing.
    pub(super) fn new(retries: Retries) -> Self {
        Self {
            retries,
            active: 0,
            waiting: VecDeque::new(),
            hosts: Vec::new(),
        }
    }

    /// Retries that are on their way, and how many there may be now.
    pub(super) fn retries(&mut self, native: &Native) -> &mut Retries {
        if let Some(budget) = native.retry_budget {
            let all = (self.active + self.waiting.len()) as f64;
            let share = (budget.percent * all / 100.0) as u32;
            self.retries.allow(share.max(budget.least));
        }
        &mut self.retries
    }

    /// An attempt asks for a place.
    pub(super) fn enter(&mut self, native: &Native, attempt: (Key, u32)) -> Place {
        let at_once = native.requests.unwrap_or(usize::MAX);
        let at_once = at_once.min(native.connections.unwrap_or(usize::MAX));
        if self.active < at_once {
            self.active += 1;
            return Place::Free;
        }
        let waits = native.connections.is_some_and(|most| self.active >= most);
        if waits && self.waiting.len() < native.pending.unwrap_or(usize::MAX) {
            self.waiting.push_back(attempt);
            return Place::Wait;
        }
        Place::Overflow
    }

    /// An attempt that had a place is over: who has it now.
    pub(super) fn leave(&mut self) -> Option<(Key, u32)> {
        let next = self.waiting.pop_front();
        self.active -= usize::from(next.is_none() && self.active > 0);
        next
    }

    /// How many attempts have a place.
    pub(super) fn active(&self) -> usize {
        self.active
    }

    /// An attempt that waited is over.
    pub(super) fn forget(&mut self, attempt: (Key, u32)) {
        self.waiting.retain(|waiting| *waiting != attempt);
    }

    /// Which of so many hosts may be asked now.
    pub(super) fn hosts(&mut self, native: &Native, count: usize, now: u64) -> Vec<usize> {
        let all = || (0..count).collect();
        let Some(outliers) = native.outliers else {
            return all();
        };
        self.hosts.resize_with(count, Ejection::default);
        let hosts = self.hosts.iter().enumerate();
        let well: Vec<usize> = hosts
            .filter(|(_, host)| host.until <= now)
            .map(|(number, _)| number)
            .collect();
        let share = 100.0 * well.len() as f64 / count.max(1) as f64;
        match share < outliers.panic_below {
            true => all(),
            false => well,
        }
    }

    /// How an attempt ended: nothing is what broke.
    pub(super) fn told(&mut self, native: &Native, host: usize, status: Option<u16>, now: u64) {
        let Some(outliers) = native.outliers else {
            return;
        };
        let out = self.hosts.iter().filter(|host| host.until > now).count();
        let count = self.hosts.len();
        let Some(of) = self.hosts.get_mut(host) else {
            return;
        };
        let failed = match status {
            None => true,
            Some(status) if outliers.gateway_only => (502..=504).contains(&status),
            Some(status) => status >= 500,
        };
        if !failed {
            of.failures = 0;
            return;
        }
        of.failures += 1;
        let share = 100.0 * (out + 1) as f64 / count.max(1) as f64;
        if of.failures < outliers.failures || of.until > now || share > outliers.most {
            return;
        }
        of.failures = 0;
        of.times += 1;
        let length = outliers.base.saturating_mul(u64::from(of.times));
        of.until = now.saturating_add(length.min(outliers.longest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(request: usize) -> (Key, u32) {
        let key = Key {
            request,
            client_try: 1,
        };
        (key, 1)
    }

    #[test]
    fn a_retry_budget_is_a_share_of_what_is_in_flight_and_waits_and_never_less_than_its_floor() {
        let native = Native {
            connections: Some(50),
            retry_budget: Some(RetryBudget::DEFAULT),
            ..Native::default()
        };
        let mut pool = Pool::new(Retries::limited(native.retries));
        for (requests, retries) in [(0, 3), (15, 3), (20, 4), (49, 9), (50, 10), (100, 20)] {
            while pool.active + pool.waiting.len() < requests {
                pool.enter(&native, attempt(pool.active + pool.waiting.len()));
            }
            let expected = Retries::limited(Some(retries));
            assert_eq!(*pool.retries(&native), expected, "{requests} requests");
        }
    }

    #[test]
    fn what_finds_no_connection_waits_and_what_finds_no_place_to_wait_overflows() {
        let native = Native {
            connections: Some(2),
            pending: Some(1),
            ..Native::default()
        };
        let mut pool = Pool::new(Retries::default());
        let places = [1, 2, 3, 4].map(|number| pool.enter(&native, attempt(number)));
        let (free, wait, overflow) = (Place::Free, Place::Wait, Place::Overflow);
        assert_eq!(places, [free, free, wait, overflow]);
        assert_eq!(pool.leave(), Some(attempt(3)), "it has the place now");
        assert_eq!(pool.enter(&native, attempt(5)), wait);
        pool.forget(attempt(5));
        assert_eq!((pool.leave(), pool.leave()), (None, None));
        assert_eq!(pool.enter(&native, attempt(6)), free);
        let native = Native {
            requests: Some(1),
            ..Native::default()
        };
        let mut pool = Pool::new(Retries::default());
        let places = [1, 2].map(|number| pool.enter(&native, attempt(number)));
        assert_eq!(places, [free, overflow], "nobody waits for a request");
    }

    #[test]
    fn a_host_that_fails_in_a_row_is_out_for_longer_each_time() {
        let native = Native {
            outliers: Some(Outliers {
                failures: 3,
                base: 10,
                longest: 15,
                most: 50.0,
                ..Outliers::DEFAULT
            }),
            ..Native::default()
        };
        let mut pool = Pool::new(Retries::default());
        assert_eq!(pool.hosts(&native, 4, 0), [0, 1, 2, 3]);
        let fail = |pool: &mut Pool, host, now| {
            (0..3).for_each(|_| pool.told(&native, host, Some(503), now));
        };
        pool.told(&native, 1, None, 0);
        pool.told(&native, 1, Some(200), 0);
        pool.told(&native, 1, Some(500), 0);
        pool.told(&native, 1, Some(500), 0);
        assert_eq!(pool.hosts(&native, 4, 0).len(), 4, "not in a row");
        pool.told(&native, 1, Some(404), 0);
        fail(&mut pool, 1, 0);
        assert_eq!(pool.hosts(&native, 4, 9), [0, 2, 3]);
        fail(&mut pool, 2, 5);
        fail(&mut pool, 3, 5);
        assert_eq!(pool.hosts(&native, 4, 9), [0, 3], "half of them at most");
        assert_eq!(pool.hosts(&native, 4, 10), [0, 1, 3]);
        fail(&mut pool, 1, 20);
        assert_eq!(
            pool.hosts(&native, 4, 34),
            [0, 2, 3],
            "the second time longer"
        );
        assert_eq!(pool.hosts(&native, 4, 35), [0, 1, 2, 3]);
    }

    #[test]
    fn where_too_few_are_in_all_are_asked() {
        let outliers = Outliers {
            failures: 1,
            most: 100.0,
            ..Outliers::DEFAULT
        };
        for (panic_below, left) in [(50.0, 4), (0.0, 1)] {
            let native = Native {
                outliers: Some(Outliers {
                    panic_below,
                    ..outliers
                }),
                ..Native::default()
            };
            let mut pool = Pool::new(Retries::default());
            pool.hosts(&native, 4, 0);
            (0..3).for_each(|host| pool.told(&native, host, None, 0));
            assert_eq!(pool.hosts(&native, 4, 1).len(), left);
        }
    }
}
