//! Slots by themselves. VMs whose steps come between each other's are in `tests/breaker/leases/`.

use crate::concurrency::credits::Ahead;
use crate::concurrency::local::{LocalSlots, Terms};
use proptest::prelude::*;

use super::*;
use crate::limiter::{Kind, Sample, Settings};
use crate::priority::Priority;
use crate::shared::envelope::Writer;
use crate::shared::instance::next;
use crate::shared::leases::{Lease, LocalLease};
use crate::shared::record::Unreadable;
use crate::shared::state::{Key, Undecided};
use crate::shared::store::tests::Memory;
use crate::shared::store::{SharedStore, TRIES};
use crate::shedding::{Limit, Shares};
use crate::time::Span;

static K: Key<InFlightSlots> = Key::test("k");

/// The number of a VM.
const fn vm(number: u64) -> u64 {
    crate::shared::instance::vm(number << 8)
}

fn local(instance: u64, quantity: u32) -> LocalLease {
    LocalLease {
        quantity,
        ..LocalLease::none(instance)
    }
}

/// A tick of a VM that holds nothing, to which these VMs are gone.
fn tick(store: &Memory, gone: &[u64]) -> SlotReport {
    let mut gone = |lease: &Lease| gone.contains(&lease.instance);
    maintain(store, &K, (local(vm(9), 0), false), &mut gone, old_now())
}

fn asked(instance: u64, held: u32, places_max: u32) -> AcquireRequest<'static> {
    AcquireRequest {
        holding: local(instance, held),
        priority: Priority::Critical,
        bound: Bound {
            places_max: Some(places_max),
            limit: None,
        },
        tag: None,
        load: None,
        keep: Span::ZERO,
        dead: &[],
        ahead: Ahead::default(),
        now: Timestamp::nanos(5),
    }
}

fn returned(place: SlotId) -> Returned {
    Returned {
        place,
        sample: None,
    }
}

fn taken(taking: Acquired) -> SlotId {
    match taking {
        Acquired::Taken(place) => place,
        other => panic!("{other:?}"),
    }
}

#[test]
fn so_many_and_no_more_and_each_comes_back() {
    let store = Memory::default();
    let (one, two) = (asked(1, 0, 2), asked(2, 0, 2));
    let first = taken(acquire(&store, &K, &one).0);
    let second = taken(acquire(&store, &K, &two).0);
    assert_eq!((first.in_flight, second.in_flight), (1, 2));
    let full = Acquired::Full {
        in_flight: 2,
        limit: 2,
        bulkhead: true,
    };
    assert_eq!(acquire(&store, &K, &asked(2, 1, 2)).0, full);
    let notes = release(&store, &K, &returned(first), Timestamp::nanos(6));
    assert!(notes.stands() && notes.in_flight == Some(1));
    taken(acquire(&store, &K, &one).0);
}

#[test]
fn priorities_fill_their_shares_and_the_bulkhead_bounds_all() {
    let store = Memory::default();
    let shared = |priority, places_max| AcquireRequest {
        priority,
        bound: Bound {
            places_max,
            limit: Some((Limit::Fixed(10), Shares::default())),
        },
        ..asked(1, 0, 0)
    };
    for (priority, upto) in Priority::ALL.into_iter().rev().zip([5, 7, 9, 10]) {
        let mut last = None;
        while let (Acquired::Taken(place), _) = acquire(&store, &K, &shared(priority, None)) {
            last = Some(place);
        }
        let last = last.unwrap();
        assert!(last.in_flight == upto && last.pressed, "{priority:?}");
    }
    let full = acquire(&store, &K, &shared(Priority::CriticalPlus, Some(12))).0;
    let shed = Acquired::Full {
        in_flight: 10,
        limit: 10,
        bulkhead: false,
    };
    assert_eq!(full, shed);
    let full = acquire(&store, &K, &shared(Priority::Sheddable, Some(4))).0;
    let bulkhead = Acquired::Full {
        in_flight: 10,
        limit: 4,
        bulkhead: true,
    };
    assert_eq!(full, bulkhead);
}

#[test]
fn samples_enter_with_the_place_and_move_the_limit() {
    let store = Memory::default();
    let settings = Settings::default();
    let shared = AcquireRequest {
        priority: Priority::CriticalPlus,
        bound: Bound {
            places_max: None,
            limit: Some((Limit::Adaptive(settings), Shares::default())),
        },
        ..asked(1, 0, 0)
    };
    let mut now = Timestamp::nanos(5);
    for _ in 0..100 {
        let place = taken(acquire(&store, &K, &AcquireRequest { now, ..shared }).0);
        now = now.after(Span::millis(20));
        let sample = Sample {
            latency: Span::millis(20),
            in_flight: 20,
            pressed: true,
            kind: Kind::Answered,
        };
        let returned = Returned {
            sample: Some((sample, settings)),
            ..returned(place)
        };
        assert!(release(&store, &K, &returned, now).stands());
    }
    let limit = peek(&store, &K).unwrap().limiter.unwrap();
    assert_eq!(limit.base(), Span::millis(20));
    assert!(limit.limit(&settings) > settings.initial);
}

fn old_now() -> Timestamp {
    Timestamp::nanos(7)
}

#[test]
fn a_vm_that_was_given_up_takes_another_number_and_what_it_held_is_void() {
    let store = Memory::default();
    let old = taken(acquire(&store, &K, &asked(1, 0, 2)).0);
    assert_eq!(tick(&store, &[]).in_flight, Some(1));
    assert_eq!(tick(&store, &[1]).in_flight, Some(0));
    let own = (local(1, 1), false);
    assert!(maintain(&store, &K, own, &mut |_| false, old_now()).expired);
    let (taking, notes) = acquire(&store, &K, &asked(1, 1, 2));
    assert!(notes.expired && taken(taking).instance == next(1));
    let notes = release(&store, &K, &returned(old), old_now());
    assert!(notes.stands() && notes.in_flight == Some(1), "void");
}

#[test]
fn a_tick_that_finds_nothing_writes_nothing() {
    let store = Memory::default();
    taken(acquire(&store, &K, &asked(vm(1), 0, 2)).0);
    let before = store.load(K.as_str()).unwrap();
    let own = (local(vm(1), 1), false);
    assert!(!maintain(&store, &K, own, &mut |_| false, old_now()).expired);
    tick(&store, &[vm(2)]);
    assert_eq!(store.load(K.as_str()).unwrap(), before);
}

#[test]
fn what_marked_vms_hold_counts_for_nobody() {
    let store = Memory::default();
    let (dies, lives) = (vm(1), vm(2));
    for instance in [dies, dies + 1, lives] {
        taken(acquire(&store, &K, &asked(instance, 0, 3)).0);
    }
    assert!(matches!(
        acquire(&store, &K, &asked(lives, 1, 3)).0,
        Acquired::Full { .. }
    ));
    let dead = [dies];
    let knowing = |held| AcquireRequest {
        dead: &dead,
        ahead: Ahead::default(),
        ..asked(lives, held, 2)
    };
    assert_eq!(taken(acquire(&store, &K, &knowing(1)).0).in_flight, 2);
    assert!(matches!(
        acquire(&store, &K, &knowing(2)).0,
        Acquired::Full { in_flight: 2, .. }
    ));
}

#[test]
fn what_cannot_be_found_out_is_undecided_and_what_cannot_be_stored_stays_owed() {
    let store = Memory::default();
    let place = taken(acquire(&store, &K, &asked(1, 0, 9)).0);
    let ask = || acquire(&store, &K, &asked(1, 1, 9));
    let pay = || release(&store, &K, &returned(place), old_now());
    store.refuse(true);
    assert!(ask().0 == Acquired::Undecided && ask().1.undecided.is_some() && !pay().stands());
    store.refuse(false);
    store.intrude(TRIES);
    assert!(matches!(ask(), (Acquired::Undecided, notes) if notes.lost_races));
    store.intrude(TRIES);
    assert!(pay().lost_races);
    assert_eq!(peek(&store, &K).unwrap().in_flight(), 1);
    assert!(pay().stands());
    assert_eq!(peek(&store, &K).unwrap().in_flight(), 0);
}

#[test]
fn a_vm_whose_slots_are_gone_from_the_record_holds_what_it_takes_from_then_on_and_no_more() {
    let store = Memory::default();
    let mut slots = LocalSlots::none(1);
    let (epoch, vms) = (Some(7), 1);
    let wanted = asked(0, 0, 160);
    let first = taken(slots.acquire(&store, &K, &wanted, (epoch, vms)).0);
    assert!(slots.take_idle(epoch).is_some() && slots.idle() > 0);
    store.swap(K.as_str(), b"rubbish", 0).unwrap();
    // Others have to look, and so has this one.
    let (taking, notes) = slots.acquire(&store, &K, &wanted, (Some(8), vms));
    assert!(notes.healed && notes.moved && notes.expired);
    let second = taken(taking);
    let out = peek(&store, &K).unwrap().in_flight();
    assert_eq!((slots.lease().quantity, slots.idle()), (out, out - 1));
    // What it took before is void, and gives nothing back.
    let terms = Terms {
        bound: wanted.bound,
        settings: None,
        epoch: Some(8),
        vms,
        now: wanted.now,
    };
    slots.give_back(&store, &K, (first, None), &terms);
    assert_eq!(peek(&store, &K).unwrap().in_flight(), out);
    slots.give_back(&store, &K, (second, None), &terms);
    assert_eq!(slots.idle(), out);
}

#[test]
fn a_later_version_is_left_alone_and_damage_is_as_nothing() {
    let store = Memory::default();
    let later = Writer::new(*b"SP", VERSION + 1).sealed(VERSION + 1);
    store.swap(K.as_str(), &later, 0).unwrap();
    let (taking, notes) = acquire(&store, &K, &asked(1, 0, 2));
    assert!(taking == Acquired::Undecided && notes.undecided == Some(Undecided::Later));
    assert_eq!(store.load(K.as_str()).unwrap().unwrap().bytes, later);

    store.swap(K.as_str(), b"rubbish", 0).unwrap();
    let (taking, notes) = acquire(&store, &K, &asked(1, 5, 2));
    assert!(notes.healed && notes.expired, "what it held stands no more");
    assert_eq!(taken(taking).instance, next(1));
}

#[test]
fn there_is_room_for_so_many_holders_and_more_are_undecided() {
    let store = Memory::default();
    for instance in 1..=HOLDERS_MAX as u64 {
        taken(acquire(&store, &K, &asked(instance, 0, 1_000)).0);
    }
    let (taking, notes) = acquire(&store, &K, &asked(1_000, 0, 1_000));
    assert!(taking == Acquired::Undecided && notes.crowded && notes.stands());
    taken(acquire(&store, &K, &asked(3, 1, 1_000)).0);
    assert!(store.load(K.as_str()).unwrap().unwrap().bytes.len() < 4_400);
}

fn places() -> impl Strategy<Value = InFlightSlots> {
    let holder =
        (any::<u64>(), 1..u32::MAX, any::<u32>()).prop_map(|(instance, quantity, beat)| Lease {
            instance,
            quantity,
            beat,
        });
    let holders = prop::collection::vec(holder, 0..=HOLDERS_MAX);
    let load = (any::<u32>(), any::<u64>());
    (
        any::<u64>(),
        any::<bool>(),
        load,
        any::<u64>(),
        any::<u32>(),
        holders,
    )
        .prop_map(
            |(tag, limits, (utilisation, at), last, beats, holders)| InFlightSlots {
                tag,
                limiter: limits.then(|| crate::limiter::Limiter::new(&Settings::default())),
                load: ReportedLoad {
                    shed: 7,
                    utilisation,
                    at: Timestamp::nanos(at),
                },
                last: Timestamp::nanos(last),
                leases: Leases::stored(GENERATION, beats, holders),
            },
        )
}

proptest! {
    #[test]
    fn places_read_back_as_they_were_written(places in places()) {
        let bytes = places.encode();
        prop_assert_eq!(InFlightSlots::decode(&bytes), Ok(places));
    }

    #[test]
    fn damage_of_any_kind_is_seen(places in places(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = places.encode();
        let index = at.index(bytes.len());
        bytes[index] ^= 1_u8 << bit;
        prop_assert!(InFlightSlots::decode(&bytes).is_err());
        let cut = at.index(bytes.len());
        prop_assert!(cut == 0 || InFlightSlots::decode(&places.encode()[..cut]).is_err());
    }

    #[test]
    fn rubbish_is_nothing(rubbish in prop::collection::vec(any::<u8>(), 1..200)) {
        prop_assert_eq!(InFlightSlots::decode(&rubbish), Err(Unreadable::Damaged));
    }
}
