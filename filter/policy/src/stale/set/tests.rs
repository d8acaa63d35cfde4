//! Who goes and who stays, with plain numbers for keys.

use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::nanos(1).after(Span::millis(ms))
}

fn entry(key: u64, whole: u64, at: Timestamp) -> Entry {
    Entry {
        key,
        whole,
        for_all: false,
        at,
    }
}

fn put(set: &mut Set, key: u64, whole: u64, heat: u8, now: Timestamp) -> Option<usize> {
    set.place(entry(key, whole, now), heat, now)
}

fn stands(set: &Set, key: u64) -> bool {
    set.places(key, false).count() > 0
}

/// One that is full of answers that nobody asked for twice.
fn full() -> Set {
    let mut set = Set::default();
    for key in 1..=WAYS as u64 {
        assert_eq!(put(&mut set, key, key, 1, at(key)), Some(key as usize - 1));
    }
    set
}

#[test]
fn the_coolest_goes_and_of_equals_the_last_to_come_and_a_known_one_keeps_its_place() {
    let mut set = full();
    assert_eq!(put(&mut set, 1, 1, 1, at(2_000)), Some(0));
    assert_eq!(put(&mut set, 50, 50, 9, at(2_001)), Some(WAYS - 1));
    assert!(!stands(&set, WAYS as u64));
    for key in 100..200 {
        put(&mut set, key, key, 1, at(2_000 + key));
    }
    for key in (1..WAYS as u64 - 1).chain([50]) {
        assert!(stands(&set, key), "{key}");
    }
}

#[test]
fn an_answer_is_written_once_a_second() {
    let mut set = Set::default();
    let writes = (0..10_000).filter(|ms| put(&mut set, 1, 1, 1, at(*ms)).is_some());
    assert_eq!(writes.count(), 10);
}

#[test]
fn what_is_asked_for_once_a_minute_stays_however_many_are_asked_for_once() {
    let mut set = Set::default();
    assert!(put(&mut set, 1, 1, 1, at(0)).is_some());
    for second in 0..600_u64 {
        for page in 0..10 {
            let url = 1_000 + second * 10 + page;
            put(&mut set, url, url, 1, at(second * 1_000 + page)).unwrap();
            assert!(stands(&set, 1), "second {second}");
        }
        if second % 50 == 49 {
            assert!(put(&mut set, 1, 1, 1, at(second * 1_000 + 500)).is_some());
        }
    }
    // Nobody asks for it any more: each minute halves it.
    for url in 0..200 {
        put(&mut set, 90_000 + url, 90_000 + url, 1, at(1_000_000 + url));
    }
    assert!(!stands(&set, 1));
}

#[test]
fn what_comes_second_into_a_full_set_stays_from_its_second_request_on() {
    let mut set = full();
    assert!(put(&mut set, 50, 50, 1, at(1_000)).is_some());
    assert!(put(&mut set, 50, 50, 1, at(3_000)).is_some());
    for url in 1_000..2_000 {
        put(&mut set, url, url, 1, at(3_000 + url));
    }
    assert!(stands(&set, 50));
}

#[test]
fn heat_follows_how_often_it_is_asked_for_and_has_an_end() {
    let heat_after = |every: u64| {
        let mut set = Set::default();
        let mut now = 0;
        while now < 3_600_000 {
            put(&mut set, 1, 1, 1, at(now));
            now += every;
        }
        set.ways[0].unwrap().heat / PARTS
    };
    assert!((1..=2).contains(&heat_after(60_000)));
    assert!(
        (2..=4).contains(&heat_after(30_000)),
        "{}",
        heat_after(30_000)
    );
    assert!(
        (100..=125).contains(&heat_after(1_000)),
        "{}",
        heat_after(1_000)
    );
}

#[test]
fn what_is_given_is_written_down_once_a_second_and_is_the_last_to_go() {
    let mut set = full();
    let writes = (1_500..11_500).filter(|ms| set.give(0, 1, at(*ms)));
    assert_eq!(writes.count(), 10);
    for ms in 11_500..70_000 {
        put(&mut set, ms, ms, 200, at(ms));
        assert!(stands(&set, 1), "{ms}");
    }
    for ms in 70_500..71_500 {
        put(&mut set, ms, ms, 200, at(ms));
    }
    assert!(!stands(&set, 1), "nobody asked for a minute");
}

#[test]
fn variants_of_a_key_stand_side_by_side_the_latest_first_and_go_together() {
    let mut set = Set::default();
    put(&mut set, 1, 10, 1, at(0));
    put(&mut set, 2, 20, 1, at(1));
    put(&mut set, 1, 11, 1, at(2));
    assert_eq!(set.places(1, false).collect::<Vec<_>>(), [2, 0]);
    assert!(set.forget(1, false, at(3)));
    assert!(!set.forget(1, false, at(3)));
    assert!(!stands(&set, 1) && stands(&set, 2));
}

#[test]
fn variants_that_a_client_makes_up_take_no_more_than_their_part() {
    let mut set = full();
    for ms in 100..10_000 {
        put(&mut set, 50, ms, 200, at(ms));
    }
    assert_eq!(set.places(50, false).count(), VARIANTS_MAX);
    let others = (1..=WAYS as u64).filter(|key| stands(&set, *key));
    assert_eq!(others.count(), WAYS - VARIANTS_MAX);
}

#[test]
fn who_may_be_told_apart_sees_and_forgets_only_what_is_for_all() {
    let mut set = Set::default();
    put(&mut set, 1, 10, 1, at(0));
    let for_all = |ms| Entry {
        for_all: true,
        ..entry(1, 11, at(ms))
    };
    assert_eq!(set.place(for_all(1), 1, at(1)), Some(1));
    assert_eq!(set.places(1, true).collect::<Vec<_>>(), [1]);
    assert!(set.forget(1, true, at(5)));
    assert_eq!(set.places(1, false).collect::<Vec<_>>(), [0]);
    assert_eq!(set.place(for_all(4), 1, at(6)), None, "asked for before");
    assert!(put(&mut set, 1, 10, 1, at(2_000)).is_some());
    assert!(set.place(for_all(6), 1, at(6)).is_some());
}

#[test]
fn a_set_reads_back_and_what_is_damaged_is_empty() {
    let mut set = Set::default();
    put(&mut set, 1, 10, 1, at(0));
    put(&mut set, 2, 20, 1, at(1_500));
    put(&mut set, 1, 10, 1, at(1_500));
    assert!(set.give(0, 1, at(1_600)));
    set.forget(2, false, at(1_700));
    let bytes = set.encode();
    assert_eq!(Set::decode(&bytes), Ok(set));
    for length in 0..bytes.len() {
        assert_eq!(Set::decode(&bytes[..length]), Err(Unreadable::Damaged));
    }
    let later = Writer::new(MAGIC, VERSION + 1).sealed(VERSION + 1);
    assert_eq!(Set::decode(&later), Err(Unreadable::Later(VERSION + 1)));
    assert!(full().encode().len() < 1_024);
}
