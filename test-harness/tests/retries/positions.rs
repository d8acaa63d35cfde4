//! What a filter can do to retries from its two positions, with a filter small enough to see through.

use seawall_harness::measure::Measure;
use seawall_harness::module::Module;
use seawall_harness::process::{Process, ProcessOptions};
use seawall_harness::router::{RetryOn, Route};
use seawall_harness::sim::{Lane, START, play};

use crate::{even, near, scenario};

/// What the filter does, as the bodies of functions in the text format. `$number` is the attempt's, from 1.
#[derive(Clone, Copy)]
struct Filter<'a> {
    /// Headers that it adds to each request.
    orders: &'a [(&'a str, &'a str)],
    /// At an attempt's request headers; leaves the action.
    attempt: &'a str,
    /// A header that it adds to each 5xx of an attempt.
    mark: &'a str,
    /// At the tick.
    tick: &'a str,
}

const PASS: &str = "(i32.const 0)";
const PLAIN: Filter<'_> = Filter {
    orders: &[],
    attempt: PASS,
    mark: "",
    tick: "",
};

/// Every text at its place in memory.
#[derive(Default)]
struct Texts {
    data: String,
    end: usize,
}

impl Texts {
    /// A text's address and size.
    fn put(&mut self, text: &str) -> String {
        let (at, size) = (self.end, text.len());
        self.data += &format!("(data (i32.const {at}) \"{text}\")\n");
        self.end += size;
        format!("(i32.const {at}) (i32.const {size})")
    }
}

fn module(filter: Filter<'_>) -> Module {
    let mut texts = Texts::default();
    let add = |texts: &mut Texts, map: u32, name: &str, value: &str| {
        let (name, value) = (texts.put(name), texts.put(value));
        format!("(drop (call $add (i32.const {map}) {name} {value}))")
    };
    let orders: String = filter
        .orders
        .iter()
        .map(|(name, value)| add(&mut texts, 0, name, value))
        .collect();
    let mark = match filter.mark {
        "" => String::new(),
        name => add(&mut texts, 2, name, "1"),
    };
    let count = "upstream.request_attempt_count";
    let (at, status) = (texts.put(count), texts.put(":status"));
    // The property's path has a NUL where the text has its first dot.
    let data = texts.data.replace("upstream.", "upstream\\00");
    let (attempt, tick) = (filter.attempt, filter.tick);
    let text = format!(
        r#"(module
        (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
        (import "env" "proxy_set_tick_period_milliseconds" (func $ticks (param i32) (result i32)))
        (import "env" "proxy_send_local_response"
            (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 16)
        {data}
        (global $parked (mut i32) (i32.const 0))
        (func $answer (drop (call $reply (i32.const 418) (i32.const 0) (i32.const 1) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))))
        ;; The numbers of attempts by their contexts, from 16384 on.
        (func $attempt (param $context i32) (param $number i32) (result i32)
            (i32.store8 (i32.add (i32.const 16384) (local.get $context)) (local.get $number))
            {attempt})
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 8192))
        (func (export "proxy_on_context_create") (param i32 i32))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $ticks (i32.const 500))) (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            ;; The count is there in both positions; before the router it is 0.
            (i32.store8 (i32.const 8192) (i32.const 0))
            (drop (call $property {at} (i32.const 8200) (i32.const 8204)))
            (if (result i32) (i32.eqz (i32.load8_u (i32.const 8192)))
                (then {orders} (i32.const 0))
                (else (call $attempt (local.get 0) (i32.load8_u (i32.const 8192))))))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $header (i32.const 2) {status} (i32.const 8200) (i32.const 8204)))
            (if (i32.and
                    (i32.eq (i32.load8_u (i32.const 8192)) (i32.const 53))
                    (i32.ne (i32.load8_u (i32.add (i32.const 16384) (local.get 0))) (i32.const 0)))
                (then {mark}))
            (i32.const 0))
        (func (export "proxy_on_tick") (param i32) {tick}))"#
    );
    let bytes = wat::parse_str(text).expect("a module");
    Module::from_bytes(&bytes).expect("a module that the host takes")
}

/// Ten requests through both positions: attempts for each, and the share that ended well.
fn run(filter: Filter<'_>, route: Route, faults: &[&str]) -> Measure {
    let options = ProcessOptions {
        workers: 2,
        ..ProcessOptions::default()
    };
    let envoy = [Process::start(&module(filter), options, START).expect("a process")];
    let lane = Lane {
        route,
        ..Lane::both(&envoy)
    };
    play(&scenario(1, faults), even(1, 10, 1_000), &lane, || ())
}

#[track_caller]
fn check(what: &str, measure: &Measure, load: f64, success: f64) {
    near(&format!("{what}: load"), measure.load(), load, 0.0);
    near(&format!("{what}: success"), measure.success(), success, 0.0);
}

const ONCE: [&str; 1] = ["errors,at=0s,for=1h,attempts=1"];

fn retrying() -> Route {
    Route::retrying(RetryOn::SERVER_ERROR, 3)
}

#[test]
fn a_vote_of_the_upstream_position_is_what_makes_the_retry() {
    let voting = Filter {
        orders: &[
            ("x-envoy-retry-on", "retriable-headers,reset"),
            ("x-envoy-retriable-header-names", "x-seawall-retry"),
        ],
        mark: "x-seawall-retry",
        ..PLAIN
    };
    check("vote", &run(voting, Route::default(), &ONCE), 2.0, 1.0);
    let silent = Filter { mark: "", ..voting };
    check("none", &run(silent, Route::default(), &ONCE), 1.0, 0.0);
    let cut = ["reset,at=0s,for=1h,attempts=1"];
    check("reset", &run(silent, Route::default(), &cut), 2.0, 1.0);
}

#[test]
fn a_veto_on_the_answer_stops_the_routes_own_retries() {
    check("route", &run(PLAIN, retrying(), &ONCE), 2.0, 1.0);
    let veto = Filter {
        mark: "x-envoy-ratelimited",
        ..PLAIN
    };
    check("veto", &run(veto, retrying(), &ONCE), 1.0, 0.0);
    let none = Filter {
        orders: &[("x-envoy-max-retries", "0")],
        ..PLAIN
    };
    check("no retries", &run(none, retrying(), &ONCE), 1.0, 0.0);
}

#[test]
fn a_reply_to_an_attempt_ends_the_request_and_is_not_tried_again() {
    let refusing = Filter {
        attempt: "(if (i32.ge_u (local.get $number) (i32.const 2)) (then (call $answer)))
            (i32.ge_u (local.get $number) (i32.const 2))",
        ..PLAIN
    };
    let measure = run(refusing, retrying(), &["errors,at=0s,for=1h"]);
    // 418 is what the client gets: no error of the server.
    check("refused", &measure, 1.0, 1.0);
}

/// Two seconds for all, half a second for one, and the next one beside it.
const HEDGE: [(&str, &str); 4] = [
    ("x-envoy-upstream-rq-timeout-ms", "2000"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "400"),
    ("x-envoy-hedge-on-per-try-timeout", "true"),
    ("x-envoy-retry-on", "reset"),
];
const HANGS: [&str; 1] = ["hang,at=0s,for=1h,attempts=1"];
/// The second attempt waits.
const PARK: &str = "(if (i32.eq (local.get $number) (i32.const 2))
        (then (global.set $parked (local.get $context))))
    (i32.eq (local.get $number) (i32.const 2))";

#[test]
fn a_hedge_answers_for_an_attempt_that_hangs() {
    let hedged = Filter {
        orders: &HEDGE,
        ..PLAIN
    };
    let measure = run(hedged, Route::default(), &HANGS);
    check("hedged", &measure, 2.0, 1.0);
    let p99 = measure.figures("", None).p99_ms;
    assert!(p99 < 500.0, "after the limit of one attempt: {p99} ms");
}

#[test]
fn a_parked_hedge_is_resumed_or_answered_by_a_tick_or_hangs_until_the_total() {
    let parked = Filter {
        orders: &HEDGE,
        attempt: PARK,
        ..PLAIN
    };
    let hanging = run(parked, Route::default(), &HANGS);
    check("parked", &hanging, 1.0, 0.0);
    let p50 = hanging.figures("", None).p50_ms;
    near("limit in ms", p50, 2_000.0, 10.0);

    let then = |act: &str| {
        format!(
            "(if (global.get $parked) (then
            (if (i32.eqz (call $effective (global.get $parked))) (then {act}))
            (global.set $parked (i32.const 0))))"
        )
    };
    let resumed = Filter {
        tick: &then("(drop (call $continue (i32.const 0)))"),
        ..parked
    };
    check("resumed", &run(resumed, Route::default(), &HANGS), 2.0, 1.0);
    let answered = Filter {
        tick: &then("(call $answer)"),
        ..parked
    };
    let measure = run(answered, Route::default(), &HANGS);
    check("answered", &measure, 1.0, 1.0);
    let p99 = measure.figures("", None).p99_ms;
    assert!(p99 < 1_000.0, "at the next tick: {p99} ms");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let faults = ["errors,at=0s,for=1h,share=50"];
    let figures = || {
        let measure = run(PLAIN, retrying(), &faults);
        serde_json::to_string(&measure.figures("", None)).expect("JSON")
    };
    assert_eq!(figures(), figures());
}
