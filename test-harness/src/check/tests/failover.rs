//! What is found around a rung that goes to another cluster.

use super::*;

/// A bootstrap whose ladder goes to this cluster, with this route before the plain one.
fn found(cluster: &str, route: &str) -> Vec<String> {
    let policy = format!(
        r#"{{"version":1,"policies":{{"default":{{"fallback":[{{"cluster":"{cluster}"}}]}}}}}}"#
    );
    let whole = bootstrap(&format!("{}, {ROUTER}", seawall(&policy, RELOAD)));
    let routes = format!(
        "typed_config:\n          route_config: {{virtual_hosts: [{{routes: [{route}{{match: {{prefix: /}}, route: \
         {{cluster: users}}}}]}}]}}"
    );
    let whole = whole.replacen("typed_config:", &routes, 1);
    let found = findings(&whole);
    assert_eq!(found.errors, vec![]);
    let ours = found.warnings.into_iter();
    ours.filter(|found| found.path.ends_with("fallback[0].cluster"))
        .map(|found| found.problem)
        .collect()
}

const ALL: &str = "{match: {prefix: /, headers: [{name: x-seawall-failover, present_match: true}]}, route: \
                   {cluster_header: x-seawall-failover}}, ";

#[test]
fn the_cluster_is_there_and_a_route_leads_to_it() {
    assert_eq!(found("users", ALL), Vec::<String>::new());
    let one = ALL.replace("cluster_header: x-seawall-failover", "cluster: users");
    assert_eq!(found("users", &one), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_said() {
    let no_route = found("users", "");
    assert!(
        no_route.len() == 1 && no_route[0].contains("no route goes there"),
        "{no_route:?}"
    );
    let no_cluster = found("usres", ALL);
    assert_eq!(no_cluster, ["there is no cluster \"usres\" in this Envoy"]);
    let other = ALL.replace("cluster_header: x-seawall-failover", "cluster: tracing");
    assert!(found("users", &other)[0].contains("no route goes there"));
}
