//! Two configurations that disagree about a policy of one name, side by side and one after the other.

use seawall_harness::process::Process;
use seawall_policy::breaker::window::Geometry;
use seawall_policy::breaker::{Phase, State};
use seawall_policy::shared::record::Record;

use crate::support::{advance, ask, end, process, traps};

fn policy(breaker: &str) -> String {
    format!(
        r#"{{"version":1,"policies":{{"default":{{"breaker":{{"ramp":"0s","hosts":{{"grace":"0s"}},"open":{{"for":"60s","up_to":"60s"}},
        {breaker}}}}}}}}}"#
    )
}

/// Another root in each VM, to which all further requests go; those before it stay, and tick.
fn beside(process: &Process, configuration: &str) {
    advance(process, 10);
    process
        .reconfigure(configuration.as_bytes())
        .expect("taken");
}

fn ticks(process: &Process, count: u32) {
    for _ in 0..count {
        advance(process, 400);
        process.tick();
    }
}

fn record(process: &Process) -> Record {
    let shared = process.common().shared.borrow();
    let (bytes, _) = shared
        .load("seawall/v1/default/upstream")
        .expect("a record");
    Record::decode(&bytes).expect("whole")
}

/// So many requests that fail, over all workers; whether all of them were let in.
fn fail(process: &Process, count: usize) -> bool {
    for number in 0..count {
        let Some(stream) = ask(process, number % 2) else {
            return false;
        };
        end(process, stream, "503");
    }
    true
}

#[test]
fn co_tenants_that_come_and_come_again_do_not_empty_the_window() {
    let one = policy(r#""consecutive":0,"window":{"calls":100}"#);
    let other = policy(r#""consecutive":0,"window":{"over":"1m"}"#);
    let process = process(2, &one);
    // Each comes anew again and again, as by updates of its listener or after a crash of its VM.
    for round in 0..4 {
        assert!(fail(&process, 4), "{round}");
        ticks(&process, 2);
        beside(&process, if round % 2 == 0 { &other } else { &one });
    }
    assert!(fail(&process, 4));
    assert!(
        !fail(&process, 1),
        "twenty failures of twenty: {:?}",
        record(&process)
    );
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_co_tenant_without_a_breaker_closes_nobodys() {
    let counts = policy(r#""consecutive":5"#);
    for mode in ["off", "forced_open"] {
        let off = policy(&format!(r#""mode":"{mode}""#));
        let process = process(2, &counts);
        ticks(&process, 3);
        assert!(fail(&process, 5) && !fail(&process, 1));
        for _ in 0..3 {
            beside(&process, &off);
            assert_eq!(fail(&process, 2), mode == "off");
            ticks(&process, 3);
            beside(&process, &counts);
            assert!(!fail(&process, 1), "{mode}: it is still open");
            ticks(&process, 3);
        }
    }
}

#[test]
fn a_co_tenant_with_short_open_times_takes_long_ones_for_no_damage() {
    let long = policy(r#""consecutive":5"#).replace("60s", "1h");
    let short = policy(r#""consecutive":5"#).replace("60s", "1s");
    let process = process(2, &long);
    ticks(&process, 3);
    assert!(fail(&process, 5) && !fail(&process, 1));
    for _ in 0..3 {
        beside(&process, &short);
        assert!(!fail(&process, 1), "open");
        ticks(&process, 3);
        assert!(!fail(&process, 1), "still open");
        beside(&process, &long);
        assert!(!fail(&process, 1), "open for those who opened it");
        ticks(&process, 3);
    }
    let metrics = process.common().metrics.borrow();
    let replaced = metrics.values().get("seawall_records_replaced").copied();
    assert_eq!(replaced.unwrap_or_default(), 0);
}

#[test]
fn a_reload_keeps_what_is_open_and_then_has_its_own_window() {
    let process = process(2, &policy(r#""consecutive":5,"window":{"calls":100}"#));
    ticks(&process, 3);
    assert!(fail(&process, 5) && !fail(&process, 1));
    beside(
        &process,
        &policy(r#""consecutive":5,"window":{"calls":50}"#),
    );
    process.drop_old_roots();
    let opened = record(&process);
    let State::Open { until } = opened.breaker.state else {
        panic!("{opened:?}");
    };
    for _ in 0..10 {
        assert!(!fail(&process, 1), "still open");
        ticks(&process, 1);
    }
    let left = record(&process);
    assert_eq!(left.breaker.geometry, Geometry::count(50));
    assert_eq!(left.breaker.state, State::Open { until });
    assert_eq!(left.breaker.generation, opened.breaker.generation);
    // It ends as it would have.
    advance(&process, 120_000);
    process.tick();
    assert_eq!(record(&process).breaker.phase(), Phase::HalfOpen);
}
