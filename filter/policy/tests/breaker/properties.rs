//! Random settings, random schedules: the breaker and the model say the same at every step.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use seawall_policy::breaker::window::Geometry;
use seawall_policy::breaker::{
    Admission, Asker, Breaker, Cause, Counted, HalfOpen, LastWord, Mode, Moment, OpenTime, Permit,
    Refusal, Settings, Thresholds, Transition, Verdict,
};
use seawall_policy::outcome::Outcome;
use seawall_policy::ratio::Share;
use seawall_policy::retry_budget::Budget;
use seawall_policy::shared::leases::{Lease, LocalLease};
use seawall_policy::shared::record::Record;
use seawall_policy::time::{Span, Timestamp};

use crate::model::{End, Made, Model, Told, Why};

const SEED: [u8; 32] = [3; 32];
/// Times that are cut and compared, in milliseconds: one slice, one window, the open times, the wait, the ramp, the grace.
const SLICE: u64 = 100;
const MILLI: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Act {
    Admit {
        instance: u64,
        ramp_draw: u32,
        peer: u32,
        complete: bool,
    },
    Settle {
        which: prop::sample::Index,
        outcome: usize,
        host: u32,
        retry_after: Option<u64>,
    },
    Break {
        which: prop::sample::Index,
        host: u32,
    },
    /// A permit that lapses; its request goes on.
    GiveBack {
        which: prop::sample::Index,
    },
    /// An answer to a probe of our own, of a generation that lies so far back.
    Answer {
        back: u64,
        good: bool,
    },
    Tick,
    Expire {
        instance: u64,
    },
}

#[derive(Clone, Debug)]
struct Step {
    later: i64,
    draw: u32,
    act: Act,
}

fn share() -> impl Strategy<Value = Share> {
    prop::sample::select(vec![0_u16, 1, 3_333, 5_000, 10_000]).prop_map(Share::basis_points)
}

fn settings() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![
        Just(Geometry::time(Span::millis(SLICE * 10))),
        (1_u16..12).prop_map(Geometry::count),
    ];
    let thresholds = (share(), share(), 0_u32..5, 1_u32..6);
    let times = (1_u64..700, 0_u64..2_000, share(), 1_u32..5, 1_u64..1_500);
    let rest = (
        prop::sample::select(vec![0_u64, 500, 1_000]),
        prop::sample::select(vec![0_u64, 150, 1_000]),
    );
    (window, thresholds, times, rest).prop_map(
        |(
            window,
            (failure_rate, slow_rate, consecutive, minimum_calls),
            (base, more, jitter, permits, wait),
            (ramp, grace),
        )| {
            Settings {
                mode: Mode::Enforce(Share::ALL),
                inbound: false,
                thresholds: Thresholds {
                    failure_rate,
                    slow_rate,
                    slow_over: Span::secs(1),
                    consecutive,
                    minimum_calls,
                },
                window,
                open: OpenTime {
                    base: Span::millis(base),
                    cap: Span::millis(base + more),
                    jitter,
                },
                half_open: HalfOpen {
                    permits,
                    wait: Span::millis(wait),
                },
                ramp: Span::millis(ramp),
                host_grace: Span::millis(grace),
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly no time or a little; often just before, at and just after a multiple of a slice; sometimes backwards.
    let later = prop_oneof![
        6 => Just(0_i64),
        4 => 1_i64..30,
        3 => (1_i64..12, -1_i64..=1).prop_map(|(slices, off)| slices * SLICE as i64 + off),
        1 => -150_i64..0,
        2 => prop::sample::select(vec![150_i64, 500, 1_000]),
        1 => 1_000_i64..4_000,
        1 => Just(20_000),
    ];
    let outcome =
        prop_oneof![4 => Just(2_usize), 4 => Just(0), 2 => Just(1), 1 => Just(3), 1 => Just(4)];
    let act = prop_oneof![
        6 => (1_u64..4, any::<u32>(), 0_u32..5, any::<bool>())
            .prop_map(|(instance, ramp_draw, peer, complete)| Act::Admit { instance, ramp_draw, peer, complete }),
        6 => (any::<prop::sample::Index>(), outcome, 0_u32..7, prop::option::weighted(0.1, 0_u64..3_000))
            .prop_map(|(which, outcome, host, retry_after)| Act::Settle { which, outcome, host, retry_after }),
        2 => (any::<prop::sample::Index>(), 0_u32..7).prop_map(|(which, host)| Act::Break { which, host }),
        1 => any::<prop::sample::Index>().prop_map(|which| Act::GiveBack { which }),
        1 => (prop::sample::select(vec![0_u64, 0, 0, 1]), prop::bool::weighted(0.9))
            .prop_map(|(back, good)| Act::Answer { back, good }),
        1 => Just(Act::Tick),
        1 => (1_u64..4).prop_map(|instance| Act::Expire { instance }),
    ];
    (later, any::<u32>(), act).prop_map(|(later, draw, act)| Step { later, draw, act })
}

fn made(transition: &Transition) -> Made {
    Made {
        from: transition.from,
        to: transition.to,
        why: match transition.cause {
            Cause::FailureRate { .. } => Why::FailureRate,
            Cause::SlowRate { .. } => Why::SlowRate,
            Cause::Consecutive { .. } => Why::Consecutive,
            Cause::TimeOver => Why::TimeOver,
            Cause::OwnProbe => Why::OwnProbe,
            Cause::ProbesGood { .. } => Why::ProbesGood,
            Cause::ProbesBad { .. } => Why::ProbesBad,
            Cause::OwnProbes { .. } => Why::OwnProbes,
            Cause::Reconfigured => unreachable!("no configuration changes here"),
            Cause::Operator => unreachable!("no operator is here"),
        },
        at: transition.at.as_nanos(),
        open_for: transition.open_for.map(Span::as_nanos),
        trips: transition.trips,
    }
}

/// Both, side by side.
struct Pair {
    settings: Settings,
    breaker: Breaker,
    model: Model,
    open: Vec<Going>,
    counted: Vec<(u64, Counted)>,
    asked: u64,
    /// Of each request.
    generations: BTreeMap<u64, u64>,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
struct Going {
    id: u64,
    peer: u32,
    permit: Permit,
}

impl Going {
    /// Its end without a verdict.
    fn ends(&self) -> End {
        End {
            id: self.id,
            generation: self.permit.generation,
            probe: self.permit.probe,
            peer: self.peer,
            outcome: Outcome::Ignored,
            host: 0,
            retry_after: None,
        }
    }
}

impl Pair {
    fn act(&mut self, clock: u64, step: &Step) -> Result<(), TestCaseError> {
        let clock = clock * MILLI;
        let moment = Moment {
            now: Timestamp::nanos(clock),
            draw: step.draw,
        };
        let mut expected = self.model.pass(clock);
        let found = match &step.act {
            Act::Admit {
                instance,
                ramp_draw,
                peer,
                complete,
            } => {
                let told = self.model.admit(*instance, *ramp_draw, *peer, *complete);
                let asker = Asker {
                    peer: *peer,
                    complete: *complete,
                };
                let (admission, found) =
                    self.breaker
                        .admit(&self.settings, moment, *instance, *ramp_draw, asker);
                self.told(told, admission, *peer)?;
                found
            }
            Act::Settle {
                which,
                outcome,
                host,
                retry_after,
            } if !self.open.is_empty() => {
                let going = self.open.remove(which.index(self.open.len()));
                let end = End {
                    outcome: Outcome::ALL[*outcome],
                    host: *host,
                    retry_after: retry_after.map(|millis| millis * MILLI),
                    ..going.ends()
                };
                expected.extend(self.model.end(end, step.draw));
                let verdict = Verdict {
                    outcome: end.outcome,
                    host: *host,
                    retry_after: retry_after.map(Span::millis),
                    peer: going.peer,
                    silent: false,
                };
                let settled = self
                    .breaker
                    .settle(&self.settings, moment, going.permit, verdict);
                self.counted
                    .extend(settled.counted.map(|counted| (going.id, counted)));
                settled.made
            }
            Act::GiveBack { which } if !self.open.is_empty() => {
                let which = which.index(self.open.len());
                let going = self.open[which];
                prop_assert_eq!(self.model.end(going.ends(), step.draw), None);
                self.open[which].permit.probe = None;
                let settled =
                    self.breaker
                        .give_back(&self.settings, moment, going.permit, going.peer);
                prop_assert_eq!(settled.counted, None);
                settled.made
            }
            Act::Break { which, host } if !self.counted.is_empty() => {
                let (id, counted) = self.counted.remove(which.index(self.counted.len()));
                let generation = self.generations[&id];
                expected.extend(self.model.fail_late(generation, id, *host, step.draw));
                let settled = self.breaker.settle_late(
                    &self.settings,
                    moment,
                    counted,
                    LastWord::Failed { host: *host },
                );
                settled.made
            }
            Act::Answer { back, good } => {
                let generation = self.model.generation.saturating_sub(*back);
                expected.extend(self.model.answered(generation, *good));
                let settled = self
                    .breaker
                    .probed(&self.settings, moment, generation, *good);
                settled.made
            }
            Act::Tick => {
                let found = self.breaker.advance(&self.settings, moment);
                prop_assert_eq!(self.breaker.starves(&self.settings), self.model.starves());
                found
            }
            Act::Expire { instance } => {
                let found = self.breaker.advance(&self.settings, moment);
                let held = self.model.held_by(*instance) > 0;
                let mut gone = |lease: &Lease| lease.instance == *instance;
                let nobody = LocalLease::none(u64::MAX);
                prop_assert_eq!(self.breaker.sweep(&nobody, false, &mut gone), held);
                self.model.expire(*instance);
                found
            }
            Act::Settle { .. } | Act::Break { .. } | Act::GiveBack { .. } => {
                self.breaker.advance(&self.settings, moment)
            }
        };
        prop_assert_eq!(found.iter().map(made).collect::<Vec<_>>(), expected);
        self.agree()
    }

    fn told(&mut self, told: Told, admission: Admission, peer: u32) -> Result<(), TestCaseError> {
        let found = match admission {
            Admission::Admitted(permit) => {
                self.asked += 1;
                let id = self.asked;
                self.generations.insert(id, permit.generation);
                self.open.push(Going { id, peer, permit });
                Told::Admitted {
                    generation: permit.generation,
                    probe: permit.probe.is_some(),
                }
            }
            Admission::Refused {
                refusal: Refusal::Open,
                retry_after,
            } => Told::Open {
                retry_after: retry_after.as_nanos(),
            },
            Admission::Refused {
                refusal: Refusal::HalfOpen,
                ..
            } => Told::NoPermit,
            Admission::Refused {
                refusal: Refusal::Ramp,
                ..
            } => Told::Ramp,
        };
        prop_assert_eq!(found, told);
        Ok(())
    }

    /// The state, the invariant, and that what stands in shared data is the whole of it.
    fn agree(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.breaker.phase(), self.model.phase());
        prop_assert_eq!(self.breaker.generation, self.model.generation);
        prop_assert!(self.model.used() <= self.settings.half_open.permits as usize);
        let record = Record {
            configured_at: Timestamp::ZERO,
            counting: true,
            breaker: self.breaker.clone(),
            budget: Some(Budget::new(Span::secs(1))),
            forced: None,
        };
        let read = Record::decode(&record.encode());
        prop_assert_eq!(read.as_ref(), Ok(&record));
        if let Ok(read) = read {
            self.breaker = read.breaker;
        }
        Ok(())
    }
}

#[test]
fn the_breaker_is_its_specification() {
    let config = Config {
        cases: 6_000,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(config.rng_algorithm, &SEED);
    let mut runner = TestRunner::new_with_rng(config, random);
    let seen = std::cell::Cell::new([0_u32; 3]);
    let cases = (settings(), prop::collection::vec(step(), 1..250));
    let result = runner.run(&cases, |(settings, steps)| {
        let mut pair = Pair {
            settings,
            breaker: Breaker::new(settings.window),
            model: Model::new(settings),
            open: Vec::new(),
            counted: Vec::new(),
            asked: 0,
            generations: BTreeMap::new(),
        };
        let mut clock = 5_000_i64;
        for step in &steps {
            clock = (clock + step.later).max(0);
            pair.act(clock as u64, step)?;
            let mut seen_so_far = seen.get();
            seen_so_far[pair.breaker.phase() as usize] += 1;
            seen.set(seen_so_far);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
    assert!(
        seen.get().iter().all(|steps| *steps > 50_000),
        "every state was visited: {:?}",
        seen.get()
    );
}
