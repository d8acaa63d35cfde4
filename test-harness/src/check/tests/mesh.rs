//! DestinationRules and VirtualServices beside the filter are judged as a bootstrap's clusters and routes are.

use serde_json::json;

use super::kinds::filter;
use super::*;

const RETRIES: &str = r#"{"version":1,"policies":{"default":{"retries":{}}}}"#;

/// The resources that put the filter before the router, in a namespace.
fn holders(namespace: &str, policy: &str) -> [Value; 3] {
    let config: Value = serde_json::from_str(policy).unwrap();
    let metadata = json!({"name": "seawall", "namespace": namespace});
    let wasm =
        json!({"url": "oci://a/seawall", "failStrategy": "FAIL_RELOAD", "pluginConfig": config});
    [
        json!({"kind": "WasmPlugin", "metadata": metadata, "spec": wasm}),
        json!({"kind": "TrafficExtension", "metadata": metadata, "spec": {"wasm": wasm}}),
        json!({"kind": "EnvoyFilter", "metadata": metadata, "spec": {"configPatches": [
            {"applyTo": "HTTP_FILTER", "patch": {"operation": "INSERT_BEFORE", "value": filter(policy)}}]}}),
    ]
}

fn beside(holder: &Value, other: &Value) -> Findings {
    // The order of a file's resources does not count.
    let list = |items: Value| findings(&json!({"kind": "List", "items": items}).to_string());
    let found = list(json!([holder, other]));
    let swapped = list(json!([other, holder]));
    let problems = |found: &Findings| {
        let all = found.warnings.iter().chain(&found.unread);
        all.map(|found| found.problem.clone()).collect::<Vec<_>>()
    };
    assert_eq!(problems(&found), problems(&swapped));
    assert_eq!((found.configurations, &found.errors), (1, &vec![]));
    found
}

fn rule(namespace: &str, spec: Value) -> Value {
    json!({"kind": "DestinationRule", "metadata": {"name": "a", "namespace": namespace}, "spec": spec})
}

fn service(namespace: &str, http: Value) -> Value {
    json!({"kind": "VirtualService", "metadata": {"name": "a", "namespace": namespace},
        "spec": {"hosts": ["payments"], "http": [http]}})
}

fn pool(limit: Value) -> Value {
    json!({"connectionPool": {"http": {"maxRetries": limit}}})
}

#[track_caller]
fn warns(found: &Findings, path: &str, words: &str) {
    let [warning] = found.warnings.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(warning.path, format!("items[1].{path}"));
    assert!(warning.problem.contains(words), "{warning:?}");
    assert_eq!(found.unread, vec![]);
}

#[track_caller]
fn is_quiet(found: &Findings) {
    assert_eq!((&found.warnings, &found.unread), (&vec![], &vec![]));
    assert_eq!(found.verdict(), Verdict::Valid);
}

#[test]
fn a_limit_on_retries_is_found_wherever_a_rule_may_have_it() {
    let port = |limit: u64| {
        json!({"portLevelSettings": [{"port": {"number": 443},
        "connectionPool": {"http": {"maxRetries": limit}}}]})
    };
    for holder in holders("shop", RETRIES) {
        for (spec, path) in [
            (
                json!({"host": "payments", "trafficPolicy": pool(json!(3))}),
                "spec.trafficPolicy.",
            ),
            (
                json!({"host": "payments", "trafficPolicy": port(3)}),
                "spec.trafficPolicy.portLevelSettings[0].",
            ),
            (
                json!({"host": "payments", "subsets": [{"name": "v1", "trafficPolicy": pool(json!(99))}]}),
                "spec.subsets[0].trafficPolicy.",
            ),
            (
                json!({"host": "payments", "subsets": [{"name": "v1", "trafficPolicy": port(1)}]}),
                "spec.subsets[0].trafficPolicy.portLevelSettings[0].",
            ),
        ] {
            let found = beside(&holder, &rule("shop", spec));
            warns(
                &found,
                &format!("{path}connectionPool.http.maxRetries"),
                "set it to 1000",
            );
        }
        for limit in [0, 100, 1000, 2_147_483_647] {
            let spec = json!({"host": "payments", "trafficPolicy": pool(json!(limit))});
            is_quiet(&beside(&holder, &rule("shop", spec)));
        }
        let odd = json!({"host": "payments", "trafficPolicy": pool(json!("many"))});
        let odd = beside(&holder, &rule("shop", odd));
        assert_eq!(odd.verdict(), Verdict::Incomplete);
    }
    for holder in holders("shop", GOOD) {
        let spec = json!({"host": "payments", "trafficPolicy": pool(json!(3))});
        is_quiet(&beside(&holder, &rule("shop", spec)));
    }
}

#[test]
fn a_rule_counts_where_its_namespace_and_its_host_reach() {
    let policy = r#"{"version":1,"policies":{"careful":{"retries":{}},"default":{}},
        "upstreams":[{"cluster":"outbound|443||payments.shop.svc.cluster.local","policy":"careful"}]}"#;
    let spec = |host: &str, more: Value| {
        let mut spec = json!({"host": host, "trafficPolicy": pool(json!(3))});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        spec
    };
    let [holder, ..] = holders("shop", policy);
    let full = "payments.shop.svc.cluster.local";
    for (namespace, host, more, warned) in [
        ("shop", "payments", json!({}), true),
        ("shop", full, json!({}), true),
        ("shop", "*.shop.svc.cluster.local", json!({}), true),
        ("shop", "*", json!({}), true),
        ("istio-system", full, json!({}), true),
        ("", "payments", json!({}), true),
        // Of another service, or for clients of another namespace.
        ("shop", "users", json!({}), false),
        ("shop", "*.example.com", json!({}), false),
        ("other", "payments", json!({}), false),
        ("other", full, json!({}), false),
        ("istio-system", full, json!({"exportTo": ["."]}), false),
        ("istio-system", full, json!({"exportTo": ["shop"]}), true),
    ] {
        let found = beside(&holder, &rule(namespace, spec(host, more.clone())));
        assert_eq!(
            found.warnings.len(),
            usize::from(warned),
            "{namespace} {host} {more}"
        );
        assert_eq!(found.unread, vec![]);
    }
    // The port decides here, and the rule does not tell it.
    let found = beside(&holder, &rule("shop", spec("payments", json!({}))));
    assert!(
        found.warnings[0].problem.contains("another policy"),
        "{found:#?}"
    );
    // The service's own rules are for the clients of all namespaces, and the root's filter is in all of them.
    for (place, namespace) in [("clients", "shop"), ("istio-system", "shop"), ("", "shop")] {
        let [holder, ..] = holders(place, policy);
        let found = beside(&holder, &rule(namespace, spec("payments", json!({}))));
        assert_eq!(found.warnings.len(), 1, "{place}");
    }
}

#[test]
fn a_virtual_services_time_limit_is_judged_as_a_routes_is() {
    let to = |more: Value| {
        let mut http = json!({"route": [{"destination": {"host": "payments"}}]});
        http.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        service("shop", http)
    };
    let total = r#"{"version":1,"policies":{"default":{"timeout":{"total":"10s"}}}}"#;
    let per_try = r#"{"version":1,"policies":{"default":{"timeout":{"per_try":"3s"}}}}"#;
    for holder in holders("shop", total) {
        let found = beside(&holder, &to(json!({"timeout": "2s"})));
        warns(
            &found,
            "spec.http[0].timeout",
            "2s does not hold: timeout.total",
        );
        for longer in ["1m", "1h3m"] {
            let found = beside(&holder, &to(json!({"timeout": longer})));
            warns(&found, "spec.http[0].timeout", "does not hold");
        }
        for same in ["10s", "0s"] {
            is_quiet(&beside(&holder, &to(json!({"timeout": same}))));
        }
        is_quiet(&beside(&holder, &to(json!({}))));
        let odd = beside(&holder, &to(json!({"timeout": "soon"})));
        assert_eq!((odd.verdict(), odd.unread.len()), (Verdict::Incomplete, 1));
    }
    for holder in holders("shop", per_try) {
        for limit in ["2s", "3s", "1s500ms"] {
            let found = beside(&holder, &to(json!({"timeout": limit})));
            warns(&found, "spec.http[0].timeout", "timeout.per_try");
        }
        is_quiet(&beside(&holder, &to(json!({"timeout": "3s1ms"}))));
        // Istio sets no limit where nobody says one, unlike Envoy.
        is_quiet(&beside(&holder, &to(json!({}))));
    }
}

#[test]
fn a_virtual_services_retries_are_judged_as_a_routes_are() {
    let to = |retries: Value| {
        service(
            "shop",
            json!({"retries": retries, "route": [
            {"destination": {"host": "payments"}, "weight": 50}, {"destination": {"host": "payments", "subset": "v2"}}]}),
        )
    };
    let shadow = r#"{"version":1,"policies":{"default":{"retries":{"mode":"shadow"}}}}"#;
    for (policy, words) in [
        (RETRIES, "are brought under the budget"),
        (shadow, "are in shadow"),
    ] {
        for holder in holders("shop", policy) {
            let found = beside(&holder, &to(json!({"attempts": 3, "retryOn": "5xx,reset"})));
            warns(&found, "spec.http[0].retries", words);
            assert!(found.warnings[0].problem.contains("(5xx,reset)"));
            is_quiet(&beside(&holder, &to(json!({"attempts": 0}))));
            is_quiet(&beside(&holder, &to(Value::Null)));
        }
    }
    for holder in holders("shop", GOOD) {
        is_quiet(&beside(&holder, &to(json!({"attempts": 3}))));
    }
}

#[test]
fn what_cannot_be_matched_is_named() {
    let [holder, ..] = holders("shop", RETRIES);
    for (other, path) in [
        (
            rule("shop", json!({"trafficPolicy": pool(json!(3))})),
            "spec.host",
        ),
        (
            service("shop", json!({"route": [{"destination": {}}]})),
            "spec.http[0].route[0].destination.host",
        ),
        (
            service("shop", json!({"delegate": {"name": "b"}})),
            "spec.http[0].delegate",
        ),
        (
            json!({"kind": "VirtualService", "spec": {"http": 3}}),
            "spec.http",
        ),
    ] {
        let found = beside(&holder, &other);
        assert_eq!(found.verdict(), Verdict::Incomplete);
        assert_eq!(paths(&found.unread), [format!("items[1].{path}")]);
    }
    // What is only for gateways or sidecars that the port and the subset tell apart is matched by them.
    let policy = r#"{"version":1,"policies":{"careful":{"retries":{}},"default":{}},
        "upstreams":[{"cluster":"outbound|443|v1|payments.*","policy":"careful"}]}"#;
    let [holder, ..] = holders("shop", policy);
    let to = |destination: Value| {
        service(
            "shop",
            json!({"retries": {"attempts": 1}, "route": [{"destination": destination}]}),
        )
    };
    let fits = json!({"host": "payments", "port": {"number": 443}, "subset": "v1"});
    assert_eq!(beside(&holder, &to(fits)).warnings.len(), 1);
    for other in [
        json!({"host": "payments", "port": {"number": 80}, "subset": "v1"}),
        json!({"host": "payments", "port": {"number": 443}}),
    ] {
        is_quiet(&beside(&holder, &to(other)));
    }
}

#[test]
fn a_plugin_stands_on_the_clients_side_unless_its_match_says_otherwise() {
    let of = |given: Value| {
        holders("shop", GOOD)[..2]
            .iter()
            .map(|holder| {
                let mut holder = holder.clone();
                holder["spec"]["match"] = given.clone();
                let found = findings(&holder.to_string());
                assert_eq!(found.errors, vec![]);
                paths(&found.warnings) == ["spec.match"]
            })
            .collect::<Vec<_>>()
    };
    for client in [
        Value::Null,
        json!([]),
        json!([{"mode": "CLIENT"}]),
        json!([{"mode": "CLIENT_AND_SERVER"}]),
        json!([{"mode": "UNDEFINED"}]),
        json!([{"ports": [{"number": 80}]}]),
        json!([{"mode": "SERVER"}, {"mode": "CLIENT"}]),
    ] {
        assert_eq!(of(client.clone()), [false, false], "{client}");
    }
    assert_eq!(of(json!([{"mode": "SERVER"}])), [true, true]);
}

#[test]
fn an_envoy_filter_that_puts_it_after_the_router_is_refused() {
    let [_, _, mut holder] = holders("shop", GOOD);
    let patch = &mut holder["spec"]["configPatches"][0];
    patch["match"] = json!({"context": "GATEWAY", "listener": {"filterChain": {"filter": {
        "subFilter": {"name": "envoy.filters.http.router"}}}}});
    assert_eq!(findings(&holder.to_string()).errors, vec![]);
    holder["spec"]["configPatches"][0]["patch"]["operation"] = json!("INSERT_AFTER");
    let found = findings(&holder.to_string());
    assert_eq!(paths(&found.errors), ["spec.configPatches[0].patch.value"]);
}
