//! How a configuration is taken: whole or not at all, and while requests are on their way.

mod updates;

use crate::support::{BREAKER, advance, ask, process, trip};

#[test]
fn a_new_configuration_is_taken_whole_or_refused_whole() {
    let process = process(2, BREAKER);
    trip(&process);
    let bad = process.reconfigure(br#"{"version":1,"policies":{"default":{"brekaer":{}}}}"#);
    let said = bad.expect_err("refused").to_string();
    assert!(
        said.contains("policies.default.brekaer: unknown key, did you mean \"breaker\"?"),
        "{said}"
    );
    assert_eq!(ask(&process, 1), None, "the old one still holds");
    let off = BREAKER.replace("\"minimum_calls\":5", "\"mode\":\"off\"");
    advance(&process, 10);
    process.reconfigure(off.as_bytes()).expect("taken");
    assert!(ask(&process, 1).is_some(), "off refuses nothing");
    // As long as the root before is there, what it counts is not taken from it.
    process.drop_old_roots();
    for _ in 0..7 {
        advance(&process, 400);
        process.tick();
    }
    process.reconfigure(BREAKER.as_bytes()).expect("taken");
    assert!(
        ask(&process, 0).is_some(),
        "leaving off starts closed and empty"
    );
}
