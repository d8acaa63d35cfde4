//! Half-open without verdicts: own probes begin the ramp, and a counter says so.

use std::collections::VecDeque;

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
    assert_eq!(
        stage.breaker.ramp(&settings, at(31_000).now),
        Share::percent(10),
        "never closed at once"
    );
}

/// On trial since 31 s.
fn on_trial() -> Stage {
    let mut stage = Stage::new(settings());
    let settings = stage.settings;
    stage.breaker.advance(&settings, at(10_000));
    let generation = stage.breaker.generation;
    for _ in 0..3 {
        stage
            .breaker
            .probed(&settings, at(31_000), generation, true);
    }
    assert_eq!(stage.breaker.phase(), Phase::Closed);
    assert!(stage.breaker.trips > 0);
    stage
}

fn verdict(outcome: Outcome, silent: bool) -> Verdict {
    Verdict {
        outcome,
        host: 0,
        retry_after: None,
        peer: 0,
        silent,
    }
}

/// The share in percent at so many milliseconds.
fn share(stage: &Stage, millis: u64) -> u16 {
    let share = stage.breaker.ramp(&stage.settings, at(millis).now);
    share.as_basis_points() / 100
}

#[test]
fn on_trial_a_tenth_is_admitted_until_a_request_is_answered() {
    for (outcome, silent, answered) in [
        (Outcome::Success, false, true),
        (Outcome::Slow, false, true),
        (Outcome::Slow, true, false),
        (Outcome::Failure, false, false),
    ] {
        let mut stage = on_trial();
        let settings = stage.settings;
        let generation = stage.breaker.generation;
        let permit = Permit {
            generation,
            probe: None,
        };
        assert_eq!(share(&stage, 40_000), 10);
        let verdict = verdict(outcome, silent);
        let settled = stage.breaker.settle(&settings, at(40_000), permit, verdict);
        let half = settings.ramp.as_millis() / 2;
        assert_eq!(share(&stage, 40_000), 10);
        let expected = if answered { 55 } else { 10 };
        assert_eq!(share(&stage, 40_000 + half), expected, "{outcome:?}");
        assert_eq!(stage.breaker.trips == 0, answered, "{outcome:?}");
        if silent {
            let counted = settled.counted.expect("counted");
            stage
                .breaker
                .settle_late(&settings, at(45_000), counted, LastWord::Answered);
            assert_eq!(share(&stage, 45_000 + half), 55, "its answer came late");
        }
    }
}

#[test]
fn a_trial_without_any_verdict_ends_by_its_time() {
    let stage = on_trial();
    let wait = stage.settings.half_open.wait.as_millis();
    let ramp = stage.settings.ramp.as_millis();
    assert_eq!(share(&stage, 31_000 + wait), 10);
    assert_eq!(share(&stage, 31_000 + wait + ramp / 2), 55);
    assert_eq!(share(&stage, 31_000 + wait + ramp), 100);
}

#[test]
fn behind_its_ramp_no_verdict_begins_a_trial_anew() {
    let mut stage = on_trial();
    let settings = stage.settings;
    let after = 31_000 + settings.half_open.wait.as_millis() + settings.ramp.as_millis();
    let permit = Permit {
        generation: stage.breaker.generation,
        probe: None,
    };
    let silent = verdict(Outcome::Slow, true);
    stage.breaker.settle(&settings, at(after), permit, silent);
    assert_eq!(share(&stage, after), 100);
    assert!(stage.breaker.trips > 0, "the next open time is longer");
    let lot = Lot {
        generation: stage.breaker.generation,
        count: 3,
    };
    stage.breaker.settle_lot(&settings, at(after + 1), lot);
    assert_eq!(stage.breaker.trips, 0);
}

#[test]
fn an_upstream_whose_health_check_alone_answers_gets_a_tenth_and_opens_again() {
    const SILENT_AFTER: u64 = 4_000;
    const CLIENTS_WAIT: u64 = 15_000;
    for each_ms in [200, 100, 50, 10] {
        let mut stage = on_trial();
        let settings = stage.settings;
        let generation = stage.breaker.generation;
        let mut waiting = VecDeque::new();
        let mut silent = VecDeque::new();
        let (mut asked, mut admitted) = (0_u32, 0_u32);
        let mut now = 31_000;
        while stage.breaker.phase() == Phase::Closed {
            now += each_ms;
            asked += 1;
            let draw = asked.wrapping_mul(0x9e37_79b9);
            let asker = whole(asked);
            let (told, _) = stage.breaker.admit(&settings, at(now), 1, draw, asker);
            if let Admission::Admitted(permit) = told {
                admitted += 1;
                waiting.push_back((now, permit));
            }
            while let Some((_, permit)) =
                waiting.pop_front_if(|(since, _)| *since + SILENT_AFTER <= now)
            {
                let slow = verdict(Outcome::Slow, true);
                let settled = stage.breaker.settle(&settings, at(now), permit, slow);
                silent.extend(settled.counted.map(|counted| (now, counted)));
            }
            while let Some((_, counted)) =
                silent.pop_front_if(|(since, _)| *since + CLIENTS_WAIT - SILENT_AFTER <= now)
            {
                let word = LastWord::Unanswered;
                stage.breaker.settle_late(&settings, at(now), counted, word);
            }
            assert!(now < 400_000, "each {each_ms} ms: it never opened again");
        }
        assert!(stage.breaker.generation > generation);
        assert!(
            admitted * 100 <= asked * 13 + 300,
            "each {each_ms} ms: {admitted} of {asked}"
        );
    }
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
