//! What is found in a bootstrap: the filter's place, its configuration, what stands around it.

use super::*;

#[test]
fn a_bootstrap_is_checked_where_the_filter_stands() {
    let good = bootstrap(&format!("{}, {ROUTER}", seawall(GOOD, RELOAD)));
    let found = findings(&good);
    assert_eq!((found.configurations, found.errors), (1, vec![]));
    assert_eq!(paths(&found.warnings), ["stats_config.stats_tags"]);

    let at = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters";
    let after = findings(&bootstrap(&format!("{ROUTER}, {}", seawall(GOOD, RELOAD))));
    assert_eq!(paths(&after.errors), [format!("{at}[1]")]);

    let bad = GOOD.replace("{}", r#"{"breaker":{"ramp":1}}"#);
    let bad = findings(&bootstrap(&format!("{}, {ROUTER}", seawall(&bad, RELOAD))));
    let path = format!("{at}[0].typed_config.config.configuration: policies.default.breaker.ramp");
    assert_eq!(paths(&bad.errors), [path]);

    let closed = findings(&bootstrap(&format!("{}, {ROUTER}", seawall(GOOD, ""))));
    let warned = paths(&closed.warnings);
    assert!(
        warned.iter().any(|path| path.ends_with("failure_policy")),
        "{warned:?}"
    );
    assert!(
        warned.iter().any(|path| path.ends_with("vm_config.vm_id")),
        "{warned:?}"
    );

    let typo = GOOD.replace(
        "}}}",
        r#"}},"upstreams":[{"cluster":"usres","policy":"default"}]}"#,
    );
    let typo = findings(&bootstrap(&format!("{}, {ROUTER}", seawall(&typo, RELOAD))));
    assert!(
        typo.warnings
            .iter()
            .any(|found| found.problem.contains("fits no cluster")),
        "{typo:?}"
    );
}

#[test]
fn the_router_is_known_by_its_type_and_not_by_a_name() {
    let router = "{name: last, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";
    let other = "{name: my-router, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}}";
    let found = findings(&bootstrap(&format!(
        "{other}, {}, {router}",
        seawall(GOOD, RELOAD)
    )));
    assert_eq!(found.errors, vec![]);
    assert_eq!(paths(&found.warnings), ["stats_config.stats_tags"]);
}

#[test]
fn one_policy_name_with_two_meanings_under_one_vm_is_found() {
    let other = GOOD.replace("{}", r#"{"breaker":{"ramp":"1s"}}"#);
    let both = |more: &str| {
        let first = seawall(GOOD, RELOAD);
        let found = findings(&bootstrap(&format!(
            "{first}, {}, {ROUTER}",
            seawall(&other, more)
        )));
        assert_eq!(found.errors, vec![]);
        let warned = found.warnings.iter();
        warned
            .filter(|found| found.problem.contains("shares its state"))
            .count()
    };
    assert_eq!(both(RELOAD), 1);
    assert_eq!(both(&RELOAD.replace("seawall", "other")), 0);
}

#[test]
fn a_key_that_stands_twice_in_a_string_value_is_found() {
    let twice = GOOD.replace("{}", r#"{"breaker":{"ramp":"1s","ramp":"2s"}}"#);
    let found = findings(&bootstrap(&format!(
        "{}, {ROUTER}",
        seawall(&twice, RELOAD)
    )));
    let first = &found.errors[0];
    assert!(
        first
            .path
            .ends_with("typed_config.config.configuration: policies.default.breaker.ramp"),
        "{first:?}"
    );
    assert_eq!(
        first.problem,
        "a key may stand only once, and this one stands again at line 1 column 65"
    );
}

#[test]
fn who_lets_callers_in_stands_before_a_filter_that_keeps_answers() {
    const KEEPS: &str =
        r#"{"version":1,"policies":{"shop":{"fallback":[{"stale":{}}]},"default":{}}}"#;
    let warned = |policy: &str, before: &str, after: &str| {
        let filters = format!("{before}{}, {after}{ROUTER}", seawall(policy, RELOAD));
        let found = findings(&bootstrap(&filters));
        assert_eq!(found.errors, vec![]);
        let warnings = found.warnings.into_iter();
        let stale =
            warnings.filter(|found| found.problem.contains("policies.shop has a stale rung"));
        stale.map(|found| found.path).collect::<Vec<_>>()
    };
    let at = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters";
    let by_type = "{name: who, typed_config: {\"@type\": \
                   type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication}}, ";
    for filter in [
        by_type,
        "{name: envoy.filters.http.ext_authz}, ",
        "{name: envoy.filters.http.rbac, config_discovery: {}}, ",
        "{name: envoy.filters.http.oauth2}, ",
        "{name: envoy.filters.http.basic_auth}, ",
        "{name: envoy.filters.http.api_key_auth}, ",
    ] {
        assert_eq!(warned(KEEPS, "", filter), [format!("{at}[0]")], "{filter}");
        assert_eq!(warned(KEEPS, filter, ""), Vec::<String>::new(), "{filter}");
        assert_eq!(warned(GOOD, "", filter), Vec::<String>::new(), "{filter}");
    }
    assert_eq!(
        warned(KEEPS, "", "{name: envoy.filters.http.cors}, "),
        Vec::<String>::new()
    );
}

#[test]
fn another_prefix_of_envoys_headers_is_refused() {
    let of = |prefix: &str| {
        let filters = format!("{}, {ROUTER}", seawall(GOOD, RELOAD));
        findings(&format!("header_prefix: {prefix}\n{}", bootstrap(&filters)))
    };
    assert_eq!(of("x-envoy").errors, vec![]);
    assert_eq!(of("\"\"").errors, vec![], "as if it was not there");
    let found = of("x-acme");
    assert_eq!(paths(&found.errors), ["header_prefix"]);
    let problem = &found.errors[0].problem;
    assert!(
        problem.contains("x-envoy-*") && problem.contains("x-acme-*"),
        "{problem}"
    );
    let elsewhere = format!("header_prefix: x-acme\n{}", bootstrap(ROUTER));
    let elsewhere = findings(&elsewhere);
    assert!(
        !paths(&elsewhere.errors).contains(&"header_prefix"),
        "no Seawall there"
    );
}
