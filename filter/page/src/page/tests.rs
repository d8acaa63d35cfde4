//! Both forms of the page: what stands in names stays text, what the viewer may not see is not there, and nothing is loaded.

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::*;
use crate::order::{Action, Order};
use crate::problem::Problem;
use crate::{answer, html};

fn row<'a>(policy: &'a str, upstream: &'a str) -> Row<'a> {
    let mut row = Row::default();
    row.text("policy", policy);
    row.text("upstream", upstream);
    row.text("route", upstream);
    row.text("mode", "enforce");
    row.text("state", "open");
    let mut forced = Row::default();
    forced.text("to", "closed");
    forced.number("ms_left", 59_001);
    forced.text("by", upstream);
    row.row("forced", forced);
    row.number("trips", 3);
    row
}

fn page(viewer: Viewer, policy: &str, upstream: &str) -> Answer {
    let mut worker = Row::default();
    worker.number("hedges_parked", 7);
    let mut page = Page::new(&worker, viewer);
    page.add(&row(policy, upstream));
    page.add(&row("p", "other"));
    page.end(2)
}

fn viewer(html: bool) -> Viewer {
    Viewer {
        html,
        forces: true,
        token: Some("c0ffee".to_owned()),
    }
}

/// The queries of all buttons.
fn buttons(html: &str) -> Vec<String> {
    let parts = html.split("formaction=\"?").skip(1);
    let queries = parts.map(|part| part.split('"').next().unwrap().replace("&amp;", "&"));
    queries.collect()
}

#[test]
fn json_has_every_row_and_says_how_many_are_missing() {
    let answer = page(viewer(false), "p", "u");
    let read: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(read["version"], json!(1));
    assert_eq!(read["worker"], json!({"hedges_parked": 7}));
    assert_eq!(
        read["force"],
        json!({"acts_on": "this process only", "token": "c0ffee"})
    );
    assert_eq!(
        read["upstreams"][0]["forced"],
        json!({"to": "closed", "ms_left": 59_001, "by": "u"})
    );
    assert_eq!(read["upstreams"][1]["upstream"], json!("other"));
    assert_eq!(read["omitted"], json!(2));
}

#[test]
fn who_may_not_force_sees_neither_token_nor_button_and_an_identity_needs_no_token() {
    for html in [false, true] {
        let reader = page(
            Viewer {
                html,
                ..Viewer::default()
            },
            "p",
            "u",
        )
        .body;
        for word in ["token", "force\":", "formaction", "<form"] {
            assert!(!reader.contains(word), "{word} in {reader}");
        }
        let identity = page(
            Viewer {
                token: None,
                ..viewer(html)
            },
            "p",
            "u",
        )
        .body;
        assert!(!identity.contains("token"), "{identity}");
    }
    assert_eq!(buttons(&page(viewer(true), "p", "u").body).len(), 16);
}

#[test]
fn every_button_is_an_order_of_its_row() {
    let (policy, upstream) = ("a&b=\"c\"", "outbound|80||<x>'+ %\u{20ac}");
    let shown = page(viewer(true), policy, upstream).body;
    let mut seen = Vec::new();
    for query in &buttons(&shown)[..8] {
        let order = Order::read(query.as_bytes()).expect("an order");
        assert_eq!(
            (order.policy.as_str(), order.upstream.as_str()),
            (policy, upstream)
        );
        assert_eq!(order.route.as_deref(), Some(upstream));
        assert_eq!(order.token, "c0ffee");
        seen.push(order.action);
    }
    assert!(Action::ALL.iter().all(|action| seen.contains(action)));
    assert!(shown.contains("closed for 60 s more, by outbound|80||&lt;x&gt;&#39;+ %\u{20ac}"));
}

#[test]
fn html_loads_nothing_but_its_style_and_no_other_page_may_hold_it() {
    let refused = answer::refused(Problem::Token, true, "/seawall");
    for answer in [
        page(viewer(true), "p", "u"),
        page(viewer(false), "p", "u"),
        refused,
        answer::forced("/seawall"),
    ] {
        let header = |name: &str| {
            let found = answer.headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let hash =
            base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(html::STYLE));
        assert_eq!(
            header("content-security-policy"),
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            )
        );
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("vary"), "accept");
        for word in [
            "<script",
            "src=",
            "http:",
            "https:",
            "javascript",
            " style=",
            " onclick",
            "url(",
        ] {
            assert!(!answer.body.contains(word), "{word} in {}", answer.body);
        }
    }
    assert_eq!(
        answer::forced("/seawall").headers.last(),
        Some(&("location", "/seawall".to_owned()))
    );
}

#[test]
fn a_refusal_says_what_would_be_right_in_both_forms() {
    for problem in Problem::ALL {
        let plain = answer::refused(problem, false, "/seawall");
        let read: Value = serde_json::from_str(&plain.body).expect("JSON");
        assert_eq!(
            read,
            json!({"error": problem.name(), "message": problem.sentence()})
        );
        let browser = answer::refused(problem, true, "/sea\"wall");
        assert_eq!(
            (plain.status, browser.status),
            (problem.status(), problem.status())
        );
        assert!(
            browser.body.contains("href=\"/sea&quot;wall\""),
            "{}",
            browser.body
        );
    }
}

proptest! {
    #[test]
    fn whatever_a_name_holds_the_tags_are_those_of_the_page(policy in any::<String>(), upstream in any::<String>()) {
        let tags = |html: &str| html.matches(['<', '>', '"', '\'']).collect::<String>();
        let (plain, with) = (page(viewer(true), "p", "u").body, page(viewer(true), &policy, &upstream).body);
        prop_assert_eq!(tags(&plain), tags(&with));
        prop_assert!(with.chars().all(|c| c >= ' ' && c != '\x7f'));
        let read: Value = serde_json::from_str(&page(viewer(false), &policy, &upstream).body).expect("JSON");
        prop_assert_eq!(&read["upstreams"][0]["upstream"], &json!(upstream));
        prop_assert_eq!(&read["upstreams"][0]["policy"], &json!(policy));
    }
}
