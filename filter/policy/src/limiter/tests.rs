//! The limiter against an upstream of a few lines; the simulator has the real ones (`test-harness/tests/limits`).

use super::*;
use crate::shared::envelope::{Reader, Writer};
use proptest::prelude::*;

const SETTINGS: Settings = Settings {
    floor: 5,
    ceiling: 500,
    initial: 20,
    tolerance: 150,
};

/// What makes a window, 20 ms apart.
const SAMPLES: u32 = 50;

/// So many servers, each busy with a request for so long; the rest wait.
#[derive(Clone, Copy)]
struct Upstream {
    servers: u64,
    service: Span,
}

/// Lets windows pass in which `wanted` are in flight, or as many as may be; what latency they saw last.
fn run(limiter: &mut Limiter, upstream: Upstream, wanted: u64, windows: u32, now: &mut u64) {
    for _ in 0..windows {
        for _ in 0..SAMPLES {
            let in_flight = wanted.min(u64::from(limiter.limit(&SETTINGS)));
            let waiting = in_flight.max(upstream.servers);
            let sample = Sample {
                latency: upstream.service.share(waiting, upstream.servers),
                in_flight: in_flight as u32,
                pressed: in_flight < wanted,
                kind: Kind::Answered,
            };
            *now += 20_000_000;
            limiter.enter(&SETTINGS, sample, Timestamp::nanos(*now));
        }
    }
}

fn drop_all(limiter: &mut Limiter, windows: u32, now: &mut u64) {
    for _ in 0..windows * SAMPLES {
        let sample = Sample {
            latency: Span::secs(1),
            in_flight: limiter.limit(&SETTINGS),
            pressed: true,
            kind: Kind::Dropped,
        };
        *now += 20_000_000;
        limiter.enter(&SETTINGS, sample, Timestamp::nanos(*now));
    }
}

const FIFTY: Upstream = Upstream {
    servers: 50,
    service: Span::millis(50),
};

#[track_caller]
fn near(limiter: &Limiter, low: u32, high: u32) {
    let limit = limiter.limit(&SETTINGS);
    assert!((low..=high).contains(&limit), "{limit}: {limiter:?}");
}

fn learned() -> (Limiter, u64) {
    let (mut limiter, mut now) = (Limiter::new(&SETTINGS), 0);
    run(&mut limiter, FIFTY, 1_000, 20, &mut now);
    (limiter, now)
}

#[test]
fn the_limit_grows_to_what_the_upstream_can_do_and_half_as_much() {
    let (limiter, _) = learned();
    near(&limiter, 68, 82);
    assert_eq!(limiter.base(), Span::millis(50));
}

#[test]
fn it_does_not_grow_unless_half_of_it_is_used() {
    let (mut limiter, mut now) = (Limiter::new(&SETTINGS), 0);
    run(&mut limiter, FIFTY, 9, 100, &mut now);
    assert_eq!(limiter.limit(&SETTINGS), 20);
    run(&mut limiter, FIFTY, 15, 100, &mut now);
    near(&limiter, 30, 30);
}

#[test]
fn lasting_overload_does_not_become_the_base() {
    let (mut limiter, mut now) = learned();
    run(&mut limiter, FIFTY, 1_000, 5_000, &mut now);
    near(&limiter, 68, 82);
    assert_eq!(limiter.base(), Span::millis(50));
}

#[test]
fn a_service_that_becomes_slower_or_faster_keeps_its_places() {
    for millis in [25, 100, 200] {
        let (mut limiter, mut now) = learned();
        let changed = Upstream {
            service: Span::millis(millis),
            ..FIFTY
        };
        run(&mut limiter, changed, 1_000, 40, &mut now);
        near(&limiter, 60, 100);
    }
}

#[test]
fn servers_that_die_take_their_places_along() {
    let (mut limiter, mut now) = learned();
    let half = Upstream {
        servers: 25,
        ..FIFTY
    };
    run(&mut limiter, half, 1_000, 40, &mut now);
    near(&limiter, 32, 44);
    assert_eq!(limiter.base(), Span::millis(50));
    run(&mut limiter, FIFTY, 1_000, 40, &mut now);
    near(&limiter, 68, 82);
}

#[test]
fn an_outage_costs_no_more_than_a_few_windows_afterwards() {
    let (mut limiter, mut now) = learned();
    drop_all(&mut limiter, 100, &mut now);
    near(&limiter, 5, 5);
    run(&mut limiter, FIFTY, 1_000, 6, &mut now);
    near(&limiter, 50, 82);
}

#[test]
fn what_is_ignored_changes_nothing() {
    let (mut limiter, now) = learned();
    let before = limiter;
    for _ in 0..1_000 {
        let sample = Sample {
            latency: Span::secs(100),
            in_flight: 500,
            pressed: true,
            kind: Kind::Ignored,
        };
        limiter.enter(&SETTINGS, sample, Timestamp::nanos(now));
    }
    assert_eq!((limiter.limit, limiter.base), (before.limit, before.base));
}

fn sample() -> impl Strategy<Value = Sample> {
    let kind = prop::sample::select(vec![Kind::Answered, Kind::Dropped, Kind::Ignored]);
    let latency = prop_oneof![any::<u64>(), 0_u64..2_000_000_000];
    (latency, any::<u32>(), any::<bool>(), kind).prop_map(|(nanos, in_flight, pressed, kind)| {
        Sample {
            latency: Span::nanos(nanos),
            in_flight,
            pressed,
            kind,
        }
    })
}

proptest! {
    #[test]
    fn whatever_is_said_the_limit_stays_within_its_bounds_and_reads_back(
        samples in prop::collection::vec((sample(), 0_u64..1_000_000_000), 0..400),
        floor in any::<u32>(), ceiling in any::<u32>(), tolerance in any::<u32>(),
    ) {
        let settings = Settings { floor, ceiling, initial: 20, tolerance };
        let (mut limiter, mut now) = (Limiter::new(&settings), 0_u64);
        for (sample, gap) in samples {
            now += gap;
            limiter.enter(&settings, sample, Timestamp::nanos(now));
            let limit = limiter.limit(&settings);
            prop_assert!(limit >= floor.max(1) && limit <= ceiling.max(floor).max(1));
        }
        let mut out = Writer::new(*b"XX", 1);
        limiter.write(&mut out);
        let bytes = out.sealed(1);
        let (_, mut reader) = Reader::open(&bytes, *b"XX").unwrap();
        prop_assert_eq!(Limiter::read(&mut reader), Some(limiter));
        prop_assert!(reader.is_empty());
    }
}
