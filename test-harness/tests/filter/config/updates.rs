//! New policies for a running process: what is seen of the state stays true, and nothing that was counted is lost.

use seawall_harness::abi::metrics::MetricIds;
use seawall_harness::process::{Process, ProcessOptions};

use crate::shipped::module;
use crate::support::{BREAKER, advance, ask, end, process, traps, trip};

const STATE: &str = "seawall_state..policy=default..upstream=upstream";
const ADMITTED: &str =
    "seawall_decisions..policy=default..upstream=upstream..decision=admitted..reason=none";
const CLOSES: &str = "seawall_transitions..policy=default..upstream=upstream..from=open..to=closed";

fn value(process: &Process, name: &str) -> u64 {
    let metrics = process.common().metrics.borrow();
    metrics.values().get(name).copied().unwrap_or_default()
}

/// A policy that takes the place of the one before, whose root goes at once as it does by ECDS.
fn update(process: &Process, configuration: &str) {
    advance(process, 10);
    process
        .reconfigure(configuration.as_bytes())
        .expect("taken");
    process.drop_old_roots();
}

/// Ticks until those who went are not waited for any more.
fn settle(process: &Process) {
    for _ in 0..7 {
        advance(process, 400);
        process.tick();
    }
}

#[test]
fn a_breaker_that_did_not_count_for_a_while_begins_closed_whatever_else_the_policy_has() {
    for more in [
        "",
        r#""bulkhead":{"max_concurrent":9},"#,
        r#""shedding":{"limit":"fixed","max":9},"#,
        r#""retries":{},"#,
    ] {
        let counting = BREAKER.replace(r#""breaker""#, &format!(r#"{more}"breaker""#));
        let counting =
            counting.replace(r#""for":"1s","up_to":"1s""#, r#""for":"60s","up_to":"60s""#);
        for mode in ["off", "forced_open"] {
            let without = counting.replace(
                r#""minimum_calls""#,
                &format!(r#""mode":"{mode}","minimum_calls""#),
            );
            let process = process(2, &counting);
            trip(&process);
            process.tick();
            assert_eq!(value(&process, STATE), 2, "open");
            process.take_log();
            update(&process, &without);
            let asked = ask(&process, 0);
            assert_eq!(asked.is_some(), mode == "off", "{mode}");
            asked
                .into_iter()
                .for_each(|stream| end(&process, stream, "503"));
            settle(&process);
            assert_eq!(value(&process, STATE), 0, "{mode} with {more}");
            assert_eq!(value(&process, CLOSES), 1, "{mode} with {more}");
            let log = process.take_log();
            let told = |text: &str| log.iter().filter(|line| line.text.contains(text)).count();
            assert_eq!(told("open -> closed"), 1, "{log:#?}");
            update(&process, &counting);
            for worker in 0..4 {
                let stream = ask(&process, worker);
                let stream = stream.unwrap_or_else(|| panic!("closed after {mode} with {more}"));
                end(&process, stream, "200");
            }
        }
    }
}

#[test]
fn the_state_is_shown_as_it_is_by_whoever_sees_it() {
    let process = process(2, BREAKER);
    trip(&process);
    process.tick();
    // Whoever was last to write was wrong: those who watch an open breaker say so again.
    let mut other = MetricIds::default();
    let mut metrics = process.common().metrics.borrow_mut();
    let state = other.define(&mut metrics, 1, STATE.to_owned());
    let state = state.expect("a gauge");
    other.record(&mut metrics, state, 0).expect("set");
    drop(metrics);
    process.tick();
    assert_eq!(value(&process, STATE), 2);
    // A record that nobody can read any more is closed, and no transition says so.
    let mut shared = process.common().shared.borrow_mut();
    let key = "seawall/v1/default/upstream";
    shared.swap(key, b"rubbish", 0).expect("written");
    drop(shared);
    assert!(ask(&process, 0).is_some());
    assert_eq!(value(&process, STATE), 0);
}

#[test]
fn nothing_that_was_counted_is_lost_with_its_root() {
    let policy = r#"{"version":1,"policies":{"default":{
        "bulkhead":{"max_concurrent":50},"retries":{"budget":{"ratio":100,"min_per_second":0}}}}}"#;
    let process = process(2, policy);
    let budget = "seawall_retry_budget..policy=default..upstream=upstream";
    let in_flight = "seawall_in_flight..policy=default..upstream=upstream";
    let mut held = Vec::new();
    for round in 0..5 {
        for number in 0..24 {
            let stream = ask(&process, number).expect("it passes");
            process.set_property(
                stream,
                "upstream\0request_attempt_count",
                1_u64.to_le_bytes().to_vec(),
            );
            match number {
                0 => held.push(stream),
                _ => end(&process, stream, "200"),
            }
        }
        update(&process, policy);
        assert_eq!(value(&process, ADMITTED), (round + 1) * 24);
        assert_eq!(value(&process, budget), (round + 1) * 23);
        assert_eq!(value(&process, in_flight), round + 1);
    }
    for stream in held {
        end(&process, stream, "200");
    }
    assert!(ask(&process, 0).is_some());
    process.tick();
    assert_eq!(value(&process, in_flight), 1, "those of old roots are free");
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_metric_is_defined_once_in_a_vm_however_many_updates_come() {
    let process = process(2, BREAKER);
    let defined = || {
        for worker in 0..2 {
            let stream = ask(&process, worker).expect("it passes");
            end(&process, stream, "200");
        }
        process.tick();
        let calls = process.common().calls.borrow();
        calls.get("proxy_define_metric").copied()
    };
    let before = defined();
    assert!(before.is_some());
    for _ in 0..5 {
        update(&process, BREAKER);
        assert_eq!(defined(), before);
    }
}

#[test]
fn thousands_of_updates_under_traffic_take_no_memory_and_hold_nothing() {
    // A VM that begins with 1.2 MiB; 5,000 updates that leave 200 bytes each would need more than this.
    const MEMORY: usize = 2 * 1024 * 1024;
    const POLICIES: [&str; 5] = [
        r#"{"breaker":{"failure_rate":30},"bulkhead":{"max_concurrent":50}}"#,
        r#"{"breaker":{"window":{"calls":200}},"bulkhead":{"max_concurrent":60},"retries":{}}"#,
        r#"{"breaker":{"mode":"shadow"},"bulkhead":{"max_concurrent":50,"per":{"header":"x-tenant"}}}"#,
        r#"{"shedding":{},"bulkhead":{"max_concurrent":70},"timeout":{"adaptive":{}}}"#,
        r#"{"breaker":{"mode":"off"},"fallback":[{"on":["failure"],"stale":{"max_age":"1m"}}]}"#,
    ];
    let configuration = |number: usize| {
        let policy = POLICIES[number % POLICIES.len()];
        format!(r#"{{"version":1,"policies":{{"default":{policy}}}}}"#)
    };
    let options = ProcessOptions {
        workers: 2,
        configuration: configuration(0).into_bytes(),
        seed: 7,
        memory_max: MEMORY,
        ..ProcessOptions::default()
    };
    let process = Process::start(module(), options, 1_000_000_000).expect("the filter starts");
    let mut held = std::collections::VecDeque::new();
    for number in 0..5_000 {
        advance(&process, 40);
        let refused =
            process.reconfigure(br#"{"version":1,"policies":{"default":{"brekaer":{}}}}"#);
        assert!(refused.is_err());
        let taken = process.reconfigure(configuration(number).as_bytes());
        taken.expect("taken");
        held.extend(ask(&process, number % 2));
        if number % 3 == 0 {
            process.drop_old_roots();
        }
        if number % 10 == 0 {
            process.tick();
        }
        // Each outlives twenty configurations.
        if held.len() > 20
            && let Some(stream) = held.pop_front()
        {
            end(&process, stream, "200");
        }
        assert_eq!(traps(&process), Vec::<String>::new(), "update {number}");
        process.take_log();
    }
    for stream in held {
        end(&process, stream, "200");
    }
    update(&process, &configuration(0));
    settle(&process);
    let in_flight = "seawall_in_flight..policy=default..upstream=upstream";
    for worker in 0..2 {
        let stream = ask(&process, worker).expect("it passes");
        end(&process, stream, "200");
    }
    settle(&process);
    assert_eq!(value(&process, in_flight), 0);
}
