//! Failures told late open the breaker as failures told at once do.

mod interleaved;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use seawall_policy::admission::{self, Settlement};
use seawall_policy::breaker::window::{Counts, Geometry, Window};
use seawall_policy::breaker::{
    Admission, Asker, Breaker, HalfOpen, LastWord, Moment, OpenTime, Permit, Phase, Settings,
    State, Thresholds, Transition, Verdict,
};
use seawall_policy::outcome::Outcome;
use seawall_policy::policy::Policy;
use seawall_policy::ratio::Share;
use seawall_policy::shared::governed_upstream::GovernedUpstream;
use seawall_policy::shared::record::Record;
use seawall_policy::time::{Span, Timestamp};

use crate::shared::Shared;

const SEED: [u8; 32] = [41; 32];

fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(config.rng_algorithm, &SEED);
    TestRunner::new_with_rng(config, random)
}

fn settings() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![
        Just(Geometry::time(Span::secs(10))),
        (1_u16..40).prop_map(Geometry::count),
    ];
    let rate = prop::sample::select(vec![0_u16, 1, 25, 50, 51, 75, 90, 100]);
    (window, rate, 0_u32..8, 1_u32..25, 1_u32..5).prop_map(
        |(window, rate, consecutive, minimum_calls, permits)| Settings {
            thresholds: Thresholds {
                failure_rate: Share::percent(rate),
                consecutive,
                minimum_calls,
                ..Settings::default().thresholds
            },
            window,
            open: OpenTime {
                jitter: Share::NONE,
                ..Settings::default().open
            },
            half_open: HalfOpen {
                permits,
                ..Settings::default().half_open
            },
            ramp: Span::ZERO,
            host_grace: Span::ZERO,
            ..Settings::default()
        },
    )
}

fn verdict(failed: bool) -> Verdict {
    Verdict {
        outcome: match failed {
            true => Outcome::Failure,
            false => Outcome::Success,
        },
        host: 0,
        retry_after: None,
        peer: 0,
        silent: false,
    }
}

fn ask(
    breaker: &mut Breaker,
    settings: &Settings,
    moment: Moment,
) -> (Option<Permit>, Vec<Transition>) {
    let whole = Asker {
        peer: 0,
        complete: true,
    };
    let (admission, made) = breaker.admit(settings, moment, 1, 0, whole);
    let permit = match admission {
        Admission::Admitted(permit) => Some(permit),
        Admission::Refused { .. } => None,
    };
    (permit, made)
}

/// When it went from where to where.
fn trips(made: &[Transition]) -> Vec<(Phase, Phase, Timestamp)> {
    made.iter()
        .map(|made| (made.from, made.to, made.at))
        .collect()
}

/// A good verdict, taken back at once by a failure. The last verdict of half-open decides when it is given: a request that
/// may still fail is not counted so early.
fn late(
    breaker: &mut Breaker,
    settings: &Settings,
    moment: Moment,
    permit: Permit,
) -> Vec<Transition> {
    let decides = match &breaker.state {
        State::HalfOpen(probing) => probing.verdicts.calls + 1 >= settings.half_open.permits,
        State::Closed(_) | State::Open { .. } => false,
    };
    let good = breaker.settle(settings, moment, permit, verdict(decides));
    let mut made = good.made;
    if let Some(counted) = good.counted.filter(|_| !decides) {
        made.extend(
            breaker
                .settle_late(settings, moment, counted, LastWord::Failed { host: 0 })
                .made,
        );
    }
    made
}

#[test]
fn a_failure_told_late_trips_as_one_told_at_once() {
    let steps = prop::collection::vec((0_u64..3_000, prop::bool::weighted(0.6)), 1..200);
    let tripped = std::cell::Cell::new([0_u32; 2]);
    let result = runner(4_000).run(&(settings(), steps), |(settings, steps)| {
        let mut once = Breaker::new(settings.window);
        let mut told = once.clone();
        let mut now = Timestamp::nanos(5_000_000_000);
        for (millis, failed) in steps {
            now = now.after(Span::millis(millis));
            let moment = Moment { now, draw: 0 };
            let (permit, mut first) = ask(&mut once, &settings, moment);
            let (other, mut second) = ask(&mut told, &settings, moment);
            prop_assert_eq!(permit, other);
            let Some(permit) = permit else { continue };
            let from = once.phase();
            first.extend(once.settle(&settings, moment, permit, verdict(failed)).made);
            second.extend(match failed {
                true => late(&mut told, &settings, moment, permit),
                false => told.settle(&settings, moment, permit, verdict(false)).made,
            });
            prop_assert_eq!(trips(&first), trips(&second));
            prop_assert_eq!(once.trips, told.trips);
            if once.phase() == Phase::Open {
                let mut count = tripped.get();
                count[usize::from(from == Phase::HalfOpen)] += 1;
                tripped.set(count);
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
    assert!(
        tripped.get().iter().all(|trips| *trips > 1_000),
        "{tripped:?}"
    );
}

/// What stands in the window.
fn counts(breaker: &Breaker, now: Timestamp) -> Option<Counts> {
    match &breaker.state {
        State::Closed(closed) => Some(Window::clone(&closed.window).counts(now)),
        State::Open { .. } | State::HalfOpen(_) => None,
    }
}

/// At one instant: each request is counted well, and some fail before the slice is over, in any order, between each other's
/// loads and swaps.
#[test]
fn failures_told_late_by_workers_that_come_in_between_trip_like_those_told_at_once() {
    let batch = prop::collection::vec((any::<bool>(), any::<u32>()), 1..60);
    let result = runner(2_000).run(&(settings(), batch), |(mut settings, batch)| {
        settings.thresholds.consecutive = 0;
        settings.thresholds.failure_rate = settings.thresholds.failure_rate.max(Share::percent(1));
        let policy = Policy {
            breaker: settings,
            ..Policy::default()
        };
        let place = GovernedUpstream {
            dead: &[],
            policy: &policy,
            key: Some(&crate::shared::KEY),
            standing: &const {
                seawall_policy::shared::configurations::Standing::since(Timestamp::nanos(1))
            },
        };
        let moment = Moment {
            now: Timestamp::nanos(5_000_000_000),
            draw: 0,
        };
        let permit = Permit {
            generation: 0,
            probe: None,
        };
        let mut once = Breaker::new(settings.window);
        for (failed, _) in &batch {
            once.settle(&settings, moment, permit, verdict(*failed));
        }

        let store = Shared::default();
        let mut late = Vec::new();
        let settle = |store: &Shared<'_>, settlement| {
            let notes = admission::settle(store, &place, permit, settlement, moment);
            assert!(notes.is_committed());
            notes.counted
        };
        // There is a record before anybody comes in between.
        for (number, (failed, order)) in batch.iter().enumerate() {
            let told_before = number > 0 && order % 3 == 0;
            if told_before && let Some(counted) = late.pop() {
                let place = &place;
                store.intrude(move |store| {
                    let settlement = Settlement::Late {
                        counted,
                        word: LastWord::Failed { host: 0 },
                    };
                    admission::settle(store, place, permit, settlement, moment);
                });
            }
            let counted = settle(&store, Settlement::Verdict(verdict(false)));
            if let Some(counted) = counted.filter(|_| *failed) {
                let at = *order as usize % (late.len() + 1);
                late.insert(at, counted);
            }
        }
        for counted in late {
            settle(
                &store,
                Settlement::Late {
                    counted,
                    word: LastWord::Failed { host: 0 },
                },
            );
        }
        let told = Record::decode(&store.bytes()).expect("a record").breaker;
        if told.phase() == Phase::Open {
            prop_assert_eq!(once.phase(), Phase::Open, "it trips at no other failures");
        } else if once.phase() == Phase::Closed {
            prop_assert_eq!(counts(&told, moment.now), counts(&once, moment.now));
        } else if let Some(counts) = counts(&told, moment.now) {
            // The rate was reached on the way, and is no longer.
            let minimum = match settings.window {
                Geometry::Time { .. } => settings.thresholds.minimum_calls,
                Geometry::Count { calls } => {
                    settings.thresholds.minimum_calls.min(u32::from(calls))
                }
            };
            let rate = settings.thresholds.failure_rate;
            let reached =
                counts.calls >= minimum && rate.is_reached_by(counts.failures, counts.calls);
            prop_assert!(!reached, "{counts:?}");
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
}

/// Of nine requests in ten that fail after they were counted, in both windows; a failure rate that is all but everything.
#[test]
fn what_fails_after_it_was_counted_opens_at_every_rate() {
    for window in [Geometry::time(Span::secs(10)), Geometry::count(50)] {
        for rate in [10, 50, 75, 90] {
            let mut settings = Settings {
                window,
                host_grace: Span::ZERO,
                ..Settings::default()
            };
            settings.thresholds.failure_rate = Share::percent(rate);
            settings.thresholds.consecutive = 0;
            let mut breaker = Breaker::new(window);
            let mut opened = false;
            for number in 0..200_u64 {
                let moment = Moment {
                    now: Timestamp::nanos(1_000_000_000 + number * 20_000_000),
                    draw: 0,
                };
                let (Some(permit), _) = ask(&mut breaker, &settings, moment) else {
                    opened = true;
                    break;
                };
                let counted = breaker
                    .settle(&settings, moment, permit, verdict(false))
                    .counted;
                if number % 10 > 0 {
                    breaker.settle_late(
                        &settings,
                        moment,
                        counted.expect("it counts"),
                        LastWord::Failed { host: 0 },
                    );
                }
            }
            assert!(opened, "{window:?} at {rate} %");
        }
    }
}

#[test]
fn what_left_the_window_or_failed_before_or_is_of_another_generation_changes_nothing() {
    for window in [Geometry::time(Span::secs(10)), Geometry::count(20)] {
        let settings = Settings {
            window,
            ..Settings::default()
        };
        let mut breaker = Breaker::new(window);
        let at = |millis| Moment {
            now: Timestamp::ZERO.after(Span::millis(millis)),
            draw: 0,
        };
        let permit = Permit {
            generation: 0,
            probe: None,
        };
        // Fifty watches are counted, and then there are others.
        let settle = |breaker: &mut Breaker, millis, failed| {
            let settled = breaker.settle(&settings, at(millis), permit, verdict(failed));
            settled.counted.expect("it counts")
        };
        let watches: Vec<_> = (0..50).map(|_| settle(&mut breaker, 0, false)).collect();
        for _ in 0..20 {
            settle(&mut breaker, 11_000, false);
        }
        let failed = settle(&mut breaker, 11_000, true);
        let before = breaker.clone();
        for watch in watches.into_iter().chain([failed]) {
            let settled =
                breaker.settle_late(&settings, at(11_000), watch, LastWord::Failed { host: 7 });
            assert!(!settled.changed && settled.made.is_empty());
        }
        assert_eq!(breaker, before);
        let good = settle(&mut breaker, 11_000, false);
        breaker.reshape(window);
        let before = breaker.clone();
        assert!(
            !breaker
                .settle_late(&settings, at(11_000), good, LastWord::Failed { host: 7 })
                .changed
        );
        assert_eq!(breaker, before);
    }
}

/// An upstream that says nothing after its headers, to anybody: each verdict is a good one at first, and has left the window when a limit ends the
/// response. It opens all the same, at every rate.
#[test]
fn responses_that_stand_still_for_longer_than_the_window_open_the_breaker() {
    for rate in [1, 50, 90, 100] {
        let settings = Settings {
            thresholds: Thresholds {
                failure_rate: Share::percent(rate),
                consecutive: 0,
                ..Settings::default().thresholds
            },
            host_grace: Span::ZERO,
            ..Settings::default()
        };
        let mut breaker = Breaker::new(settings.window);
        let permit = Permit {
            generation: 0,
            probe: None,
        };
        let at = |millis| Moment {
            now: Timestamp::ZERO.after(Span::millis(millis)),
            draw: 0,
        };
        let mut waiting = std::collections::VecDeque::new();
        let opened = (0..600_u64).find(|turn| {
            let now = 125 * turn;
            let good = breaker.settle(&settings, at(now), permit, verdict(false));
            waiting.push_back((now, good.counted.expect("it counts")));
            let due = waiting.front().filter(|(since, _)| now - since >= 15_000);
            let Some((_, counted)) = due.copied() else {
                return false;
            };
            waiting.pop_front();
            let word = LastWord::Stalled { host: 0 };
            breaker.settle_late(&settings, at(now), counted, word);
            breaker.phase() == Phase::Open
        });
        let seconds = opened.map(|turn| turn / 8);
        assert!(seconds.is_some_and(|at| at <= 27), "{rate} %: {seconds:?}");
    }
}
