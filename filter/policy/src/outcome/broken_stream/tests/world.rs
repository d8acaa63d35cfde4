//! A breaker, clients, and workers which learn of each other at their ticks.

use super::super::{BrokenStream, BrokenStreams, TELL};
use super::at;
use crate::breaker::{Admission, Asker, Breaker, Moment, Phase, Settings, Verdict};
use crate::outcome::Outcome;
use crate::outcome::peer::Peer;
use crate::time::{Span, Timestamp};

const TICK: u64 = 400;
/// The ticks of workers are so far apart.
const STEP: u64 = 50;

/// What becomes of a client's requests.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    Good,
    Breaks,
    /// Seven in ten, by a hash with this seed.
    BreaksOften(u64),
}

/// A client with requests in bursts, each so many milliseconds, with a pause after so many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) does: Does,
    pub(super) every: u64,
    pub(super) burst: u64,
    pub(super) pause: u64,
    pub(super) from: u64,
    pub(super) until: u64,
}

impl Client {
    pub(super) const fn good(peer: Peer, every: u64) -> Self {
        Self {
            peer,
            does: Does::Good,
            every,
            burst: 1,
            pause: 0,
            from: 0,
            until: u64::MAX,
        }
    }

    fn times(self, end: u64) -> impl Iterator<Item = u64> {
        let round = self.burst * self.every + self.pause;
        (0..)
            .map(move |nth: u64| {
                self.from + nth / self.burst * round + nth % self.burst * self.every
            })
            .take_while(move |now| *now < end.min(self.until))
    }
}

#[derive(Clone, Copy, Default)]
struct Worker {
    seen: BrokenStreams,
    told: Timestamp,
}

/// All of it.
pub(super) struct World {
    /// Whether the rule is asked at all.
    rule: bool,
    /// When it opened.
    pub(super) opened: Vec<u64>,
    pub(super) asked: usize,
    pub(super) admitted: usize,
    settings: Settings,
    breaker: Breaker,
    shared: BrokenStreams,
    workers: Vec<Worker>,
}

impl World {
    pub(super) fn new(workers: usize) -> Self {
        let mut settings = Settings::default();
        settings.open.cap = settings.open.base;
        settings.ramp = Span::ZERO;
        Self {
            rule: true,
            opened: Vec::new(),
            asked: 0,
            admitted: 0,
            breaker: Breaker::new(settings.window),
            settings,
            shared: BrokenStreams::default(),
            workers: vec![Worker::default(); workers],
        }
    }

    pub(super) fn without_rule(workers: usize) -> Self {
        Self {
            rule: false,
            ..Self::new(workers)
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.breaker.phase() == Phase::Closed
    }

    /// When it opens first.
    pub(super) fn opens(mut self, clients: &[Client], end: u64) -> Option<u64> {
        self.play(clients, end);
        self.opened.first().copied()
    }

    pub(super) fn play(&mut self, clients: &[Client], end: u64) {
        let mut requests: Vec<(u64, Client)> = clients
            .iter()
            .flat_map(|client| client.times(end).map(|now| (now, *client)))
            .collect();
        requests.sort_by_key(|(now, client)| (*now, client.peer.number()));
        let mut ticked = 0;
        for (nth, (now, client)) in requests.into_iter().enumerate() {
            while ticked < now {
                self.tick(ticked);
                ticked += STEP;
            }
            self.request(nth, now, client);
        }
    }

    fn tick(&mut self, now: u64) {
        for (nth, worker) in (0..).zip(&mut self.workers) {
            if now % TICK == nth * STEP % TICK {
                worker.seen = self.shared;
            }
        }
    }

    fn request(&mut self, nth: usize, now: u64, client: Client) {
        let moment = Moment {
            now: at(now),
            draw: 0,
        };
        let peer = client.peer.number() as u32 + 1;
        let asker = Asker {
            peer,
            complete: true,
        };
        self.asked += 1;
        let (admission, _) = self.breaker.admit(&self.settings, moment, 1, 0, asker);
        let Admission::Admitted(permit) = admission else {
            return;
        };
        self.admitted += 1;
        let drawn = (nth as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let breaks = match client.does {
            Does::Good => false,
            Does::Breaks => true,
            Does::BreaksOften(seed) => mixed(nth as u64 ^ seed << 32) & 0xff < 180,
        };
        let worker = usize::try_from(drawn).unwrap_or(0) % self.workers.len();
        let worker = &mut self.workers[worker];
        let outcome = if breaks {
            let stream = BrokenStream {
                peer: client.peer,
                generation: permit.generation,
                half_open: permit.probe.is_some(),
            };
            let upstreams = self.shared.is_upstreams(stream, moment.now);
            worker.seen = self.shared;
            match upstreams || !self.rule {
                true => Outcome::Failure,
                false => Outcome::Ignored,
            }
        } else {
            let wanted = worker.seen.wants(client.peer, moment.now);
            if wanted && moment.now.since(worker.told) >= TELL {
                worker.told = moment.now;
                self.shared.answered(client.peer, moment.now);
                worker.seen = self.shared;
            }
            Outcome::Success
        };
        let verdict = Verdict {
            outcome,
            host: 0,
            retry_after: None,
            peer,
            silent: false,
        };
        let before = self.breaker.phase();
        self.breaker.settle(&self.settings, moment, permit, verdict);
        if self.breaker.phase() == Phase::Open && before != Phase::Open {
            self.opened.push(now);
        }
    }
}

/// The finaliser of SplitMix64: no pattern over requests that follow each other.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
