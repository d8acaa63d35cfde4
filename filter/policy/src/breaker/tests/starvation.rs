//! Half-open without verdicts: own probes begin the ramp, and a counter says so.

use super::*;

#[test]
fn three_good_own_probes_in_a_row_begin_the_ramp_where_no_verdict_comes() {
    let mut stage = Stage::new(settings());
    let settings = stage.settings;
    stage.breaker.advance(&settings, at(10_000));
    let generation = stage.breaker.generation;
    let probed = |stage: &mut Stage, millis, good| {
        let settled = stage
            .breaker
            .probed(&settings, at(millis), generation, good);
        settled.made
    };
    assert_eq!(stage.breaker.wants_probe(&settings, at(29_800).now), None);
    assert!(probed(&mut stage, 29_800, true).is_empty());
    assert_eq!(
        stage.breaker.wants_probe(&settings, at(30_000).now),
        Some(generation)
    );
    for good in [true, true, false, true, true] {
        assert!(probed(&mut stage, 30_000, good).is_empty());
    }
    let made = probed(&mut stage, 31_000, true);
    assert_eq!(
        made.iter()
            .map(|made| (made.to, made.cause))
            .collect::<Vec<_>>(),
        [(Phase::Closed, Cause::OwnProbes { good: 3 })]
    );
    let State::Closed(closed) = &stage.breaker.state else {
        panic!("{:?}", stage.breaker);
    };
    let share = ramp_share(closed.ramp_from, settings.ramp, at(31_000).now);
    assert_eq!(share, Share::percent(10), "never closed at once");
}

#[test]
fn a_verdict_takes_the_place_of_own_probes_and_so_does_a_ramp_that_is_off() {
    let mut settings = settings();
    let mut stage = Stage::new(settings);
    stage.breaker.advance(&settings, at(10_000));
    let generation = stage.breaker.generation;
    stage
        .breaker
        .probed(&settings, at(30_000), generation, true);
    stage
        .breaker
        .probed(&settings, at(30_000), generation, true);
    let permit = stage.ask(31_000, whole(1)).expect("a permit");
    stage.end(31_000, permit, GOOD, 1);
    assert_eq!(stage.breaker.wants_probe(&settings, at(40_000).now), None);
    stage
        .breaker
        .probed(&settings, at(40_000), generation, true);
    stage
        .breaker
        .probed(&settings, at(51_000), generation, true);
    assert_eq!(stage.breaker.phase(), Phase::HalfOpen, "they count anew");

    settings.ramp = Span::ZERO;
    for _ in 0..10 {
        stage
            .breaker
            .probed(&settings, at(80_000), generation, true);
    }
    assert_eq!(stage.breaker.wants_probe(&settings, at(80_000).now), None);
    assert_eq!(stage.breaker.phase(), Phase::HalfOpen);
}

#[test]
fn a_span_without_a_verdict_is_told_once_and_only_if_anybody_asked() {
    let mut stage = Stage::new(settings());
    let settings = stage.settings;
    let told = |stage: &mut Stage, millis| {
        stage.breaker.advance(&settings, at(millis));
        stage.breaker.starves(&settings)
    };
    assert!(
        !told(&mut stage, 10_000) && !told(&mut stage, 100_000),
        "nobody asked"
    );
    let permit = stage.ask(100_000, whole(1)).expect("a permit");
    stage.give_back(101_000, permit, 1);
    assert!(!told(&mut stage, 119_900) && told(&mut stage, 120_000) && !told(&mut stage, 120_400));
    assert!(!told(&mut stage, 200_000), "nobody asked since");
    let permit = stage.ask(210_000, whole(1)).expect("a permit");
    stage.end(210_100, permit, GOOD, 1);
    assert!(!told(&mut stage, 230_000) && !told(&mut stage, 300_000));
}
