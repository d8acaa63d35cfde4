//! What is kept under an id: of one request, of several at the same time, of strangers; by this module and an earlier one.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::nanos(5_000_000_000);

#[test]
fn what_is_kept_is_found_by_its_id_alone_and_not_for_ever() {
    let place = HintSlot::of(b"5b0e1a2c").unwrap();
    let kept = Hints {
        deadline: Some(NOW.after(Span::millis(250))),
        priority: Some(2),
        retry: true,
        failed_below: false,
    };
    let (bytes, _) = place.enter(&[], Some(kept), NOW).unwrap();
    assert_eq!(place.read(&bytes, NOW.after(Span::secs(1))), Some(kept));
    assert_eq!(place.read(&bytes, NOW.after(Span::secs(61))), None);
    let other = HintSlot {
        id: place.id ^ 1,
        ..place
    };
    assert_eq!(
        other.read(&bytes, NOW),
        None,
        "a slot that another one took"
    );
}

#[test]
fn a_trace_is_the_same_for_all_its_spans() {
    let header = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(trace(header), b"0af7651916cd43dd8448eb211c80319c");
    assert_eq!(trace(b"nonsense"), b"");
    assert_eq!(HintSlot::of(trace(b"")), None);
}

proptest! {
    #[test]
    fn there_are_so_many_slots_and_rubbish_is_nothing(
        id in prop::collection::vec(any::<u8>(), 1..40),
        rubbish in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let place = HintSlot::of(&id).unwrap();
        let slot = place.key.rsplit('/').next().unwrap();
        prop_assert!(u64::from_str_radix(slot, 16).unwrap() < SLOTS);
        prop_assert_eq!(place.read(&rubbish, NOW), None);
    }
}

/// A request with a trusted peer that has so many milliseconds.
fn due(millis: u64) -> Hints {
    Hints {
        deadline: Some(NOW.after(Span::millis(millis))),
        ..Hints::default()
    }
}

/// What is kept after these requests came, one after the other and all still there.
fn together(place: &HintSlot, all: &[Option<Hints>]) -> Option<Hints> {
    let enter =
        |bytes: Vec<u8>, brought: &Option<Hints>| place.enter(&bytes, *brought, NOW).unwrap().0;
    let bytes = all.iter().fold(Vec::new(), enter);
    place.read(&bytes, NOW)
}

#[test]
fn of_two_requests_with_one_id_the_latest_deadline_and_the_lowest_priority_hold() {
    let place = HintSlot::of(b"diamond").unwrap();
    let level = |priority, retry| Hints {
        priority,
        retry,
        ..Hints::default()
    };
    for (one, other, expected) in [
        (due(50), due(5_000), due(5_000)),
        (due(50), Hints::default(), Hints::default()),
        (
            level(Some(0), true),
            level(Some(2), true),
            level(Some(2), true),
        ),
        (level(Some(0), true), level(None, false), level(None, false)),
        (level(Some(1), false), level(None, true), level(None, false)),
        (
            level(Some(3), true),
            level(None, true),
            level(Some(3), true),
        ),
    ] {
        for (one, other) in [(one, other), (other, one)] {
            let found = together(&place, &[Some(one), Some(other)]);
            assert_eq!(found, Some(expected), "{one:?} {other:?}");
        }
    }
}

#[test]
fn where_one_peer_is_not_trusted_the_id_gives_nothing_to_any() {
    let place = HintSlot::of(b"diamond").unwrap();
    let friend = Some(Hints {
        priority: Some(0),
        retry: true,
        ..due(50)
    });
    for all in [
        &[friend, None][..],
        &[None, friend],
        &[friend, None, friend],
        &[None],
    ] {
        assert_eq!(together(&place, all), Some(Hints::default()), "{all:?}");
    }
    let (bytes, _) = place.enter(&[], None, NOW).unwrap();
    assert_eq!(place.fail(&bytes, NOW), None, "nor back the other way");
}

#[test]
fn who_comes_when_all_others_have_ended_begins_anew_and_until_then_calls_still_get_what_was_kept() {
    let place = HintSlot::of(b"id").unwrap();
    let (bytes, first) = place.enter(&[], Some(due(50)), NOW).unwrap();
    let (bytes, second) = place.enter(&bytes, Some(due(70)), NOW).unwrap();
    let bytes = place.leave(&bytes, first, NOW).unwrap();
    let (joined, third) = place.enter(&bytes, Some(due(60)), NOW).unwrap();
    assert_eq!(
        place.read(&joined, NOW),
        Some(due(70)),
        "the second is there"
    );
    let bytes = place.leave(&joined, second, NOW).unwrap();
    let bytes = place.leave(&bytes, third, NOW).unwrap();
    assert_eq!(
        place.read(&bytes, NOW),
        Some(due(70)),
        "for a call that comes late"
    );
    let (bytes, fourth) = place.enter(&bytes, Some(due(40)), NOW).unwrap();
    assert_eq!(place.read(&bytes, NOW), Some(due(40)));
    assert_eq!(place.leave(&bytes, third, NOW), None, "it is none of these");
    let (spoiled, _) = place.enter(&bytes, None, NOW).unwrap();
    assert_eq!(place.read(&spoiled, NOW), Some(Hints::default()));
    assert!(place.leave(&bytes, fourth, NOW).is_some());
}

#[test]
fn a_stranger_takes_no_slot_from_a_trusted_request_that_is_there() {
    let mine = HintSlot::of(b"id").unwrap();
    let other = HintSlot {
        id: mine.id ^ 1,
        ..mine.clone()
    };
    let (bytes, joined) = mine.enter(&[], Some(due(50)), NOW).unwrap();
    assert_eq!(other.enter(&bytes, None, NOW), None);
    assert_eq!(other.fail(&bytes, NOW), None);
    assert!(other.enter(&bytes, Some(due(9)), NOW).is_some());
    let ended = mine.leave(&bytes, joined, NOW).unwrap();
    assert!(other.enter(&ended, None, NOW).is_some());
}

/// The record as the first modules write it: without what stands behind the failure's flag.
fn early(place: &HintSlot, kept: &Hints) -> Vec<u8> {
    let mut out = Writer::new(MAGIC, VERSION);
    out.u64(place.id);
    out.u64(until(kept, NOW).as_nanos());
    out.maybe(kept.deadline);
    out.u8(kept.priority.unwrap_or(u8::MAX));
    out.u8(u8::from(kept.retry));
    out.u8(u8::from(kept.failed_below));
    out.sealed(VERSION)
}

#[test]
fn earlier_modules_write_what_is_read_and_read_what_is_written() {
    let place = HintSlot::of(b"id").unwrap();
    let kept = Hints {
        priority: Some(2),
        ..due(50)
    };
    let old = early(&place, &kept);
    assert_eq!(place.read(&old, NOW), Some(kept));
    let failed = place.read(&place.fail(&old, NOW).unwrap(), NOW).unwrap();
    assert!(failed.failed_below);
    // Nothing is known of who is there: the next begins anew, as with them.
    let (new, joined) = place.enter(&old, Some(due(9)), NOW).unwrap();
    assert_eq!(place.read(&new, NOW), Some(due(9)));
    assert_eq!(place.leave(&old, joined, NOW), None);
    let ours = place.enter(&[], Some(kept), NOW).unwrap().0;
    let body = |bytes: &[u8]| bytes[crate::shared::envelope::HEADER..].to_vec();
    assert!(body(&ours).starts_with(&body(&old)), "they read so far");
}

proptest! {
    #[test]
    fn any_order_of_any_requests_gives_what_holds_for_all(
        all in prop::collection::vec(
            prop::option::weighted(0.9, (
                prop::option::of(0_u64..5_000), prop::option::of(0_u8..4), any::<bool>(),
            )), 1..6),
        turn in any::<prop::sample::Index>(),
    ) {
        let place = HintSlot::of(b"id").unwrap();
        let mut all: Vec<Option<Hints>> = all.into_iter().map(|one| one.map(|(millis, priority, retry)| Hints {
            deadline: millis.map(|millis| NOW.after(Span::millis(millis))),
            priority,
            retry,
            failed_below: false,
        })).collect();
        let found = together(&place, &all).unwrap();
        let first = turn.index(all.len());
        all.rotate_left(first);
        prop_assert_eq!(together(&place, &all), Some(found));
        let known: Option<Vec<Hints>> = all.into_iter().collect();
        match known {
            None => prop_assert_eq!(found, Hints::default()),
            Some(all) => {
                prop_assert_eq!(found.retry, all.iter().all(|kept| kept.retry));
                for kept in all {
                    prop_assert!(found.deadline.is_none() || found.deadline >= kept.deadline);
                    prop_assert!(found.deadline.is_none() || kept.deadline.is_some());
                    let level = |kept: &Hints| kept.priority.unwrap_or(1);
                    prop_assert!(level(&found) >= level(&kept));
                }
            }
        }
    }
}
