//! Which requests a policy means.

use serde_json::json;

use super::policy;

#[test]
fn long_polls_are_read() {
    let read = policy(json!({"breaker": {"slow_call": {"long_poll": [
        {"path": "/poll"}, {"route": "watch"}, {"path": "/v1/watch/*"}
    ]}}}));
    let polls = read.unwrap().long_polls;
    for (target, route, fits) in [
        ("/poll?since=1", "", true),
        ("/v1/watch/pods", "", true),
        ("/v1/watch", "", false),
        ("/", "watch", true),
        ("/", "", false),
    ] {
        let found = polls.matches(|| Some(target.as_bytes()), || Some(route.to_owned()));
        assert_eq!(found, fits, "{target} {route}");
    }
}

#[test]
fn wrong_long_polls_are_refused_where_they_stand() {
    for (wrong, problem) in [
        (json!([{}]), "long_poll[0]: write either"),
        (
            json!([{"path": "/a", "route": "a"}]),
            "long_poll[0]: write either",
        ),
        (json!([{"path": "poll"}]), "long_poll[0].path"),
        (json!([{"path": "/a*b"}]), "long_poll[0].path"),
        (json!([{"path": "/a?b=c"}]), "long_poll[0].path"),
        (json!([{"path": "/a"}, {"route": ""}]), "long_poll[1].route"),
        (json!(vec![json!({"path": "/a"}); 17]), "at most 16"),
    ] {
        let refused = policy(json!({"breaker": {"slow_call": {"long_poll": wrong}}}));
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(problem), "{wrong}: {refused}");
    }
}
