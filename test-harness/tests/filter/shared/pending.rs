//! What cannot be stored now, or cannot go now, waits in lines of bounded length, and is counted where a line is full.

use seawall_harness::abi::Fault;
use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{advance, ask, end, process, properties, traps};

/// The length of each line of debts.
const DEBTS_MAX: usize = 1_024;
/// How many places to wait may be reserved for hedges.
const RESERVED_MAX: usize = 256;
/// More than fit.
const MANY: usize = 1_500;

fn policy(keys: &str) -> String {
    format!(r#"{{"version":1,"policies":{{"default":{{{keys}}}}}}}"#)
}

/// Nothing can be stored from now on.
fn nothing_is_stored(process: &Process) {
    process.common().faults.borrow_mut().push(Fault {
        call: "proxy_set_shared_data",
        status: 10,
        every: 1,
    });
}

fn all_is_well_again(process: &Process) {
    process.common().faults.borrow_mut().clear();
}

fn counted(process: &Process, name: &str) -> u64 {
    let metrics = process.common().metrics.borrow();
    let all = metrics.values().iter();
    let named = all.filter(|(key, _)| key.starts_with(name));
    named.map(|(_, value)| *value).sum()
}

#[test]
fn settlements_that_cannot_be_stored_are_paid_later() {
    let quick =
        r#""breaker":{"consecutive":2,"open":{"for":"60s","up_to":"60s"},"hosts":{"grace":"0s"}}"#;
    let process = process(1, &policy(quick));
    let first = ask(&process, 0).expect("it passes");
    end(&process, first, "200");
    nothing_is_stored(&process);
    for _ in 0..MANY {
        let stream = ask(&process, 0).expect("what cannot be decided passes");
        end(&process, stream, "503");
    }
    process.tick();
    assert_eq!(
        counted(&process, "seawall_settlements_dropped"),
        (MANY - DEBTS_MAX) as u64
    );
    assert!(counted(&process, "seawall_host_errors..call=set_shared_data") >= MANY as u64);
    all_is_well_again(&process);
    process.tick();
    assert!(
        ask(&process, 0).is_none(),
        "the failures that waited open it"
    );
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn retries_that_cannot_be_charged_are_charged_later() {
    let retries = r#""breaker":{"mode":"off"},"retries":{"attempts":2,"budget":{"ratio":20,"min_per_second":0.1}}"#;
    let process = process(1, &policy(retries));
    let twice = |process: &Process| {
        let stream = ask(process, 0).expect("it passes");
        let attempts = 2_u64.to_le_bytes().to_vec();
        process.set_property(stream, "upstream\0request_attempt_count", attempts);
        end(process, stream, "200");
    };
    twice(&process);
    nothing_is_stored(&process);
    (0..MANY).for_each(|_| twice(&process));
    process.tick();
    assert_eq!(
        counted(&process, "seawall_settlements_dropped"),
        (MANY - DEBTS_MAX) as u64
    );
    all_is_well_again(&process);
    process.tick();
    process.tick();
    assert_eq!(
        counted(&process, "seawall_settlements_dropped"),
        (MANY - DEBTS_MAX) as u64
    );
    assert_eq!(counted(&process, "seawall_retry_budget"), 0);
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn places_that_cannot_be_given_back_are_free_again_later() {
    let bulkhead = format!(r#""breaker":{{"mode":"off"}},"bulkhead":{{"max_concurrent":{MANY}}}"#);
    let process = process(2, &policy(&bulkhead));
    let taken: Vec<_> = (0..MANY)
        .map(|_| ask(&process, 0).expect("there is a place"))
        .collect();
    assert!(ask(&process, 1).is_none(), "there is no other");
    nothing_is_stored(&process);
    taken
        .into_iter()
        .for_each(|stream| end(&process, stream, "200"));
    process.tick();
    assert_eq!(
        counted(&process, "seawall_settlements_dropped"),
        (MANY - DEBTS_MAX) as u64
    );
    all_is_well_again(&process);
    // Those that waited at once, the others as a dead VM's: three ticks of another one, and a fourth for the sake of order.
    for _ in 0..4 {
        advance(&process, 500);
        process.tick();
    }
    let again: Vec<_> = (0..MANY).map(|_| ask(&process, 1)).collect();
    assert!(again.iter().all(Option::is_some), "all places are free");
    assert!(ask(&process, 1).is_none());
    assert_eq!(traps(&process), Vec::<String>::new());
}

/// Retries that were paid for.
fn granted(process: &Process) -> u64 {
    let metrics = process.common().metrics.borrow();
    let all = metrics.values().iter();
    let named = all.filter(|(key, _)| key.contains("decision=granted"));
    named.map(|(_, value)| *value).sum()
}

/// An attempt of a request.
fn attempt(process: &Process, request: StreamId, number: u64) -> (StreamId, Flow) {
    let mut known = properties();
    let count = number.to_le_bytes().to_vec();
    known.insert("upstream\0request_attempt_count".to_owned(), count);
    let attempt = process.open_attempt(request, known);
    let asked = headers(&[(":method", "GET"), (":path", "/")]);
    let flow = process.request_headers(attempt, asked, true);
    (attempt, flow)
}

/// A request and its first attempt, which is on its way.
fn started(process: &Process) -> (StreamId, StreamId) {
    let request = ask(process, 0).expect("it passes");
    let (first, flow) = attempt(process, request, 1);
    assert_eq!(flow, Flow::Continue);
    (request, first)
}

/// A hedge of a request whose first attempt is still on its way.
fn hedged(process: &Process) -> (StreamId, StreamId, StreamId, Flow) {
    let (request, first) = started(process);
    let (hedge, flow) = attempt(process, request, 2);
    (request, first, hedge, flow)
}

/// Whether the router was told to hedge this request.
fn may_hedge(process: &Process, request: StreamId) -> bool {
    const REQUEST: u32 = 0;
    let told = process.header_map(request, REQUEST);
    told.iter()
        .any(|(name, _)| name == b"x-envoy-hedge-on-per-try-timeout")
}

#[test]
fn a_request_is_hedged_only_if_a_place_to_wait_is_reserved_and_every_hedge_is_paid_for_or_waits() {
    let hedging = r#""breaker":{"mode":"off"},
        "retries":{"attempts":2,"hedge":{"after":"50ms"},"budget":{"ratio":1,"min_per_second":0.1}}"#;
    let process = process(1, &policy(hedging));
    let (request, first, hedge, _) = hedged(&process);
    process.response_headers(first, headers(&[(":status", "200")]), true);
    process.close(first);
    process.close(hedge);
    end(&process, request, "200");
    process.tick();
    // All are let go before the first of their hedges starts.
    let all: Vec<_> = (0..MANY).map(|_| started(&process)).collect();
    let allowed = |(request, _): &&(StreamId, StreamId)| may_hedge(&process, *request);
    let hedged_ones: Vec<_> = all.iter().filter(allowed).collect();
    assert_eq!(hedged_ones.len(), RESERVED_MAX);
    let granted_before = granted(&process);
    let hedges: Vec<_> = hedged_ones
        .into_iter()
        .map(|(request, _)| attempt(&process, *request, 2))
        .collect();
    let went = hedges.iter().filter(|(_, flow)| *flow == Flow::Continue);
    let went = went.count() as u64;
    advance(&process, 500);
    process.tick();
    assert_eq!(
        granted(&process) - granted_before,
        went,
        "what goes is paid for"
    );
    assert!(went < 20, "{went}");
    let without = (MANY - RESERVED_MAX) as u64;
    assert_eq!(counted(&process, "seawall_hedges_not_allowed"), without);
    // Whatever ends a request gives its places back: an answer, a reset, a client that leaves.
    for (number, (request, first)) in all.into_iter().enumerate() {
        if number % 3 == 0 {
            process.response_headers(first, headers(&[(":status", "200")]), true);
        }
        process.close(first);
        match number % 3 {
            0 => end(&process, request, "200"),
            1 => end(&process, request, "503"),
            _ => process.close(request),
        }
    }
    hedges
        .into_iter()
        .for_each(|(hedge, _)| process.close(hedge));
    let again: Vec<_> = (0..MANY).map(|_| started(&process).0).collect();
    let allowed = again
        .iter()
        .filter(|request| may_hedge(&process, **request));
    assert_eq!(allowed.count(), RESERVED_MAX, "there are places again");
    assert_eq!(traps(&process), Vec::<String>::new());
}
