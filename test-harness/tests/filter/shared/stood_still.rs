//! A worker that stands still between its clock and the record, for longer than any time in a record may lie ahead.

use std::cell::Cell;
use std::rc::Rc;

use crate::support::{BREAKER, advance, ask, end, process, traps};

#[test]
fn what_others_wrote_meanwhile_is_no_damage() {
    let process = process(2, BREAKER);
    for worker in 0..2 {
        let stream = ask(&process, worker).expect("closed passes");
        end(&process, stream, "200");
    }
    let late = ask(&process, 0).expect("closed passes");
    let stood_still = Rc::new(Cell::new(false));
    let (others, once) = (process.clone(), Rc::clone(&stood_still));
    // The longest open time is 1 s.
    *process.common().hook.borrow_mut() = Some(Rc::new(move |inside| {
        if inside == 1 && !once.replace(true) {
            advance(&others, 5_000);
            for _ in 0..8 {
                if let Some(stream) = ask(&others, 1) {
                    end(&others, stream, "503");
                }
            }
        }
    }));
    end(&process, late, "503");
    *process.common().hook.borrow_mut() = None;
    assert!(stood_still.get(), "another worker came in between");
    for worker in 0..2 {
        assert_eq!(ask(&process, worker), None, "it is open for all");
    }
    let metrics = process.common().metrics.borrow();
    let replaced = metrics.values().get("seawall_records_replaced").copied();
    assert_eq!(replaced.unwrap_or_default(), 0);
    drop(metrics);
    assert_eq!(traps(&process), Vec::<String>::new());
}
