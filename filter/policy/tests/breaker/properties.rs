//! Random settings, random schedules: the breaker and the model say the same at every step.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use seawall_policy::breaker::{
    Admission, Breaker, Cause, HalfOpen, Mode, Moment, OpenTime, Permit, Refusal, Settings, State,
    Thresholds, Transition, Verdict,
};
use seawall_policy::outcome::Outcome;
use seawall_policy::record::Record;
use seawall_policy::retry::budget::Budget;
use seawall_policy::share::Share;
use seawall_policy::time::{Span, Timestamp};
use seawall_policy::window::Geometry;

use crate::model::{Made, Model, Told, Why};

const SEED: [u8; 32] = [3; 32];
/// Times that are cut and compared: one slice, one window, the open times, the wait, the ramp, the grace.
const SLICE: u64 = 100;

#[derive(Clone, Debug)]
enum Act {
    Admit {
        instance: u64,
        ramp_draw: u32,
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
    /// A good answer to a probe of our own, of a generation that lies so far back.
    Answer {
        back: u64,
    },
    Expire {
        instance: u64,
    },
    Beat {
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
        Just(Geometry::time(Span::nanos(SLICE * 10))),
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
                    base: Span::nanos(base),
                    cap: Span::nanos(base + more),
                    jitter,
                },
                half_open: HalfOpen {
                    permits,
                    wait: Span::nanos(wait),
                },
                ramp: Span::nanos(ramp),
                host_grace: Span::nanos(grace),
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
    ];
    let outcome =
        prop_oneof![4 => Just(2_usize), 4 => Just(0), 2 => Just(1), 1 => Just(3), 1 => Just(4)];
    let act = prop_oneof![
        5 => (1_u64..4, any::<u32>()).prop_map(|(instance, ramp_draw)| Act::Admit { instance, ramp_draw }),
        6 => (any::<prop::sample::Index>(), outcome, 0_u32..7, prop::option::weighted(0.1, 0_u64..3_000))
            .prop_map(|(which, outcome, host, retry_after)| Act::Settle { which, outcome, host, retry_after }),
        1 => (any::<prop::sample::Index>(), 0_u32..7).prop_map(|(which, host)| Act::Break { which, host }),
        1 => prop::sample::select(vec![0_u64, 0, 1, 2]).prop_map(|back| Act::Answer { back }),
        1 => (1_u64..4).prop_map(|instance| Act::Expire { instance }),
        1 => (1_u64..4).prop_map(|instance| Act::Beat { instance }),
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
            Cause::NoVerdict { .. } => Why::NoVerdict,
            Cause::Reconfigured => unreachable!("no configuration changes here"),
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
    open: Vec<Permit>,
    good: Vec<Permit>,
}

impl Pair {
    fn act(&mut self, clock: u64, step: &Step) -> Result<(), TestCaseError> {
        let moment = Moment {
            now: Timestamp::nanos(clock),
            draw: step.draw,
        };
        let mut expected = self.model.pass(clock, step.draw);
        let found = match &step.act {
            Act::Admit {
                instance,
                ramp_draw,
            } => {
                let told = self.model.admit(*instance, *ramp_draw);
                let (admission, found) =
                    self.breaker
                        .admit(&self.settings, moment, *instance, *ramp_draw);
                self.told(told, admission)?;
                found
            }
            Act::Settle {
                which,
                outcome,
                host,
                retry_after,
            } if !self.open.is_empty() => {
                let permit = self.open.remove(which.index(self.open.len()));
                let outcome = Outcome::ALL[*outcome];
                let ids = (permit.generation, permit.probe);
                expected.extend(self.model.end(
                    ids,
                    outcome,
                    *host,
                    *retry_after,
                    false,
                    step.draw,
                ));
                if matches!(outcome, Outcome::Success | Outcome::Slow) {
                    self.good.push(permit);
                }
                let verdict = Verdict {
                    outcome,
                    host: *host,
                    retry_after: retry_after.map(Span::nanos),
                };
                self.breaker.settle(&self.settings, moment, permit, verdict)
            }
            Act::Break { which, host } if !self.good.is_empty() => {
                let permit = self.good.remove(which.index(self.good.len()));
                let ids = (permit.generation, permit.probe);
                expected.extend(self.model.end(
                    ids,
                    Outcome::Failure,
                    *host,
                    None,
                    true,
                    step.draw,
                ));
                self.breaker
                    .settle_break(&self.settings, moment, permit, *host)
            }
            Act::Answer { back } => {
                let generation = self.model.generation.saturating_sub(*back);
                expected.extend(self.model.answered(generation));
                self.breaker.probed(&self.settings, moment, generation)
            }
            Act::Expire { instance } => {
                let found = self.breaker.advance(&self.settings, moment);
                let beat = self.beat_of(*instance);
                let late = beat.wrapping_sub(1);
                prop_assert!(
                    !self.breaker.expire(*instance, late),
                    "it showed life since"
                );
                let held = self.model.held_by(*instance) > 0;
                prop_assert_eq!(self.breaker.expire(*instance, beat), held);
                self.model.expire(*instance);
                found
            }
            Act::Beat { instance } => {
                let found = self.breaker.advance(&self.settings, moment);
                let before = self.beat_of(*instance);
                let held = self.model.held_by(*instance) > 0;
                prop_assert_eq!(self.breaker.beat(*instance), held);
                prop_assert_eq!(self.beat_of(*instance) != before, held);
                found
            }
            Act::Settle { .. } | Act::Break { .. } => self.breaker.advance(&self.settings, moment),
        };
        prop_assert_eq!(found.iter().map(made).collect::<Vec<_>>(), expected);
        self.agree()
    }

    /// The last sign of life of a VM, 0 where it holds nothing.
    fn beat_of(&self, instance: u64) -> u32 {
        match &self.breaker.state {
            State::HalfOpen(probing) => probing
                .holders
                .iter()
                .find(|holder| holder.instance == instance)
                .map_or(0, |holder| holder.beat),
            State::Closed(_) | State::Open { .. } => 0,
        }
    }

    fn told(&mut self, told: Told, admission: Admission) -> Result<(), TestCaseError> {
        let found = match admission {
            Admission::Admitted(permit) => {
                self.open.push(permit);
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
            good: Vec::new(),
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
