//! What is found around retries: Envoy's own limits, the second position, routes, and trust across an application.

use serde_json::json;

use super::*;

const RETRIES: &str = r#"{"version":1,"policies":{"default":{"retries":{"attempts":2}}}}"#;
const CHAIN: &str =
    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";

fn filter(policy: &str) -> Value {
    json!({"name": "seawall", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "failure_policy": "FAIL_RELOAD",
            "vm_config": {"vm_id": "seawall", "code": {"local": {"filename": "seawall.wasm"}}},
            "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": policy}
        }
    }})
}

fn codec() -> Value {
    json!({"name": "codec", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
    }})
}

fn listener(direction: &str, policy: &str) -> Value {
    let routes =
        json!([{"match": {"prefix": "/"}, "route": {"cluster": "users", "timeout": "10s"}}]);
    json!({"traffic_direction": direction, "filter_chains": [{"filters": [{"typed_config": {
        "route_config": {"virtual_hosts": [{"domains": ["*"], "routes": routes}]},
        "http_filters": [filter(policy), {"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "upstream_http_filters": [filter(policy), codec()]
        }}]
    }}]}]})
}

/// A bootstrap in which nothing is found.
fn well(policy: &str) -> Value {
    let names = [
        "policy", "upstream", "decision", "reason", "outcome", "from", "to", "rung", "call",
    ];
    json!({
        "stats_config": {"stats_tags": names.map(|name| json!({"tag_name": name}))},
        "static_resources": {
            "listeners": [listener("OUTBOUND", policy)],
            "clusters": [
                {"name": "users", "circuit_breakers": {"thresholds": [{"max_retries": 1000}]}},
                {"name": "tracing"}
            ]
        }
    })
}

/// What is found with something else at one place; null takes it away.
pub(super) fn with(policy: &str, pointer: &str, value: Value) -> Findings {
    let mut document = well(policy);
    put(&mut document, pointer, value);
    findings(&document.to_string())
}

fn put(document: &mut Value, pointer: &str, value: Value) {
    let (outer, key) = pointer.rsplit_once('/').unwrap();
    match (document.pointer_mut(outer).unwrap(), value) {
        (Value::Object(map), Value::Null) => {
            map.remove(key);
        }
        (Value::Array(items), value) => items[key.parse::<usize>().unwrap()] = value,
        (outer, value) => outer[key] = value,
    }
}

/// Exactly this is found, as a warning whose path ends so and whose problem holds these words.
#[track_caller]
pub(super) fn warns(found: &Findings, path: &str, words: &str) {
    assert_eq!(found.errors, vec![]);
    let [warning] = found.warnings.as_slice() else {
        panic!("{:#?}", found.warnings);
    };
    assert!(warning.path.ends_with(path), "{warning:?}");
    assert!(warning.problem.contains(words), "{warning:?}");
}

#[track_caller]
pub(super) fn is_quiet(found: &Findings) {
    assert_eq!((&found.errors, &found.warnings), (&Vec::new(), &Vec::new()));
}

#[test]
fn both_positions_are_one_configuration_in_which_nothing_is_wrong() {
    let found = findings(&well(RETRIES).to_string());
    is_quiet(&found);
    assert_eq!(found.configurations, 1);
}

#[test]
fn envoys_limit_on_retries_is_found_where_the_budget_would_be_moot() {
    let breakers = "/static_resources/clusters/0/circuit_breakers";
    let path = "static_resources.clusters[0].circuit_breakers.thresholds";
    for (given, words) in [
        (Value::Null, "not set, which is 3 in Envoy"),
        (json!({"thresholds": []}), "not set"),
        (json!({"thresholds": [{"max_requests": 5000}]}), "not set"),
        (
            json!({"thresholds": [{"max_retries": 99}]}),
            "is 99 at a time",
        ),
        (
            json!({"thresholds": [{"max_retries": "99"}]}),
            "is 99 at a time",
        ),
        (
            json!({"thresholds": [{"priority": "HIGH", "max_retries": 1000}]}),
            "not set",
        ),
        (
            json!({"thresholds": [{"max_retries": 3}, {"priority": "DEFAULT", "max_retries": 1000}]}),
            "is 3 at a time",
        ),
    ] {
        let found = with(RETRIES, breakers, given);
        warns(&found, path, words);
        warns(&found, path, "flag UO");
        warns(&found, path, "set it to 1000");
    }
    for given in [
        json!({"thresholds": [{"max_retries": 100}]}),
        json!({"thresholds": [{"retry_budget": {}}]}),
        json!({"thresholds": [{"priority": "HIGH", "max_retries": 1}, {"priority": 0, "max_retries": 1000}]}),
    ] {
        is_quiet(&with(RETRIES, breakers, given));
    }
    is_quiet(&with(GOOD, breakers, Value::Null));
}

#[test]
fn only_clusters_that_a_policy_with_retries_governs_are_asked_for_their_limit() {
    let named = r#"{"version":1,"policies":{"default":{},"careful":{"retries":{}}}}"#;
    let breakers = "/static_resources/clusters/0/circuit_breakers";
    let unnamed = with(named, breakers, Value::Null);
    warns(&unnamed, "policies.careful", "governs nothing");
    let route = format!(
        "{}/route_config/virtual_hosts/0/routes/0",
        CHAIN.trim_end_matches("/http_filters")
    );
    let mut document = well(named);
    put(&mut document, breakers, Value::Null);
    let metadata = json!({"filter_metadata": {"seawall": {"policy": "careful"}}});
    put(&mut document, &format!("{route}/metadata"), metadata);
    let found = findings(&document.to_string());
    warns(&found, "circuit_breakers.thresholds", "policy \"careful\"");

    let weighted =
        json!({"weighted_clusters": {"clusters": [{"name": "users"}, {"name": "tracing"}]}});
    let found = with(RETRIES, &format!("{route}/route"), weighted);
    warns(
        &found,
        "clusters[1].circuit_breakers.thresholds",
        "\"tracing\"",
    );
    // Where routes come from elsewhere, or only a request tells, every cluster may be meant.
    let found = with(
        RETRIES,
        &format!("{route}/route"),
        json!({"cluster_header": "x-to"}),
    );
    warns(
        &found,
        "clusters[1].circuit_breakers.thresholds",
        "\"tracing\"",
    );
    let config = route.split("/virtual_hosts").next().unwrap();
    let found = with(RETRIES, config, Value::Null);
    warns(
        &found,
        "clusters[1].circuit_breakers.thresholds",
        "\"tracing\"",
    );
}

#[test]
fn a_router_without_the_filter_behind_it_is_found_where_there_are_retries() {
    let behind = format!("{CHAIN}/1/typed_config/upstream_http_filters");
    for given in [Value::Null, json!([codec()])] {
        let found = with(RETRIES, &behind, given.clone());
        let path = "http_filters[1].typed_config.upstream_http_filters";
        warns(&found, path, "accounted for each request");
        warns(
            &found,
            path,
            "POST and PATCH without an Idempotency-Key are not retried at all",
        );
        warns(&found, path, "methods: any");
        is_quiet(&with(GOOD, &behind, given.clone()));
        // Where all may be repeated, or the route decides, nothing is lost.
        for more in [r#""methods":"any""#, r#""mode":"shadow""#] {
            let found = with(
                &RETRIES.replace(r#""attempts":2"#, more),
                &behind,
                given.clone(),
            );
            let [warning] = found.warnings.as_slice() else {
                panic!("{:#?}", found.warnings);
            };
            assert!(!warning.problem.contains("POST"), "{warning:?}");
        }
    }
}

#[test]
fn both_positions_must_be_written_alike() {
    let config = format!("{CHAIN}/1/typed_config/upstream_http_filters/0/typed_config/config");
    let other = RETRIES.replace('2', "3");
    for (key, value) in [
        ("configuration/value", json!(other)),
        ("configuration/value", json!(format!("{RETRIES} "))),
        (
            "vm_config/code/local/filename",
            json!("/other/seawall.wasm"),
        ),
    ] {
        let found = with(RETRIES, &format!("{config}/{key}"), value);
        let place = key.split("/value").next().unwrap().replace('/', ".");
        let place = place.split(".local").next().unwrap();
        warns(&found, place, "is written otherwise than");
    }
    let found = with(RETRIES, &format!("{config}/vm_config/vm_id"), json!("two"));
    warns(&found, "config.vm_config.vm_id", "share no state");

    let wrong = r#"{"version":1,"policies":{"default":{"retires":{}}}}"#;
    let found = with(
        RETRIES,
        &format!("{config}/configuration/value"),
        json!(wrong),
    );
    assert_eq!(found.configurations, 2);
    let [error] = found.errors.as_slice() else {
        panic!("{:#?}", found.errors);
    };
    assert!(
        error.path.ends_with("policies.default.retires"),
        "{error:?}"
    );
    assert!(error.path.contains("upstream_http_filters[0]"), "{error:?}");
    for key in ["failure_policy", "vm_config/vm_id"] {
        let found = with(GOOD, &format!("{config}/{key}"), Value::Null);
        let path = format!(
            "upstream_http_filters[0].typed_config.config.{}",
            key.replace('/', ".")
        );
        assert!(
            paths(&found.warnings)
                .iter()
                .all(|found| found.ends_with(&path)),
            "{found:?}"
        );
        assert!(!found.warnings.is_empty());
    }
}

#[test]
fn the_filter_behind_a_router_is_no_place_before_one() {
    let mut document = well(RETRIES);
    put(
        &mut document,
        &format!("{CHAIN}/0"),
        json!({"name": "cors"}),
    );
    let found = findings(&document.to_string());
    warns(&found, "upstream_http_filters[0]", "nothing decides");
    assert_eq!(found.configurations, 1);

    let mut options = json!({"http_filters": [filter(RETRIES), codec()]});
    options["@type"] =
        json!("type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
    let found = with(
        RETRIES,
        "/static_resources/clusters/0/typed_extension_protocol_options",
        json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}),
    );
    warns(&found, "http_filters[0]", "a cluster's own filters");
}

#[test]
fn a_cluster_with_filters_of_its_own_hides_its_attempts() {
    let found = with(
        RETRIES,
        "/static_resources/clusters/0/typed_extension_protocol_options",
        json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "http_filters": [codec()]
        }}),
    );
    warns(
        &found,
        "clusters[0].typed_extension_protocol_options.envoy.extensions.upstreams.http.v3.HttpProtocolOptions.http_filters",
        "take the place of the router's",
    );
}

#[test]
fn the_codec_must_be_there_and_be_the_last() {
    let behind = format!("{CHAIN}/1/typed_config/upstream_http_filters");
    for (filters, at) in [
        (json!([filter(RETRIES)]), "upstream_http_filters"),
        (
            json!([codec(), filter(RETRIES)]),
            "upstream_http_filters[0]",
        ),
    ] {
        let found = with(RETRIES, &behind, filters);
        let [error] = found.errors.as_slice() else {
            panic!("{:#?}", found.errors);
        };
        assert!(error.path.ends_with(at), "{error:?}");
        assert_eq!(found.warnings, vec![]);
    }
    let by_name = json!([filter(RETRIES), {"name": "envoy.filters.http.upstream_codec"}]);
    is_quiet(&with(RETRIES, &behind, by_name));
}

#[test]
fn a_route_with_retries_of_its_own_is_told_that_they_come_under_the_budget() {
    let manager = CHAIN.trim_end_matches("/http_filters");
    let host = format!("{manager}/route_config/virtual_hosts/0/retry_policy");
    let route = format!("{manager}/route_config/virtual_hosts/0/routes/0/route/retry_policy");
    let own = json!({"retry_on": "5xx", "num_retries": 3});
    let shadow = RETRIES.replace("{\"attempts\":2}", "{\"mode\":\"shadow\"}");
    for (pointer, path) in [
        (&host, "virtual_hosts[0].retry_policy.retry_on"),
        (&route, "routes[0].route.retry_policy.retry_on"),
    ] {
        let found = with(RETRIES, pointer, own.clone());
        warns(&found, path, "(5xx) are brought under the budget");
        let found = with(&shadow, pointer, own.clone());
        warns(&found, path, "(5xx) stay as they are");
        is_quiet(&with(GOOD, pointer, own.clone()));
        // Without a back-off Envoy's own holds, 25 ms.
        let inert = json!({"retry_back_off": {"base_interval": "0.1s"}});
        is_quiet(&with(RETRIES, pointer, inert));
        is_quiet(&with(RETRIES, pointer, json!({"num_retries": 1})));
    }
}

#[test]
fn where_the_route_is_to_retry_it_is_told_how() {
    let manager = CHAIN.trim_end_matches("/http_filters");
    let route = format!("{manager}/route_config/virtual_hosts/0/routes/0/route/retry_policy");
    let by_route = RETRIES.replace("{\"attempts\":2}", "{\"attempts\":3,\"router\":\"route\"}");
    let words = "retriable-headers,reset,connect-failure,refused-stream";
    let right = json!({"retry_on": words, "num_retries": 2, "retriable_headers": [{"name": "x-seawall-retry"}]});
    is_quiet(&with(&by_route, &route, right.clone()));
    let need = "needs {retry_on: \"retriable-headers,reset,connect-failure,refused-stream\", num_retries: 2";
    warns(
        &with(&by_route, &route, json!({})),
        "routes[0].route.retry_policy",
        need,
    );
    for (key, wrong) in [
        ("retry_on", json!("retriable-headers")),
        ("retry_on", json!(format!("{words},5xx"))),
        ("num_retries", json!(3)),
        ("num_retries", json!(null)),
        ("retriable_headers", json!([])),
        ("retriable_headers", json!([{"name": "x-retry"}])),
        (
            "retriable_headers",
            json!([{"name": "x-seawall-retry", "invert_match": true}]),
        ),
    ] {
        let mut policy = right.clone();
        policy[key] = wrong;
        warns(
            &with(&by_route, &route, policy),
            "routes[0].route.retry_policy",
            need,
        );
    }
}

#[test]
fn a_limit_of_an_attempt_is_shorter_than_the_whole_requests() {
    let route = format!(
        "{}/route_config/virtual_hosts/0/routes/0",
        CHAIN.trim_end_matches("/http_filters")
    );
    let per_try = |more: &str| {
        RETRIES.replace(
            "{\"retries\"",
            &format!("{{\"timeout\":{{\"per_try\":\"3s\"{more}}},\"retries\""),
        )
    };
    let timeout = format!("{route}/route/timeout");
    for given in ["3s", "2.5s"] {
        let found = with(&per_try(""), &timeout, json!(given));
        warns(&found, "routes[0].route.timeout", "leaves it out");
    }
    for given in [json!("4s"), json!("0s"), Value::Null] {
        is_quiet(&with(&per_try(""), &timeout, given));
    }
    // The policy's total takes the place of the route's own, unless that is repeated.
    let total = per_try(",\"total\":\"5s\"");
    let found = with(&total, &timeout, json!("2s"));
    warns(&found, "routes[0].route.timeout", "2s does not hold");
    let found = with(&total, &timeout, json!("6s"));
    warns(&found, "routes[0].route.timeout", "6s does not hold");
    is_quiet(&with(&total, &timeout, json!("5s")));
    let repeated = json!({"filter_metadata": {"seawall": {"timeout": "2s"}}});
    let found = with(&total, &format!("{route}/metadata"), repeated);
    warns(&found, "routes[0].route.timeout", "a request has 2s here");
    let long = per_try("").replace("3s", "15s");
    warns(&with(&long, &timeout, Value::Null), "route.timeout", "15s");
}

#[test]
fn without_trust_marks_do_not_pass_an_application() {
    let trusting = RETRIES.replace(
        "}}}}",
        "}}},\"trust\":{\"identities\":[\"spiffe://mesh/*\"]}}",
    );
    let both = |inbound: &str, outbound: &str| {
        let mut document = well(outbound);
        let listeners = json!([listener("OUTBOUND", outbound), listener("INBOUND", inbound)]);
        document["static_resources"]["listeners"] = listeners;
        let mut found = findings(&document.to_string());
        found
            .warnings
            .retain(|warning| !warning.problem.contains("shares its state"));
        found
    };
    is_quiet(&both(&trusting, &trusting));
    let found = both(&trusting, RETRIES);
    let listener = "static_resources.listeners[0].";
    warns(&found, "configuration: trust", "nobody is trusted");
    assert!(found.warnings[0].path.starts_with(listener), "{found:?}");
    assert_eq!(both(RETRIES, RETRIES).warnings.len(), 2);
    is_quiet(&both(GOOD, GOOD));
}

#[test]
fn before_its_own_application_nothing_is_retried_and_so_nothing_is_missed() {
    let mut document = well(RETRIES);
    document["static_resources"]["clusters"] = json!([{"name": "users"}]);
    let listener = &mut document["static_resources"]["listeners"][0];
    listener["traffic_direction"] = json!("INBOUND");
    let router = &mut listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][1];
    router["typed_config"]["upstream_http_filters"] = json!([]);
    is_quiet(&findings(&document.to_string()));
}
