//! Every breaker that steps can reach reads back as it was written; no other bytes are taken for a record.

use proptest::prelude::*;

use super::*;
use crate::breaker::{Asker, LastWord, Moment, Settings, Verdict};
use crate::outcome::Outcome;
use crate::shared::envelope::{HEADER, checksum};

fn claim(geometry: Geometry) -> RecordShape {
    RecordShape {
        configured_at: Timestamp::nanos(1),
        ahead: Span::MAX,
        alone: true,
        longest: Span::MAX,
        counting: true,
        geometry,
        slice: Some(Span::secs(1)),
    }
}

/// A record after random steps, in any state.
fn record() -> impl Strategy<Value = Record> {
    let geometry = prop_oneof![
        (1_u64..20).prop_map(|secs| Geometry::time(Span::secs(secs))),
        (1_u16..=1_024).prop_map(Geometry::count),
    ];
    let steps = prop::collection::vec((0_u64..3_000, 0..5_usize, 1_u64..20, any::<u32>()), 0..80);
    let forced = prop::option::of((any::<bool>(), 1_u64..1_000_000, "[a-z\u{e9}]{0,80}"));
    (geometry, steps, forced).prop_map(|(geometry, steps, forced)| {
        let settings = Settings::default();
        let mut record = Record::new(claim(geometry));
        record.forced = forced.map(|(open, lasts, by)| {
            let force = match open {
                true => Force::Open,
                false => Force::Closed,
            };
            let now = Timestamp::nanos(5);
            Box::new(Forced::new(force, Span::secs(lasts), &by, now))
        });
        let mut now = Timestamp::nanos(5);
        let mut counted = Vec::new();
        for (millis, outcome, instance, draw) in steps {
            now = now.after(Span::millis(millis));
            let moment = Moment { now, draw };
            let breaker = &mut record.breaker;
            let asker = Asker {
                peer: draw % 5,
                complete: draw % 3 > 0,
            };
            let (admission, _) = breaker.admit(&settings, moment, instance, draw, asker);
            let verdict = Verdict {
                outcome: Outcome::ALL[outcome],
                host: draw % 20,
                retry_after: None,
                peer: draw % 5,
                silent: false,
            };
            match admission {
                crate::breaker::Admission::Admitted(permit) if draw % 3 > 0 => {
                    let settled = breaker.settle(&settings, moment, permit, verdict);
                    counted.extend(settled.counted);
                }
                _ => {
                    if let Some(counted) = counted.pop() {
                        breaker.settle_late(
                            &settings,
                            moment,
                            counted,
                            LastWord::Failed { host: draw },
                        );
                    }
                }
            }
        }
        record
    })
}

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was_written(record in record()) {
        let bytes = record.encode();
        prop_assert!(bytes.len() <= BYTES_MAX, "{} bytes", bytes.len());
        prop_assert_eq!(Record::decode(&bytes), Ok(record));
    }

    #[test]
    fn a_record_cut_at_any_length_or_with_any_bit_turned_is_damaged(
        record in record(),
        at in any::<prop::sample::Index>(),
        bit in 0_u32..8,
        more in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let bytes = record.encode();
        for length in 0..bytes.len() {
            prop_assert_eq!(Record::decode(&bytes[..length]), Err(Unreadable::Damaged));
        }
        let mut turned = bytes.clone();
        let at = at.index(turned.len());
        turned[at] ^= 1 << bit;
        prop_assert_eq!(Record::decode(&turned), Err(Unreadable::Damaged));
        let longer = [bytes, more].concat();
        prop_assert_eq!(Record::decode(&longer), Err(Unreadable::Damaged));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(Record::decode(&bytes).is_err());
    }

    /// Even bytes with a right checksum, which only a writer with bad intent makes, are refused or harmless.
    #[test]
    fn a_forged_record_is_refused_or_can_be_stepped(body in prop::collection::vec(any::<u8>(), 0..900), state in 0_u8..4) {
        let mut body = body;
        for (place, byte) in body.iter_mut().skip(8).take(1).zip([1]) { *place = byte; }
        for (place, byte) in body.iter_mut().skip(38).take(1).zip([state]) { *place = byte; }
        let mut bytes = b"SW\x01\x00".to_vec();
        bytes.extend(checksum(VERSION, &body).to_le_bytes());
        bytes.extend(body);
        if let Ok(mut record) = Record::decode(&bytes) {
            let moment = Moment { now: Timestamp::nanos(u64::MAX), draw: u32::MAX };
            let asker = Asker::default();
            let (_, _) = record.breaker.admit(&Settings::default(), moment, 1, 0, asker);
            prop_assert!(Record::decode(&record.encode()).is_ok());
        }
    }
}

proptest! {
    /// A filter from before the notes leaves the number of the last holder in an empty place, and takes any empty place.
    #[test]
    fn what_an_older_filter_leaves_in_empty_places_does_no_harm(
        rubbish in prop::collection::vec(any::<u64>(), 16),
        asks in prop::collection::vec((0_u32..4, any::<bool>(), 1_u64..4, 0_u64..3_000), 1..60),
    ) {
        let settings = Settings::default();
        let mut record = Record::new(claim(settings.window));
        record.breaker.state = State::HalfOpen(Box::default());
        let mut bytes = record.encode();
        let length = bytes.len();
        for (place, number) in rubbish.iter().enumerate() {
            let at = length - 16 * (16 - place);
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(VERSION, &bytes[HEADER..]);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        let mut record = Record::decode(&bytes).expect("it is whole");
        let mut now = Timestamp::nanos(1_000_000_000_000);
        let mut closed = false;
        for (peer, complete, instance, millis) in asks {
            now = now.after(Span::millis(millis));
            let moment = Moment { now, draw: 0 };
            let asker = Asker { peer, complete };
            let (admission, _) = record.breaker.admit(&settings, moment, instance, 0, asker);
            if let crate::breaker::Admission::Admitted(permit) = admission {
                let verdict = Verdict { outcome: Outcome::Success, host: 0, retry_after: None, peer, silent: false };
                record.breaker.settle(&settings, moment, permit, verdict);
            }
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
            closed |= record.breaker.phase() == Phase::Closed;
        }
        // A complete request gets a permit whatever stood there.
        for _ in 0..2 {
            now = now.after(Span::secs(5));
            let moment = Moment { now, draw: 0 };
            let asker = Asker { peer: 0, complete: true };
            let (admission, _) = record.breaker.admit(&settings, moment, 9, 0, asker);
            if let (false, crate::breaker::Admission::Admitted(permit)) = (closed, admission) {
                let verdict = Verdict { outcome: Outcome::Success, host: 0, retry_after: None, peer: 0, silent: false };
                record.breaker.settle(&settings, moment, permit, verdict);
            }
        }
        prop_assert_eq!(record.breaker.phase(), Phase::Closed);
    }

    /// As many VMs as there are places hold permits: there is no place for notes, and nothing else is lost.
    #[test]
    fn a_record_full_of_holders_reads_back(
        asks in prop::collection::vec((0_u32..40, any::<bool>(), 1_u64..20, any::<bool>()), 1..200),
    ) {
        let mut settings = Settings::default();
        settings.half_open.permits = 1_000;
        let mut record = Record::new(claim(settings.window));
        record.breaker.state = State::HalfOpen(Box::default());
        let mut now = Timestamp::nanos(1_000_000_000_000);
        for (peer, complete, instance, back) in asks {
            now = now.after(Span::millis(150));
            let moment = Moment { now, draw: 0 };
            let asker = Asker { peer, complete };
            let (admission, _) = record.breaker.admit(&settings, moment, instance, 0, asker);
            if let (true, crate::breaker::Admission::Admitted(permit)) = (back, admission) {
                record.breaker.give_back(&settings, moment, permit, peer);
            }
            let bytes = record.encode();
            prop_assert!(bytes.len() <= BYTES_MAX);
            prop_assert_eq!(Record::decode(&bytes), Ok(record.clone()));
        }
    }
}

#[test]
fn the_fullest_record_is_within_its_bound() {
    let mut record = Record::new(claim(Geometry::count(1_024)));
    assert!(record.encode().len() <= BYTES_MAX);
    record.breaker = Breaker::new(Geometry::time(Span::secs(10)));
    assert!(record.encode().len() <= BYTES_MAX);
}

#[test]
fn a_record_of_a_later_version_is_told_from_damage() {
    let mut bytes = Record::new(claim(Geometry::count(8))).encode();
    let later = VERSION_FORCED + 1;
    let sum = checksum(later, &bytes[HEADER..]);
    bytes[2..4].copy_from_slice(&later.to_le_bytes());
    assert_eq!(Record::decode(&bytes), Err(Unreadable::Damaged));
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(Record::decode(&bytes), Err(Unreadable::Later(later)));
}

#[test]
fn only_a_later_root_shapes_a_record() {
    let mut record = Record::new(claim(Geometry::count(8)));
    let wanted = |at, counting| RecordShape {
        configured_at: Timestamp::nanos(at),
        ahead: Span::MAX,
        alone: true,
        longest: Span::MAX,
        counting,
        geometry: Geometry::count(16),
        slice: Some(Span::secs(1)),
    };
    assert!(!record.adopt(wanted(1, true), Timestamp::ZERO).0);
    assert!(record.adopt(wanted(2, true), Timestamp::ZERO).0);
    assert_eq!(record.breaker.geometry, Geometry::count(16));
    assert!(
        !record.adopt(wanted(3, true), Timestamp::ZERO).0,
        "nothing to change"
    );
    assert!(!record.adopt(claim(Geometry::count(8)), Timestamp::ZERO).0);
}

#[test]
fn leaving_a_mode_that_does_not_count_starts_closed_and_empty() {
    let mut record = Record::new(claim(Geometry::count(8)));
    record.breaker.state = State::Open {
        until: Timestamp::nanos(u64::MAX),
    };
    let at = |nanos, counting| RecordShape {
        configured_at: Timestamp::nanos(nanos),
        ahead: Span::MAX,
        alone: true,
        longest: Span::MAX,
        counting,
        geometry: Geometry::count(8),
        slice: Some(Span::secs(1)),
    };
    let (_, transition) = record.adopt(at(2, false), Timestamp::nanos(50));
    assert_eq!(
        transition.map(|made| (made.from, made.to)),
        Some((Phase::Open, Phase::Closed))
    );
    let generation = record.breaker.generation;
    assert_eq!(
        record.adopt(at(3, true), Timestamp::nanos(60)),
        (true, None)
    );
    assert!(
        record.breaker.generation > generation,
        "older permits are void"
    );
}

#[test]
fn beside_others_only_what_resets_nothing_is_taken() {
    let beside = |at, counting, slice: Option<u64>| RecordShape {
        configured_at: Timestamp::nanos(at),
        alone: false,
        counting,
        geometry: Geometry::count(16),
        slice: slice.map(Span::secs),
        ..claim(Geometry::count(8))
    };
    let mut record = Record::new(claim(Geometry::count(8)));
    let before = record.clone();
    for wanted in [
        beside(2, true, Some(1)),
        beside(2, false, Some(1)),
        beside(2, true, None),
        beside(2, true, Some(2)),
    ] {
        assert_eq!(record.adopt(wanted, Timestamp::ZERO), (false, None));
        assert_eq!(record, before, "{wanted:?}");
    }
    // A budget where there is none, whoever came later.
    record.budget = None;
    assert_eq!(
        record.adopt(beside(0, true, Some(2)), Timestamp::ZERO),
        (true, None)
    );
    assert_eq!(
        record.budget.as_ref().map(|budget| budget.slice),
        Some(Span::secs(2))
    );
    // A breaker that counts where none did, and what is open though none seemed to count stays so.
    let until = Timestamp::nanos(9);
    for state in [
        State::Open { until },
        Breaker::new(Geometry::count(8)).state,
    ] {
        record.counting = false;
        record.breaker.state = state.clone();
        let wanted = beside(0, true, Some(2));
        assert_eq!(record.adopt(wanted, Timestamp::ZERO), (true, None));
        assert!(record.counting);
        assert_eq!(record.breaker.state, state);
        assert_eq!(record.breaker.geometry, Geometry::count(8));
    }
}

/// A filter that knows version 2 alone takes a forced record for a later one.
#[test]
fn only_a_forced_record_is_of_another_version() {
    let mut record = Record::new(claim(Settings::default().window));
    let version = |record: &Record| u16::from_le_bytes([record.encode()[2], record.encode()[3]]);
    assert_eq!(version(&record), 2);
    let forced = Forced::new(Force::Open, Span::secs(1), "ops", Timestamp::ZERO);
    record.forced = Some(Box::new(forced));
    assert_eq!(version(&record), 3);
    record.forced = None;
    assert_eq!(version(&record), 2);
}
