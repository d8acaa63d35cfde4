//! Half-open: who gets a permit, what a permit that ends without a verdict does, and that nothing keeps it half-open for
//! ever but the want of verdicts.

mod starvation;
mod turns;

use super::*;
use crate::breaker::window::Window;

const GOOD: Outcome = Outcome::Success;
const BAD: Outcome = Outcome::Failure;

fn at(millis: u64) -> Moment {
    Moment {
        now: Timestamp::ZERO.after(Span::millis(millis)),
        draw: 0,
    }
}

fn whole(peer: u32) -> Asker {
    Asker {
        peer,
        complete: true,
    }
}

fn upload(peer: u32) -> Asker {
    Asker {
        peer,
        complete: false,
    }
}

fn settings() -> Settings {
    let default = Settings::default();
    Settings {
        open: OpenTime {
            jitter: Share::NONE,
            ..default.open
        },
        ..default
    }
}

/// Half-open since this time.
fn half_open(settings: &Settings, millis: u64) -> Breaker {
    Breaker {
        state: State::Open {
            until: at(millis).now,
        },
        generation: 1,
        trips: 1,
        ..Breaker::new(settings.window)
    }
}

struct Stage {
    settings: Settings,
    breaker: Breaker,
}

impl Stage {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            breaker: half_open(&settings, 10_000),
        }
    }

    fn ask(&mut self, millis: u64, asker: Asker) -> Option<Permit> {
        let (admission, _) = self.breaker.admit(&self.settings, at(millis), 1, 0, asker);
        match admission {
            Admission::Admitted(permit) => Some(permit),
            Admission::Refused { .. } => None,
        }
    }

    fn end(&mut self, millis: u64, permit: Permit, outcome: Outcome, peer: u32) -> Settled {
        let verdict = Verdict {
            outcome,
            host: 0,
            retry_after: None,
            peer,
            silent: false,
        };
        self.breaker
            .settle(&self.settings, at(millis), permit, verdict)
    }

    fn give_back(&mut self, millis: u64, permit: Permit, peer: u32) {
        let settled = self
            .breaker
            .give_back(&self.settings, at(millis), permit, peer);
        assert!(settled.made.is_empty() && settled.counted.is_none());
    }
}

#[test]
fn good_probes_however_far_apart_close_it() {
    for gap in [100, 1_000, 20_000, 30_000, 60_000, 600_000, 36_000_000] {
        for permits in [1, 2, 10] {
            let mut settings = settings();
            settings.half_open.permits = permits;
            let mut stage = Stage::new(settings);
            let mut now = 10_000;
            for _ in 0..permits {
                now += gap;
                assert!(stage.breaker.advance(&settings, at(now)).len() <= 1);
                let permit = stage.ask(now, whole(1)).expect("a permit");
                stage.end(now + 50, permit, GOOD, 1);
            }
            assert_eq!(
                stage.breaker.phase(),
                Phase::Closed,
                "{permits} each {gap} ms"
            );
        }
    }
}

#[test]
fn what_ends_without_a_verdict_gives_its_permit_back_and_nothing_else() {
    let mut stage = Stage::new(settings());
    for round in 0..1_000 {
        let now = 10_000 + round * 3_000;
        let permit = stage.ask(now, whole(7)).expect("a lone peer may have all");
        match round % 3 {
            0 => stage.give_back(now + 2_900, permit, 7),
            1 => assert!(
                stage
                    .end(now + 10, permit, Outcome::Ignored, 7)
                    .made
                    .is_empty()
            ),
            _ => assert!(
                stage
                    .end(now + 10, permit, Outcome::Overloaded, 7)
                    .made
                    .is_empty()
            ),
        }
        assert_eq!(stage.breaker.phase(), Phase::HalfOpen);
        assert_eq!((stage.breaker.trips, stage.breaker.in_flight()), (1, 0));
    }
}

#[test]
fn permits_of_the_dead_come_back_after_the_wait_and_their_ends_are_void() {
    let mut stage = Stage::new(settings());
    let (first, _) = (stage.ask(10_000, whole(1)), stage.ask(10_000, whole(2)));
    assert_eq!(stage.ask(29_999, whole(3)), None);
    assert_eq!(stage.breaker.in_flight(), 2);
    assert!(
        stage
            .breaker
            .advance(&stage.settings, at(30_000))
            .is_empty(),
        "no transition"
    );
    assert_eq!(stage.breaker.in_flight(), 0);
    assert!(stage.ask(30_000, whole(3)).is_some());
    // The first one lives after all: what its VM lost gives no verdict and releases nothing.
    let held = stage.breaker.in_flight();
    let first = Permit {
        probe: Some(99),
        ..first.expect("a permit")
    };
    assert!(!stage.end(31_000, first, GOOD, 1).changed);
    assert_eq!(stage.breaker.in_flight(), held);
}

#[test]
fn the_wait_begins_with_the_first_permit_held_after_none_was() {
    let mut stage = Stage::new(settings());
    let permit = stage.ask(10_000, whole(1)).expect("a permit");
    stage.give_back(11_000, permit, 1);
    let permit = stage.ask(29_000, whole(1)).expect("a permit");
    stage.breaker.advance(&stage.settings, at(48_999));
    assert_eq!(stage.breaker.in_flight(), 1);
    assert!(stage.end(48_999, permit, GOOD, 1).counted.is_some());
}

#[test]
fn a_lapsed_request_counts_if_there_is_room_and_never_gives_back_twice() {
    let mut settings = settings();
    settings.half_open.permits = 1;
    let mut stage = Stage::new(settings);
    let lapsed = stage.ask(10_000, whole(1)).expect("a permit");
    stage.give_back(13_000, lapsed, 1);
    let lapsed = Permit {
        probe: None,
        ..lapsed
    };
    let other = stage.ask(13_000, whole(2)).expect("a permit");
    assert!(
        !stage.end(13_100, lapsed, GOOD, 1).changed,
        "the only permit is held"
    );
    assert_eq!(stage.breaker.in_flight(), 1);
    stage.give_back(13_200, other, 2);
    let settled = stage.end(13_300, lapsed, GOOD, 1);
    assert_eq!(settled.made.len(), 1);
    assert_eq!(stage.breaker.phase(), Phase::Closed);
}

#[test]
fn complete_requests_go_first_and_others_when_none_came() {
    let mut stage = Stage::new(settings());
    assert_eq!(stage.ask(10_000, upload(1)), None);
    assert_eq!(stage.ask(10_900, upload(1)), None);
    // None came at all for a second.
    let permit = stage.ask(11_000, upload(1)).expect("a permit");
    stage.give_back(12_000, permit, 1);
    let permit = stage.ask(12_000, whole(2)).expect("a permit");
    stage.end(12_010, permit, GOOD, 2);
    assert_eq!(stage.ask(16_900, upload(3)), None);
    assert!(
        stage.ask(17_000, upload(3)).is_some(),
        "none came for open.for"
    );
}

#[test]
fn an_upstream_of_uploads_or_websockets_alone_closes() {
    for gap in [10, 1_000, 60_000] {
        let mut stage = Stage::new(settings());
        let mut now = 10_000;
        while stage.breaker.phase() != Phase::Closed {
            now += gap;
            assert!(now < 10_000 + 1_100 + 3 * gap, "{gap}");
            if let Some(permit) = stage.ask(now, upload(5)) {
                stage.end(now, permit, GOOD, 5);
            }
        }
    }
}

#[test]
fn a_peer_that_wasted_its_permit_stands_back_while_others_wait_and_no_longer() {
    let mut settings = settings();
    settings.half_open.permits = 1;
    let mut stage = Stage::new(settings);
    let permit = stage.ask(10_000, whole(1)).expect("a permit");
    assert_eq!(stage.ask(10_500, whole(2)), None, "it is taken");
    stage.give_back(11_000, permit, 1);
    assert_eq!(stage.ask(11_000, whole(1)), None, "another one waits");
    assert_eq!(stage.ask(15_400, whole(1)), None);
    assert!(stage.ask(15_500, whole(1)).is_some(), "it waits no longer");

    let mut stage = Stage::new(settings);
    let permit = stage.ask(10_000, whole(1)).expect("a permit");
    assert_eq!(stage.ask(10_500, whole(2)), None);
    stage.give_back(11_000, permit, 1);
    let permit = stage.ask(11_100, whole(2)).expect("a permit");
    stage.end(11_200, permit, Outcome::Ignored, 2);
    assert!(
        stage.ask(11_300, whole(1)).is_some(),
        "the other one had its turn"
    );
}

#[test]
fn peers_that_all_wasted_a_permit_keep_nobody_away_for_longer_than_the_open_time() {
    let mut settings = settings();
    settings.half_open.permits = 1;
    let mut stage = Stage::new(settings);
    let mut now = 10_000;
    for peer in 1..=6 {
        let permit = stage.ask(now, whole(peer)).expect("a permit");
        for other in 1..=6 {
            assert_eq!(stage.ask(now + 100, whole(other)), None);
        }
        stage.give_back(now + 200, permit, peer);
        now += 300;
    }
    // All of them go on asking, and are refused for their own sake: that keeps nobody away.
    let since = now;
    let asked = (since..)
        .step_by(10)
        .find(|now| (1..=6).any(|peer| stage.ask(*now, whole(peer)).is_some()));
    assert!(asked.expect("a time") <= since + 5_000);
}

/// Clients that abort what they ask after a second, and ask again at once, beside 20 good requests a second.
fn pollers(count: u32, permits: u32) -> Option<u64> {
    let mut settings = settings();
    settings.half_open.permits = permits;
    let mut stage = Stage::new(settings);
    let mut going: Vec<(u64, u32, Permit)> = Vec::new();
    for now in (10_000..60_000).step_by(10) {
        let (over, rest) = going.into_iter().partition(|(until, ..)| *until <= now);
        going = rest;
        let over: Vec<_> = over;
        for (_, peer, permit) in over {
            stage.end(now, permit, Outcome::Ignored, peer);
            if let Some(permit) = stage.ask(now, whole(peer)) {
                going.push((now + 1_000, peer, permit));
            }
        }
        for peer in 1..=count {
            let busy = going.iter().any(|(_, other, _)| *other == peer);
            if let Some(permit) = (!busy).then(|| stage.ask(now, whole(peer))).flatten() {
                going.push((now + 1_000, peer, permit));
            }
        }
        if now % 50 == 0
            && let Some(permit) = stage.ask(now, whole(100 + (now / 50 % 5) as u32))
        {
            stage.end(now, permit, GOOD, 100 + (now / 50 % 5) as u32);
        }
        if stage.breaker.phase() == Phase::Closed {
            return Some(now - 10_000);
        }
    }
    None
}

#[test]
fn pollers_that_abort_keep_good_clients_away_for_seconds_only() {
    for permits in [1, 2, 5] {
        for count in [2, 5, 10] {
            let closed = pollers(count, permits).expect("it closes");
            assert!(
                closed < 30_000,
                "{count} of them, {permits} permits: {closed} ms"
            );
        }
    }
}

#[test]
fn a_flood_of_refusals_is_no_flood_of_writes() {
    let mut stage = Stage::new(settings());
    for peer in [1, 2] {
        stage.ask(10_000, whole(peer));
    }
    let mut writes = 0;
    for number in 0..50_000_u32 {
        let before = stage.breaker.memory();
        let asker = Asker {
            peer: number % 1_000,
            complete: number % 3 > 0,
        };
        assert_eq!(stage.ask(10_000 + u64::from(number) / 10, asker), None);
        writes += u32::from(before != stage.breaker.memory());
    }
    // Five seconds: ten times in `open.for` for each of three notes, and one for that anybody asks.
    assert!(writes <= 31, "{writes}");
}

#[test]
fn how_half_open_decides_in_every_combination() {
    use Outcome::{Failure as F, Slow as S, Success as G};
    let (on, off) = (Share::percent(50), Share::NONE);
    // failure rate, slow rate, failures in a row; verdicts; where it stands after each of them.
    let closed = Phase::Closed;
    let (open, half) = (Phase::Open, Phase::HalfOpen);
    for (failure_rate, slow_rate, consecutive, verdicts, expected) in [
        (on, on, 7, [F, G], [half, open]),
        (on, on, 7, [G, G], [half, closed]),
        (on, on, 0, [S, G], [half, open]),
        (on, off, 7, [S, S], [half, closed]),
        (on, off, 0, [F, G], [half, open]),
        (off, on, 7, [F, G], [open, open]),
        (off, on, 7, [S, G], [half, open]),
        (off, on, 0, [F, F], [half, closed]),
        (off, on, 0, [S, G], [half, open]),
        (off, off, 7, [F, G], [open, open]),
        (off, off, 7, [S, S], [half, closed]),
        (off, off, 0, [F, G], [open, open]),
    ] {
        let mut settings = settings();
        settings.thresholds = Thresholds {
            failure_rate,
            slow_rate,
            consecutive,
            ..settings.thresholds
        };
        let mut stage = Stage::new(settings);
        let permits = [1, 2].map(|peer| stage.ask(10_000, whole(peer)).expect("a permit"));
        let found = [0, 1].map(|number| {
            stage.end(10_010, permits[number], verdicts[number], 0);
            stage.breaker.phase()
        });
        assert_eq!(
            found, expected,
            "{failure_rate} {slow_rate} {consecutive} {verdicts:?}"
        );
    }
}

#[test]
fn a_row_is_judged_only_where_there_is_too_little_for_a_rate() {
    for window in [
        Geometry::time(Span::secs(10)),
        Geometry::count(100),
        Geometry::count(8),
    ] {
        let mut settings = settings();
        settings.window = window;
        settings.host_grace = Span::ZERO;
        for (good, rate) in (0..40).flat_map(|good| [(good, 90), (good, 0)]) {
            settings.thresholds.failure_rate = Share::percent(rate);
            let mut breaker = Breaker::new(window);
            let permit = Permit {
                generation: 0,
                probe: None,
            };
            let outcomes = std::iter::repeat_n(GOOD, good).chain([BAD; 7]);
            for outcome in outcomes {
                let verdict = Verdict {
                    outcome,
                    host: 0,
                    retry_after: None,
                    peer: 0,
                    silent: false,
                };
                breaker.settle(&settings, at(1_000), permit, verdict);
            }
            let calls = good + 7;
            let minimum = if window == Geometry::count(8) { 8 } else { 20 };
            assert_eq!(
                breaker.phase() == Phase::Open,
                calls < minimum || rate == 0,
                "{window:?} after {good} good ones, a failure rate of {rate} %"
            );
        }
    }
}

#[test]
fn what_was_counted_late_stands_where_it_was_counted() {
    let geometry = Geometry::count(5);
    let mut window = Window::new(geometry);
    let now = Timestamp::ZERO;
    let place = window.add(GOOD, now).expect("it counts");
    for later in 0..5_u32 {
        let mut told = window.clone();
        assert!(told.fail(place, GOOD, later, now));
        assert!(!told.fail(place, GOOD, later, now), "once");
        assert_eq!(told.counts(now).failures, 1);
        assert_eq!(told.counts(now).calls, later + 1);
        window.add(GOOD, now);
    }
    assert!(!window.fail(place, GOOD, 5, now), "it left the window");
    assert!(
        !window.fail(place, Outcome::Slow, 0, now),
        "it was not slow"
    );
}
