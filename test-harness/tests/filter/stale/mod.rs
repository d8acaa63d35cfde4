//! Stale answers by the shipped filter in this host: what is kept, and who is given it.

mod bounds;
mod clients;

use seawall_harness::abi::stream::{LocalReply, headers, value};
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{process, properties, traps};

/// A breaker that never opens, so that only answers that fail are replaced.
const STALE: &str = r#"{"version":1,"policies":{"default":{
    "breaker":{"failure_rate":0,"consecutive":1000,"slow_call":{"rate":0}},
    "fallback":[{"stale":{"max_age":"10m"}}]}}}"#;
/// What a slot may hold, in bytes.
const SLOT_BYTES_MAX: usize = 64 * 1_024;

type Lines<'a> = Vec<(&'a str, &'a str)>;

/// What an upstream answers.
#[derive(Clone, Debug)]
struct Answer<'a> {
    lines: Lines<'a>,
    chunks: Vec<&'a [u8]>,
}

fn get<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Lines<'a> {
    let start = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "shop"),
        (":path", path),
    ];
    let mut lines = start.to_vec();
    for line in more {
        match lines.iter_mut().find(|known| known.0 == line.0) {
            Some(known) => *known = *line,
            None => lines.push(*line),
        }
    }
    lines
}

fn answer<'a>(more: &[(&'a str, &'a str)]) -> Answer<'a> {
    let mut lines = vec![
        (":status", "200"),
        ("content-length", "5"),
        ("content-type", "text/plain"),
    ];
    for line in more {
        match lines.iter_mut().find(|known| known.0 == line.0) {
            Some(known) => *known = *line,
            None => lines.push(*line),
        }
    }
    Answer {
        lines,
        chunks: vec![b"he", b"llo"],
    }
}

fn open(process: &Process, worker: usize, lines: &Lines<'_>) -> StreamId {
    let stream = process.open(worker, properties());
    let flow = process.request_headers(stream, headers(lines), true);
    assert_eq!(flow, Flow::Continue, "{lines:?}");
    process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
    stream
}

/// How a stream ends.
#[derive(Clone, Copy)]
struct Ending {
    /// Whether the last chunk of its answer says that it is.
    ended: bool,
    /// Envoy's flags.
    flags: u64,
}

const WELL: Ending = Ending {
    ended: true,
    flags: 0,
};

/// A request that the upstream answers.
fn exchange_with(
    process: &Process,
    worker: usize,
    lines: &Lines<'_>,
    answer: &Answer<'_>,
    ending: Ending,
) {
    let stream = open(process, worker, lines);
    process.response_headers(stream, headers(&answer.lines), answer.chunks.is_empty());
    for (number, chunk) in answer.chunks.iter().enumerate() {
        let last = number + 1 == answer.chunks.len();
        process.response_body(stream, chunk, last && ending.ended);
    }
    process.set_property(
        stream,
        "response\0flags",
        ending.flags.to_le_bytes().to_vec(),
    );
    process.close(stream);
}

fn exchange(process: &Process, worker: usize, lines: &Lines<'_>, answer: &Answer<'_>) {
    exchange_with(process, worker, lines, answer, WELL);
}

/// A request that fails: what it is given instead.
fn fails(process: &Process, worker: usize, lines: &Lines<'_>) -> Option<LocalReply> {
    let stream = open(process, worker, lines);
    let flow = process.response_headers(stream, headers(&[(":status", "503")]), true);
    process.close(stream);
    match flow {
        Flow::Reply(reply) => Some(reply),
        Flow::Continue | Flow::Pause => None,
    }
}

fn wait(process: &Process, millis: u64) {
    process.set_now(process.common().now.get() + millis * 1_000_000);
}

#[test]
fn a_failed_answer_is_replaced_by_the_last_good_one_on_any_worker() {
    let process = process(2, STALE);
    let lines = get("/items?a=1", &[]);
    exchange(
        &process,
        0,
        &lines,
        &answer(&[("etag", "\"1\""), ("x-request-id", "r")]),
    );
    wait(&process, 3_500);
    for worker in [0, 1] {
        let given = fails(&process, worker, &lines).expect("a kept answer");
        assert_eq!((given.status, &*given.body), (200, &b"hello"[..]));
        assert_eq!(given.details, "seawall_failure_replaced");
        let says = |name: &str| value(&given.headers, name);
        assert_eq!(says("age").as_deref(), Some("4"));
        assert_eq!(says("x-seawall-degraded").as_deref(), Some("stale"));
        assert_eq!(says("etag").as_deref(), Some("\"1\""));
        assert_eq!(says("content-type").as_deref(), Some("text/plain"));
        assert_eq!(says("x-request-id"), None);
    }
    let head = get("/items?a=1", &[(":method", "HEAD")]);
    assert!(
        fails(&process, 0, &head).is_some(),
        "a HEAD is given the GET's"
    );
    let metrics = process.common().metrics.borrow();
    let told = "seawall_stale_age_seconds..policy=default..upstream=upstream";
    let age = metrics.histogram(told).expect("the ages are told");
    assert_eq!((age.count, age.min, age.max), (3, 4, 4));
    drop(metrics);
    assert_eq!(fails(&process, 0, &get("/items?a=2", &[])), None);
    wait(&process, 600_000);
    assert_eq!(fails(&process, 0, &lines), None, "too old");
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_refused_request_is_given_the_last_good_answer() {
    let opens = STALE.replace(r#""consecutive":1000"#, r#""consecutive":3"#);
    let process = process(1, &opens);
    let lines = get("/", &[]);
    exchange(&process, 0, &lines, &answer(&[]));
    for _ in 0..3 {
        assert!(fails(&process, 0, &lines).is_some());
    }
    let stream = process.open(0, properties());
    let Flow::Reply(given) = process.request_headers(stream, headers(&lines), true) else {
        panic!("an open breaker refuses");
    };
    process.close(stream);
    assert_eq!((given.status, &*given.body), (200, &b"hello"[..]));
    assert_eq!(
        value(&given.headers, "x-seawall-reason").as_deref(),
        Some("breaker_open")
    );
    let stream = process.open(0, properties());
    let other = headers(&get("/other", &[]));
    let Flow::Reply(refused) = process.request_headers(stream, other, true) else {
        panic!("an open breaker refuses");
    };
    assert_eq!(refused.status, 503, "nothing is kept: the next rung");
}

#[test]
fn every_cause_of_a_refusal_is_given_the_last_good_answer() {
    let causes = [
        (r#""bulkhead":{"max_concurrent":1}"#, "bulkhead_full"),
        (
            r#""timeout":{"total":"5s","doomed_under":"1s","propagate":["x-envoy-expected-rq-timeout-ms"]}"#,
            "deadline",
        ),
        (r#""shedding":{"limit":"fixed","max":1}"#, "shed_limit"),
    ];
    for (keys, reason) in causes {
        let process = process(
            1,
            &STALE.replace(r#""breaker""#, &format!(r#"{keys},"breaker""#)),
        );
        let lines = get("/", &[]);
        exchange(&process, 0, &lines, &answer(&[]));
        let holds = process.open(0, properties());
        assert_eq!(
            process.request_headers(holds, headers(&lines), true),
            Flow::Continue
        );
        let hurried = get("/", &[("x-envoy-expected-rq-timeout-ms", "1")]);
        let stream = process.open(0, properties());
        let flow = process.request_headers(stream, headers(&hurried), true);
        let Flow::Reply(given) = flow else {
            panic!("{reason} refuses: {flow:?}");
        };
        assert_eq!(
            (given.status, &*given.body),
            (200, &b"hello"[..]),
            "{reason}"
        );
        assert_eq!(
            value(&given.headers, "x-seawall-reason").as_deref(),
            Some(reason)
        );
    }
}

/// What a line of a request means for kept answers.
#[derive(Clone, Copy, PartialEq)]
enum Means {
    /// Its answer has nothing to do with keeping.
    Never,
    /// It says where the request goes.
    Address,
    /// It may tell one client from another.
    Client,
}

/// A way in which a request is special.
const REQUESTS: [((&str, &str), Means); 16] = [
    (("user-agent", "1"), Means::Client),
    (("x-real-ip", "10.0.0.5"), Means::Client),
    (("authorization", "Bearer alice"), Means::Never),
    (("Authorization", "Bearer bob"), Means::Never),
    (("cookie", "sid=alice"), Means::Never),
    (("x-api-key", "alice"), Means::Never),
    (("range", "bytes=0-1"), Means::Never),
    (("cache-control", "no-store"), Means::Never),
    (("accept-language", "de"), Means::Client),
    (("accept-language", "en"), Means::Client),
    (("x-tenant", "a"), Means::Client),
    (("x-forwarded-host", "evil.example"), Means::Address),
    ((":authority", "other"), Means::Address),
    ((":path", "/x?b=2&a=1"), Means::Address),
    ((":method", "POST"), Means::Never),
    (("x-request-id", "1"), Means::Address),
];

/// An answer, and whether it may be kept; those with a `Vary` only for the same language.
const ANSWERS: [(&[(&str, &str)], bool); 18] = [
    (&[("x-plain", "1")], true),
    (&[("cache-control", "public")], true),
    (&[("cache-control", "s-maxage=9, stale-if-error=9")], true),
    (&[("vary", "Accept-Language")], true),
    (
        &[("vary", "Accept-Language"), ("cache-control", "public")],
        true,
    ),
    (&[("vary", "*")], false),
    (&[("vary", "accept-language, *")], false),
    (&[("cache-control", "private")], false),
    (&[("Cache-Control", "max-age=60, Private")], false),
    (&[("cache-control", "no-store")], false),
    (&[("cache-control", "no-cache")], false),
    (&[("cache-control", "public, s-maxage=9")], false),
    (&[("cache-control", "public, must-revalidate")], false),
    (&[("set-cookie", "sid=alice")], false),
    (&[("Set-Cookie", "")], false),
    (&[("content-range", "bytes 0-1/5")], false),
    (&[(":status", "206")], false),
    (&[(":status", "404")], false),
];

#[test]
fn no_ones_answer_is_handed_to_another_in_any_pair_of_special_requests() {
    let (mut given, mut leaks) = (0, Vec::new());
    for (said, keepable) in ANSWERS {
        let says = |word: &str| said.iter().any(|line| line.1.contains(word));
        let for_all = says("public") || says("stale-if-error");
        for (a, a_means) in REQUESTS {
            // A VM of its own for each: nothing is left of the one before.
            let process = process(1, STALE);
            exchange(&process, 0, &get("/x?a=1&b=2", &[a]), &answer(said));
            for (b, b_means) in REQUESTS {
                let pair = || format!("{a:?} was answered {said:?}, then came {b:?}");
                let found = fails(&process, 0, &get("/x?a=1&b=2", &[b])).is_some();
                let either = |means: Means| a_means == means || b_means == means;
                let keyed = |line: (&str, &str), means: Means| {
                    means == Means::Address && line.0 != "x-request-id"
                };
                let same_key = a == b || !(keyed(a, a_means) || keyed(b, b_means));
                let language = a.0 == "accept-language" || b.0 == "accept-language";
                let same_variant = a == b || said[0].0 != "vary" || !language;
                let allowed = keepable
                    && !either(Means::Never)
                    && (for_all || !either(Means::Client))
                    && same_key
                    && same_variant;
                given += u32::from(found);
                if found && !allowed {
                    leaks.push(pair());
                }
                assert_eq!(found, allowed, "{}", pair());
            }
        }
    }
    assert_eq!(leaks, Vec::<String>::new());
    assert!(
        given >= 20,
        "only {given} were given anything: it shows little"
    );
    println!(
        "{} pairs, {given} answered from what was kept, 0 leaks",
        ANSWERS.len() * REQUESTS.len() * REQUESTS.len()
    );
}

#[test]
fn with_the_policys_word_each_credential_has_its_own_answer() {
    let open = STALE.replace(r#""10m""#, r#""10m","authorized":true,"cookies":true"#);
    for name in ["authorization", "cookie"] {
        let process = process(1, &open);
        exchange(&process, 0, &get("/", &[(name, "alice")]), &answer(&[]));
        assert!(fails(&process, 0, &get("/", &[(name, "alice")])).is_some());
        assert_eq!(fails(&process, 0, &get("/", &[(name, "bob")])), None);
        assert_eq!(fails(&process, 0, &get("/", &[])), None);
    }
}

#[test]
fn two_ways_to_one_cluster_have_answers_of_their_own() {
    let ways = [
        "xds\0route_name",
        "xds\0virtual_host_name",
        "xds\0filter_chain_name",
        "destination\0port",
    ];
    let lines = get("/", &[]);
    let fails_on = |process: &Process, way: &str, name: &[u8]| {
        let mut properties = properties();
        properties.insert(way.to_owned(), name.to_vec());
        let stream = process.open(0, properties);
        process.request_headers(stream, headers(&lines), true);
        let flow = process.response_headers(stream, headers(&[(":status", "503")]), true);
        process.close(stream);
        matches!(flow, Flow::Reply(_))
    };
    for way in ways {
        let process = process(1, STALE);
        exchange(&process, 0, &lines, &answer(&[]));
        assert!(!fails_on(&process, way, b"other"), "{way:?}");
        assert!(fails_on(&process, way, b""), "{way:?}");
    }
}

#[test]
fn an_answer_to_head_or_a_304_does_not_use_up_the_look_at_the_next() {
    for (request, said) in [
        (get("/", &[(":method", "HEAD")]), answer(&[])),
        (get("/", &[]), answer(&[(":status", "304")])),
    ] {
        let process = process(1, STALE);
        let bare = Answer {
            chunks: vec![],
            ..said
        };
        exchange(&process, 0, &request, &bare);
        exchange(&process, 0, &get("/", &[]), &answer(&[]));
        assert!(
            fails(&process, 0, &get("/", &[])).is_some(),
            "after {request:?}"
        );
    }
}

#[test]
fn what_did_not_come_whole_is_not_kept() {
    let lines = get("/", &[]);
    let kept = |answer: &Answer<'_>, ending: Ending| {
        let process = process(1, STALE);
        exchange_with(&process, 0, &lines, answer, ending);
        fails(&process, 0, &lines).is_some()
    };
    let cut = Ending {
        ended: false,
        ..WELL
    };
    let reset = Ending {
        flags: 0x10,
        ..WELL
    };
    assert!(kept(&answer(&[]), WELL));
    for ending in [cut, reset] {
        assert!(!kept(&answer(&[]), ending));
    }
    assert!(!kept(&answer(&[("content-length", "6")]), WELL));
    assert!(!kept(&answer(&[("content-length", "4")]), WELL));
    let long = vec![b'x'; SLOT_BYTES_MAX];
    let chunked = |chunks: Vec<&'static [u8]>| Answer {
        lines: vec![(":status", "200"), ("transfer-encoding", "chunked")],
        chunks,
    };
    assert!(kept(&chunked(vec![b"a", b"", b"b"]), WELL));
    let too_long = Answer {
        chunks: vec![&long[..40_000], &long[..40_000]],
        ..chunked(vec![])
    };
    assert!(!kept(&too_long, WELL));
    let until_close = Answer {
        lines: vec![(":status", "200")],
        chunks: vec![b"a"],
    };
    assert!(!kept(&until_close, WELL));

    let process = process(1, STALE);
    let stream = open(&process, 0, &lines);
    process.response_headers(stream, headers(&answer(&[]).lines), false);
    process.response_body(stream, b"hello", false);
    process.response_trailers(stream, headers(&[("x-checksum", "1")]));
    process.close(stream);
    assert_eq!(fails(&process, 0, &lines), None, "an answer with trailers");
}

#[test]
fn the_last_good_answer_is_the_last_even_where_it_may_not_be_kept() {
    for (now, stays) in [
        (answer(&[("cache-control", "private")]), false),
        (answer(&[(":status", "403")]), false),
        (answer(&[(":status", "429")]), true),
    ] {
        let process = process(1, STALE);
        let lines = get("/", &[]);
        exchange(&process, 0, &lines, &answer(&[]));
        wait(&process, 1_500);
        exchange(&process, 0, &lines, &now);
        assert_eq!(fails(&process, 0, &lines).is_some(), stays, "{now:?}");
    }
}

#[test]
fn an_answer_of_envoys_own_is_not_kept() {
    let process = process(1, STALE);
    let lines = get("/", &[]);
    let stream = open(&process, 0, &lines);
    process.set_property(
        stream,
        "response\0code_details",
        b"direct_response".to_vec(),
    );
    process.response_headers(stream, headers(&answer(&[]).lines), false);
    process.response_body(stream, b"hello", true);
    process.close(stream);
    assert_eq!(fails(&process, 0, &lines), None);
}
