//! Bulkhead, shedding, own probe and state page, as they are read.

use serde_json::{Value, json};

use super::{from_value, policy, refused};
use seawall_policy::bulkhead::{Per, Until};
use seawall_policy::limiter;
use seawall_policy::priority::Priority;
use seawall_policy::ratio::{Enforcement, Share};
use seawall_policy::shedding::{self, Limit, Shares};
use seawall_policy::time::Span;
use seawall_policy::trust::Forwarded;

#[test]
fn silence_keeps_no_load_away() {
    let policy = policy(json!({})).unwrap();
    assert_eq!((policy.bulkhead, policy.shedding), (None, None));
    assert!(policy.probe.is_none() && policy.answer_headers);
}

#[test]
fn exempt_paths_and_the_share_of_unfinished_requests_are_read() {
    let read = policy(json!({
        "bulkhead": {"max_concurrent": 7, "unfinished": 100},
        "shedding": {"unfinished": "25%"},
        "exempt": [{"path": "/healthz"}, {"path": "/live/*"}]
    }));
    let read = read.unwrap();
    let shares = [
        read.bulkhead.unwrap().unfinished,
        read.shedding.unwrap().unfinished,
    ];
    assert_eq!(shares, [100, 25].map(Share::percent));
    let fits =
        ["/healthz", "/live/x", "/live", "/"].map(|path| read.exempt.matches(path.as_bytes()));
    assert_eq!(fits, [true, true, false, false]);
    let silent = policy(json!({"bulkhead": {"max_concurrent": 7}})).unwrap();
    assert_eq!(silent.bulkhead.unwrap().unfinished, Share::percent(50));
    for (wrong, problem) in [
        (
            json!({"bulkhead": {"max_concurrent": 1, "unfinished": 0}}),
            "bulkhead.unfinished",
        ),
        (
            json!({"shedding": {"unfinished": 101}}),
            "shedding.unfinished",
        ),
        (json!({"exempt": [{"path": "healthz"}]}), "exempt[0].path"),
        (json!({"exempt": [{}]}), "exempt[0].path"),
        (json!({"exempt": [{"path": "/a*b"}]}), "exempt[0].path"),
        (json!({"exempt": [{"path": "/a?b"}]}), "exempt[0].path"),
        (json!({"exempt": vec![json!({"path": "/a"}); 17]}), "exempt"),
    ] {
        let refused = policy(wrong).unwrap_err().to_string();
        assert!(refused.contains(problem), "{refused}");
    }
}

#[test]
fn a_bulkhead_is_read() {
    let read = policy(json!({"bulkhead": {
        "mode": "enforce", "enforce": "5%", "max_concurrent": 7,
        "per": {"header": "X-Tenant", "max_keys": 9}, "until": "headers"
    }}));
    let bulkhead = read.unwrap().bulkhead.unwrap();
    let per = Per {
        header: "x-tenant".to_owned(),
        max_keys: 9,
    };
    assert_eq!(
        (bulkhead.max_concurrent, bulkhead.per),
        (7, Some(per.clone()))
    );
    let mode = Enforcement::Enforce(Share::percent(5));
    assert_eq!((bulkhead.mode, bulkhead.until), (mode, Until::Headers));
    let off = policy(json!({"bulkhead": {"mode": false}})).unwrap();
    assert_eq!(off.bulkhead, None);
}

#[test]
fn shedding_is_read() {
    let shedding = |raw: Value| policy(json!({"shedding": raw})).unwrap().shedding;
    assert_eq!(shedding(json!({})), Some(shedding::Settings::default()));
    let read = shedding(json!({
        "mode": "shadow", "limit": "fixed", "max": 12, "load_over": 0, "retry_after": "9s", "until": "headers",
        "shares": {"sheddable": 10}, "priorities": {"header": "X-Prio", "default": "sheddable_plus"}
    }));
    let read = read.unwrap();
    assert_eq!(
        (read.mode, read.limit),
        (Enforcement::Shadow, Limit::Fixed(12))
    );
    assert_eq!(read.shares, Shares([100, 90, 70, 10].map(Share::percent)));
    assert_eq!(
        (read.load_over, read.retry_after),
        (Share::NONE, Span::secs(9))
    );
    assert_eq!(read.priorities.header, "x-prio");
    assert_eq!(read.priorities.default, Priority::SheddablePlus);
    let small = shedding(json!({"min": 300})).unwrap().limit;
    let limits = limiter::Settings {
        floor: 300,
        ceiling: 300,
        initial: 300,
        tolerance: 150,
    };
    assert_eq!(small, Limit::Adaptive(limits));
}

#[test]
fn what_cannot_work_is_refused() {
    for (raw, expected) in [
        (
            json!({"bulkhead": {}}),
            "bulkhead.max_concurrent: missing: how many at the same time",
        ),
        (
            json!({"bulkhead": {"max_concurrent": 1, "per": {}}}),
            "bulkhead.per.header: no name of a header",
        ),
        (
            json!({"bulkhead": {"mode": "shadow", "enforce": 5, "max_concurrent": 1}}),
            "bulkhead.enforce: a share can be enforced with \"mode\": \"enforce\" only",
        ),
        (
            json!({"shedding": {"limit": "fixed"}}),
            "shedding.max: missing: the limit",
        ),
        (
            json!({"shedding": {"limit": "fixed", "max": 5, "min": 5}}),
            "shedding.min: bounds an adaptive limit; this one is fixed",
        ),
        (
            json!({"shedding": {"min": 50, "max": 40}}),
            "shedding: min 50, initial 50, max 40: must grow in this order",
        ),
        (
            json!({"shedding": {"limit": "none", "load_over": 0}}),
            "shedding: limit is none and load_over is 0: write \"mode\": \"off\" if nothing is shed",
        ),
        (
            json!({"shedding": {"shares": {"critical": 60, "sheddable_plus": 70}}}),
            "shedding.shares.sheddable_plus: 70 % is out of bounds: above 0 %, and at most 60 %, as the priority above \
             it",
        ),
        (
            json!({"breaker": {"probe": {"path": "healthz"}}}),
            "breaker.probe.path: \"healthz\": a path begins with \"/\"",
        ),
        (
            json!({"breaker": {"probe": {"path": "/a b"}}}),
            "breaker.probe.path: 1 to 512 visible ASCII characters",
        ),
        (
            json!({"breaker": {"probe": {"path": "/", "every": "1ms"}}}),
            "breaker.probe.every: 1ms is out of bounds: 100ms to 1h",
        ),
    ] {
        refused(raw, &format!("policies.p.{expected}"));
    }
}

#[test]
fn an_own_probe_is_read() {
    let read = policy(json!({"breaker": {"probe": {"path": "/healthz"}}})).unwrap();
    let probe = read.probe.unwrap();
    assert_eq!((probe.path.as_str(), probe.host), ("/healthz", None));
    assert_eq!((probe.every, probe.timeout), (Span::secs(2), Span::secs(1)));
}

#[test]
fn a_state_page_is_for_somebody() {
    let page = |raw: Value| {
        let file = json!({"version": 1, "policies": {"default": {}}, "page": raw});
        from_value(&file).map(|routing| routing.page.unwrap())
    };
    let page_of = |raw| page(raw).map_err(|error| error.to_string());
    let read = page_of(json!({"path": "/seawall", "trust": {"addresses": ["10.0.0.0/8"]}}));
    let read = read.unwrap();
    assert!(read.path == "/seawall" && read.trust.reaches("10.1.2.3:4", &Forwarded::Absent));
    assert!(read.force.is_empty(), "who may read may not force");
    let ops = json!({"identities": ["spiffe://a/ns/ops/*"]});
    let forcing = page_of(json!({"path": "/seawall", "force": ops})).unwrap();
    assert!(forcing.trust.is_empty() && forcing.force.knows("spiffe://a/ns/ops/sa/x"));
    let query = page_of(json!({"path": "/seawall?x", "force": ops})).unwrap_err();
    assert_eq!(
        query,
        "page.path: with \"force\" the path has no \"?\": what is asked stands behind it"
    );
    let nobody = page_of(json!({"path": "/seawall"})).unwrap_err();
    assert_eq!(
        nobody,
        "page.trust: empty: write who may read it, by \"addresses\" or \"identities\""
    );
}
