//! Stale answers in a real Envoy: who is given what was kept, and what is never kept.

mod clients;

use std::time::Duration;

use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{self, Envoy};
use seawall_live::raw;
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use crate::support::{Stand, WORKERS, anywhere, assert_no_trap, beside_others, edge, policy};

const PATIENCE: Duration = Duration::from_secs(3);
const STALE: &str = "x-seawall-degraded: stale";
const KEPT: [&str; 2] = ["wasmcustom.seawall_stale", "outcome=kept"];

fn with_stale(breaker: Value) -> Value {
    let mut whole = policy(breaker);
    whole["policies"]["default"]["fallback"] = json!([{"stale": {"max_age": "10m"}}]);
    whole
}

/// A breaker that stays closed: only failed answers are replaced.
fn closed() -> Value {
    with_stale(json!({"consecutive": 10_000, "failure_rate": 0, "slow_call": {"rate": 0}}))
}

/// A request by hand: method, path, host and header lines.
async fn ask(
    stand: &Stand,
    method: &str,
    path: &str,
    host: &str,
    lines: &[&str],
) -> anyhow::Result<String> {
    let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n");
    let answer = raw::exchange(stand.address, head.as_bytes(), PATIENCE).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn saying(lines: &[(&str, &str)]) -> Knobs {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Knobs {
        answer_headers: lines.iter().map(own).collect(),
        ..Knobs::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_good_answer_stands_in_for_a_failed_one_a_refused_one_and_none_at_all()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(with_stale(
        json!({"consecutive": 4, "open": {"for": "30s", "up_to": "30s"}}),
    ))
    .await?;
    stand
        .upstream
        .set(saying(&[("etag", "\"7\""), ("cache-control", "max-age=1")]));
    let good = ask(&stand, "GET", "/items?page=1", "shop", &[]).await?;
    assert!(
        good.ends_with("upstream\n") && !good.contains(STALE),
        "{good}"
    );
    stand.envoy.wait_for(&KEPT, 1).await?;
    stand.upstream.set(Knobs::failing(1.0));
    // Four failures, of which the last opens the breaker; then refusals. Connections go to both workers in turn.
    for round in 0..8 {
        let given = ask(&stand, "GET", "/items?page=1", "shop", &[]).await?;
        assert!(
            given.starts_with("HTTP/1.1 200 ") && given.ends_with("\r\n\r\nupstream\n"),
            "{round}: {given}"
        );
        for line in [
            STALE,
            "age: ",
            "etag: \"7\"",
            "cache-control: max-age=1",
            "content-length: 9",
        ] {
            assert_eq!(given.matches(line).count(), 1, "{round}: {line} in {given}");
        }
    }
    assert_eq!(stand.upstream.snapshot().requests, 5);
    let head = ask(&stand, "HEAD", "/items?page=1", "shop", &[]).await?;
    assert!(
        head.contains(STALE) && head.contains("content-length: 9"),
        "{head}"
    );
    assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
    let other = ask(&stand, "GET", "/items?page=2", "shop", &[]).await?;
    assert!(
        other.starts_with("HTTP/1.1 503 ") && !other.contains(STALE),
        "{other}"
    );
    let rung = ["wasmcustom.seawall_fallbacks", "rung=stale"];
    stand.envoy.wait_for(&rung, 9).await?;
    assert_no_trap(&stand.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_down_is_stood_in_for() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(closed()).await?;
    ask(&stand, "GET", "/", "shop", &[]).await?;
    stand.envoy.wait_for(&KEPT, 1).await?;
    stand.upstream.set(Knobs::down());
    let given = ask(&stand, "GET", "/", "shop", &[]).await?;
    assert!(
        given.contains(STALE) && given.ends_with("upstream\n"),
        "{given}"
    );
    Ok(())
}

/// One attempt to be handed another's answer: what the first asked, what it was answered, what the second asks, and
/// whether that one may have it. `{}` in a path is the number of the attempt.
struct Attempt {
    first: (
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
    ),
    answer: &'static [(&'static str, &'static str)],
    second: (
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
    ),
    allowed: bool,
}

const PLAIN: (&str, &str, &str, &[&str]) = ("GET", "/{}?a=1&b=2", "shop", &[]);

const fn with(
    lines: &'static [&'static str],
) -> (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
) {
    ("GET", "/{}?a=1&b=2", "shop", lines)
}

const fn no(
    first: (
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
    ),
    answer: &'static [(&'static str, &'static str)],
    second: (
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
    ),
) -> Attempt {
    Attempt {
        first,
        answer,
        second,
        allowed: false,
    }
}

const fn yes(
    first: (
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
    ),
    answer: &'static [(&'static str, &'static str)],
    second: (
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
    ),
) -> Attempt {
    Attempt {
        first,
        answer,
        second,
        allowed: true,
    }
}

const ATTEMPTS: &[Attempt] = &[
    yes(PLAIN, &[], PLAIN),
    yes(PLAIN, &[], ("HEAD", "/{}?a=1&b=2", "shop", &[])),
    yes(PLAIN, &[], ("GET", "/{}?a=1&b=2", "SHOP", &[])),
    yes(
        with(&["accept-language: de"]),
        VARIED,
        with(&["Accept-Language: de"]),
    ),
    yes(PLAIN, &[("cache-control", "public, max-age=0")], PLAIN),
    no(
        with(&["authorization: Bearer alice"]),
        &[],
        with(&["authorization: Bearer bob"]),
    ),
    no(
        with(&["authorization: Bearer alice"]),
        &[],
        with(&["authorization: Bearer alice"]),
    ),
    no(
        with(&["authorization: Bearer alice"]),
        &[("cache-control", "public")],
        PLAIN,
    ),
    no(PLAIN, &[], with(&["authorization: Bearer bob"])),
    no(
        with(&["cookie: sid=alice"]),
        &[],
        with(&["cookie: sid=bob"]),
    ),
    no(with(&["cookie: sid=alice"]), &[], PLAIN),
    no(PLAIN, &[], with(&["cookie: sid=bob"])),
    no(with(&["x-api-key: alice"]), &[], PLAIN),
    no(with(&["x-tenant: a"]), &[], with(&["x-tenant: b"])),
    no(with(&["userid: a"]), &[], with(&["userid: b"])),
    no(with(&["client-cert: :YQ==:"]), &[], PLAIN),
    no(PLAIN, &[("set-cookie", "sid=alice")], PLAIN),
    no(PLAIN, &[("Set-Cookie", "")], PLAIN),
    no(PLAIN, &[("cache-control", "private")], PLAIN),
    no(
        PLAIN,
        &[
            ("cache-control", "max-age=60"),
            ("cache-control", "x,,PRIVATE=\"a\""),
        ],
        PLAIN,
    ),
    no(PLAIN, &[("cache-control", "no-store")], PLAIN),
    no(PLAIN, &[("cache-control", "no-cache")], PLAIN),
    no(PLAIN, &[("vary", "*")], PLAIN),
    no(PLAIN, &[("vary", "accept"), ("vary", "*")], PLAIN),
    no(
        with(&["accept-language: de"]),
        VARIED,
        with(&["accept-language: en"]),
    ),
    no(with(&["accept-language: de"]), VARIED, PLAIN),
    no(
        with(&["accept-language: de"]),
        &[("vary", "Accept-Language")],
        with(&["accept-language: de"]),
    ),
    no(PLAIN, &[], ("GET", "/{}?a=1&b=2", "other", &[])),
    no(PLAIN, &[], ("GET", "/{}?b=2&a=1", "shop", &[])),
    no(PLAIN, &[], ("GET", "/{}?a=1", "shop", &[])),
    no(
        PLAIN,
        &[],
        ("POST", "/{}?a=1&b=2", "shop", &["content-length: 0"]),
    ),
    no(("HEAD", "/{}?a=1&b=2", "shop", &[]), &[], PLAIN),
    no(
        ("POST", "/{}?a=1&b=2", "shop", &["content-length: 0"]),
        &[],
        PLAIN,
    ),
    no(
        with(&["range: bytes=0-1"]),
        &[("content-range", "bytes 0-1/9")],
        PLAIN,
    ),
    no(PLAIN, &[], with(&["range: bytes=0-1"])),
    no(with(&["cache-control: no-store"]), &[], PLAIN),
    no(PLAIN, &[], with(&["cache-control: no-cache"])),
    no(with(&["x-forwarded-host: evil.example"]), &[], PLAIN),
    no(with(&["x_forwarded_host: evil.example"]), &[], PLAIN),
    no(with(&["x-request-id: 1"]), &[], with(&["user-agent: b"])),
    no(with(&["user-agent: a"]), &[], PLAIN),
    no(with(&["x-tenant: a"]), &[], with(&["x-tenant: a"])),
    no(with(&["x-forwarded-host: evil.example"]), FOR_ALL, PLAIN),
    no(
        with(&["forwarded: for=203.0.113.5;host=evil.example"]),
        FOR_ALL,
        PLAIN,
    ),
    yes(
        with(&["forwarded: for=203.0.113.5"]),
        FOR_ALL,
        with(&["forwarded: for=203.0.113.9"]),
    ),
    yes(with(&["user-agent: a"]), FOR_ALL, with(&["user-agent: b"])),
    yes(
        with(&["x-tenant: a"]),
        &[("cache-control", "s-maxage=9, stale-if-error=600")],
        with(&["x-tenant: b"]),
    ),
    no(PLAIN, &[("cache-control", "public, s-maxage=60")], PLAIN),
    no(
        PLAIN,
        &[("cache-control", "max-age=60, must-revalidate")],
        PLAIN,
    ),
    no(
        PLAIN,
        &[("cache-control", "public, proxy-revalidate")],
        PLAIN,
    ),
];

const FOR_ALL: &[(&str, &str)] = &[("cache-control", "max-age=60, public")];
const VARIED: &[(&str, &str)] = &[("vary", "Accept-Language"), ("cache-control", "public")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_for_its_own_listener() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream.address()],
        more: json!({}),
        http2: false,
    };
    let listeners = ["inside", "outside"].map(|name| Listener {
        name: name.to_owned(),
        policy: Some(closed()),
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: "upstream".to_owned(),
            policy: None,
            action: json!({}),
            ..Route::default()
        }],
        ..Listener::default()
    });
    let file = bootstrap(&envoy::filter()?, &listeners, &[cluster]);
    let envoy = Envoy::start(&file, WORKERS).await?;
    let (inside, outside) = (envoy.listener("inside")?, envoy.listener("outside")?);
    let mut stand = Stand {
        envoy,
        upstream,
        address: inside,
    };
    ask(&stand, "GET", "/", "shop", &[]).await?;
    stand.envoy.wait_for(&KEPT, 1).await?;
    stand.upstream.set(Knobs::failing(1.0));
    let given = ask(&stand, "GET", "/", "shop", &[]).await?;
    assert!(given.contains(STALE), "{given}");
    stand.address = outside;
    let given = ask(&stand, "GET", "/", "shop", &[]).await?;
    assert!(!given.contains(STALE), "{given}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_handed_what_was_another_ones() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(closed()).await?;
    for (number, attempt) in ATTEMPTS.iter().enumerate() {
        stand.upstream.set(saying(attempt.answer));
        let (method, path, host, lines) = attempt.first;
        let path = path.replace("{}", &number.to_string());
        let good = ask(&stand, method, &path, host, lines).await?;
        assert!(good.starts_with("HTTP/1.1 200 "), "{number}: {good}");
    }
    // What is kept is kept when a request is logged, and told at a tick: all of it is there by then.
    let kept = |attempt: &&Attempt| {
        let plain = attempt.first == PLAIN && attempt.answer.is_empty();
        plain || [FOR_ALL, VARIED].contains(&attempt.answer)
    };
    let least = ATTEMPTS.iter().filter(kept).count() as u64 + 2;
    stand.envoy.wait_for(&KEPT, least).await?;
    stand.upstream.set(Knobs::failing(1.0));
    let mut leaks = Vec::new();
    for (number, attempt) in ATTEMPTS.iter().enumerate() {
        let (method, path, host, lines) = attempt.second;
        let path = path.replace("{}", &number.to_string());
        // Two at a time, so that Envoy gives them to both workers.
        let ask = || ask(&stand, method, &path, host, lines);
        let (one, other) = tokio::try_join!(ask(), ask())?;
        for given in [one, other] {
            if given.contains(STALE) != attempt.allowed {
                leaks.push(format!("attempt {number}: {given}"));
            }
        }
    }
    assert_eq!(leaks, Vec::<String>::new());
    let served = stand.workers().await?;
    assert!(served.iter().all(|served| *served > 0), "{served:?}");
    assert_no_trap(&stand.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_is_not_kept_and_one_in_chunks_is() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(closed()).await?;
    ask(&stand, "GET", "/broken", "shop", &[]).await?;
    ask(&stand, "GET", "/chunked", "shop", &[]).await?;
    stand.envoy.wait_for(&KEPT, 1).await?;
    stand.upstream.set(Knobs::failing(1.0));
    let chunked = ask(&stand, "GET", "/chunked", "shop", &[]).await?;
    assert!(
        chunked.contains(STALE) && chunked.ends_with("one, two\n"),
        "{chunked}"
    );
    let broken = ask(&stand, "GET", "/broken", "shop", &[]).await?;
    assert!(!broken.contains(STALE), "{broken}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_only_a_body_with_a_length_is_kept() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream.address()],
        more: json!({}),
        http2: true,
    };
    let envoy = edge(closed(), json!({}), cluster).await?;
    let address = envoy.listener("edge")?;
    let stand = Stand {
        envoy,
        upstream,
        address,
    };
    ask(&stand, "GET", "/chunked", "shop", &[]).await?;
    ask(&stand, "GET", "/", "shop", &[]).await?;
    stand.envoy.wait_for(&KEPT, 1).await?;
    stand.upstream.set(Knobs::failing(1.0));
    let plain = ask(&stand, "GET", "/", "shop", &[]).await?;
    assert!(plain.contains(STALE), "{plain}");
    let chunked = ask(&stand, "GET", "/chunked", "shop", &[]).await?;
    assert!(!chunked.contains(STALE), "{chunked}");
    Ok(())
}
