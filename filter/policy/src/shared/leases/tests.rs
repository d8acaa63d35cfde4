//! Leases by themselves.

use super::*;
use crate::shared::instance;

const MOST: usize = 16;

fn vm(number: u64) -> u64 {
    instance::vm(number << 8)
}

fn local(instance: u64, quantity: u32) -> LocalLease {
    LocalLease {
        quantity,
        ..LocalLease::none(instance)
    }
}

#[test]
fn leases_are_counted_by_vm() {
    let mut leases = Leases::default();
    assert!(leases.take(7, 1, MOST) && leases.take(7, 1, MOST) && leases.take(9, 3, MOST));
    assert_eq!((leases.held_by(7), leases.in_flight()), (2, 5));
    assert!(leases.give_back(7, 1) && leases.give_back(7, 1));
    assert!(!leases.give_back(7, 1), "it holds none any more");
    assert!(leases.give_back(9, 2));
    assert_eq!((leases.in_flight(), leases.list().len()), (1, 1));
}

#[test]
fn what_marked_vms_hold_is_taken_back_under_all_their_numbers() {
    let (dead, alive) = (vm(1), vm(2));
    let mut leases = Leases::default();
    for instance in [dead, next(dead), alive] {
        leases.take(instance, 2, MOST);
    }
    assert!(!leases.expire(&[]) && !leases.expire(&[vm(3)]));
    assert!(leases.expire(&[vm(3), dead]));
    assert_eq!((leases.in_flight(), leases.held_by(alive)), (2, 2));
    assert!(!leases.give_back(dead, 1), "its returns are void");
    assert!(leases.has_lost(&local(dead, 2)) && !leases.has_lost(&local(alive, 2)));
}

#[test]
fn a_lease_of_another_generation_is_no_loss() {
    let leases = Leases::begun(5);
    let held = |generation| LocalLease {
        generation,
        ..local(7, 1)
    };
    assert!(leases.has_lost(&held(5)) && !leases.has_lost(&held(3)));
}

#[test]
fn a_sweep_takes_what_is_gone_and_what_the_vm_itself_does_not_know() {
    let own = vm(1);
    let gone = |lease: &Lease| lease.instance == vm(2);
    let filled = || {
        let mut leases = Leases::default();
        for instance in [own, next(own), vm(2), vm(3)] {
            leases.take(instance, 1, MOST);
        }
        leases
    };
    for (local, owes, left) in [
        (local(own, 1), false, vec![own, vm(3)]),
        (local(next(own), 1), false, vec![next(own), vm(3)]),
        (local(own, 0), false, vec![vm(3)]),
        (local(own, 0), true, vec![own, vm(3)]),
        (local(vm(4), 0), false, vec![own, next(own), vm(3)]),
    ] {
        let mut leases = filled();
        assert!(leases.sweep(&local, owes, &mut { gone }));
        let names: Vec<_> = leases.list().iter().map(|lease| lease.instance).collect();
        assert_eq!(names, left, "{local:?}");
        assert!(!leases.sweep(&local, owes, &mut { gone }), "it is swept");
    }
}

#[test]
fn no_two_takings_have_one_beat_in_a_generation_and_the_next() {
    let mut beats = Vec::new();
    for generation in 4..6 {
        let mut leases = Leases::begun(generation);
        for _ in 0..100 {
            leases.take(7, 1, MOST);
            beats.push(leases.list()[0].beat);
            leases.give_back(7, 1);
        }
    }
    beats.dedup();
    assert!(beats.len() == 200 && beats.is_sorted());
}

#[test]
fn there_is_room_for_so_many_vms_and_no_more() {
    let mut leases = Leases::default();
    assert!((1..=MOST as u64).all(|number| leases.take(number, 1, MOST)));
    assert!(!leases.take(99, 1, MOST));
    assert!(leases.take(3, 1, MOST));
    leases.give_back(5, 1);
    assert!(leases.take(99, 1, MOST));
}

#[test]
fn a_vm_counts_what_it_took_under_its_number_and_generation() {
    let mut held = local(7, 0);
    held.took(7, 2);
    held.took(7, 2);
    held.returned(7, 1);
    held.returned(8, 2);
    assert_eq!((held.quantity, held.generation), (2, 2));
    held.took(8, 2);
    held.returned(7, 2);
    assert_eq!((held.instance, held.quantity), (8, 1));
    assert_eq!(held.anew(), LocalLease::none(next(8)));
}
