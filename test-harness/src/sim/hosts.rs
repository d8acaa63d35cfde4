//! The services of a run, with their hosts: those that the trace or the world names, made when they are first asked.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Scenario;
use super::service::{Cache, Service};
use super::upstream::{Arrival, Servers};

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    servers: Servers,
    /// When it started, in nanoseconds since the trace began; none is long before.
    pub(super) up: Option<u64>,
    /// Its cache is empty but for what came in since: so many answers. None is full.
    filled: Option<u64>,
}

/// One service in a run.
#[derive(Debug)]
pub(super) struct Running<'a> {
    pub(super) name: Rc<str>,
    pub(super) like: &'a Service,
    pub(super) hosts: Vec<Host>,
}

/// All services, by number.
#[derive(Debug, Default)]
pub(super) struct Services<'a> {
    numbers: BTreeMap<Rc<str>, usize>,
    all: Vec<Running<'a>>,
}

impl<'a> Services<'a> {
    /// The number of a service.
    pub(super) fn number(&mut self, scenario: &'a Scenario, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let like = scenario.service(name);
        let hosts = std::iter::repeat_with(|| Host::of(like)).take(like.hosts.max(1));
        let number = self.all.len();
        let name: Rc<str> = name.into();
        self.all.push(Running {
            name: Rc::clone(&name),
            like,
            hosts: hosts.collect(),
        });
        self.numbers.insert(name, number);
        number
    }

    /// A service by its number.
    pub(super) fn get(&mut self, number: usize) -> &mut Running<'a> {
        &mut self.all[number]
    }

    /// The zone of a host.
    pub(super) fn zone(&self, service: usize, host: usize) -> Option<&'a str> {
        self.all.get(service)?.like.zone(host)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Running<'a>> {
        self.all.iter()
    }
}

impl Host {
    fn of(service: &Service) -> Self {
        let servers = Servers::new(service.servers, service.queue)
            .with_controlled_delay(service.delay)
            .with_order(service.order);
        Self {
            servers,
            up: None,
            filled: None,
        }
    }

    /// A request arrives.
    pub(super) fn arrive(&mut self, job: u64, now: u64) -> Arrival {
        self.servers.arrive(job, now)
    }

    /// How many servers are at work.
    pub(super) fn busy(&self) -> usize {
        self.servers.busy()
    }

    /// A server is done: whom it takes next, and who was dropped from the queue.
    pub(super) fn finish(&mut self, now: u64) -> (Option<u64>, Vec<u64>) {
        (self.servers.finish(now), self.servers.take_dropped())
    }

    /// It has crashed, and starts at `up`. Who waited in it.
    pub(super) fn crash(&mut self, up: u64) -> Vec<u64> {
        self.up = Some(up);
        self.filled = Some(0);
        self.servers.crash()
    }

    /// Whether the cache has the answer, given a draw of 0 to 100. What it did not have comes in.
    pub(super) fn hits(&mut self, cache: Cache, draw: f64) -> bool {
        let full = cache.fills_after.max(1);
        let part = self
            .filled
            .map_or(1.0, |filled| filled as f64 / full as f64);
        let hit = draw < cache.hits * part.min(1.0);
        if !hit {
            self.filled = self.filled.map(|filled| filled + 1);
        }
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_full_at_first_and_fills_again_after_a_crash() {
        let cache = Cache {
            hits: 80.0,
            time: 0,
            fills_after: 10,
        };
        let mut host = Host::of(&Service::new(1, 0));
        assert!(host.hits(cache, 79.9) && !host.hits(cache, 80.0));
        host.crash(0);
        assert!(!host.hits(cache, 1.0), "it is empty");
        (0..4).for_each(|_| assert!(!host.hits(cache, 99.0)));
        assert!(
            host.hits(cache, 39.9) && !host.hits(cache, 40.1),
            "half full"
        );
        (0..10).for_each(|_| assert!(!host.hits(cache, 99.0)));
        assert!(host.hits(cache, 79.9) && !host.hits(cache, 80.0));
    }
}
