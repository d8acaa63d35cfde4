use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::shared::keys;
use crate::shared::process_key::ProcessKey;
use crate::shared::state::Unreadable;

const KEY: ProcessKey = ProcessKey::from_bytes([7; 16]);

fn leave(state: &ValueState, record: Option<ProcessKey>, change: Change) -> Option<ProcessKey> {
    let stands = state.update(&keys::PROCESS, |stored| {
        stored.record = record;
        change
    });
    assert_eq!(stands, Ok(true));
    state.view(&keys::PROCESS).unwrap().record
}

#[test]
fn a_step_stands_if_it_says_so_and_may_leave_nothing() {
    let state = ValueState::default();
    assert_eq!(leave(&state, Some(KEY), Change::Nothing), None);
    assert_eq!(leave(&state, Some(KEY), Change::Store), Some(KEY));
    assert_eq!(leave(&state, None, Change::Nothing), Some(KEY));
    assert_eq!(leave(&state, None, Change::Store), None);
    assert!(state.names().is_empty());
}

#[test]
fn keys_under_which_nothing_stands_take_no_memory() {
    let state = ValueState::default();
    for number in 0..1_000 {
        let key: Key<ProcessKey> = Key::test_of(&format!("key {number}"));
        state.update(&key, |_| Change::Nothing).unwrap();
        state
            .update(&key, |stored| {
                stored.record = Some(KEY);
                Change::Store
            })
            .unwrap();
        state
            .update(&key, |stored| {
                stored.record = None;
                Change::Store
            })
            .unwrap();
    }
    assert_eq!(state.read().len(), 0);
}

#[test]
fn a_step_that_panics_leaves_the_record_as_it_was_and_the_next_one_is_taken() {
    let state = ValueState::default();
    leave(&state, Some(KEY), Change::Store);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        state.update(&keys::PROCESS, |stored| {
            stored.record = None;
            panic!("halfway");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(state.view(&keys::PROCESS).unwrap().record, Some(KEY));
    assert_eq!(leave(&state, None, Change::Store), None);
}

/// A record that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count(u64);

impl SharedRecord for Count {
    fn encode(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let bytes = bytes.try_into().map_err(|_| Unreadable::Damaged)?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }
}

#[test]
fn steps_from_four_threads_are_taken_one_after_the_other() {
    let state = ValueState::default();
    let key: Key<Count> = Key::test("counted");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let step = |stored: &mut Stored<Count>| {
                        stored.or_empty().0 += 1;
                        Change::Store
                    };
                    state.update(&key, step).unwrap();
                }
            });
        }
    });
    assert_eq!(state.view(&key).unwrap().record, Some(Count(4_000)));
}
