//! What is kept under an id: of one request, of several at the same time, of strangers; by this module and an earlier one.

use proptest::prelude::*;

use super::*;
use crate::shared::envelope::Writer;
use crate::shared::state::SharedRecord;

/// A place, with what stands there before and afterwards.
type Place = Option<Group>;

/// A request comes: what stands there afterwards, if it is kept.
fn entered(
    place: &HintSlot,
    before: Place,
    brought: Option<Hints>,
    now: Timestamp,
) -> Option<(Place, JoinedHints)> {
    let mut after = before;
    let joined = place.enter(&mut after, brought, now);
    assert!(joined.is_some() || after == before);
    Some((after, joined?))
}

/// A request ends.
fn left(place: &HintSlot, before: Place, joined: JoinedHints) -> Option<Place> {
    let mut after = before;
    let known = place.leave(&mut after, joined, NOW);
    assert!(known || after == before);
    known.then_some(after)
}

/// A call failed below.
fn failed(place: &HintSlot, before: Place) -> Option<Place> {
    let mut after = before;
    let told = place.fail(&mut after, NOW);
    assert!(told || after == before);
    told.then_some(after)
}

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
    let (group, _) = entered(&place, None, Some(kept), NOW).unwrap();
    assert_eq!(
        place.read(group.as_ref(), NOW.after(Span::secs(1))),
        Some(kept)
    );
    assert_eq!(place.read(group.as_ref(), NOW.after(Span::secs(61))), None);
    let other = HintSlot {
        id: place.id ^ 1,
        ..place
    };
    assert_eq!(
        other.read(group.as_ref(), NOW),
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
        let slot = place.key.as_str().rsplit('/').next().unwrap();
        prop_assert!(u64::from_str_radix(slot, 16).unwrap() < SLOTS);
        prop_assert!(Group::decode(&rubbish).is_err());
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
        |group: Place, brought: &Option<Hints>| entered(place, group, *brought, NOW).unwrap().0;
    let group = all.iter().fold(None, enter);
    place.read(group.as_ref(), NOW)
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
    let (group, _) = entered(&place, None, None, NOW).unwrap();
    assert_eq!(failed(&place, group), None, "nor back the other way");
}

#[test]
fn who_comes_when_all_others_have_ended_begins_anew_and_until_then_calls_still_get_what_was_kept() {
    let place = HintSlot::of(b"id").unwrap();
    let (group, first) = entered(&place, None, Some(due(50)), NOW).unwrap();
    let (group, second) = entered(&place, group, Some(due(70)), NOW).unwrap();
    let group = left(&place, group, first).unwrap();
    let (joined, third) = entered(&place, group, Some(due(60)), NOW).unwrap();
    assert_eq!(
        place.read(joined.as_ref(), NOW),
        Some(due(70)),
        "the second is there"
    );
    let group = left(&place, joined, second).unwrap();
    let group = left(&place, group, third).unwrap();
    assert_eq!(
        place.read(group.as_ref(), NOW),
        Some(due(70)),
        "for a call that comes late"
    );
    let (group, fourth) = entered(&place, group, Some(due(40)), NOW).unwrap();
    assert_eq!(place.read(group.as_ref(), NOW), Some(due(40)));
    assert_eq!(left(&place, group, third), None, "it is none of these");
    let (spoiled, _) = entered(&place, group, None, NOW).unwrap();
    assert_eq!(place.read(spoiled.as_ref(), NOW), Some(Hints::default()));
    assert!(left(&place, group, fourth).is_some());
}

#[test]
fn a_stranger_takes_no_slot_from_a_trusted_request_that_is_there() {
    let mine = HintSlot::of(b"id").unwrap();
    let other = HintSlot {
        id: mine.id ^ 1,
        ..mine.clone()
    };
    let (group, joined) = entered(&mine, None, Some(due(50)), NOW).unwrap();
    assert_eq!(entered(&other, group, None, NOW), None);
    assert_eq!(failed(&other, group), None);
    assert!(entered(&other, group, Some(due(9)), NOW).is_some());
    let ended = left(&mine, group, joined).unwrap();
    assert!(entered(&other, ended, None, NOW).is_some());
}

/// The record as the first modules write it: without what stands behind the failure's flag.
fn early(place: &HintSlot, kept: &Hints) -> Vec<u8> {
    let mut out = Writer::new(*b"SA", 1);
    out.u64(place.id);
    out.u64(until(kept, NOW).as_nanos());
    out.maybe(kept.deadline);
    out.u8(kept.priority.unwrap_or(u8::MAX));
    out.u8(u8::from(kept.retry));
    out.u8(u8::from(kept.failed_below));
    out.sealed(1)
}

#[test]
fn earlier_modules_write_what_is_read_and_read_what_is_written() {
    let place = HintSlot::of(b"id").unwrap();
    let kept = Hints {
        priority: Some(2),
        ..due(50)
    };
    let early = early(&place, &kept);
    let old = Group::decode(&early).ok();
    assert_eq!(place.read(old.as_ref(), NOW), Some(kept));
    let told = failed(&place, old).unwrap();
    assert!(place.read(told.as_ref(), NOW).unwrap().failed_below);
    // Nothing is known of who is there: the next begins anew, as with them.
    let (new, joined) = entered(&place, old, Some(due(9)), NOW).unwrap();
    assert_eq!(place.read(new.as_ref(), NOW), Some(due(9)));
    assert_eq!(left(&place, old, joined), None);
    let ours = entered(&place, None, Some(kept), NOW).unwrap().0.unwrap();
    assert_eq!(Group::decode(&ours.encode()), Ok(ours));
    let body = |bytes: &[u8]| bytes[crate::shared::envelope::HEADER..].to_vec();
    assert!(
        body(&ours.encode()).starts_with(&body(&early)),
        "they read so far"
    );
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
