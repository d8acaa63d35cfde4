//! One scene under one limit: arrivals, places, servers, and what comes of it.
//!
//! A client waits a second; what is late then is dropped, and the upstream, which knows nothing of it, works on. Servers
//! that die are busy for ever with something that nobody asked for.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp, LogNormal};
use seawall_harness::random::chance;
use seawall_harness::sim::Queue;
use seawall_harness::sim::{Arrival, Servers};
use seawall_policy::limiter::{Kind, Sample};
use seawall_policy::priority::Priority;
use seawall_policy::shedding::Shares;
use seawall_policy::time::Span;

use crate::figures::{Book, Got};
use crate::rivals::{Limit, Rival};
use crate::scene::{SECOND, Scene, Service, Trouble};

/// How long a client waits.
const PATIENCE: u64 = SECOND;
/// An error takes so long.
const ERROR: u64 = SECOND / 1_000;
/// Requests from this number on are nobody's: they hold servers that died.
const GHOSTS: u64 = 1 << 40;

#[derive(Clone, Copy, Debug)]
enum Event {
    Arrive(Priority),
    Burst,
    /// A server is done with a request.
    Served(u64),
    /// A client hears something, or nothing: its place is free.
    End(u64, Kind),
    Die,
}

struct Flying {
    at: u64,
    in_flight: u32,
    pressed: bool,
    priority: Priority,
}

struct Run<'a> {
    scene: &'a Scene,
    events: Queue<Event>,
    servers: Servers,
    limit: Box<dyn Limit>,
    flying: BTreeMap<u64, Flying>,
    next: u64,
    arrivals: ChaCha8Rng,
    services: ChaCha8Rng,
    book: Book,
    traced: u64,
}

/// Runs it to its end.
pub(crate) fn run(scene: &Scene, rival: Rival, seed: u64) -> Book {
    let mut run = Run {
        scene,
        events: Queue::default(),
        servers: Servers::new(scene.servers as usize, usize::MAX),
        limit: rival.limit(scene.service_ms),
        flying: BTreeMap::new(),
        next: 0,
        arrivals: chance(seed, "arrivals"),
        services: chance(seed, "services"),
        book: Book::new(scene),
        traced: 0,
    };
    for priority in Priority::ALL {
        run.follow(priority, 0);
    }
    if let Some((_, millis)) = scene.bursts {
        run.events.push(millis * 1_000_000, Event::Burst);
    }
    if let Some(second) = scene.halved {
        run.events.push(second * SECOND, Event::Die);
    }
    let end = scene.seconds * SECOND;
    while let Some((now, event)) = run.events.pop() {
        if now >= end {
            break;
        }
        run.step(now, event);
    }
    run.book
}

impl Run<'_> {
    fn step(&mut self, now: u64, event: Event) {
        if std::env::var_os("LIMITS_TRACE").is_some() && now >= self.traced {
            self.traced = now + SECOND / 4;
            let (in_flight, limit) = (self.flying.len(), self.limit.limit());
            println!(
                "{:6.2} {in_flight:4} of {limit:4} {}",
                now as f64 / 1e9,
                self.limit.state()
            );
        }
        match event {
            Event::Arrive(priority) => {
                self.follow(priority, now);
                self.ask(priority, now);
            }
            Event::Burst => {
                let (count, millis) = self.scene.bursts.expect("there are bursts");
                self.events.push(now + millis * 1_000_000, Event::Burst);
                for _ in 0..count {
                    self.ask(Priority::Critical, now);
                }
            }
            Event::Served(request) => {
                self.end(request, Kind::Answered, now);
                if let Some(next) = self.servers.finish(now) {
                    self.serve(next, now);
                }
            }
            Event::End(request, kind) => self.end(request, kind, now),
            Event::Die => {
                for ghost in 0..u64::from(self.scene.servers / 2) {
                    self.servers.arrive(GHOSTS + ghost, now);
                }
            }
        }
    }

    /// The next request of a priority.
    fn follow(&mut self, priority: Priority, now: u64) {
        let rate = self.scene.rate(priority, now);
        if rate > 0.0 {
            let gap = Exp::new(rate).expect("a rate").sample(&mut self.arrivals);
            self.events
                .push(now + (gap * 1e9) as u64, Event::Arrive(priority));
        }
    }

    fn ask(&mut self, priority: Priority, now: u64) {
        let in_flight = self.flying.len() as u32;
        let room = Shares::default().soft_slots(priority, self.limit.limit());
        if in_flight >= room {
            self.book.ended(priority, now, now, Got::Refused);
            return;
        }
        let request = self.next;
        self.next += 1;
        let in_flight = in_flight + 1;
        let flying = Flying {
            at: now,
            in_flight,
            pressed: in_flight >= room - room / 16,
            priority,
        };
        self.flying.insert(request, flying);
        match self.scene.trouble(now, request) {
            Some(Trouble::Errors) => {
                self.events
                    .push(now + ERROR, Event::End(request, Kind::Dropped));
                return;
            }
            Some(Trouble::Silence | Trouble::Part) => {
                self.events
                    .push(now + PATIENCE, Event::End(request, Kind::Dropped));
                return;
            }
            None => {}
        }
        self.events
            .push(now + PATIENCE, Event::End(request, Kind::Dropped));
        if self.servers.arrive(request, now) == Arrival::Served {
            self.serve(request, now);
        }
    }

    fn serve(&mut self, request: u64, now: u64) {
        if request < GHOSTS {
            let millis = draw(&mut self.services, self.scene.service) * self.scene.service_at(now);
            self.events
                .push(now + (millis * 1e6) as u64, Event::Served(request));
        }
    }

    fn end(&mut self, request: u64, kind: Kind, now: u64) {
        let Some(flying) = self.flying.remove(&request) else {
            return;
        };
        let sample = Sample {
            latency: Span::nanos(now - flying.at),
            in_flight: flying.in_flight,
            pressed: flying.pressed,
            kind,
        };
        self.limit.enter(sample, now);
        let got = match kind {
            Kind::Answered => Got::Good,
            Kind::Dropped | Kind::Abandoned | Kind::Ignored => Got::Failed,
        };
        self.book.ended(flying.priority, flying.at, now, got);
    }
}

/// A time of service in shares of its mean.
fn draw(random: &mut impl Rng, service: Service) -> f64 {
    match service {
        Service::LogNormal { cv } => {
            let variance = (cv * cv + 1.0).ln();
            let normal = LogNormal::new(-variance / 2.0, variance.sqrt());
            normal.expect("a distribution").sample(random)
        }
        Service::Two { short, share, long } => {
            if random.random::<f64>() < share {
                short
            } else {
                long
            }
        }
    }
}
