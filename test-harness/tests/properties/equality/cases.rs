//! What is drawn: policies, and steps of clients, upstreams and time.

use proptest::prelude::*;
use serde_json::{Value, json};

/// The stream that was opened last.
pub(super) const NEWEST: usize = usize::MAX;

/// One step. Streams are chosen by their number among those that are open.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Open {
        worker: usize,
        spare: bool,
        post: bool,
        extra: Vec<(&'static str, &'static str)>,
        complete: bool,
        trusted: bool,
    },
    RequestEnded(usize),
    /// An attempt behind the router, with its response, if any.
    Attempt(usize, Option<u16>),
    Response {
        stream: usize,
        status: u16,
        extra: Vec<(&'static str, &'static str)>,
        local: Option<(u64, &'static str)>,
        end: bool,
    },
    Chunk(usize, bool),
    Trailers(usize, &'static str),
    Close(usize, u64),
    Pass(u64),
    Tick,
}

/// The configuration with this policy.
pub(super) fn configuration(policy: &Value) -> String {
    let spare = json!({"breaker": {"consecutive": 3}});
    let configuration = json!({
        "version": 1,
        "trust": {"addresses": ["10.0.0.1"]},
        "policies": {"p": policy, "spare": spare},
        "upstreams": [{"cluster": "shop", "policy": "p"}, {"cluster": "spare", "policy": "spare"}],
    });
    configuration.to_string()
}

/// One of several values of a key, or none.
fn one_of(values: &[Value]) -> impl Strategy<Value = Option<Value>> + use<> {
    prop::option::of(prop::sample::select(values.to_vec()))
}

pub(super) fn policy() -> impl Strategy<Value = Value> {
    let breaker = (
        one_of(&[json!(1), json!(3), json!(0)]),
        one_of(&[json!({"calls": 10}), json!({"over": "2s"})]),
        one_of(&[json!("shadow"), json!("forced_open"), json!("off")]),
        one_of(&[json!({"over": "300ms"}), json!({"over": "1s", "rate": 30})]),
        one_of(&[json!({"permits": 1}), json!({"permits": 3, "wait": "8s"})]),
    );
    let parts = (
        one_of(&[
            json!({"total": "2s"}),
            json!({"total": "5s", "doomed_under": "50ms"}),
            json!({"adaptive": {"percentile": 90, "minimum_samples": 5}}),
        ]),
        one_of(&[
            json!({"attempts": 3}),
            json!({"attempts": 2, "mode": "shadow"}),
            json!({"attempts": 3, "budget": {"ratio": 0, "min_per_second": 1}}),
            json!({"attempts": 2, "hedge": {"after": "100ms"}, "methods": "any"}),
        ]),
        one_of(&[
            json!({"max_concurrent": 2}),
            json!({"max_concurrent": 2, "per": {"header": "tenant", "max_keys": 4}}),
            json!({"max_concurrent": 1, "mode": "shadow"}),
            json!({"max_concurrent": 3, "until": "headers"}),
        ]),
        one_of(&[
            json!({"limit": "fixed", "max": 3}),
            json!({"limit": "adaptive", "min": 1, "max": 5, "initial": 2}),
            json!({"limit": "none", "load_over": 20}),
        ]),
        one_of(&[
            json!([{"static": {"status": 200, "body": "{{reason}}", "headers": {"x-a": "b"}}}]),
            json!([{"cluster": "spare"}, {"static": {"status": 202}}]),
            json!([{"stale": {"max_age": "1m"}}, {"static": {"status": 203, "grpc": {"status": 0}}}]),
        ]),
        one_of(&[json!(false)]),
    );
    (breaker, parts).prop_map(|(breaker, parts)| {
        let mut all = json!({"breaker": {"minimum_calls": 4, "open": {"for": "1s"}}});
        let (consecutive, window, mode, slow, half_open) = breaker;
        let inner = [
            ("consecutive", consecutive),
            ("window", window),
            ("mode", mode),
            ("slow_call", slow),
            ("half_open", half_open),
        ];
        for (key, value) in inner {
            if let Some(value) = value {
                all["breaker"][key] = value;
            }
        }
        let (timeout, retries, bulkhead, shedding, fallback, answers) = parts;
        let outer = [
            ("timeout", timeout),
            ("retries", retries),
            ("bulkhead", bulkhead),
            ("shedding", shedding),
            ("fallback", fallback),
            ("answer_headers", answers),
        ];
        for (key, value) in outer {
            if let Some(value) = value {
                all[key] = value;
            }
        }
        all
    })
}

fn step() -> impl Strategy<Value = Step> {
    let request = prop::sample::subsequence(
        vec![
            ("content-type", "application/grpc"),
            ("grpc-timeout", "40m"),
            ("x-seawall-priority", "sheddable"),
            ("tenant", "a"),
            ("x-request-id", "5f0c"),
            ("x-seawall-attempt", "2"),
            ("x-envoy-max-retries", "9"),
            ("accept", "text/event-stream"),
            ("upgrade", "websocket"),
        ],
        0..4,
    );
    let response = prop::sample::subsequence(
        vec![
            ("retry-after", "2"),
            ("grpc-status", "14"),
            ("content-type", "application/grpc"),
            ("endpoint-load-metrics", "TEXT application_utilization=0.95"),
            ("x-seawall-reason", "shed_limit"),
            ("cache-control", "public, max-age=60"),
            ("x-seawall-no-retry", "1"),
        ],
        0..3,
    );
    let status = prop::sample::select(vec![200, 200, 200, 204, 404, 429, 500, 503, 503, 504]);
    let local = prop::option::weighted(
        0.2,
        prop::sample::select(vec![
            (0x4, "response_timeout"),
            (0x40, "upstream_reset_before_response_started"),
            (0x2, "no_healthy_upstream"),
            (
                0x20,
                "upstream_reset_before_response_started{connection_termination}",
            ),
        ]),
    );
    let open = (
        0..4_usize,
        any::<bool>(),
        prop::bool::weighted(0.2),
        request,
        any::<bool>(),
        any::<bool>(),
    );
    prop_oneof![
        5 => open.prop_map(|(worker, post, spare, extra, complete, trusted)| Step::Open {
            worker, spare, post, extra, complete, trusted,
        }),
        1 => (0..20_usize).prop_map(Step::RequestEnded),
        2 => (0..20_usize, prop::option::weighted(0.7, status.clone())).prop_map(|(stream, status)| Step::Attempt(stream, status)),
        5 => (0..20_usize, status, response, local, any::<bool>()).prop_map(|(stream, status, extra, local, end)| Step::Response {
            stream, status, extra, local, end,
        }),
        1 => (0..20_usize, any::<bool>()).prop_map(|(stream, end)| Step::Chunk(stream, end)),
        1 => (0..20_usize, prop::sample::select(vec!["0", "8", "14"])).prop_map(|(stream, status)| Step::Trailers(stream, status)),
        3 => (0..20_usize, prop::sample::select(vec![0, 0x8, 0x40, 0x4])).prop_map(|(stream, flags)| Step::Close(stream, flags)),
        2 => prop::sample::select(vec![1, 30, 400, 1_200, 7_000]).prop_map(Step::Pass),
        2 => Just(Step::Tick),
    ]
}

/// A whole GET on its way, with a response that may be kept.
fn served() -> impl Strategy<Value = Vec<Step>> {
    let status = prop::sample::select(vec![200, 200, 503]);
    (0..4_usize, status).prop_map(|(worker, status)| {
        let open = Step::Open {
            worker,
            spare: false,
            post: false,
            extra: Vec::new(),
            complete: true,
            trusted: true,
        };
        let response = Step::Response {
            stream: NEWEST,
            status,
            extra: vec![("cache-control", "public, max-age=60")],
            local: None,
            end: true,
        };
        vec![open, response, Step::Close(NEWEST, 0)]
    })
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = prop_oneof![9 => step().prop_map(|step| vec![step]), 1 => served()];
    prop::collection::vec(some, 1..200).prop_map(|steps| steps.concat())
}
