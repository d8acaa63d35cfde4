//! Deadlines that callers bring: each form is read, held to, and passed on no longer than it was.

use std::time::Duration;

use hyper::Method;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::propagation::hops::left;
use crate::support::trial::{Plan, Trial, timed};
use crate::support::{alone, beside_others, until};

const DEADLINE_EXCEEDED: u16 = 4;
/// What this machine may be late.
const LATE: Duration = Duration::from_millis(350);

/// What the last request said to the upstream.
fn said(trial: &Trial, name: &str) -> Option<String> {
    let last = trial.upstream.snapshot().arrivals.pop()?;
    last.values.get(name).cloned()
}

/// It took as long as its caller said, and not much longer. Envoy counts in milliseconds.
#[track_caller]
fn assert_at(what: &str, took: Duration, limit: Duration) {
    let least = limit.saturating_sub(Duration::from_millis(10));
    assert!(
        (least..limit + LATE).contains(&took),
        "{what}: {took:?} and not {limit:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_unit_of_grpc_timeout_is_held_to_and_passed_on() -> anyhow::Result<()> {
    let _alone = alone().await;
    let trial = Plan::new(json!({})).grpc().start().await?;
    for text in ["1H", "1M", "1S", "250m", "250000u", "99000000n"] {
        let limit = left(text).expect("a time");
        trial.set(Knobs::default());
        let sent = [("grpc-timeout", text)];
        let answer = trial.pool.grpc("/grpc", &sent).await?;
        // Of the shortest an answer may come too late; what was passed on counts.
        if limit >= Duration::from_millis(250) {
            assert_eq!(answer.grpc_status(), Some(0), "{text}");
        }
        let passed = said(&trial, "grpc-timeout").and_then(|text| left(&text));
        let passed = passed.expect("a time");
        assert!(
            passed <= limit && passed + LATE > limit,
            "{text}: {passed:?}"
        );
        if limit > Duration::from_secs(1) {
            continue;
        }
        trial.set(Knobs::hanging());
        let (answer, took) = timed(trial.pool.grpc("/grpc", &sent)).await?;
        assert_eq!(answer.grpc_status(), Some(DEADLINE_EXCEEDED), "{text}");
        assert_at(text, took, limit);
    }
    // What is none is as if it were not there.
    trial.set(Knobs::slow(400));
    for text in ["100", "m", "-1m", "123456789n", "1x"] {
        let answer = trial.pool.grpc("/grpc", &[("grpc-timeout", text)]).await?;
        assert_eq!(answer.grpc_status(), Some(0), "{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn milliseconds_come_and_go_in_envoys_header_and_in_ones_own() -> anyhow::Result<()> {
    const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";
    // Envoy takes its own headers away from whoever is not internal, which by default everybody is not.
    const INTERNAL: (&str, &str) = ("x-forwarded-for", "10.0.0.1");
    const STRANGER: (&str, &str) = ("x-forwarded-for", "192.0.2.1");
    let _alone = alone().await;
    let policy = json!({"timeout": {"total": "2s", "propagate": ["x-left", EXPECTED]}});
    let plan = Plan {
        internal: json!({"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}),
        ..Plan::new(policy)
    };
    let trial = plan.start().await?;
    for (from, name, value, limit) in [
        (INTERNAL, EXPECTED, "400", 400),
        (STRANGER, EXPECTED, "400", 2_000),
        (STRANGER, "x-left", "400", 400),
        (STRANGER, "x-left", "60000", 2_000),
        (STRANGER, "x-left", "0", 2_000),
        (STRANGER, "x-left", "soon", 2_000),
    ] {
        trial.set(Knobs::default());
        let sent = [from, (name, value)];
        let answer = trial.pool.send(&Method::GET, "/", &sent).await?;
        assert_eq!(answer.status, 200, "{name}: {value}");
        for header in [EXPECTED, "x-left"] {
            let passed: u64 = said(&trial, header).expect("a value").parse()?;
            assert!(
                passed <= limit && passed + 350 > limit,
                "{name}: {value} went on as {header}: {passed}"
            );
        }
        if limit > 1_000 {
            continue;
        }
        trial.set(Knobs::hanging());
        let (answer, took) = timed(trial.pool.send(&Method::GET, "/", &sent)).await?;
        assert_eq!(answer.status, 504, "{name}: {value}");
        assert_at(name, took, Duration::from_millis(limit));
    }
    // One that is not listed is nobody's business.
    let trial = Plan::new(json!({"timeout": {"propagate": [EXPECTED]}}))
        .start()
        .await?;
    trial.set(Knobs::slow(300));
    let answer = trial
        .pool
        .send(&Method::GET, "/", &[("x-left", "100")])
        .await?;
    assert_eq!(
        (answer.status, said(&trial, "x-left")),
        (200, Some("100".to_owned()))
    );
    Ok(())
}

fn doomed(fallback: &Value) -> Plan {
    Plan::new(json!({
        "timeout": {"total": "2s", "doomed_under": "500ms", "propagate": ["grpc-timeout", "x-left"]},
        "fallback": fallback
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_end_in_time_is_not_sent() -> anyhow::Result<()> {
    let _alone = alone().await;
    let trial = doomed(&json!([])).start().await?;
    trial.set(Knobs::hanging());
    let (answer, took) = timed(trial.pool.send(&Method::GET, "/", &[("x-left", "400")])).await?;
    assert_eq!(answer.status, 504);
    assert_eq!(
        answer
            .headers
            .get("x-seawall-reason")
            .map(|value| value.as_bytes()),
        Some(&b"deadline"[..])
    );
    assert!(!answer.headers.contains_key("retry-after"));
    assert!(took < Duration::from_millis(300), "at once: {took:?}");
    assert_eq!(trial.attempts(), (0, 0));
    let labels = [
        "wasmcustom.seawall_decisions",
        "decision=refused",
        "reason=deadline",
    ];
    assert_eq!(trial.envoy.wait_for(&labels, 1).await?, 1);
    until("the access log", async || {
        trial
            .envoy
            .access_log()
            .contains("seawall_deadline refused deadline")
    })
    .await?;
    // Half as much again is enough.
    trial.set(Knobs::default());
    let answer = trial
        .pool
        .send(&Method::GET, "/", &[("x-left", "750")])
        .await?;
    assert_eq!((answer.status, trial.attempts()), (200, (1, 0)));

    let trial = doomed(&json!([])).grpc().start().await?;
    trial.set(Knobs::hanging());
    let answer = trial
        .pool
        .grpc("/grpc", &[("grpc-timeout", "400m")])
        .await?;
    assert_eq!(answer.grpc_status(), Some(DEADLINE_EXCEEDED));
    assert_eq!(trial.attempts(), (0, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rung_for_deadlines_answers_in_their_place() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    for (cause, status) in [("deadline", 203), ("open", 504)] {
        let rung = json!([{"on": [cause], "static": {"status": 203, "body": "later"}}]);
        let trial = doomed(&rung).start().await?;
        let answer = trial
            .pool
            .send(&Method::GET, "/", &[("x-left", "400")])
            .await?;
        assert_eq!(answer.status, status, "{cause}");
        assert_eq!(trial.attempts(), (0, 0), "{cause}");
        if cause == "deadline" {
            assert_eq!(&*answer.body, b"later");
            let labels = [
                "wasmcustom.seawall_fallbacks",
                "rung=static",
                "reason=deadline",
            ];
            assert_eq!(trial.envoy.wait_for(&labels, 1).await?, 1);
        }
    }
    Ok(())
}
