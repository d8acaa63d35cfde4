//! What a policy takes from the one that it extends.

use serde_json::{Value, json};

use super::from_value;
use seawall_policy::breaker::Mode;
use seawall_policy::breaker::window::Geometry;
use seawall_policy::policy::Policy;
use seawall_policy::ratio::Share;
use seawall_policy::time::Span;

fn child(of: Value, child: Value) -> Policy {
    let mut child = child;
    child["extends"] = json!("base");
    let file = json!({"version": 1, "policies": {"base": of, "child": child}});
    let routing = from_value(&file).unwrap();
    let (_, policy) = routing.named("child").unwrap();
    policy.clone()
}

#[test]
fn a_child_says_only_what_differs() {
    let routing = from_value(&json!({
        "version": 1,
        "policies": {
            "base": {"timeout": {"total": "2s"}, "breaker": {"window": {"over": "5s"}, "open": {"for": "3s"}}},
            "middle": {"extends": "base", "breaker": {"open": {"jitter": 0}}},
            "leaf": {"extends": "middle", "breaker": {"window": {"calls": 50}}}
        },
        "upstreams": [{"cluster": "a*", "policy": "leaf"}]
    }))
    .unwrap();
    let (selected, _) = routing.select("abc", None);
    let leaf = selected.unwrap().0;
    assert_eq!(leaf.time.total, Some(Span::secs(2)));
    assert_eq!(leaf.breaker.window, Geometry::Count { calls: 50 });
    assert_eq!(leaf.breaker.open.base, Span::secs(3));
    assert_eq!(leaf.breaker.open.jitter, Share::NONE);
}

#[test]
fn a_child_in_another_mode_leaves_the_enforced_share_behind() {
    let mode = |breaker: Value| {
        let routing = from_value(&json!({"version": 1, "policies": {
            "default": {"breaker": {"enforce": "5%"}},
            "child": {"extends": "default", "breaker": breaker}
        }}));
        routing.map(|routing| routing.select("a", Some("child")).0.unwrap().0.breaker.mode)
    };
    assert_eq!(mode(json!({"mode": "shadow"})), Ok(Mode::Shadow));
    assert_eq!(mode(json!({"mode": false})), Ok(Mode::Off));
    let share = Ok(Mode::Enforce(Share::percent(5)));
    assert_eq!(mode(json!({"mode": "enforce"})), share);
    assert_eq!(mode(json!({"mode": null})), share);
    let both = mode(json!({"mode": "shadow", "enforce": 7})).unwrap_err();
    assert_eq!(both.path(), "policies.child.breaker.enforce");
}

#[test]
fn a_key_without_a_value_takes_back_what_is_inherited() {
    let base = json!({
        "timeout": {"total": "2s", "adaptive": {"percentile": 99}},
        "breaker": {"failure_rate": 20, "probe": {"path": "/healthz"}},
        "retries": {"hedge": {"after": "50ms"}},
        "bulkhead": {"max_concurrent": 5, "per": {"header": "x-tenant"}}
    });
    let plain = child(base.clone(), json!({}));
    assert!(plain.probe.is_some() && plain.time.total.is_some() && plain.time.adaptive.is_some());
    assert!(plain.retries.unwrap().hedge.is_some() && plain.bulkhead.unwrap().per.is_some());
    let without = child(
        base.clone(),
        json!({
            "timeout": {"total": null, "adaptive": null},
            "breaker": {"probe": null},
            "retries": {"hedge": null},
            "bulkhead": {"per": null}
        }),
    );
    assert!(without.probe.is_none() && without.time.total.is_none());
    assert!(without.time.adaptive.is_none());
    assert!(without.retries.unwrap().hedge.is_none());
    assert!(without.bulkhead.unwrap().per.is_none());
    assert_eq!(without.breaker, plain.breaker, "the rest is as there");
    assert_eq!(child(base, json!({"retries": null})).retries, None);
}

#[test]
fn on_is_one_key_whether_a_parser_made_a_truth_value_of_it_or_not() {
    for (above, below) in [
        ("on", "true"),
        ("true", "on"),
        ("on", "on"),
        ("true", "true"),
    ] {
        let base = json!({"retries": {above: ["5xx"]}});
        let expected = child(json!({}), json!({"retries": {"on": ["reset"]}}));
        let read = child(base, json!({"retries": {below: ["reset"]}}));
        assert_eq!(read.retries, expected.retries, "{above} above {below}");
    }
}
