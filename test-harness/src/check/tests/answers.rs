//! What is found around answers of Seawall's own, and around whom it believes.

use super::*;

/// Warnings about a place with this policy, with these filters before it and this in the connection manager.
fn warned(configuration: &str, before: &str, manager: &str) -> Vec<Finding> {
    let filters = format!("{before}{}, {ROUTER}", seawall(configuration, RELOAD));
    let whole = bootstrap(&filters);
    let manager = format!("typed_config:\n          {manager}\n          http_filters:");
    let whole = whole.replacen("typed_config:\n          http_filters:", &manager, 1);
    let found = findings(&whole);
    assert_eq!(found.errors, vec![]);
    found.warnings
}

fn naming<'a>(warnings: &'a [Finding], part: &str) -> Vec<&'a str> {
    let ours = warnings.iter();
    let ours = ours.filter(|found| found.problem.contains(part));
    ours.map(|found| found.path.as_str()).collect()
}

fn ladder(rung: &str) -> String {
    format!(r#"{{"version":1,"policies":{{"shop":{{"fallback":[{rung}]}},"default":{{}}}}}}"#)
}

const AT: &str =
    "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters";
const STALE: &str = r#"{"stale":{}}"#;
const STATIC: &str = r#"{"static":{}}"#;

#[test]
fn filters_in_front_do_not_see_what_takes_the_place_of_a_failure() {
    let by_type = "{name: who, typed_config: {\"@type\": \
                   type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}, ";
    let place = format!("{AT}[1]");
    for filter in [
        by_type,
        "{name: envoy.filters.http.cors}, ",
        "{name: envoy.filters.http.grpc_web}, ",
    ] {
        for rung in [STALE, STATIC, r#"{"static":{},"on":["open","failure"]}"#] {
            let warned = warned(&ladder(rung), filter, "stat_prefix: a");
            assert_eq!(
                naming(&warned, "in the place of a failure"),
                [&place],
                "{filter}, {rung}"
            );
        }
        for rung in [r#"{"static":{},"on":["open"]}"#, r#"{"cluster":"users"}"#] {
            let warned = warned(&ladder(rung), filter, "stat_prefix: a");
            let none: [&str; 0] = [];
            assert_eq!(
                naming(&warned, "in the place of a failure"),
                none,
                "{filter}, {rung}"
            );
        }
    }
}

#[test]
fn what_routes_add_to_answers_comes_twice_in_a_kept_one() {
    let adds = "response_headers_to_add: [{header: {key: a, value: b}}]";
    let place = format!("{AT}[0]");
    for routes in [
        format!("{{{adds}}}"),
        format!("{{virtual_hosts: [{{{adds}}}]}}"),
        format!("{{virtual_hosts: [{{routes: [{{match: {{prefix: /}}, {adds}}}]}}]}}"),
    ] {
        let manager = format!("route_config: {routes}");
        let kept = warned(&ladder(STALE), "", &manager);
        assert_eq!(
            naming(&kept, "adds headers to answers"),
            [&place],
            "{routes}"
        );
        let none: [&str; 0] = [];
        let fixed = warned(&ladder(STATIC), "", &manager);
        assert_eq!(naming(&fixed, "adds headers to answers"), none, "{routes}");
    }
    let nothing = warned(
        &ladder(STALE),
        "",
        "route_config: {response_headers_to_add: []}",
    );
    assert!(naming(&nothing, "adds headers to answers").is_empty());
}

#[test]
fn addresses_are_believed_where_no_header_says_them() {
    let trusting =
        |trust: &str| format!(r#"{{"version":1,{trust},"policies":{{"default":{{}}}}}}"#);
    let networks = r#"{"addresses":["10.0.0.0/8"]}"#;
    let configuration = format!("{AT}[0].typed_config.config.configuration");
    for (trust, key) in [
        (format!(r#""trust":{networks}"#), "trust.addresses"),
        (
            format!(r#""page":{{"path":"/seawall","trust":{networks}}}"#),
            "page.trust.addresses",
        ),
        (
            format!(r#""page":{{"path":"/seawall","force":{networks}}}"#),
            "page.force.addresses",
        ),
    ] {
        let paths = [format!("{configuration}: {key}")];
        for manager in ["stat_prefix: a", "use_remote_address: false"] {
            let warned = warned(&trusting(&trust), "", manager);
            assert_eq!(naming(&warned, "use_remote_address"), paths, "{manager}");
        }
        let own = warned(&trusting(&trust), "", "use_remote_address: true");
        assert!(naming(&own, "use_remote_address").is_empty());
    }
    let identities = trusting(r#""trust":{"identities":["spiffe://a/*"]}"#);
    let identities = warned(&identities, "", "stat_prefix: a");
    assert!(naming(&identities, "use_remote_address").is_empty());
}
