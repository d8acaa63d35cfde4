//! Who may force an upstream, and what is refused.

use super::*;

#[test]
fn who_may_not_is_told_why_and_who_may_not_even_read_the_page_is_not_answered() {
    let query = "policy=p&upstream=shop&do=open&for=1m";
    let mut scene = Scene::new();
    scene.pass("shop", "a", 200);
    let token = scene.token();
    let with = format!("{query}&token={token}");
    let foreign: &[&[(&str, &str)]] = &[
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[
            ("origin", "http://10.0.0.9:10000"),
            ("sec-fetch-site", "same-site"),
        ],
    ];
    let own: &[(&str, &str)] = &[
        ("origin", "http://10.0.0.9:10000"),
        ("sec-fetch-site", "same-origin"),
    ];
    let refused = |answered: Option<(u16, Value)>, error: &str| {
        let (status, said) = answered.expect("an answer");
        assert_eq!((status, &said["error"]), (403, &json!(error)), "{said}");
    };
    for address in ["10.0.0.1:1234", "10.0.0.2:1234"] {
        for headers in foreign {
            scene.address = address;
            refused(scene.post(1, &with, headers), "cross_site");
            scene.identity = OPS;
            refused(scene.post(1, query, headers), "cross_site");
            scene.identity = "";
        }
    }
    scene.address = "10.0.0.2:1234";
    refused(scene.post(1, &with, PLAIN), "reader");
    assert!(
        scene.page(0).expect("a page").get("force").is_none(),
        "a reader sees no token"
    );
    scene.address = "10.0.0.1:1234";
    refused(scene.post(1, query, PLAIN), "token");
    refused(
        scene.post(1, &format!("{query}&token={}", &token[1..]), PLAIN),
        "token",
    );
    refused(
        scene.post(1, &format!("{query}&token={}", "0".repeat(32)), PLAIN),
        "token",
    );
    refused(
        scene.post(
            1,
            &with,
            &[
                (":authority", "evil.example"),
                ("origin", "http://evil.example"),
            ],
        ),
        "name",
    );
    for address in ["10.0.1.1:1234", "10.0.0.1:0", ""] {
        scene.address = address;
        assert_eq!(scene.post(1, &with, PLAIN), None, "a stranger: {address}");
        assert_eq!(scene.page(0), None);
    }
    scene.address = "10.0.0.1:1234";
    assert_eq!(
        scene.post(1, &with, &[("x-forwarded-for", "10.0.0.7")]),
        None,
        "somebody before the peer"
    );
    assert_eq!(
        scene.pass("shop", "a", 200),
        [true; 4],
        "nothing was forced"
    );
    assert_eq!(scene.counted(&["seawall_forced"]), 0);
    assert_eq!(
        scene.counted(&["seawall_force_refused", "reason=cross_site"]),
        16
    );
    assert_eq!(scene.counted(&["seawall_force_refused", "reason=token"]), 3);
    assert_eq!(
        scene.post(1, &with, own).map(|answered| answered.0),
        Some(200),
        "the page's own form"
    );
    (scene.address, scene.identity) = ("10.9.9.9:1", OPS);
    assert_eq!(
        scene
            .post(2, &format!("{query}&token=x"), PLAIN)
            .map(|answered| answered.0),
        Some(200)
    );
    let page = scene.page(0).expect("a page");
    assert_eq!(
        page["force"],
        json!({"acts_on": "this process only"}),
        "an identity needs no token"
    );
    assert_eq!(page["upstreams"][0]["forced"]["by"], json!(OPS));
}

#[test]
fn a_token_is_of_one_address_and_of_one_process() {
    let page = json!({"force": {"addresses": ["10.0.0.0/24"]}});
    let mut scene = Scene::with(&page);
    scene.pass("shop", "a", 200);
    let token = scene.token();
    scene.address = "10.0.0.2:1234";
    assert_ne!(scene.token(), token);
    let answered = scene.post(
        0,
        &format!("policy=p&upstream=shop&do=reset&token={token}"),
        PLAIN,
    );
    assert_eq!(answered.map(|answered| answered.0), Some(403));
}

/// A proxy at a listed address sends what strangers ask it for, and says so.
#[test]
fn through_a_proxy_an_address_has_no_right_to_force() {
    let page = json!({"force": {"addresses": ["10.0.0.0/24"]}});
    let mut scene = Scene::with(&page);
    scene.address = "10.0.0.2:1234";
    scene.pass("shop", "a", 200);
    let order = format!("policy=p&upstream=shop&do=reset&token={}", scene.token());
    for (forwarded, status) in [
        ("10.0.0.2", Some(200)),
        ("8.8.8.8, 10.0.0.2", Some(403)),
        ("10.0.0.2,10.0.0.2", Some(403)),
        (",10.0.0.2", Some(403)),
    ] {
        let more = [PLAIN, &[("x-forwarded-for", forwarded)]].concat();
        let answered = scene.post(0, &order, &more);
        assert_eq!(answered.map(|answered| answered.0), status, "{forwarded}");
    }
    // Two lines are as good as two elements.
    let more = [
        ("x-forwarded-for", "8.8.8.8"),
        ("x-forwarded-for", "10.0.0.2"),
    ];
    let answered = scene.post(0, &order, &[PLAIN, &more].concat());
    assert_eq!(answered.map(|answered| answered.0), Some(403));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let mut scene = Scene::new();
    for cluster in ["shop", "routes", "hosts", "off"] {
        scene.pass(cluster, "a.example", 200);
    }
    let long = "x".repeat(600);
    let too_long = format!("policy=p&upstream={long}&do=reset");
    for (query, status, error) in [
        ("policy=p&upstream=shop", 400, "missing"),
        ("policy=p&upstream=shop&do=open", 400, "time"),
        ("policy=p&upstream=shop&do=open&for=999ms", 400, "time"),
        ("policy=p&upstream=shop&do=open&for=86401s", 400, "time"),
        ("policy=p&upstream=shop&do=open&for=10", 400, "time"),
        ("policy=p&upstream=shop&do=open&for=-1s", 400, "time"),
        (
            "policy=p&upstream=shop&do=open&for=99999999999999999999h",
            400,
            "time",
        ),
        ("policy=p&upstream=shop&do=reset&for=1s", 400, "time"),
        ("policy=p&upstream=shop&do=trip", 400, "action"),
        ("policy=p&policy=p&upstream=shop&do=reset", 400, "twice"),
        ("policy=p&upstream=%zz&do=reset", 400, "malformed"),
        ("policy=p&upstream=shop&do=reset&by=me", 400, "parameter"),
        (too_long.as_str(), 400, "too_long"),
        ("policy=q&upstream=shop&do=reset", 404, "policy"),
        ("policy=p&upstream=shpo&do=reset", 404, "upstream"),
        ("policy=shadow&upstream=shop&do=reset", 404, "upstream"),
        ("policy=p&upstream=shop%00&do=reset", 404, "upstream"),
        (
            "policy=p&upstream=PassthroughCluster&do=reset",
            404,
            "upstream",
        ),
        ("policy=off&upstream=off&do=open&for=1m", 409, "off"),
        ("policy=p&upstream=shop&route=route&do=reset", 400, "part"),
        (
            "policy=p&upstream=shop&authority=a.example&do=reset",
            400,
            "part",
        ),
        (
            "policy=routes&upstream=routes&route=other&do=reset",
            404,
            "upstream",
        ),
        ("policy=hosts&upstream=hosts&do=reset", 400, "part"),
        (
            "policy=hosts&upstream=hosts&authority=b.example&do=reset",
            404,
            "upstream",
        ),
    ] {
        assert_eq!(scene.refusal(query), (status, error.to_owned()), "{query}");
    }
    assert_eq!(scene.counted(&["seawall_forced"]), 0);
    assert_eq!(
        scene.counted(&["seawall_upstreams"]),
        2,
        "what is misspelt gets no state"
    );
}

#[test]
fn without_a_list_of_its_own_nobody_forces_and_other_methods_go_their_way() {
    let mut plain = Scene::with(&json!({}));
    plain.identity = OPS;
    assert_eq!(
        plain.post(0, "policy=p&upstream=shop&do=reset", PLAIN),
        None
    );
    let mut scene = Scene::new();
    scene.identity = OPS;
    scene.pass("shop", "a", 200);
    let path = "/seawall?policy=p&upstream=shop&do=open&for=1m";
    for method in [
        "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", "CONNECT", "",
    ] {
        assert_eq!(scene.ask(0, method, path, PLAIN), None, "{method}");
    }
    for path in [
        "/seawall/?do=reset",
        "/seawallx?do=reset",
        "/SEAWALL?do=reset",
        "/%73eawall?do=reset",
        "/?/seawall",
    ] {
        assert_eq!(scene.ask(0, "POST", path, PLAIN), None, "{path}");
    }
    assert_eq!(scene.counted(&["seawall_forced"]), 0);
}

#[test]
fn without_a_certificate_nobody_has_an_identity_whatever_the_pattern() {
    let mut scene = Scene::with(&json!({"trust": {}, "force": {"identities": ["*"]}}));
    assert_eq!(scene.page(0), None);
    assert_eq!(
        scene.post(0, "policy=p&upstream=shop&do=reset", PLAIN),
        None
    );
    scene.identity = OPS;
    assert!(scene.page(0).is_some());
}

#[test]
fn whoever_may_force_may_read_too_where_nobody_else_is_listed() {
    let mut scene = Scene::with(&json!({"trust": {}, "force": {"identities": [OPS]}}));
    assert_eq!(scene.page(0), None);
    scene.identity = OPS;
    assert!(scene.page(0).is_some());
}
