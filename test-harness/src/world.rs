//! The world loop: clients from a trace, the filter in its VMs, the router, the upstream, on one virtual clock.
//!
//! The only place where the host and the simulation meet. Everything a request draws is drawn from its own number, so
//! that two lanes with different filters meet the same fate where they ask for the same.

use std::collections::BTreeMap;

use rand::RngExt;

use crate::abi::stream::{HeaderMap, REQUEST_HEADERS, headers, value};
use crate::fault::{Fault, Kind};
use crate::measure::{Got, Measure, Transition};
use crate::router::{self, End};
use crate::sim::{Queue, chance};
use crate::trace::Request;
use crate::upstream::{Arrival, Servers};
use crate::worker::{Flow, Process, StreamId};

/// The filter's tick, in nanoseconds.
const TICK: u64 = 500_000_000;
/// The process is older than the trace by this, so that no time is 0; in nanoseconds.
pub const START: u64 = 1_000_000_000;
/// From Envoy to the upstream and back, in nanoseconds.
const ROUND_TRIP: u64 = 1_000_000;

/// What surrounds the filter.
#[derive(Clone, Debug)]
pub struct World {
    /// Servers of the upstream.
    pub servers: usize,
    /// Requests that may wait for a server.
    pub queue: usize,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// A user's patience, in nanoseconds; then the client goes away.
    pub patience: Option<u64>,
    /// Seed of all chance.
    pub seed: u64,
}

#[derive(Debug)]
enum Event {
    Arrive(usize),
    Served(usize),
    End(usize, End),
    GaveUp(usize),
    Tick,
}

struct Flying {
    stream: Option<StreamId>,
    at: u64,
    work: u64,
    end: End,
}

struct Run<'a> {
    world: &'a World,
    trace: &'a [Request],
    process: Option<&'a Process>,
    queue: Queue<Event>,
    upstream: Servers,
    flying: BTreeMap<usize, Flying>,
    left: usize,
    measure: Measure,
}

/// Runs a trace through a lane; without a process there is no filter in it. `progress` is told of every request.
pub fn run(
    world: &World,
    trace: &[Request],
    process: Option<&Process>,
    mut progress: impl FnMut(),
) -> Measure {
    let mut run = Run {
        world,
        trace,
        process,
        queue: Queue::default(),
        upstream: Servers::new(world.servers, world.queue),
        flying: BTreeMap::new(),
        left: trace.len(),
        measure: Measure::default(),
    };
    for (number, request) in trace.iter().enumerate() {
        run.queue
            .push(START + request.at_us * 1_000, Event::Arrive(number));
    }
    run.queue.push(START + TICK, Event::Tick);
    while let Some((now, event)) = run.queue.pop() {
        if let Some(process) = process {
            process.set_now(now);
        }
        match event {
            Event::Arrive(number) => {
                run.arrive(now, number);
                progress();
            }
            Event::Served(number) => run.served(now, number),
            Event::End(number, end) => run.ended(now, number, Some(end)),
            Event::GaveUp(number) => run.ended(now, number, None),
            Event::Tick => run.tick(now),
        }
        run.transitions();
    }
    run.measure
}

impl Run<'_> {
    fn arrive(&mut self, now: u64, number: usize) {
        let mut draws = chance(self.world.seed, &format!("request {number}"));
        let (mut stream, mut timeout) = (None, Some(router::ROUTE_TIMEOUT));
        if let Some(process) = self.process {
            let worker = draws.random_range(0..process.workers());
            let opened = process.open(worker, properties());
            match process.request_headers(opened, request(number, &self.trace[number]), true) {
                Flow::Continue => {
                    timeout = router::timeout(&process.header_map(opened, REQUEST_HEADERS));
                    stream = Some(opened);
                }
                Flow::Reply(reply) => {
                    process.close(opened);
                    self.measure.kept(now - START);
                    self.answered(now, now, got(&reply.headers, 503));
                    return;
                }
                Flow::Pause => {
                    process.close(opened);
                    self.answered(now, now, Got::Failed);
                    return;
                }
            }
        }
        let fault = self.fault(now, draws.random_range(0.0..100.0));
        let (end, later) = match fault.map(|fault| (fault.kind, fault.by)) {
            None => (End::Answer(200), 0),
            Some((Kind::Errors, _)) => (End::Answer(503), 0),
            Some((Kind::NotFound, _)) => (End::Answer(404), 0),
            Some((Kind::Latency, by)) => (End::Answer(200), by),
            Some((Kind::Refuse, _)) => (End::Refused, 0),
            Some((Kind::Reset, _)) => (End::Reset, 0),
            Some((Kind::Hang, _)) => (End::TimedOut, 0),
        };
        self.measure.reached(self.in_fault(now));
        let work = (self.trace[number].service_us * 1_000).saturating_add(later);
        self.flying.insert(
            number,
            Flying {
                stream,
                at: now,
                work,
                end,
            },
        );
        if let Some(timeout) = timeout {
            self.queue
                .push(now + timeout, Event::End(number, End::TimedOut));
        }
        if let Some(patience) = self.world.patience {
            self.queue.push(now + patience, Event::GaveUp(number));
        }
        match end {
            End::Refused | End::Reset => self.queue.push(now + ROUND_TRIP, Event::End(number, end)),
            End::TimedOut => {}
            // An error is quick: nobody works for it.
            End::Answer(status) if status != 200 => {
                self.queue.push(now + ROUND_TRIP, Event::End(number, end))
            }
            End::Answer(_) => match self.upstream.arrive(number as u64) {
                Arrival::Served => self.serve(now, number),
                Arrival::Queued => {}
                Arrival::Full => self
                    .queue
                    .push(now + ROUND_TRIP, Event::End(number, End::Answer(503))),
            },
        }
    }

    fn serve(&mut self, now: u64, number: usize) {
        let work = self.trace[number].service_us * 1_000;
        let work = self.flying.get(&number).map_or(work, |flying| flying.work);
        self.queue.push(now + work, Event::Served(number));
    }

    /// The upstream is done with a request, even if nobody waits for it any more.
    fn served(&mut self, now: u64, number: usize) {
        if let Some(next) = self.upstream.finish() {
            self.serve(now, next as usize);
        }
        if let Some(flying) = self.flying.get(&number) {
            let end = flying.end;
            self.queue.push(now + ROUND_TRIP, Event::End(number, end));
        }
    }

    /// A request ended; without an end its client went away. It may be over already.
    fn ended(&mut self, now: u64, number: usize, end: Option<End>) {
        let Some(flying) = self.flying.remove(&number) else {
            return;
        };
        let got = match end {
            Some(end) => self.answer(flying.stream, end),
            None => {
                if let (Some(process), Some(stream)) = (self.process, flying.stream) {
                    process.set_property(
                        stream,
                        "response\0flags",
                        0x4000_u64.to_le_bytes().to_vec(),
                    );
                    process.close(stream);
                }
                Got::Failed
            }
        };
        self.answered(flying.at, now, got);
    }

    fn answer(&self, stream: Option<StreamId>, end: End) -> Got {
        let downstream = end.downstream();
        let mut kind = if downstream.status >= 500 {
            Got::Failed
        } else {
            Got::Good
        };
        if let (Some(process), Some(stream)) = (self.process, stream) {
            process.set_property(
                stream,
                "response\0flags",
                downstream.flags.to_le_bytes().to_vec(),
            );
            let details = downstream.details.as_bytes().to_vec();
            process.set_property(stream, "response\0code_details", details);
            if let Flow::Reply(reply) = process.response_headers(stream, downstream.headers(), true)
            {
                kind = got(&reply.headers, reply.status);
            }
            process.close(stream);
        }
        kind
    }

    fn answered(&mut self, at: u64, now: u64, got: Got) {
        self.left -= 1;
        let in_fault = self.in_fault(at);
        self.measure.answered(at - START, now - at, got, in_fault);
    }

    fn tick(&mut self, now: u64) {
        if let Some(process) = self.process {
            process.tick();
        }
        if self.left > 0 {
            self.queue.push(now + TICK, Event::Tick);
        }
    }

    /// What the filter logged of its transitions.
    fn transitions(&mut self) {
        let Some(process) = self.process else {
            return;
        };
        for line in process.take_log() {
            let Some((before, after)) = line.text.split_once(" -> ") else {
                continue;
            };
            let from = before.rsplit(' ').next().unwrap_or_default();
            let to = after.split(' ').next().unwrap_or_default();
            self.measure.transitions.push(Transition {
                at_ms: (line.at - START) / 1_000_000,
                change: format!("{from} -> {to}"),
                line: line.text.clone(),
            });
        }
    }

    fn fault(&self, now: u64, draw: f64) -> Option<&Fault> {
        self.world
            .faults
            .iter()
            .find(|fault| fault.holds(now - START) && draw < fault.share)
    }

    fn in_fault(&self, now: u64) -> bool {
        self.world
            .faults
            .iter()
            .any(|fault| fault.holds(now - START))
    }
}

/// From when to when something goes wrong, in nanoseconds since the trace began.
pub fn faulty(faults: &[Fault]) -> Option<(u64, u64)> {
    let begin = faults.iter().map(|fault| fault.at).min()?;
    let end = faults.iter().map(Fault::end).max()?;
    Some((begin, end))
}

fn got(headers: &HeaderMap, status: u32) -> Got {
    if value(headers, "x-seawall-degraded").is_some() {
        Got::Degraded
    } else if value(headers, "x-seawall-reason").is_some() {
        Got::Refused
    } else if status >= 500 {
        Got::Failed
    } else {
        Got::Good
    }
}

fn request(number: usize, request: &Request) -> HeaderMap {
    headers(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "upstream"),
        (":path", &request.path),
        ("x-request-id", &format!("{number:08x}")),
    ])
}

fn properties() -> BTreeMap<String, Vec<u8>> {
    const OUTBOUND: u64 = 2;
    BTreeMap::from([
        ("xds\0cluster_name".to_owned(), b"upstream".to_vec()),
        ("xds\0route_name".to_owned(), b"default".to_vec()),
        (
            "xds\0listener_direction".to_owned(),
            OUTBOUND.to_le_bytes().to_vec(),
        ),
        ("upstream\0address".to_owned(), b"10.0.0.1:80".to_vec()),
    ])
}
