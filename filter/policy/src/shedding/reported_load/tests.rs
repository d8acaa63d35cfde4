//! The rule by itself, and in a loop with an upstream whose load follows what is let in.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::priority::Priority;

const THRESHOLD: u32 = 8_000;
/// The only host of a loop.
const HOST: u32 = 1;

/// One report, where nothing is known of the traffic.
fn said(utilisation: u32) -> LoadReport {
    LoadReport {
        utilisation,
        threshold: THRESHOLD,
        ..LoadReport::default()
    }
}
const POINTS_FULL: u32 = 10_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::nanos(1_000_000_000).after(Span::millis(millis))
}

/// An upstream that says how much it was used in the last while, with noise, to those whose answers it gives 100 ms later.
struct Loop {
    load: ReportedLoad,
    observed: Observed,
    now: u64,
    seed: u64,
    /// Work that was let in, a place for each step of 10 ms that it looks back.
    worked: VecDeque<f64>,
    /// Reports on their way.
    reports: VecDeque<u32>,
    /// More than the whole can be told.
    beyond: bool,
}

/// What happened in a while.
#[derive(Debug, Default)]
struct Seen {
    offered: [u32; 4],
    admitted: [u32; 4],
    /// The lowest, the highest and the sum of the utilisation after the begin.
    lowest: f64,
    highest: f64,
    mean: f64,
    /// When the last one was refused, in milliseconds.
    last_refused: u64,
}

impl Seen {
    fn share(&self, priority: usize) -> f64 {
        f64::from(self.admitted[priority]) / f64::from(self.offered[priority].max(1))
    }
}

impl Loop {
    fn new(seed: u64, beyond: bool, window: usize) -> Self {
        Self {
            load: ReportedLoad::default(),
            observed: Observed::default(),
            now: 0,
            seed,
            worked: std::iter::repeat_n(0.0, window).collect(),
            reports: std::iter::repeat_n(0, 10).collect(),
            beyond,
        }
    }

    fn draw(&mut self) -> u32 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) as u32
    }

    /// Offers so many requests a step of 10 ms in each priority, of which 100 in all are the whole capacity; watches the
    /// last part of the time.
    fn run(&mut self, millis: u64, offered: [u32; 4], watched_from: u64) -> Seen {
        let mut seen = Seen {
            lowest: f64::MAX,
            ..Seen::default()
        };
        let mut steps = 0.0;
        for step in 0..millis / 10 {
            let watched = step * 10 >= watched_from;
            let mut work = 0.0;
            for (priority, count) in offered.into_iter().enumerate() {
                for _ in 0..count {
                    let draw = self.draw();
                    self.observed
                        .traffic
                        .came(Priority::of_rank(priority as u8));
                    let refused = self.load.refuses(priority as u8, draw, at(self.now));
                    work += f64::from(u8::from(!refused)) / 100.0;
                    if refused {
                        seen.last_refused = step * 10;
                    }
                    seen.offered[priority] += u32::from(watched);
                    seen.admitted[priority] += u32::from(watched && !refused);
                }
            }
            self.worked.pop_front();
            self.worked.push_back(work);
            let used = self.worked.iter().sum::<f64>() / self.worked.len() as f64;
            let noise = (f64::from(self.draw()) / f64::from(u32::MAX) - 0.5) * 0.1;
            let told = if self.beyond { used } else { used.min(1.0) };
            self.reports
                .push_back(((told + noise).max(0.0) * 10_000.0) as u32);
            if let Some(told) = self.reports.pop_front()
                && work > 0.0
            {
                let report = self.observed.report(HOST, told, THRESHOLD, at(self.now));
                self.load.report(&report, at(self.now));
                self.observed.traffic.stands(self.load.shed, at(self.now));
            }
            self.now += 10;
            if watched {
                steps += 1.0;
                seen.lowest = seen.lowest.min(used);
                seen.highest = seen.highest.max(used);
                seen.mean += used;
            }
        }
        seen.mean /= steps;
        seen
    }
}

/// A loop that has run for so long with twice the capacity in equal priorities.
fn settled(seed: u64, beyond: bool, window: usize) -> Loop {
    let mut world = Loop::new(seed, beyond, window);
    world.run(20_000, EQUAL, 0);
    world
}

const EQUAL: [u32; 4] = [50; 4];

#[test]
fn twice_the_capacity_settles_at_the_threshold_and_the_lowest_pay() {
    for seed in 0..5 {
        for beyond in [false, true] {
            let seen = settled(seed, beyond, 100).run(60_000, EQUAL, 0);
            assert!((0.78..0.82).contains(&seen.mean), "{seed} {seen:?}");
            assert!(seen.lowest > 0.75 && seen.highest < 0.85, "{seed} {seen:?}");
            assert!(seen.share(0) > 0.9999, "{seed} {seen:?}");
            assert!(
                seen.share(2) < 0.03 && seen.share(3) < 0.02,
                "{seed} {seen:?}"
            );
        }
    }
}

#[test]
fn an_upstream_that_states_its_last_three_seconds_settles_too() {
    for seed in 0..5 {
        let mut world = settled(seed, false, 300);
        world.run(20_000, EQUAL, 0);
        let seen = world.run(60_000, EQUAL, 0);
        assert!((0.75..0.85).contains(&seen.mean), "{seed} {seen:?}");
        assert!(seen.lowest > 0.65 && seen.highest < 0.95, "{seed} {seen:?}");
    }
}

#[test]
fn what_must_not_be_shed_passes_as_long_as_it_alone_fits() {
    for seed in 0..5 {
        let mut world = Loop::new(seed, false, 100);
        let all = world.run(90_000, [50, 0, 0, 950], 0);
        assert!(all.share(0) > 0.9999, "{seed} {all:?}");
        let seen = world.run(60_000, [50, 0, 0, 950], 0);
        assert!((0.78..0.82).contains(&seen.mean), "{seed} {seen:?}");
        assert!(seen.lowest > 0.7 && seen.highest < 0.9, "{seed} {seen:?}");
    }
}

#[test]
fn ten_times_the_capacity_in_one_priority_does_not_swing() {
    for offered in [[0, 0, 0, 1_000], [1_000, 0, 0, 0]] {
        let mut world = Loop::new(7, false, 100);
        world.run(60_000, offered, 0);
        let seen = world.run(60_000, offered, 0);
        assert!((0.77..0.83).contains(&seen.mean), "{seen:?}");
        assert!(seen.lowest > 0.6 && seen.highest < 1.0, "{seen:?}");
    }
}

#[test]
fn after_a_spike_everybody_passes_again_and_stays() {
    let mut world = settled(3, false, 100);
    world.run(15_000, [10; 4], 0);
    let seen = world.run(30_000, [10; 4], 0);
    assert_eq!(seen.admitted, seen.offered);
}

#[test]
fn once_there_is_half_of_what_may_be_nobody_is_shed_within_three_seconds() {
    for (before, after) in [
        (EQUAL, [10; 4]),
        ([500; 4], [10; 4]),
        ([0, 0, 0, 1_000], [0, 0, 0, 40]),
        ([50, 0, 0, 950], [20, 0, 0, 20]),
        ([10, 10, 100, 500], [5, 5, 20, 10]),
        ([0, 200, 0, 0], [0, 40, 0, 0]),
    ] {
        for seed in 0..5 {
            let mut world = Loop::new(seed, false, 100);
            let shed = world.run(60_000, before, 0);
            assert!(shed.last_refused > 50_000, "{shed:?}");
            let seen = world.run(20_000, after, 0);
            assert!(seen.last_refused < 3_000, "{before:?} {after:?} {seen:?}");
            assert!(seen.highest < 0.85, "{before:?} {after:?} {seen:?}");
        }
    }
}

#[test]
fn what_falls_by_half_and_is_still_too_much_does_not_swing() {
    for (before, after) in [
        ([0, 0, 0, 1_000], [0, 0, 0, 500]),
        (EQUAL, [35; 4]),
        ([50, 0, 0, 950], [50, 0, 0, 300]),
    ] {
        let mut world = Loop::new(3, false, 100);
        world.run(60_000, before, 0);
        let seen = world.run(10_000, after, 0);
        assert!(seen.highest < 1.0, "{before:?} {after:?} {seen:?}");
        let seen = world.run(20_000, after, 0);
        assert!((0.77..0.83).contains(&seen.mean), "{seen:?}");
        assert!(seen.lowest > 0.7 && seen.highest < 0.9, "{seen:?}");
    }
}

#[test]
fn an_upstream_that_states_its_last_three_seconds_is_not_flooded_by_one_priority() {
    for offered in [[0, 0, 0, 1_000], [1_000, 0, 0, 0], [0, 0, 0, 200]] {
        let mut world = Loop::new(7, false, 300);
        world.run(60_000, offered, 0);
        let seen = world.run(60_000, offered, 0);
        assert!((0.6..0.95).contains(&seen.mean), "{offered:?} {seen:?}");
        assert!(seen.highest < 1.6, "{offered:?} {seen:?}");
    }
}

/// Ten hosts that answer in turn, in random order, of which the last says something else.
fn ten(others: u32, last: u32, seed: u64) -> ReportedLoad {
    let mut world = Loop::new(seed, false, 1);
    for step in 0..4_000 {
        let host = (u64::from(world.draw()) * 10) >> 32;
        let said = if host == 9 { last } else { others };
        let report = world
            .observed
            .report(host as u32, said, THRESHOLD, at(step * 10));
        world.load.report(&report, at(step * 10));
    }
    world.load
}

#[test]
fn one_host_of_ten_neither_sheds_nor_keeps_from_shedding() {
    let now = at(40_000);
    for seed in 0..20 {
        for last in [1, 9_900, 99_000] {
            assert_eq!(ten(7_500, last, seed).shed_of(3, now), 0, "{last}");
        }
        for last in [1, 5_000, 99_000] {
            let load = ten(9_500, last, seed);
            assert!(load.shed_of(1, now) > WHOLE / 2, "{last} {load:?}");
        }
    }
}

#[test]
fn under_the_threshold_nobody_is_shed() {
    let seen = Loop::new(4, true, 100).run(60_000, [18; 4], 0);
    assert_eq!(seen.admitted, seen.offered, "72 % with noise of 5 %");
}

#[test]
fn an_upstream_that_went_silent_is_not_shed_for_ever() {
    let mut load = ReportedLoad::default();
    for step in 0..1_000 {
        load.report(&said(POINTS_FULL), at(step * 50));
    }
    let last = 999 * 50;
    assert_eq!(load.shed, u32::from(PRIORITIES) * WHOLE);
    assert!(load.refuses(0, u32::MAX / 2, at(last + FRESH.as_millis())));
    let half = FRESH.plus(FADE).as_millis() - 3_500;
    assert!(
        !load.refuses(1, u32::MAX / 2, at(last + half)),
        "half of it is forgotten"
    );
    assert!(load.refuses(3, u32::MAX / 2, at(last + half)));
    let gone = FRESH.plus(FADE).as_millis();
    assert!((0..4).all(|priority| !load.refuses(priority, 0, at(last + gone))));
    load.report(&said(5_000), at(last + gone + 1));
    assert_eq!(load.shed, 0, "what was forgotten does not come back");
}

#[test]
fn one_in_a_hundred_always_passes_and_can_tell_that_it_is_better() {
    let mut load = ReportedLoad::default();
    for step in 0..1_000 {
        load.report(&said(POINTS_FULL), at(step * 50));
    }
    let passed = (0..10_000_u32).filter(|part| !load.refuses(3, part * 429_496, at(50_000)));
    assert!((90..=110).contains(&passed.count()));
}

#[test]
fn of_many_reports_one_is_a_write() {
    let mut load = ReportedLoad::default();
    let kept = (0..1_000).filter(|millis| load.report(&said(9_000), at(*millis)));
    assert_eq!(kept.count(), 20);
}

proptest! {
    #[test]
    fn nobody_is_shed_before_those_below(
        reports in prop::collection::vec((any::<u32>(), 0_u64..20_000), 0..200),
        threshold in any::<u32>(),
        draw in any::<u32>(),
        later in 0_u64..20_000,
    ) {
        let (mut load, mut now) = (ReportedLoad::default(), 0);
        for (utilisation, millis) in reports {
            now += millis;
            load.report(&LoadReport { utilisation, threshold, ..LoadReport::default() }, at(now));
            prop_assert!(load.shed <= u32::from(PRIORITIES) * WHOLE);
        }
        let refused = [0, 1, 2, 3, u8::MAX].map(|priority| load.refuses(priority, draw, at(now + later)));
        prop_assert!(refused.is_sorted(), "{refused:?}");
    }
}
