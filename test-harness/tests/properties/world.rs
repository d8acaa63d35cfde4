//! Clients, Envoy and an upstream around a filter, event by event.
//!
//! Envoy's part: the router's limit runs from the end of the request, a limit before the headers is a local reply, after them
//! the end of the stream; a response to a client that does not read stands still.

mod source;

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use seawall_harness::random::chance;
use seawall_harness::sim::Queue;
use seawall_policy::deadline::{DeadlineInputs as AskedTime, Limit};

use crate::body::START;
use crate::filter::{Ask, Callback, Filter, Head, Id, Kind, Told};
use crate::mixture::{Behaviour, SECOND, Script, Then, flags};
use crate::policies::Drawn;
use source::Source;
pub(crate) use source::{Pace, Who};

/// How an upstream is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Health {
    /// It is well; this share of its responses are failures.
    Well(f64),
    Errors,
    Resets,
    Hangs,
    /// Later than `slow_call.over`.
    Slow,
    /// Headers, and no more.
    Stalls,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Ask(usize),
    Complete(Id),
    /// The upstream's headers.
    Answer(Id),
    StatusFour(Id),
    RefusedRetry(Id),
    Chunk(Id, u64),
    After(Id),
    /// A limit passed, with its flag.
    Limit(Id, u64),
    /// The client is gone, with the flag of how.
    Leaves(Id, u64),
    HangsUp(Id),
}

#[derive(Debug)]
struct Request {
    script: Script,
    ask: Ask,
    source: usize,
    answered: bool,
    over: bool,
}

/// A request that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) at: u64,
    pub(crate) who: Who,
    pub(crate) told: Told,
    /// Whether it was answered well.
    pub(crate) answered: bool,
}

/// How often each behaviour was drawn.
pub(crate) type Drawings = BTreeMap<Behaviour, u64>;

pub(crate) struct World<'a> {
    pub(crate) filter: &'a mut dyn Filter,
    drawn: &'a Drawn,
    pub(crate) health: Health,
    queue: Queue<Event>,
    pub(crate) now: u64,
    requests: Vec<Request>,
    pub(crate) asked: Vec<Asked>,
    sources: Vec<Source>,
    connections: u64,
    random: ChaCha8Rng,
    pub(crate) drawings: Drawings,
    /// The callers are answered within this.
    pub(crate) brisk: Option<u64>,
    /// Who asks a good request in its place.
    pub(crate) left_out: fn(Behaviour) -> bool,
    seed: u64,
}

/// The good callers have so many connections, which are the first.
pub(crate) const CALLERS: u64 = 5;

impl<'a> World<'a> {
    pub(crate) fn new(filter: &'a mut dyn Filter, drawn: &'a Drawn, seed: u64) -> Self {
        Self {
            filter,
            drawn,
            health: Health::Well(0.0),
            queue: Queue::default(),
            now: START,
            requests: Vec::new(),
            asked: Vec::new(),
            sources: Vec::new(),
            connections: CALLERS,
            random: chance(seed, "upstream"),
            drawings: Drawings::new(),
            brisk: None,
            left_out: |_| false,
            seed,
        }
    }

    /// Lets somebody ask from now on.
    pub(crate) fn source(&mut self, who: Who, pace: Pace) -> usize {
        let number = self.sources.len();
        let mut source = Source {
            who,
            pace,
            random: chance(self.seed, format_args!("{who:?} {number}")),
            asked: 0,
            on: true,
        };
        let first = source.gap();
        self.sources.push(source);
        self.queue.push(self.now + first, Event::Ask(number));
        number
    }

    /// Nobody of this source asks any more.
    pub(crate) fn stop(&mut self, source: usize) {
        self.sources[source].on = false;
    }

    /// The upstream is well from now on; what it has in hand breaks.
    pub(crate) fn recovers(&mut self) {
        self.health = Health::Well(0.0);
        for id in 0..self.requests.len() as Id {
            if !self.requests[id as usize].over {
                self.breaks(id);
            }
        }
    }

    /// Goes on until this is so, or this time. Whether it was.
    pub(crate) fn until(&mut self, end: u64, is: impl Fn(&Self) -> bool) -> bool {
        while !is(self) {
            let Some((at, event)) = self.queue.pop() else {
                return false;
            };
            if at > end {
                self.queue.push(at, event);
                self.now = end;
                self.filter.pass(end);
                return is(self);
            }
            self.now = at.max(self.now);
            self.filter.pass(self.now);
            self.take(event);
        }
        true
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Ask(source) => self.ask(source),
            Event::Complete(id) if self.waits(id) => self.complete(id),
            Event::Answer(id) if self.waits(id) => self.answer(id),
            Event::StatusFour(id) if self.waits(id) && self.is_well() => {
                let head = Head {
                    grpc: Some(4),
                    ..Head::upstream(200, true)
                };
                self.head(id, &head);
            }
            Event::RefusedRetry(id) if self.waits(id) => {
                let head = Head {
                    refused: true,
                    ..Head::local(503, 0)
                };
                self.head(id, &head);
            }
            Event::Chunk(id, left) if self.is_on(id) => self.chunk(id, left),
            Event::After(id) if self.is_on(id) => self.after(id),
            Event::Limit(id, flags) if self.is_on(id) => self.limit(id, flags),
            Event::Leaves(id, flags) if self.is_on(id) => self.cut(id, flags),
            Event::HangsUp(id) if self.waits(id) => self.breaks(id),
            _ => {}
        }
    }

    fn is_on(&self, id: Id) -> bool {
        !self.requests[id as usize].over
    }

    fn waits(&self, id: Id) -> bool {
        self.is_on(id) && !self.requests[id as usize].answered
    }

    fn is_well(&self) -> bool {
        matches!(self.health, Health::Well(_))
    }

    fn ask(&mut self, number: usize) {
        let source = &mut self.sources[number];
        if !source.on {
            return;
        }
        let behaviour = match source.who {
            Who::Callers | Who::Uploaders => Behaviour::Good,
            Who::Poller(behaviour) => behaviour,
            Who::Mixture | Who::InItsPlace => match Behaviour::ALL.get(source.asked) {
                Some(behaviour) => *behaviour,
                None => Behaviour::ALL[source.random.random_range(0..Behaviour::ALL.len())],
            },
        };
        let behaviour = match (self.left_out)(behaviour) {
            true => Behaviour::Good,
            false => behaviour,
        };
        source.asked += 1;
        let is_poller = matches!(source.who, Who::Poller(_));
        if !is_poller {
            let next = self.now + source.gap();
            self.queue.push(next, Event::Ask(number));
        }
        let connection = match source.who {
            Who::Callers | Who::Uploaders => source.random.random_range(0..CALLERS),
            Who::Poller(_) => 1_000_000 + number as u64,
            Who::Mixture | Who::InItsPlace => {
                self.connections += 1;
                self.connections
            }
        };
        let streams = match behaviour {
            Behaviour::ShutWindow => self.sources[number].random.random_range(2..=10),
            _ => 1,
        };
        for _ in 0..streams {
            let behaviour = match self.sources[number].who {
                Who::InItsPlace => Behaviour::Good,
                _ => behaviour,
            };
            let mut script = Script::draw(behaviour, &mut self.sources[number].random, self.drawn);
            if self.sources[number].who == Who::Uploaders {
                script.complete = Some(SECOND / 10);
            }
            if let Some(most) = self.brisk.filter(|_| behaviour == Behaviour::Good) {
                script.latency = script.latency.min(most);
            }
            self.start(number, script, connection);
        }
    }

    fn start(&mut self, source: usize, script: Script, connection: u64) {
        *self.drawings.entry(script.behaviour).or_default() += 1;
        let id = self.requests.len() as Id;
        let ask = Ask {
            worker: connection as usize % self.drawn.workers,
            connection,
            complete: script.complete == Some(0),
            kind: script.kind,
            caller: script.caller,
        };
        let told = self.filter.ask(id, &ask);
        self.asked.push(Asked {
            at: self.now,
            who: self.sources[source].who,
            told,
            answered: false,
        });
        self.requests.push(Request {
            script,
            ask,
            source,
            answered: false,
            over: false,
        });
        if told != Told::Went {
            return self.over(id);
        }
        let at = |after: u64| self.now + after;
        let events = [
            script
                .leaves
                .map(|(after, how)| (at(after), Event::Leaves(id, how))),
            script
                .answered_early
                .map(|after| (at(after), Event::Answer(id))),
            script.hung_up.map(|after| (at(after), Event::HangsUp(id))),
            script
                .status_4
                .map(|after| (at(after), Event::StatusFour(id))),
            script
                .refused_retry
                .map(|after| (at(after), Event::RefusedRetry(id))),
            script
                .complete
                .filter(|after| *after > 0)
                .map(|after| (at(after), Event::Complete(id))),
            script
                .caller
                .filter(|_| script.behaviour == Behaviour::StreamDeadline)
                .map(|caller| (at(caller.as_nanos()), Event::Limit(id, flags::STREAM_LIMIT))),
        ];
        for (at, event) in events.into_iter().flatten() {
            self.queue.push(at, event);
        }
        if ask.complete {
            self.completed(id);
        }
    }

    fn complete(&mut self, id: Id) {
        self.filter.call(id, Callback::RequestEnded);
        self.completed(id);
    }

    /// The request is complete: the upstream's time and the router's limit run from here.
    fn completed(&mut self, id: Id) {
        let Request { script, ask, .. } = self.requests[id as usize];
        let time = AskedTime {
            incoming: ask.caller,
            open_ended: ask.kind.is_open_ended(ask.caller),
            ..AskedTime::default()
        };
        let limit = match self.drawn.policy.time.resolve(&time) {
            Limit::Within { total, .. } => Some(total),
            Limit::None | Limit::Doomed => self.drawn.route,
        };
        if let Some(limit) = limit.filter(|_| ask.kind != Kind::Tunnel) {
            self.queue
                .push(self.now + limit.as_nanos(), Event::Limit(id, flags::LIMIT));
        }
        let latency = match self.health {
            Health::Slow => {
                let over = self.drawn.policy.breaker.thresholds.slow_over.as_nanos();
                over + over / 10 + script.latency / 10
            }
            _ => script.latency,
        };
        self.queue.push(self.now + latency, Event::Answer(id));
    }

    fn answer(&mut self, id: Id) {
        let script = self.requests[id as usize].script;
        let fails = match self.health {
            Health::Hangs => return,
            Health::Resets => return self.breaks(id),
            Health::Well(share) => share > 0.0 && self.random.random_range(0.0..1.0) < share,
            Health::Errors => true,
            Health::Slow | Health::Stalls => false,
        };
        let grpc = script.kind == Kind::Grpc;
        let head = match (fails, grpc) {
            (true, true) => Head {
                grpc: Some(14),
                ..Head::upstream(200, true)
            },
            (true, false) => Head::upstream(503, true),
            (false, _) => {
                let stalls = self.health == Health::Stalls && script.kind != Kind::Tunnel;
                let end = script.then == Then::AtOnce && !stalls;
                Head {
                    grpc: (grpc && end).then_some(0),
                    ..Head::upstream(script.status, end)
                }
            }
        };
        self.head(id, &head);
        if self.is_on(id) && !head.end {
            let first = match script.chunks {
                0 => Event::After(id),
                chunks => Event::Chunk(id, chunks),
            };
            self.queue.push(self.now + script.gap, first);
        }
    }

    fn head(&mut self, id: Id, head: &Head) {
        self.filter.call(id, Callback::Headers(*head));
        let request = &mut self.requests[id as usize];
        request.answered = true;
        self.asked[id as usize].answered = head.local.is_none() && head.status < 500;
        if head.end || head.local.is_some() {
            self.over(id);
        }
    }

    fn chunk(&mut self, id: Id, left: u64) {
        if self.health == Health::Stalls {
            return;
        }
        let script = self.requests[id as usize].script;
        self.filter.call(id, Callback::Chunk);
        let next = match left {
            0 | 1 => Event::After(id),
            left => Event::Chunk(id, left - 1),
        };
        self.queue.push(self.now + script.gap, next);
    }

    fn after(&mut self, id: Id) {
        let script = self.requests[id as usize].script;
        if self.health == Health::Stalls && script.kind != Kind::Tunnel {
            return;
        }
        match script.then {
            Then::StandsStill => {}
            Then::Closes => self.cut(id, flags::SERVER_CLOSED),
            Then::AtOnce | Then::Ends => {
                self.filter.call(id, Callback::Ended(None));
                self.over(id);
            }
            Then::Trailers(status) => {
                self.filter.call(id, Callback::Ended(Some(status)));
                self.over(id);
            }
        }
    }

    fn limit(&mut self, id: Id, flags: u64) {
        match self.requests[id as usize].answered {
            true => self.cut(id, flags),
            false => self.local(id, 504, flags),
        }
    }

    /// The upstream's side breaks.
    fn breaks(&mut self, id: Id) {
        match self.requests[id as usize].answered {
            true => self.cut(id, flags::SERVER_CLOSED),
            false => self.local(id, 503, flags::SERVER_CLOSED),
        }
    }

    fn local(&mut self, id: Id, status: u16, flags: u64) {
        let head = match self.requests[id as usize].ask.kind {
            Kind::Grpc => Head {
                grpc: Some(14),
                ..Head::local(200, flags)
            },
            _ => Head::local(status, flags),
        };
        self.head(id, &head);
    }

    fn cut(&mut self, id: Id, flags: u64) {
        self.filter.call(id, Callback::Cut(flags));
        self.over(id);
    }

    fn over(&mut self, id: Id) {
        let request = &mut self.requests[id as usize];
        request.over = true;
        let number = request.source;
        let source = &mut self.sources[number];
        if matches!(source.who, Who::Poller(_)) {
            let next = self.now + source.gap();
            self.queue.push(next, Event::Ask(number));
        }
    }
}
