//! The filter itself: its core on the native body (`seawall_native`), told what Envoy would tell it.
//!
//! Ticks come each 0.4 s. Where nothing is on the way for long, only those are made that follow soon after the last event, and those
//! just before the next: as if the process had been frozen in between.

mod envoy;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

use rand::Rng;
use seawall_harness::random::chance;
use seawall_native::{Headers, Process, Request, Worker};
use seawall_policy::breaker::{Phase, State, TransitionLine};
use seawall_policy::shared::keys::{self, Part};
use seawall_policy::shared::record::Record;
use seawall_policy::shared::state::{self, Key, SharedState};
use seawall_policy::time::{Span, Timestamp};

use crate::filter::{Ask, Callback, Change, Filter, Id, Told};
use crate::former::{Former, Known, Memory};
use crate::policies::Drawn;
use envoy::Envoy;

/// When a process starts, in nanoseconds.
pub(crate) const START: u64 = 1_000_000_000;
const TICK: u64 = seawall_policy::worker::TICK_MILLIS as u64 * 1_000_000;
/// So many ticks are made after the last event before a quiet time, and before the next.
const AWAKE: u64 = 5;
/// One swap in so many is lost to somebody who came in between.
const LOST_RACES: u32 = 8;
static RECORD: LazyLock<Key<Record>> =
    LazyLock::new(|| keys::record("default", envoy::CLUSTER, Part::Whole));

/// A request that went.
struct Exchange {
    request: Request,
    known: Known,
}

/// A process with its workers.
pub(crate) struct Body {
    process: Rc<Process>,
    workers: Vec<Worker>,
    envoy: Envoy,
    open: HashMap<Id, Exchange>,
    former: Option<Former>,
    memory: Memory,
    next_tick: u64,
    awake_until: u64,
    changes: Vec<Change>,
}

impl Body {
    pub(crate) fn new(drawn: &Drawn, seed: u64, former: Option<Former>) -> Self {
        let mut random = chance(seed, "filter");
        let process = Process::new(Span::nanos(START));
        let races = chance(seed, "races").next_u64();
        process.shared.lose_races(races, LOST_RACES);
        let workers = (0..drawn.workers).map(|_| {
            let worker = Worker::new(&process, &drawn.text, random.next_u64());
            worker.expect("a valid policy")
        });
        Self {
            workers: workers.collect(),
            process,
            envoy: Envoy::new(seed),
            open: HashMap::new(),
            former,
            memory: Memory::of(&drawn.policy),
            next_tick: START + TICK,
            awake_until: START + AWAKE * TICK,
            changes: Vec::new(),
        }
    }

    fn record(&self) -> Option<Record> {
        let stored = self.process.shared.view(&RECORD);
        stored.expect("a record of this version").record
    }

    /// Runs a callback, or the ticks of all workers, and notes the changes that were logged.
    fn run<T>(&mut self, callback: impl FnOnce(&mut Self) -> T) -> T {
        self.edit_record();
        let came_of = callback(self);
        for line in self.process.take_log() {
            if let Some(made) = TransitionLine::parse(&line) {
                let change = self.change_to(made.to);
                self.changes.push(change);
            }
        }
        if self.former.is_some_and(Former::keeps_other_records)
            && let Some(record) = self.record()
        {
            let changed_at = self.changes.last().map_or(START, |change| change.at);
            self.memory.saw(&record, changed_at, self.process.now());
        }
        came_of
    }

    /// The earlier filter kept other records.
    fn edit_record(&mut self) {
        let Some(former) = self.former.filter(|former| former.keeps_other_records()) else {
            return;
        };
        let Some(mut record) = self.record() else {
            return;
        };
        let change = former.edit(&mut self.memory, &mut record, self.process.now());
        self.changes.extend(change);
        let stored = self.process.shared.update(&RECORD, |stored| {
            stored.record = Some(record.clone());
            state::Change::Store
        });
        assert_eq!(stored, Ok(true), "races are lost seldom");
    }

    /// A change that was made just now; that an open time is over may have been noticed late.
    fn change_to(&self, to: Phase) -> Change {
        let now = self.process.now();
        let (at, open_for) = match (to, self.changes.last()) {
            (Phase::Open, _) => match self.record().map(|record| record.breaker.state) {
                Some(State::Open { until }) => (now, Some(until.since(Timestamp::nanos(now)))),
                state => panic!("it opened, and is {state:?}"),
            },
            (Phase::HalfOpen, Some(opened)) => (opened.at + opened.open_for.unwrap_or(0), None),
            (Phase::Closed | Phase::HalfOpen, _) => (now, None),
        };
        Change {
            at,
            to,
            open_for: open_for.map(Span::as_nanos),
        }
    }

    fn tick(&mut self) {
        self.run(|this| this.workers.iter_mut().for_each(Worker::tick));
    }

    /// Tells the core of something that happens to a request.
    fn tell(&mut self, id: Id, callback: Callback) {
        let Some(Exchange { request, known }) = self.open.get_mut(&id) else {
            return;
        };
        let worker = &mut self.workers[known.ask.worker];
        match callback {
            Callback::RequestEnded => request.request_ended(worker),
            Callback::Headers(head) => {
                envoy::answered(&mut request.known.borrow_mut(), head.local, head.refused);
                request.response_headers(worker, envoy::response(&head, known.ask.kind), head.end);
                known.answered = true;
                self.memory.over(id);
            }
            Callback::Chunk => request.response_body(worker, b"", false),
            Callback::Ended(None) => request.response_body(worker, b"", true),
            Callback::Ended(Some(status)) => {
                let status = status.to_string();
                request.response_trailers(worker, Headers::of(&[("grpc-status", &status)]));
            }
            Callback::Cut(flags) => {
                envoy::answered(&mut request.known.borrow_mut(), Some(flags), false)
            }
        }
        if callback.ends() {
            request.end(worker);
            self.open.remove(&id);
            self.memory.over(id);
        }
    }
}

impl Filter for Body {
    fn pass(&mut self, until: u64) {
        while self.next_tick <= until {
            if self.open.is_empty() && self.next_tick > self.awake_until {
                let left = (until - self.next_tick) / TICK;
                self.next_tick += left.saturating_sub(AWAKE) * TICK;
            }
            self.process.set_now(self.next_tick);
            self.next_tick += TICK;
            self.tick();
        }
        self.process.set_now(until);
    }

    fn ask(&mut self, id: Id, ask: &Ask) -> Told {
        self.awake_until = self.process.now() + AWAKE * TICK;
        let asked = self.former.map_or(*ask, |former| former.asked(*ask));
        if self
            .former
            .is_some_and(|former| former.refuses(&self.memory))
        {
            return Told::Refused;
        }
        let told = self.run(|this| {
            let known = this.envoy.request(&asked, this.process.wall());
            let mut request = Request::with(&this.process, known);
            let worker = &mut this.workers[ask.worker];
            if !request.send(worker, asked.complete) {
                let reply = request.reply().expect("who does not go is answered");
                request.end(worker);
                return match &*reply.details {
                    "seawall_deadline" => Told::Doomed,
                    details if details.starts_with("seawall_breaker_") => Told::Refused,
                    details => panic!("refused: {details}"),
                };
            }
            let attempts = this.former.map_or(1, Former::attempts);
            this.envoy.sent(&mut request.known.borrow_mut(), attempts);
            let known = Known {
                ask: *ask,
                at: this.process.now(),
                answered: false,
            };
            this.open.insert(id, Exchange { request, known });
            Told::Went
        });
        if told == Told::Went {
            self.memory.went(id);
        }
        told
    }

    fn call(&mut self, id: Id, callback: Callback) {
        let Some(exchange) = self.open.get(&id) else {
            return;
        };
        let now = self.process.now();
        self.awake_until = now + AWAKE * TICK;
        let told = self.former.map(|former| {
            let slow_over = self.memory.slow_over();
            former.told(&exchange.known, callback, slow_over, now)
        });
        for callback in told.unwrap_or_else(|| vec![callback]) {
            self.run(|this| this.tell(id, callback));
        }
    }

    fn changes(&self) -> &[Change] {
        &self.changes
    }
}
