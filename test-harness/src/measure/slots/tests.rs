//! Runs of any length in slots: nothing is lost, and no memory is either.

use super::*;

/// So many seconds with ten requests each, the last of them refused.
fn run(seconds: u64) -> Slots {
    let mut slots = Slots::default();
    for number in 0..seconds * 10 {
        let at = number * SECOND / 10;
        slots.offered(at);
        slots.level(at, number % 7, number % 5);
        if number % 10 == 9 {
            slots.answered(at, 0, ClientOutcome::Refused);
            slots.refused(at, "open");
        } else {
            slots.reached(at);
            slots.answered(at, 20_000, ClientOutcome::Good);
        }
    }
    slots
}

#[test]
fn a_run_of_any_length_has_at_most_1000_slots_and_loses_nothing() {
    for (seconds, slot_ms) in [
        (1_000, 1_000),
        (1_001, 2_000),
        (2_001, 10_000),
        (86_400, 120_000),
    ] {
        let series = run(seconds).into_series();
        assert_eq!(series.slot_ms, slot_ms, "{seconds}");
        let length = series.offered.len();
        assert_eq!(length as u64, (seconds * 1_000).div_ceil(slot_ms));
        assert!(length <= SLOTS_MAX);
        let sum = |counts: &[u64]| counts.iter().sum::<u64>();
        assert_eq!(sum(&series.offered), seconds * 10);
        assert_eq!(sum(&series.good), seconds * 9);
        assert_eq!(sum(&series.refused), seconds);
        assert_eq!(sum(&series.refusals["open"]), seconds);
        assert_eq!(sum(&series.reached_upstream), seconds * 9);
        for counts in [&series.in_flight, &series.waiting, &series.failed] {
            assert_eq!(counts.len(), length);
        }
        assert_eq!(series.in_flight.iter().max(), Some(&6));
        let p99 = series.p99_ms[length / 2].expect("good answers");
        assert!((20.0..20.3).contains(&p99), "{p99}");
    }
}

#[test]
fn a_level_lasts_until_it_changes() {
    let mut slots = Slots::default();
    slots.level(SECOND / 2, 3, 1);
    slots.level(SECOND * 5 / 2, 1, 0);
    slots.offered(SECOND * 4);
    let series = slots.into_series();
    assert_eq!(series.in_flight, [3, 3, 3, 1, 1]);
    assert_eq!(series.waiting, [1, 1, 1, 0, 0]);
}

#[test]
fn lanes_have_slots_of_one_length() {
    let mut lanes = [run(10), run(2_500)];
    Slots::align(lanes.iter_mut());
    let [short, long] = lanes.map(Slots::into_series);
    assert_eq!((short.slot_ms, long.slot_ms), (10_000, 10_000));
    assert_eq!(short.offered, [100]);
}

#[test]
fn a_module_that_names_a_reason_for_each_request_fills_no_memory() {
    let mut slots = Slots::default();
    for number in 0..1_000 {
        slots.refused(0, &number.to_string());
    }
    let refusals = slots.into_series().refusals;
    assert_eq!(refusals.len(), REASONS_MAX + 1);
    assert_eq!(refusals[OTHER], [1_000 - REASONS_MAX as u64]);
}

#[test]
fn a_day_keeps_less_than_20_megabytes() {
    let slots = run(86_400);
    let sizes = slots.latency_us.iter().flatten();
    let bytes: u64 = sizes
        .map(|latencies| latencies.distinct_values() as u64 * 4)
        .sum();
    assert!(bytes < 20_000_000, "{bytes}");
    println!("{bytes} bytes in histograms");
}

#[test]
fn a_limit_holds_until_the_next_one_and_is_nothing_where_nobody_said_so() {
    let mut slots = Slots::default();
    slots.offered(9 * SECOND);
    slots.limit(SECOND, None);
    slots.limit(2 * SECOND, Some(40));
    slots.limit(2 * SECOND + 1, Some(30));
    slots.limit(5 * SECOND, Some(10));
    let (none, some) = (None, Some);
    let expected = [none, none, some(30), some(30), some(30), some(10), some(10)];
    let mut longer = Slots::default();
    longer.limit(3 * SECOND, Some(7));
    longer.offered(1_500 * SECOND);
    let series = slots.into_series();
    assert_eq!(series.limit[..7], expected);
    assert_eq!(series.limit.len(), 10);
    let longer = longer.into_series();
    assert_eq!(
        (longer.limit[0], longer.limit[1], longer.limit[700]),
        (none, some(7), some(7))
    );
    assert!(Slots::default().into_series().limit.is_empty());
}
