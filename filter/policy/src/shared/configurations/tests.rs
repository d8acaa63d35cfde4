//! Configurations side by side: the table, and what becomes of a record under any order of their requests, ticks and restarts.

use proptest::prelude::*;

use super::*;
use crate::admission::{self, Decision, MayHold, Request, Settlement};
use crate::breaker::window::Geometry;
use crate::breaker::{Asker, Moment, Permit, Phase, Settings, State, Verdict};
use crate::outcome::Outcome;
use crate::policy::Policy;
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::leases::LocalLease;
use crate::shared::record::Record;
use crate::shared::store::SharedStore;
use crate::shared::store::tests::Memory;

static TABLE: Key<ShapesInUse> = Key::test("table");
static KEY: Key<Record> = Key::test("k");

fn at(millis: u64) -> Timestamp {
    Timestamp::ZERO.after(Span::millis(1_000_000 + millis))
}

fn shape(id: u64) -> Shape {
    Shape {
        id,
        ahead: Span::secs(id),
    }
}

fn others(store: &Memory, id: u64, millis: u64) -> (bool, u64) {
    let others = renew(store, &TABLE, (shape(id), true), at(millis)).unwrap();
    (others.in_use, others.ahead.as_secs_ceil())
}

#[test]
fn a_shape_is_in_use_until_two_seconds_after_it_was_renewed() {
    let store = Memory::default();
    assert_eq!(others(&store, 7, 0), (false, 0));
    assert_eq!(others(&store, 9, 1_999), (true, 7));
    assert_eq!(others(&store, 7, 2_000), (true, 9));
    assert_eq!(others(&store, 9, 3_999), (true, 7));
    assert_eq!(
        others(&store, 9, 4_000),
        (false, 7),
        "known a little longer"
    );
    assert_eq!(others(&store, 9, 6_000), (false, 0));
    // Who uses no records only looks.
    let looks = renew(&store, &TABLE, (shape(7), false), at(6_100)).unwrap();
    assert!(looks.in_use);
    assert_eq!(others(&store, 9, 6_200), (false, 0));
}

#[test]
fn a_use_is_written_once_for_all_workers_of_a_tick() {
    let store = Memory::default();
    others(&store, 7, 0);
    store.read_only(true);
    for millis in [1, 100, 299] {
        others(&store, 7, millis);
    }
    let due = renew(&store, &TABLE, (shape(7), true), at(300));
    assert_eq!(due, Err(HostError(10)));
}

#[test]
fn the_table_is_bounded_and_a_shape_too_many_gives_nothing_its_own() {
    let store = Memory::default();
    for id in 1..=4 {
        others(&store, id, 0);
    }
    let length = store.load(TABLE.as_str()).unwrap().unwrap().bytes.len();
    assert_eq!(others(&store, 5, 100), (true, 4));
    assert_eq!(others(&store, 1, 1_500), (true, 4), "it was not entered");
    assert_eq!(
        others(&store, 5, 2_100),
        (true, 4),
        "in the place of one that went"
    );
    assert_eq!(others(&store, 1, 2_200), (true, 5));
    assert_eq!(
        store.load(TABLE.as_str()).unwrap().unwrap().bytes.len(),
        length
    );
}

#[test]
fn damage_is_an_empty_table_a_later_version_is_left_alone_and_a_refusal_is_told() {
    let store = Memory::default();
    others(&store, 7, 0);
    let whole = store.load(TABLE.as_str()).unwrap().unwrap().bytes;
    store.put(TABLE.as_str(), &whole[1..]);
    assert_eq!(others(&store, 9, 10), (false, 0));
    // A time that lies ahead keeps no shape in use.
    store.put(TABLE.as_str(), b"");
    others(&store, 7, 1_000_000);
    assert_eq!(others(&store, 9, 10), (false, 0));
    let later = Writer::new(MAGIC, VERSION + 1).sealed(VERSION + 1);
    store.put(TABLE.as_str(), &later);
    assert_eq!(others(&store, 9, 20), (true, 0));
    assert_eq!(store.load(TABLE.as_str()).unwrap().unwrap().bytes, later);
    store.refuse(true);
    let refused = renew(&store, &TABLE, (shape(7), true), at(30));
    assert_eq!(refused, Err(HostError(10)));
}

/// Roots of one configuration, one in each worker.
struct Side {
    policy: Policy,
    roots: Vec<(Standing, Timestamp)>,
}

impl Side {
    fn new(workers: usize, breaker: Settings, now: Timestamp) -> Self {
        Self {
            policy: Policy {
                breaker,
                ..Policy::default()
            },
            roots: vec![(Standing::since(now), now); workers],
        }
    }

    fn upstream(&self, worker: usize) -> GovernedUpstream<'_> {
        GovernedUpstream {
            dead: &[],
            policy: &self.policy,
            key: Some(&KEY),
            standing: &self.roots[worker].0,
        }
    }

    /// What a worker does at its tick; whether it found that it is alone since now.
    fn tick(&mut self, store: &Memory, worker: usize, now: Timestamp) -> bool {
        let shape = self.upstream(worker).claim().shape();
        let others = renew(store, &TABLE, shape, now).unwrap();
        let (standing, last) = &mut self.roots[worker];
        let on_time = now.since(*last) <= Span::millis(800);
        *last = now;
        let alone = standing.observe(others, on_time);
        if alone {
            let moment = Moment { now, draw: 0 };
            admission::claim(store, &self.upstream(worker), moment);
        }
        alone
    }

    /// A request and its outcome; whether it was let in, and whether anything was taken for damage.
    fn ask(&self, store: &Memory, worker: usize, now: Timestamp, outcome: Outcome) -> (bool, bool) {
        let request = Request {
            inbound: false,
            asker: Asker {
                peer: 0,
                complete: true,
            },
            draw: 0,
            local_permits: LocalLease::none(1 << 8),
            may_hold: MayHold::Yes,
            deposits: 0,
        };
        let (upstream, moment) = (self.upstream(worker), Moment { now, draw: 0 });
        let (decision, notes) = admission::admit(store, &upstream, &request, moment);
        let Decision::Admit(Some(permit)) = decision else {
            return (matches!(decision, Decision::Admit(None)), notes.repaired);
        };
        settle(store, &upstream, permit, outcome, moment);
        (true, notes.repaired)
    }
}

fn settle(
    store: &Memory,
    upstream: &GovernedUpstream<'_>,
    permit: Permit,
    outcome: Outcome,
    moment: Moment,
) {
    let verdict = Verdict {
        outcome,
        host: 0,
        retry_after: None,
        peer: 0,
        silent: false,
    };
    admission::settle(
        store,
        upstream,
        permit,
        Settlement::Verdict(verdict),
        moment,
    );
}

fn record(store: &Memory) -> Record {
    store.view(&KEY).unwrap().record.expect("a record")
}

fn calls(calls: u16) -> Settings {
    Settings {
        window: Geometry::count(calls),
        host_grace: Span::ZERO,
        ..Settings::default()
    }
}

/// Both sides tick in all workers, for so long.
fn ticks(store: &Memory, sides: &mut [&mut Side], from: u64, to: u64) {
    for millis in (from..to).step_by(400) {
        for side in sides.iter_mut() {
            for worker in 0..side.roots.len() {
                side.tick(store, worker, at(millis));
            }
        }
    }
}

/// What comes next: which side and worker, what it does, and how much later.
type Event = (bool, usize, u8, u64);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Requests, ticks and restarted VMs in any order: no verdict is lost, whoever came later, and the shape stays.
    #[test]
    fn side_by_side_nobody_resets_what_the_other_counts(
        events in prop::collection::vec((any::<bool>(), 0_usize..4, 0_u8..10, 0_u64..60), 1..300),
        first in any::<bool>(),
    ) {
        let store = Memory::default();
        let mut sides = [calls(50), calls(100)].map(|breaker| Side::new(4, breaker, at(0)));
        // Both have asked for something.
        for side in [usize::from(first), usize::from(!first)] {
            for worker in 0..4 {
                sides[side].tick(&store, worker, at(1));
            }
            sides[side].ask(&store, 0, at(1), Outcome::Success);
        }
        let shape = record(&store).breaker.geometry;
        let (mut asked, mut millis) = (2, 1);
        let events: Vec<Event> = events;
        for (right, worker, what, later) in events {
            // Within the two seconds each side ticks in some worker.
            millis += later;
            let now = at(millis);
            let side = &mut sides[usize::from(right)];
            match what {
                0 => side.roots[worker] = (Standing::since(now), now),
                1..=3 => { side.tick(&store, worker, now); }
                _ => {
                    prop_assert!(side.ask(&store, worker, now, Outcome::Success).0);
                    asked += 1;
                }
            }
            for side in &mut sides {
                let latest = side.roots.iter().map(|root| root.1).max().unwrap();
                if now.since(latest) > Span::millis(300) {
                    side.tick(&store, worker, now);
                }
            }
            let record = record(&store);
            prop_assert_eq!(record.breaker.geometry, shape);
            let State::Closed(closed) = &record.breaker.state else {
                panic!("it is closed");
            };
            prop_assert_eq!(closed.verdicts, asked);
        }
    }

    /// The old root goes, by a drain of any length: what is open stays open, and the new root's shape comes once.
    #[test]
    fn a_reload_keeps_an_opening_and_gives_the_record_its_shape_once(
        drains in 0_u64..10,
        workers in 1_usize..5,
    ) {
        let store = Memory::default();
        let mut old = Side::new(workers, calls(50), at(0));
        ticks(&store, &mut [&mut old], 0, 4_000);
        for number in 0..7 {
            old.ask(&store, number % workers, at(4_000), Outcome::Failure);
        }
        prop_assert_eq!(record(&store).breaker.phase(), Phase::Open);
        let mut new = Side::new(workers, calls(100), at(4_000));
        let gone = 4_000 + 400 * drains;
        ticks(&store, &mut [&mut old, &mut new], 4_000, gone);
        let mut shaped = Vec::new();
        for millis in (gone..gone + 4_400).step_by(400) {
            for worker in 0..workers {
                let before = record(&store);
                new.tick(&store, worker, at(millis));
                let after = record(&store);
                if after.breaker.geometry != before.breaker.geometry {
                    shaped.push(millis);
                }
                prop_assert_eq!(&after.breaker.state, &before.breaker.state);
                prop_assert_eq!(after.breaker.generation, before.breaker.generation);
                // As long as it is open, by whatever shape.
                if millis < 8_900 {
                    prop_assert!(!new.ask(&store, worker, at(millis), Outcome::Success).0);
                }
            }
        }
        prop_assert_eq!(shaped.len(), 1);
        prop_assert!(shaped[0] >= gone && shaped[0] <= gone + 2_400, "{:?}", shaped);
        prop_assert_eq!(record(&store).breaker.geometry, Geometry::count(100));
    }
}

/// A breaker that opens for so long at the first failure.
fn opens_for(span: Span) -> Settings {
    let mut settings = calls(50);
    settings.thresholds.consecutive = 1;
    settings.open.base = span;
    settings.open.cap = span;
    settings
}

#[test]
fn a_long_open_time_is_no_damage_to_those_with_a_short_one_and_is_shortened_once_they_are_alone() {
    let store = Memory::default();
    let mut long = Side::new(2, opens_for(Span::secs(3_600)), at(0));
    let mut short = Side::new(2, opens_for(Span::secs(1)), at(1));
    ticks(&store, &mut [&mut long, &mut short], 0, 4_000);
    long.ask(&store, 0, at(4_000), Outcome::Failure);
    for millis in (4_000..20_000).step_by(400) {
        ticks(&store, &mut [&mut long, &mut short], millis, millis + 1);
        for side in [&long, &short] {
            assert_eq!(
                side.ask(&store, 1, at(millis), Outcome::Success),
                (false, false)
            );
        }
    }
    // The long one goes.
    let mut open_until = 0;
    for millis in (20_000..26_000).step_by(400) {
        ticks(&store, &mut [&mut short], millis, millis + 1);
        let (let_in, healed) = short.ask(&store, 0, at(millis), Outcome::Success);
        assert!(!healed, "{millis}");
        if !let_in {
            open_until = millis;
        }
    }
    // Two seconds until it is gone, and its own open time with jitter.
    assert!((22_000..24_800).contains(&open_until), "{open_until}");
}

#[test]
fn who_does_not_count_closes_nothing_as_long_as_somebody_counts() {
    let store = Memory::default();
    let mut counts = Side::new(1, opens_for(Span::secs(30)), at(0));
    let off = Settings {
        mode: crate::breaker::Mode::Off,
        ..calls(50)
    };
    let mut off = Side::new(1, off, at(1));
    ticks(&store, &mut [&mut counts, &mut off], 0, 2_000);
    counts.ask(&store, 0, at(2_000), Outcome::Failure);
    ticks(&store, &mut [&mut counts, &mut off], 2_000, 10_000);
    assert_eq!(record(&store).breaker.phase(), Phase::Open);
    ticks(&store, &mut [&mut off], 10_000, 11_500);
    assert_eq!(record(&store).breaker.phase(), Phase::Open);
    ticks(&store, &mut [&mut off], 11_500, 12_800);
    let left = record(&store);
    assert_eq!(
        (left.breaker.phase(), left.counting),
        (Phase::Closed, false)
    );
    // Who counts again, though configured earlier, is not closed by those who come after it.
    counts.ask(&store, 0, at(12_800), Outcome::Failure);
    assert_eq!(record(&store).breaker.phase(), Phase::Open);
    ticks(&store, &mut [&mut counts], 12_800, 13_600);
    let mut again = Side::new(1, opens_for(Span::secs(30)), at(13_600));
    ticks(&store, &mut [&mut again, &mut off], 13_600, 20_000);
    assert_eq!(record(&store).breaker.phase(), Phase::Open);
}

#[test]
fn a_tick_that_is_late_gives_nobody_up() {
    let mut standing = Standing::since(at(0));
    let gone = Others {
        in_use: false,
        ahead: Span::ZERO,
    };
    assert!(!standing.observe(gone, false) && !standing.alone);
    assert!(standing.observe(gone, true) && standing.alone);
    assert!(!standing.observe(gone, false) && standing.alone);
    assert!(!standing.observe(Others::UNKNOWN, true) && !standing.alone);
}
