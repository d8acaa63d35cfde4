//! Good verdicts that are collected in lots: how far that is from counting each when it is there, on the same arrivals.

use seawall_policy::breaker::window::Geometry;
use seawall_policy::breaker::{Breaker, Lot, Moment, Permit, Settings, State, Verdict, lot_max};
use seawall_policy::outcome::Outcome;
use seawall_policy::time::{Span, Timestamp};

/// So long a good verdict may wait.
const TICK: Span = Span::millis(400);

struct Draws(u64);

impl Draws {
    /// SplitMix64, by Steele, Lea and Flood.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn percent(&mut self) -> u64 {
        (self.next() >> 11) % 100
    }
}

/// A breaker, and what its workers have collected; none where each verdict is counted when it is there.
struct Counting<'a> {
    settings: &'a Settings,
    breaker: Breaker,
    lots: Vec<(Lot, u32)>,
    trips: u32,
}

impl<'a> Counting<'a> {
    fn new(settings: &'a Settings, workers: usize) -> Self {
        Self {
            settings,
            breaker: Breaker::new(settings.window),
            lots: vec![(Lot::default(), 1); workers],
            trips: 0,
        }
    }

    /// It closed a moment ago, with nothing in its window.
    fn close(&mut self) {
        self.breaker = Breaker {
            generation: self.breaker.generation + 1,
            last: self.breaker.last,
            ..Breaker::new(self.settings.window)
        };
    }

    fn verdict(&mut self, worker: usize, failed: bool, now: Timestamp) {
        let in_a_row = match &self.breaker.state {
            State::Closed(closed) => closed.consecutive > 0,
            State::Open { .. } | State::HalfOpen(_) => unreachable!("it is closed anew"),
        };
        let generation = self.breaker.generation;
        if let Some((lot, most)) = self.lots.get_mut(worker)
            && !failed
            && !in_a_row
            && lot.generation == generation
            && lot.count < *most
            && *most > 1
        {
            lot.count += 1;
            if lot.count == *most {
                self.enter(worker, now);
            }
            return;
        }
        self.enter(worker, now);
        let outcome = match failed {
            true => Outcome::Failure,
            false => Outcome::Success,
        };
        let verdict = Verdict {
            outcome,
            host: 0,
            retry_after: None,
            peer: 0,
            silent: false,
        };
        let permit = Permit {
            generation,
            probe: None,
        };
        let moment = Moment { now, draw: 0 };
        let settled = self.breaker.settle(self.settings, moment, permit, verdict);
        self.see(!settled.made.is_empty());
    }

    fn enter(&mut self, worker: usize, now: Timestamp) {
        let vms = self.lots.len() as u32;
        let Some((lot, most)) = self.lots.get_mut(worker) else {
            return;
        };
        let moment = Moment { now, draw: 0 };
        let settled = self.breaker.settle_lot(self.settings, moment, *lot);
        // After a transition nobody collects before the record was read.
        *lot = Lot {
            generation: self.breaker.generation,
            count: 0,
        };
        *most = lot_max(self.breaker.calls_for_lots(TICK, now), vms);
        self.see(!settled.made.is_empty());
    }

    fn tick(&mut self, now: Timestamp) {
        for worker in 0..self.lots.len() {
            self.enter(worker, now);
        }
    }

    fn see(&mut self, tripped: bool) {
        if tripped {
            self.trips += 1;
            self.close();
        }
    }
}

/// How windows begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Full of good verdicts.
    Healthy,
    /// Empty: it closed a moment ago.
    Closed,
}

/// Trips in so many windows, exactly and by lots; each window has so many calls, of which a share fails. One worker of all gets `first` percent.
fn trips(
    workers: usize,
    first: u64,
    calls: u64,
    windows: u32,
    failing: u64,
    before: Before,
    over: Span,
) -> [u32; 2] {
    let settings = Settings {
        window: Geometry::time(over),
        host_grace: Span::ZERO,
        ramp: Span::ZERO,
        ..Settings::default()
    };
    let mut worlds = [
        Counting::new(&settings, 0),
        Counting::new(&settings, workers),
    ];
    let mut draws = Draws(calls ^ (failing << 32) ^ workers as u64);
    let gap = over.share(1, calls);
    let mut now = Timestamp::ZERO.after(Span::secs(100));
    let mut tick = now;
    for _ in 0..windows {
        let parts = match before {
            Before::Healthy => vec![0, failing],
            Before::Closed => vec![failing],
        };
        worlds.iter_mut().for_each(Counting::close);
        for failing in parts {
            for _ in 0..calls {
                now = now.after(gap);
                if now.since(tick) >= TICK {
                    tick = now;
                    worlds.iter_mut().for_each(|world| world.tick(now));
                }
                let worker = match draws.percent() < first {
                    true => 0,
                    false => draws.next() as usize % workers,
                };
                let failed = draws.percent() < failing;
                for world in &mut worlds {
                    world.verdict(worker, failed, now);
                }
            }
        }
    }
    worlds.map(|world| world.trips)
}

#[test]
fn lots_open_a_breaker_no_oftener_than_counting_each_does() {
    const WINDOW: Span = Span::secs(10);
    let mut windows_of_all = 0;
    for (workers, first, calls, windows, before, over) in [
        (1, 0, 150, 60_000, Before::Closed, WINDOW),
        (1, 0, 300, 10_000, Before::Healthy, WINDOW),
        (8, 0, 1_200, 3_000, Before::Closed, WINDOW),
        (8, 90, 1_200, 3_000, Before::Closed, WINDOW),
        (8, 0, 1_200, 2_000, Before::Healthy, WINDOW),
        (8, 90, 1_200, 2_000, Before::Healthy, WINDOW),
        (8, 0, 400, 20_000, Before::Closed, Span::secs(1)),
    ] {
        windows_of_all += windows;
        let [exact, lots] = trips(workers, first, calls, windows, 20, before, over);
        println!(
            "20 %: {workers} workers, {first}, {calls} calls, {before:?}: {exact} of {windows}, by lots {lots}"
        );
        let point = windows / 1_000;
        assert!(
            lots <= exact + point,
            "{exact} of {windows}, by lots {lots}"
        );
    }
    assert!(windows_of_all >= 100_000);
}

/// Nearer to the threshold, where a fiftieth of the window matters most.
#[test]
fn lots_move_a_rate_by_a_fiftieth_at_most() {
    for (workers, first, calls) in [(1, 0, 400), (8, 0, 2_000), (8, 90, 2_000)] {
        let over = Span::secs(10);
        for failing in [40, 45, 55] {
            let [exact, lots] = trips(workers, first, calls, 300, failing, Before::Healthy, over);
            println!(
                "{failing} %: {workers} workers, {first}, {calls} calls: {exact} of 300, by lots {lots}"
            );
            match failing {
                40 => assert!(lots <= exact + 3, "{exact}, by lots {lots}"),
                // It opens all the same.
                55 => assert!(
                    lots * 10 >= exact * 9 && exact > 250,
                    "{exact}, by lots {lots}"
                ),
                _ => {}
            }
        }
    }
}
