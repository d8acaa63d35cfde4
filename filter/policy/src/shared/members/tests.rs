//! The list, and what VMs know of each other by it.

use proptest::prelude::*;

use super::view::{MembersView, UNLISTED_MAX};
use super::*;
use crate::shared::instance::{next, vm};
use crate::shared::keys::MEMBERS;
use crate::shared::store::SharedStore;
use crate::shared::store::tests::Memory;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::nanos(1_000_000_000);

fn beat(store: &Memory, vm: u64, silent: &[Liveness]) -> Visit {
    visit(store, &MEMBERS, Some(vm), &mut |_| silent.to_vec()).unwrap()
}

fn number(at: usize) -> u64 {
    vm((at as u64 + 1) << 8)
}

/// A VM that is listed or only looks.
fn view(store: &Memory, at: usize, listed: bool) -> MembersView {
    let mut view = MembersView::new(number(at));
    if listed {
        view.enroll(store, &MEMBERS, NOW).unwrap();
        assert!(view.is_listed());
    }
    view
}

fn look(view: &mut MembersView, store: &Memory) {
    view.look(store, &MEMBERS, true, NOW).unwrap();
}

fn lease(vm: u64) -> Liveness {
    Liveness {
        instance: vm,
        beat: 7,
    }
}

#[test]
fn who_is_silent_for_three_looks_of_anybody_is_dead_for_all_and_who_only_was_slow_learns_it() {
    for listed in [true, false] {
        let store = Memory::default();
        let mut slow = view(&store, 1, true);
        let (mut one, mut two) = (view(&store, 2, listed), view(&store, 3, false));
        for tick in 0..4 {
            assert!(one.dead().is_empty(), "tick {tick}");
            look(&mut one, &store);
        }
        assert_eq!(one.dead(), [number(1)]);
        assert!(one.has_died() && !one.has_died());
        two.enroll(&store, &MEMBERS, NOW).unwrap();
        assert_eq!(two.dead(), [number(1)], "whoever joins knows it at once");
        assert!(one.is_gone(lease(next(number(1)))) && !one.is_gone(lease(number(3))));
        assert!(slow.look(&store, &MEMBERS, true, NOW).unwrap().given_up);
        assert!(!slow.is_listed() && !slow.may_take(NOW));
        slow.begin_anew(number(9));
        assert!(!slow.enroll(&store, &MEMBERS, NOW).unwrap().given_up);
        assert!(slow.is_listed() && slow.may_take(NOW));
        assert!(!one.look(&store, &MEMBERS, true, NOW).unwrap().given_up);
    }
}

#[test]
fn an_observer_that_is_not_listed_writes_only_to_mark_somebody() {
    let store = Memory::default();
    let mut observer = view(&store, 2, false);
    look(&mut observer, &store);
    assert_eq!(
        store.load(MEMBERS.as_str()).unwrap(),
        None,
        "there is no list yet"
    );
    view(&store, 1, true);
    let stands = || store.load(MEMBERS.as_str()).unwrap().unwrap();
    let before = stands();
    for _ in 0..3 {
        look(&mut observer, &store);
        assert_eq!(stands(), before);
    }
    look(&mut observer, &store);
    assert_ne!(stands(), before);
    let members = Members::decode(&stands().bytes).unwrap();
    assert!(members.dead() == [number(1)] && members.liveness().is_empty());
}

#[test]
fn late_ticks_mark_nobody_and_a_sign_of_life_begins_the_wait_anew() {
    let store = Memory::default();
    let mut alive = view(&store, 1, true);
    let mut observer = view(&store, 2, false);
    for _ in 0..20 {
        observer.look(&store, &MEMBERS, false, NOW).unwrap();
    }
    for _ in 0..20 {
        look(&mut alive, &store);
        for _ in 0..3 {
            look(&mut observer, &store);
        }
    }
    assert!(observer.dead().is_empty() && alive.is_listed());
}

#[test]
fn who_gave_a_sign_since_the_look_is_not_buried() {
    let store = Memory::default();
    let one = number(1);
    let seen = beat(&store, one, &[]).members;
    beat(&store, one, &[]);
    let after = beat(&store, number(2), seen.liveness()).members;
    assert!(after.is_alive(one) && after.dead().is_empty());
}

#[test]
fn whoever_may_have_been_marked_looks_before_it_takes_anything() {
    let store = Memory::default();
    let one = view(&store, 1, true);
    assert!(one.may_take(NOW.after(crate::time::Span::millis(1_000))));
    assert!(!one.may_take(NOW.after(crate::time::Span::millis(1_200))));
    assert!(!view(&store, 2, false).may_take(NOW));
}

#[test]
fn a_lease_of_a_vm_that_is_not_listed_is_gone_after_three_ticks_unless_it_moves() {
    let store = Memory::default();
    let mut observer = view(&store, 1, false);
    let (stands, moves) = (lease(number(2)), number(3));
    for beat in 0..8_u32 {
        look(&mut observer, &store);
        let seen = [1, 2].map(|_| observer.is_gone(stands));
        assert_eq!(seen, [beat >= 3; 2], "tick {beat}");
        let moving = Liveness {
            instance: moves,
            beat,
        };
        assert!(!observer.is_gone(moving));
    }
    // Ticks alone do not count: the lease must be seen, and the list must have been read.
    let mut late = view(&store, 4, false);
    assert!(!late.is_gone(stands) && !late.is_gone(stands));
    store.refuse(true);
    for _ in 0..9 {
        assert!(late.look(&store, &MEMBERS, true, NOW).is_err() && !late.is_gone(stands));
    }
    store.refuse(false);
    for _ in 0..9 {
        assert!(
            !late.look(&store, &MEMBERS, false, NOW).unwrap().given_up && !late.is_gone(stands)
        );
    }
}

#[test]
fn a_list_that_was_read_before_a_vm_joined_it_costs_that_vm_nothing() {
    let store = Memory::default();
    let mut observer = view(&store, 1, false);
    look(&mut observer, &store);
    let mut joins = view(&store, 2, true);
    assert!(!observer.is_gone(lease(number(2))), "it is not known here");
    for _ in 0..9 {
        look(&mut joins, &store);
        look(&mut observer, &store);
        assert!(!observer.is_gone(lease(number(2))));
    }
    // Nor does the look of long ago count once the list is lost.
    store.put(MEMBERS.as_str(), b"rubbish");
    for tick in 0..3 {
        look(&mut observer, &store);
        assert!(!observer.is_gone(lease(number(2))), "tick {tick}");
    }
    look(&mut joins, &store);
    look(&mut observer, &store);
    assert!(!observer.is_gone(lease(number(2))), "it is listed again");
}

#[test]
fn so_many_leases_that_are_not_listed_are_remembered_and_the_others_wait_for_their_turn() {
    let store = Memory::default();
    let mut observer = view(&store, 0, false);
    let all: Vec<_> = (1..=UNLISTED_MAX + 10)
        .map(|at| lease(number(at)))
        .collect();
    for _ in 0..4 {
        look(&mut observer, &store);
        for lease in &all {
            observer.is_gone(*lease);
        }
    }
    let gone = all.iter().filter(|lease| observer.is_gone(**lease)).count();
    assert_eq!(gone, UNLISTED_MAX);
    let rest = &all[UNLISTED_MAX..];
    for _ in 0..300 {
        look(&mut observer, &store);
        rest.iter().for_each(|lease| {
            observer.is_gone(*lease);
        });
    }
    assert!(rest.iter().all(|lease| observer.is_gone(*lease)));
}

#[test]
fn there_is_room_for_so_many_and_the_oldest_dead_are_forgotten_first() {
    let store = Memory::default();
    for at in 0..MEMBERS_MAX {
        assert!(!beat(&store, number(at), &[]).crowded);
    }
    let mut late = MembersView::new(number(MEMBERS_MAX));
    assert!(late.enroll(&store, &MEMBERS, NOW).unwrap().crowded);
    assert!(!late.is_listed() && !late.may_take(NOW));
    let all = beat(&store, number(0), &[]).members.liveness().to_vec();
    let after = beat(&store, number(MEMBERS_MAX), &all).members;
    assert_eq!(after.dead().len(), DEAD_MAX);
    assert!(after.dead().contains(&number(MEMBERS_MAX - 1)));
    assert!(!after.dead().contains(&number(0)));
    assert!(!late.enroll(&store, &MEMBERS, NOW).unwrap().crowded);
    late.leave(&store, &MEMBERS);
    let left = Members::decode(&store.load(MEMBERS.as_str()).unwrap().unwrap().bytes).unwrap();
    assert!(!left.is_alive(number(MEMBERS_MAX)));
}

#[test]
fn a_later_version_is_left_alone_and_damage_lists_nobody() {
    let store = Memory::default();
    let later = Writer::new(MAGIC, VERSION + 1).sealed(VERSION + 1);
    store.swap(MEMBERS.as_str(), &later, 0).unwrap();
    let mut view = MembersView::new(256);
    assert_eq!(view.enroll(&store, &MEMBERS, NOW), Err(Undecided::Later));
    assert_eq!(
        view.look(&store, &MEMBERS, true, NOW),
        Err(Undecided::Later)
    );
    leave(&store, &MEMBERS, 256);
    assert_eq!(store.load(MEMBERS.as_str()).unwrap().unwrap().bytes, later);
    store.swap(MEMBERS.as_str(), b"rubbish", 0).unwrap();
    assert_eq!(beat(&store, 256, &[]).members.liveness().len(), 1);
}

proptest! {
    #[test]
    fn members_read_back_as_they_were_written(
        alive in prop::collection::vec((any::<u64>(), any::<u32>()), 0..MEMBERS_MAX),
        dead in prop::collection::vec(any::<u64>(), 0..DEAD_MAX),
        at in any::<prop::sample::Index>(),
    ) {
        let alive = alive.into_iter().map(|(instance, beat)| Liveness { instance, beat }).collect();
        let members = Members { alive, dead };
        let bytes = members.encode();
        prop_assert_eq!(Members::decode(&bytes), Ok(members));
        let cut = at.index(bytes.len());
        prop_assert!(cut == 0 || Members::decode(&bytes[..cut]).is_err());
    }
}
