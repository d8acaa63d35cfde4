//! Defaults never contradict what is written: each key that there is, alone, over sensible values, loads.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::from_value;
use seawall_policy::breaker::Settings;
use seawall_policy::policy::Policy;
use seawall_policy::shedding::Limit;
use seawall_policy::time::Span;

/// A key, what it cannot stand without, and values for it. A key's path is within the policy `p`, or else begins with `/`; a
/// list's item is `[]`.
type Row = (&'static str, Value, Value);

/// What must stand beside a key since it says what the key is about.
fn rows() -> Vec<Row> {
    let none = || json!({});
    let bulkhead = || json!({"bulkhead": {"max_concurrent": 10}});
    let per = || json!({"bulkhead": {"max_concurrent": 10, "per": {"header": "x-tenant"}}});
    let probe = || json!({"breaker": {"probe": {"path": "/healthz"}}});
    let hedge = || json!({"retries": {"hedge": {"percentile": 95}}});
    let fixed = || json!({"fallback": [{"static": {}}]});
    let grpc = || json!({"fallback": [{"static": {"grpc": {"status": 5}}}]});
    let stale = || json!({"fallback": [{"stale": {}}]});
    let upstream = || json!({"/upstreams": [{"cluster": "a", "policy": "p"}]});
    let keyed = || json!({"/upstreams": [{"cluster": "a", "policy": "p", "key": "authority"}]});
    let page = || json!({"/page": {"path": "/seawall", "trust": {"addresses": ["10.0.0.0/8"]}}});
    let shares = || json!([0, 1, 30, 100, "12.5%"]);
    let some_shares = || json!([1, 30, 60, 95, 100]);
    let times = || json!(["1ms", "50ms", "1s", "30s", "2m", "1h"]);
    let switch = || json!(["enforce", "shadow", "off", false]);
    let share_modes = || json!(["enforce", "shadow", "off"]);
    let counts = || json!([1, 10, 1_000, 100_000]);
    vec![
        ("/version", none(), json!([1])),
        ("/limits.upstreams", none(), json!([1, 2_000, 10_000])),
        ("/trust.identities", none(), json!([[], ["spiffe://a/*"]])),
        (
            "/trust.addresses",
            none(),
            json!([[], ["10.0.0.0/8", "::1"]]),
        ),
        ("/page.path", page(), json!(["/", "/seawall"])),
        ("/page.trust.identities", page(), json!([["spiffe://a/*"]])),
        ("/page.trust.addresses", page(), json!([["10.1.2.3"]])),
        ("/page.force.identities", page(), json!([["spiffe://a/*"]])),
        ("/page.force.addresses", page(), json!([[], ["10.1.2.3"]])),
        (
            "/upstreams[].cluster",
            upstream(),
            json!(["a", "outbound|*"]),
        ),
        ("/upstreams[].policy", upstream(), json!(["p"])),
        (
            "/upstreams[].key",
            upstream(),
            json!(["cluster", "authority"]),
        ),
        ("/upstreams[].max_keys", keyed(), json!([1, 100, 1_000])),
        ("extends", json!({"/policies": {"q": {}}}), json!(["q"])),
        ("scope", none(), json!(["cluster", "route"])),
        ("answer_headers", none(), json!([true, false])),
        ("timeout.total", none(), times()),
        ("timeout.per_try", none(), times()),
        (
            "timeout.propagate",
            none(),
            json!([[], ["grpc-timeout", "x-left"]]),
        ),
        ("timeout.doomed_under", none(), json!(["0s", "50ms", "1m"])),
        (
            "timeout.adaptive.percentile",
            none(),
            json!([1, 50, 99.9, 100]),
        ),
        ("timeout.adaptive.factor", none(), json!([1, 1.5, 100])),
        ("timeout.adaptive.min", none(), times()),
        ("timeout.adaptive.max", none(), times()),
        ("timeout.adaptive.minimum_samples", none(), counts()),
        (
            "outcomes.failure.status",
            none(),
            json!([[], [500], [429, "5xx", "520-527"]]),
        ),
        (
            "outcomes.failure.grpc",
            none(),
            json!([[], [14], ["resource-exhausted"]]),
        ),
        (
            "outcomes.failure.flags",
            none(),
            json!([[], ["UT", "UR", "UF", "UC", "UPE"]]),
        ),
        (
            "outcomes.overloaded.status",
            none(),
            json!([[], [503], ["400-599"]]),
        ),
        (
            "outcomes.overloaded.grpc",
            none(),
            json!([[], [14], ["unavailable"]]),
        ),
        (
            "outcomes.overloaded.breaker",
            none(),
            json!(["ignore", "failure"]),
        ),
        (
            "breaker.mode",
            none(),
            json!(["enforce", "shadow", "off", "forced_open", false]),
        ),
        ("breaker.enforce", none(), shares()),
        ("breaker.inbound", none(), json!([true, false])),
        ("breaker.failure_rate", none(), shares()),
        ("breaker.slow_call.over", none(), times()),
        ("breaker.slow_call.rate", none(), shares()),
        (
            "breaker.slow_call.long_poll[].path",
            none(),
            json!(["/poll", "/v1/watch/*", "/*"]),
        ),
        (
            "breaker.slow_call.long_poll[].route",
            none(),
            json!(["watch"]),
        ),
        ("breaker.consecutive", none(), json!([0, 1, 7, 1_000])),
        (
            "breaker.window.over",
            none(),
            json!(["100ms", "1s", "1m", "1h"]),
        ),
        ("breaker.window.calls", none(), json!([1, 10, 1_024])),
        ("breaker.minimum_calls", none(), counts()),
        ("breaker.open.for", none(), times()),
        ("breaker.open.up_to", none(), times()),
        ("breaker.open.jitter", none(), shares()),
        ("breaker.half_open.permits", none(), json!([1, 2, 1_000])),
        (
            "breaker.half_open.wait",
            none(),
            json!(["2s", "2500ms", "3s", "20s", "1h"]),
        ),
        ("breaker.ramp", none(), json!(["0s", "1s", "1h"])),
        ("breaker.hosts.grace", none(), json!(["0s", "1s", "1h"])),
        (
            "breaker.probe.path",
            none(),
            json!(["/", "/healthz?full=1"]),
        ),
        ("breaker.probe.host", probe(), json!(["shop", "shop:8080"])),
        (
            "breaker.probe.every",
            probe(),
            json!(["100ms", "500ms", "1h"]),
        ),
        (
            "breaker.probe.timeout",
            probe(),
            json!(["1ms", "30s", "1m"]),
        ),
        ("retries.mode", none(), switch()),
        ("retries.attempts", none(), json!([1, 2, 10])),
        (
            "retries.on",
            none(),
            json!([[], ["5xx"], ["409", "internal"]]),
        ),
        ("retries.methods", none(), json!(["idempotent", "any"])),
        (
            "retries.budget.ratio",
            none(),
            json!([0, 20, 100, 101, 1_000, "12.5%"]),
        ),
        (
            "retries.budget.min_per_second",
            none(),
            json!([0, 0.1, 1_000]),
        ),
        ("retries.budget.ttl", none(), json!(["1s", "10s", "60s"])),
        ("retries.hedge.after", none(), times()),
        ("retries.hedge.percentile", none(), json!([1, 95, 100])),
        ("retries.hedge.min", hedge(), times()),
        ("retries.hedge.max", hedge(), times()),
        ("retries.router", none(), json!(["headers", "route"])),
        ("bulkhead.mode", bulkhead(), switch()),
        ("bulkhead.enforce", bulkhead(), shares()),
        (
            "bulkhead.max_concurrent",
            none(),
            json!([1, 100, 1_000_000]),
        ),
        ("bulkhead.per.header", bulkhead(), json!(["x-tenant"])),
        ("bulkhead.per.max_keys", per(), json!([1, 100, 1_000])),
        ("bulkhead.until", bulkhead(), json!(["headers", "end"])),
        ("shedding.mode", none(), share_modes()),
        ("shedding.enforce", none(), shares()),
        ("shedding.limit", none(), json!(["adaptive", "none"])),
        (
            "shedding.limit",
            json!({"shedding": {"max": 10}}),
            json!(["fixed"]),
        ),
        ("shedding.min", none(), counts()),
        ("shedding.max", none(), counts()),
        ("shedding.initial", none(), counts()),
        ("shedding.shares.critical_plus", none(), some_shares()),
        ("shedding.shares.critical", none(), some_shares()),
        ("shedding.shares.sheddable_plus", none(), some_shares()),
        ("shedding.shares.sheddable", none(), some_shares()),
        ("shedding.priorities.header", none(), json!(["x-prio"])),
        (
            "shedding.priorities.default",
            none(),
            json!(["critical_plus", "critical", "sheddable_plus", "sheddable"]),
        ),
        ("shedding.load_over", none(), shares()),
        ("shedding.retry_after", none(), json!(["1s", "1h"])),
        ("bulkhead.unfinished", bulkhead(), json!([1, 50, 100])),
        ("shedding.unfinished", none(), json!([1, 50, 100])),
        ("exempt[].path", none(), json!(["/healthz", "/health*"])),
        ("shedding.until", none(), json!(["headers", "end"])),
        (
            "fallback[].on",
            fixed(),
            json!([["open", "shed", "bulkhead", "deadline", "failure"]]),
        ),
        ("fallback[].cluster", none(), json!(["standby"])),
        (
            "fallback[].stale.max_age",
            none(),
            json!(["1s", "10m", "24h"]),
        ),
        ("fallback[].stale.authorized", stale(), json!([true, false])),
        ("fallback[].stale.cookies", stale(), json!([true, false])),
        (
            "fallback[].stale.ignore_headers",
            stale(),
            json!([["x-forwarded-for", "user-agent"], ["accept*"]]),
        ),
        (
            "fallback[].static.status",
            none(),
            json!([200, 204, 404, 503, 599]),
        ),
        (
            "fallback[].static.content_type",
            fixed(),
            json!(["text/plain"]),
        ),
        (
            "fallback[].static.headers",
            fixed(),
            json!([{"x-from": "seawall"}]),
        ),
        ("fallback[].static.body", fixed(), json!(["", "[]"])),
        ("fallback[].static.grpc.status", fixed(), json!([0, 5, 16])),
        ("fallback[].static.grpc.message", grpc(), json!(["gone"])),
    ]
}

/// All keys under which a value stands, as the rows write them: from the schema, which is made from the types.
fn keys(schema: &Value, of: &Value, path: &str, found: &mut BTreeSet<String>) {
    let of = resolved(schema, of);
    if let Some(fields) = of["properties"].as_object() {
        for (key, field) in fields {
            let between = match path {
                "" | "/" => "",
                _ => ".",
            };
            keys(schema, field, &format!("{path}{between}{key}"), found);
        }
    } else if resolved(schema, &of["items"])["properties"].is_object() {
        keys(schema, &of["items"], &format!("{path}[]"), found);
    } else if resolved(schema, &of["additionalProperties"])["properties"].is_object() {
        keys(schema, &of["additionalProperties"], "", found);
    } else {
        found.insert(path.to_owned());
    }
}

/// What a part of the schema stands for, behind a reference and beside null.
fn resolved<'a>(schema: &'a Value, of: &'a Value) -> &'a Value {
    let first = &of["anyOf"][0];
    let reference = [of, first].into_iter().find_map(|of| of["$ref"].as_str());
    match reference.and_then(|reference| schema.pointer(reference.strip_prefix('#')?)) {
        Some(of) => of,
        None => of,
    }
}

/// Puts a value under a key, where there may be something already.
fn put(into: &mut Value, path: &str, value: &Value) {
    let Some((key, rest)) = path.split_once('.') else {
        match path.strip_suffix("[]") {
            Some(key) => into[key][0] = value.clone(),
            None => into[path] = value.clone(),
        }
        return;
    };
    match key.strip_suffix("[]") {
        Some(key) => {
            if into[key].is_null() {
                into[key] = json!([{}]);
            }
            put(&mut into[key][0], rest, value);
        }
        None => put(&mut into[key], rest, value),
    }
}

fn file(beside: &Value, path: &str, value: &Value) -> Value {
    let mut file = json!({"version": 1, "policies": {"p": {}}});
    let mut lay = |path: &str, value: &Value| match path.strip_prefix('/') {
        Some("policies") => {
            for (name, policy) in value.as_object().unwrap() {
                file["policies"][name] = policy.clone();
            }
        }
        Some(path) => put(&mut file, path, value),
        None => put(&mut file["policies"]["p"], path, value),
    };
    for (key, value) in beside.as_object().unwrap() {
        lay(key, value);
    }
    lay(path, value);
    file
}

#[test]
fn every_key_alone_loads_with_every_sensible_value() {
    let mut missing = BTreeSet::new();
    let schema = include_str!("../../../../docs/policy.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    keys(&schema, &schema, "/", &mut missing);
    let known = missing.clone();
    let mut refused = Vec::new();
    for (path, beside, values) in rows() {
        assert!(known.contains(path), "{path}: there is no such key");
        missing.remove(path);
        for value in values.as_array().unwrap() {
            let file = file(&beside, path, value);
            if let Err(error) = from_value(&file) {
                refused.push(format!("{path} = {value}: {error}"));
            }
        }
    }
    assert!(refused.is_empty(), "refused:\n{}", refused.join("\n"));
    assert!(missing.is_empty(), "keys without a row: {missing:?}");
}

#[test]
fn two_keys_of_different_policies_of_their_own_load_together() {
    // What loads alone loads beside every key of another group: between the groups only the times of requests and of the
    // half-open breaker, and hedges and limits of attempts, have to do with each other.
    let related = |path: &str| path.starts_with("timeout") || path.starts_with("retries.hedge");
    let group = |path: &str| path.split(['.', '[']).next().unwrap().to_owned();
    let rows = rows();
    let rows: Vec<&Row> = rows
        .iter()
        .filter(|(path, ..)| !path.starts_with('/'))
        .collect();
    for (path, beside, values) in &rows {
        for (other, other_beside, other_values) in &rows {
            let times = related(path) || related(other);
            if times || group(path) == group(other) || *path == "extends" || *other == "extends" {
                continue;
            }
            let mut both = beside.clone();
            both.as_object_mut()
                .unwrap()
                .extend(other_beside.as_object().unwrap().clone());
            both[*other] = other_values[0].clone();
            let file = file(&both, path, &values[0]);
            assert!(
                from_value(&file).is_ok(),
                "{file}: {:?}",
                from_value(&file).err()
            );
        }
    }
}

fn read(policy: Value) -> Policy {
    let file = json!({"version": 1, "policies": {"p": policy}});
    from_value(&file).unwrap().policies[0].clone()
}

#[test]
fn a_default_follows_what_is_written() {
    let breaker = |timeout: Value, breaker: Value| -> Settings {
        read(json!({"timeout": timeout, "breaker": breaker})).breaker
    };
    let wait = |timeout, written| breaker(timeout, written).half_open.wait;
    assert_eq!(wait(json!({}), json!({})), Span::secs(20));
    assert_eq!(wait(json!({"total": "30s"}), json!({})), Span::secs(30));
    let late = json!({"slow_call": {"over": "25s"}});
    assert_eq!(wait(json!({"total": "22s"}), late), Span::secs(26));
    let short = breaker(json!({}), json!({"half_open": {"wait": "2500ms"}}));
    assert_eq!(short.thresholds.slow_over, Span::millis(1_500));
    assert_eq!(short.half_open.wait, Span::millis(2_500));
    let open = |written: Value| {
        let open = breaker(json!({}), json!({"open": written})).open;
        (open.base, open.cap)
    };
    assert_eq!(
        open(json!({"for": "2m"})),
        (Span::secs(120), Span::secs(120))
    );
    assert_eq!(open(json!({"up_to": "1s"})), (Span::secs(1), Span::secs(1)));
    assert_eq!(open(json!({"for": "7s"})), (Span::secs(7), Span::secs(60)));
    let limit = |written: Value| match read(json!({"shedding": written})).shedding.unwrap().limit {
        Limit::Adaptive(limit) => (limit.floor, limit.initial, limit.ceiling),
        Limit::Fixed(_) | Limit::None => panic!("adaptive"),
    };
    assert_eq!(limit(json!({"max": 10})), (10, 10, 10));
    assert_eq!(limit(json!({"min": 300})), (300, 300, 300));
    assert_eq!(limit(json!({"initial": 5})), (5, 5, 200));
    assert_eq!(limit(json!({"initial": 500})), (20, 500, 500));
    assert_eq!(limit(json!({"initial": 50, "max": 80})), (20, 50, 80));
}
