//! What is found around bulkhead and shedding.

use super::*;

const ROUTERS: &str =
    "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters";

/// The paths of warnings about checks of health, and about requests that never end.
fn warned(policy: &str, direction: &str, manager: &str) -> (Vec<String>, Vec<String>) {
    let configuration = format!(r#"{{"version":1,"policies":{{"default":{policy}}}}}"#);
    let filters = format!("{}, {ROUTER}", seawall(&configuration, RELOAD));
    let whole = bootstrap(&filters);
    let manager = format!("typed_config:\n          {manager}\n          http_filters:");
    let whole = whole.replacen("typed_config:\n          http_filters:", &manager, 1);
    let named = format!("- name: edge\n    traffic_direction: {direction}\n");
    let whole = whole.replacen("- name: edge\n", &named, 1);
    assert!(whole.contains(direction), "{whole}");
    let found = findings(&whole);
    assert_eq!(found.errors, vec![]);
    let naming = |part: &str| {
        let ours = found
            .warnings
            .iter()
            .filter(|one| one.problem.contains(part));
        ours.map(|one| one.path.clone()).collect()
    };
    (naming("checks of health"), naming("never ends"))
}

#[test]
fn shedding_without_exempt_paths_and_places_that_strangers_hold_for_ever_are_warned_of() {
    let health =
        format!("{ROUTERS}[0].typed_config.config.configuration: policies.default.shedding");
    let ends =
        "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.request_timeout";
    let (shedding, bulkhead) = (r#"{"shedding":{}}"#, r#"{"bulkhead":{"max_concurrent":9}}"#);
    let exempt = r#"{"shedding":{},"exempt":[{"path":"/healthz"}]}"#;
    let off = r#"{"shedding":{"mode":"off"}}"#;
    for (policy, direction, manager, sheds, unending) in [
        (shedding, "UNSPECIFIED", "stat_prefix: a", true, true),
        (shedding, "INBOUND", "stat_prefix: a", true, false),
        (shedding, "OUTBOUND", "stat_prefix: a", false, false),
        (exempt, "INBOUND", "stat_prefix: a", false, false),
        (exempt, "UNSPECIFIED", "stat_prefix: a", false, true),
        (exempt, "UNSPECIFIED", "request_timeout: 0s", false, true),
        (exempt, "UNSPECIFIED", "request_timeout: 60s", false, false),
        (exempt, "UNSPECIFIED", "request_timeout: 0.5s", false, false),
        (bulkhead, "UNSPECIFIED", "stat_prefix: a", false, true),
        (bulkhead, "INBOUND", "stat_prefix: a", false, false),
        (off, "UNSPECIFIED", "stat_prefix: a", false, false),
        ("{}", "UNSPECIFIED", "stat_prefix: a", false, false),
    ] {
        let found = warned(policy, direction, manager);
        let expected = |path: &str, is: bool| if is { vec![path.to_owned()] } else { vec![] };
        let expected = (expected(&health, sheds), expected(ends, unending));
        assert_eq!(found, expected, "{policy} {direction} {manager}");
    }
}
