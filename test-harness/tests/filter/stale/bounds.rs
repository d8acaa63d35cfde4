//! What stale answers cost and take, however many there are.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::Process;

use super::*;

/// How many slots a route may use.
const ROUTE_SLOTS: usize = 128;

#[test]
fn no_more_bodies_are_taken_along_than_there_is_room_for() {
    let process = process(1, STALE);
    let paths: Vec<_> = (0..40).map(|number| format!("/{number}")).collect();
    let streams: Vec<_> = paths
        .iter()
        .map(|path| {
            let stream = open(&process, 0, &get(path, &[]));
            process.response_headers(stream, headers(&answer(&[]).lines), false);
            stream
        })
        .collect();
    for stream in streams {
        process.response_body(stream, b"hello", true);
        process.close(stream);
    }
    let found = |path: &&String| fails(&process, 0, &get(path, &[])).is_some();
    assert_eq!(paths.iter().filter(found).count(), 16);
    process.tick();
    let counted = |result: &str| {
        let values = process.common().metrics.borrow().values().clone();
        values
            .get(&format!("seawall_stale..outcome={result}"))
            .copied()
    };
    assert_eq!((counted("kept"), counted("no_room")), (Some(16), Some(24)));
    wait(&process, 1_100);
    exchange(&process, 0, &get("/later", &[]), &answer(&[]));
    assert!(
        fails(&process, 0, &get("/later", &[])).is_some(),
        "places come back"
    );
}

#[test]
fn answers_that_never_end_do_not_keep_all_others_out() {
    let process = process(1, STALE);
    let begin = |path: &str| {
        let stream = open(&process, 0, &get(path, &[]));
        process.response_headers(stream, headers(&answer(&[]).lines), false);
        process.response_body(stream, b"he", false);
        stream
    };
    let paths: Vec<_> = (0..16).map(|number| format!("/{number}")).collect();
    let slow: Vec<_> = paths.iter().map(|path| begin(path)).collect();
    wait(&process, 9_000);
    exchange(&process, 0, &get("/early", &[]), &answer(&[]));
    assert_eq!(fails(&process, 0, &get("/early", &[])), None);
    wait(&process, 2_000);
    exchange(&process, 0, &get("/later", &[]), &answer(&[]));
    assert!(fails(&process, 0, &get("/later", &[])).is_some());
    // Its place came back: nobody has to give way to the next one.
    exchange(&process, 0, &get("/last", &[]), &answer(&[]));
    assert!(fails(&process, 0, &get("/last", &[])).is_some());
    for stream in slow {
        process.response_body(stream, b"llo", true);
        process.close(stream);
    }
    let found = |path: &&String| fails(&process, 0, &get(path, &[])).is_some();
    let kept: Vec<_> = paths.iter().filter(found).collect();
    assert_eq!(
        kept,
        paths.iter().skip(1).collect::<Vec<_>>(),
        "the first gave way"
    );
    process.tick();
    let values = process.common().metrics.borrow().values().clone();
    let no_room = values.get("seawall_stale..outcome=no_room").copied();
    assert_eq!(no_room, Some(2), "the early one and the first");
}

#[test]
fn of_a_body_that_is_too_long_no_more_is_copied_than_there_is_room_for() {
    let process = process(1, STALE);
    let stream = open(&process, 0, &get("/", &[]));
    let endless = headers(&[(":status", "200"), ("transfer-encoding", "chunked")]);
    process.response_headers(stream, endless, false);
    let copied = || process.common().calls.borrow()["proxy_get_buffer_bytes"];
    let before = copied();
    for _ in 0..100 {
        process.response_body(stream, &[b'x'; 30_000], false);
    }
    process.close(stream);
    assert_eq!(copied() - before, 2);
}

#[test]
fn a_million_urls_of_many_hosts_stay_within_the_slots_of_their_route() {
    const URLS: u32 = 1_000_000;
    let process = process(2, STALE);
    let body = vec![b'x'; 60_000];
    let lengths = [("content-length", "60000")];
    for number in 0..URLS {
        let path = format!("/{number}");
        let host = format!("host{}", number % 50);
        // Long bodies at the end, for every slot: copying a million would take the test's time and show nothing more.
        let mut said = answer(&[]);
        if number > URLS - 20_000 {
            said = answer(&lengths);
            said.chunks = vec![&body];
        }
        let lines = get(&path, &[(":authority", &host)]);
        exchange(&process, (number % 2) as usize, &lines, &said);
        if number.is_multiple_of(1_000) {
            wait(&process, 100);
        }
    }
    let shared = process.common().shared.borrow();
    let (mut slots, mut rest) = (Vec::new(), 0);
    for key in shared
        .keys()
        .filter(|key| key.starts_with("seawall/stale/"))
    {
        let (bytes, _) = shared.load(key).expect("it was listed");
        match key.contains("/set/") {
            true => rest += key.len() + bytes.len(),
            false => slots.push(bytes.len()),
        }
    }
    let all: usize = slots.iter().sum();
    println!(
        "{URLS} URLs: {} slots, {all} bytes, and {rest} beside them",
        slots.len()
    );
    assert_eq!(slots.len(), ROUTE_SLOTS);
    assert!(slots.iter().all(|size| *size <= SLOT_BYTES_MAX));
    assert!(rest < 16 * 1_024, "{rest}");
}

#[test]
fn a_hot_url_costs_one_look_a_second_and_others_nothing() {
    const REQUESTS: u64 = 500;
    let cost = |process: &Process, lines: &Lines<'_>| {
        let said = answer(&[("cache-control", "public")]);
        exchange(process, 0, lines, &said);
        let calls = || process.common().calls.borrow().values().sum::<u64>();
        let (fuel, before) = (process.fuel(), calls());
        (0..REQUESTS).for_each(|_| exchange(process, 0, lines, &said));
        (
            (process.fuel() - fuel) / REQUESTS,
            (calls() - before) / REQUESTS,
        )
    };
    let without = process(1, &STALE.replace(r#"{"stale":{"max_age":"10m"}}"#, ""));
    let with = process(1, STALE);
    let lines = get(
        "/hot",
        &[
            ("user-agent", "curl/8"),
            ("accept", "*/*"),
            ("x-request-id", "r"),
            ("x-forwarded-for", "10.0.0.1"),
            ("referer", "/"),
        ],
    );
    let post = get("/hot", &[(":method", "POST")]);
    let (plain, plain_calls) = cost(&without, &lines);
    let (hot, hot_calls) = cost(&with, &lines);
    let (other, other_calls) = cost(&with, &post);
    let somebodys = get("/hot", &[("authorization", "Bearer a")]);
    let (_, somebodys_calls) = cost(&with, &somebodys);
    println!(
        "without a stale rung {plain} fuel, {plain_calls} calls; a hot GET {hot}, {hot_calls}; a POST {other}, {other_calls}"
    );
    let chunk = |process: &Process| {
        let stream = open(process, 0, &post);
        process.response_headers(stream, headers(&answer(&[]).lines), false);
        let fuel = process.fuel();
        (0..REQUESTS).for_each(|_| drop(process.response_body(stream, &[0; 16_384], false)));
        (process.fuel() - fuel) / REQUESTS
    };
    let chunk = chunk(&without);
    println!("a chunk that nobody takes along: {chunk} fuel");
    assert!(chunk <= 200, "{chunk} fuel");
    assert_eq!(
        (hot_calls, other_calls, somebodys_calls),
        (plain_calls + 4, plain_calls, plain_calls),
        "names of route, virtual host and filter chain, and the port"
    );
    // Of these, keyed hashes in the place of plain ones take some 2,000.
    assert!(hot <= plain + 16_000, "{hot} fuel, and {plain} without");
    assert!(other <= plain + 1_000, "{other} fuel, and {plain} without");
}
