//! Requests with and without a body to come: neither kind keeps the other out of half-open.

use super::*;

/// Clients that waste permits beside good requests of the other kind; times in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Beside {
    good: fn(u32) -> Asker,
    good_every: u64,
    bad: fn(u32) -> Asker,
    bad_every: u64,
    /// How long a permit of theirs is held.
    bad_lasts: u64,
    /// Whether each of their requests comes by another connection.
    new_connections: bool,
}

impl Beside {
    /// How long it takes to close.
    fn closes_after(self) -> Option<u64> {
        let mut stage = Stage::new(settings());
        let mut held: Vec<(u64, u32, Permit)> = Vec::new();
        let mut peer = 1_000;
        for now in (10_000..100_000).step_by(5) {
            for (_, peer, permit) in held.extract_if(.., |(until, ..)| *until <= now) {
                stage.give_back(now, permit, peer);
            }
            if now % self.bad_every == 0 {
                peer += u32::from(self.new_connections);
                if let Some(permit) = stage.ask(now, (self.bad)(peer)) {
                    held.push((now + self.bad_lasts, peer, permit));
                }
            }
            if now % self.good_every == 5
                && let Some(permit) = stage.ask(now, (self.good)(7))
            {
                stage.end(now, permit, GOOD, 7);
            }
            if stage.breaker.phase() == Phase::Closed {
                return Some(now - 10_000);
            }
        }
        None
    }
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
    let kinds = [
        (upload as fn(u32) -> Asker, whole as fn(u32) -> Asker),
        (whole, upload),
    ];
    let bad = [10, 50, 100, 670, 1_000, 4_000];
    let all = kinds
        .iter()
        .flat_map(|kinds| bad.map(|every| (kinds, every)));
    for ((good, bad), bad_every) in all {
        for (bad_lasts, new_connections) in [20, 500, 1_000].map(|lasts| (lasts, lasts == 500)) {
            // A refused client may well come again only after a second or more.
            for good_every in [200, 1_200, 4_300] {
                let beside = Beside {
                    good: *good,
                    good_every,
                    bad: *bad,
                    bad_every,
                    bad_lasts,
                    new_connections,
                };
                let closed = beside.closes_after();
                let most = 15_000 + 3 * good_every;
                assert!(
                    closed.is_some_and(|closed| closed < most),
                    "{beside:?}: {closed:?} ms"
                );
            }
        }
    }
}
