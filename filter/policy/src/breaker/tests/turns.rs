//! Requests with and without a body to come: neither kind keeps the other out of half-open.

use super::*;

/// Clients that abort complete requests, each time by another connection or always by one, so often a second; beside them good
/// requests that are not complete at their headers, five a second. Both directions: `aborts` of uploads beside good GETs.
fn aborts_beside(
    good: fn(u32) -> Asker,
    bad: fn(u32) -> Asker,
    every: u64,
    lasts: u64,
    new_connections: bool,
) -> Option<u64> {
    let mut stage = Stage::new(settings());
    let mut held: Vec<(u64, u32, Permit)> = Vec::new();
    let mut peer = 1_000;
    for now in (10_000..100_000).step_by(10) {
        for (_, peer, permit) in held.extract_if(.., |(until, ..)| *until <= now) {
            stage.give_back(now, permit, peer);
        }
        if now % every == 0 {
            peer += u32::from(new_connections);
            if let Some(permit) = stage.ask(now, bad(peer)) {
                held.push((now + lasts, peer, permit));
            }
        }
        if now % 200 == 0
            && let Some(permit) = stage.ask(now, good(7))
        {
            stage.end(now, permit, GOOD, 7);
        }
        if stage.breaker.phase() == Phase::Closed {
            return Some(now - 10_000);
        }
    }
    None
}

/// Clients of all three kinds at once beside good requests of one kind, 20 a second over four connections, that take 60 ms:
/// three abort complete requests after 30 ms, seven hold unfinished uploads, whose permits lapse after a second. Who is refused
/// asks `again` after this time.
fn mixture(good: fn(u32) -> Asker, permits: u32, again: u64) -> Option<u64> {
    let mut settings = settings();
    settings.half_open.permits = permits;
    let mut stage = Stage::new(settings);
    // When it ends, the peer, its permit, whether that brings a verdict.
    let mut going: Vec<(u64, u32, Option<Permit>, bool)> = Vec::new();
    for now in (10_000..100_000).step_by(5) {
        for (_, peer, permit, well) in going.extract_if(.., |(until, ..)| *until <= now) {
            match permit {
                Some(permit) if well => drop(stage.end(now, permit, GOOD, peer)),
                Some(permit) => stage.give_back(now, permit, peer),
                None => {}
            }
        }
        for peer in 1..=10 {
            if going.iter().any(|(_, other, ..)| *other == peer) {
                continue;
            }
            let (asker, lasts) = match peer % 3 {
                0 => (whole(peer), 30),
                _ => (upload(peer), 1_000),
            };
            let permit = stage.ask(now, asker);
            let until = now
                + if permit.is_some() {
                    lasts
                } else {
                    again + u64::from(peer)
                };
            going.push((until, peer, permit, false));
        }
        if now % 50 == 0 {
            let peer = 100 + (now / 50 % 4) as u32;
            let permit = stage.ask(now, good(peer));
            going.push((now + 60, peer, permit, true));
        }
        if stage.breaker.phase() == Phase::Closed {
            return Some(now - 10_000);
        }
    }
    None
}

#[test]
fn clients_of_all_kinds_at_once_keep_good_requests_away_for_seconds_only() {
    // Beside unfinished uploads a good one is one of many that ask: it comes in time if it asks as often as they do.
    for (good, again) in [
        (whole as fn(u32) -> Asker, 5),
        (upload as fn(u32) -> Asker, 50),
    ] {
        for permits in [1, 2] {
            let what = format!("{} {permits}", good(1).complete);
            let closed = mixture(good, permits, again).expect(&what);
            assert!(closed < 40_000, "{what}: {closed} ms");
        }
    }
}

#[test]
fn clients_that_abort_one_kind_of_request_never_keep_the_other_kind_away() {
    for new_connections in [false, true] {
        for every in [10, 50, 100, 670, 1_000, 4_000] {
            for lasts in [20, 500, 1_000] {
                for (good, bad) in [
                    (upload as fn(u32) -> Asker, whole as fn(u32) -> Asker),
                    (whole, upload),
                ] {
                    let closed = aborts_beside(good, bad, every, lasts, new_connections);
                    let what = format!("{} {every} {lasts} {new_connections}", good(1).complete);
                    assert!(closed.expect(&what) < 30_000, "{what}: {closed:?} ms");
                }
            }
        }
    }
}
