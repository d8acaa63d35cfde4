//! What is repeated and what is not, one request at a time. The budget pays for one retry of each request, so that only the
//! rule under test decides.

mod by_request;
mod by_route;
mod hedging;

use seawall_live::load::Kind;
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use crate::support::trial::{Plan, Trial, assert_clean};
use crate::support::{anywhere, beside_others, transitions, until};

/// Of each request as often as the knobs are set.
const TIMES: usize = 5;

/// Retries with this much more to say of them; every first attempt pays for a retry.
fn paid(more: &Value) -> Value {
    let mut retries = json!({"attempts": 2, "budget": {"ratio": 100, "min_per_second": 0}});
    if let (Some(retries), Some(more)) = (retries.as_object_mut(), more.as_object()) {
        retries.extend(more.clone());
    }
    json!({"retries": retries})
}

/// The upstream's first attempts fail with this status and these headers; its retries would be answered well.
fn sick(status: u16, headers: &[(&str, &str)]) -> Knobs {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Knobs {
        latency_ms: 0,
        error_status: status,
        answer_headers: headers.iter().map(own).collect(),
        ..Knobs::failing_first(1.0)
    }
}

/// Each of these is answered with this status after as many retries, and with nothing of ours.
async fn assert_answered(
    trial: &Trial,
    what: &str,
    status: u16,
    retries: usize,
    headers: Option<&[(&str, &str)]>,
) -> anyhow::Result<()> {
    for _ in 0..TIMES {
        let answer = match headers {
            Some(headers) => trial.post(headers).await?,
            None => trial.get().await?,
        };
        assert_eq!(answer.status, status, "{what}");
        assert_clean(&answer);
    }
    let expected = (TIMES as u64, (TIMES * retries) as u64);
    assert_eq!(trial.attempts(), expected, "{what}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_safe_is_repeated_only_where_somebody_vouches_for_it() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = Plan::new(paid(&json!({}))).start().await?;
    let any = Plan::new(paid(&json!({"methods": "any"}))).start().await?;
    for (trial, what, status, retries, headers) in [
        (&trial, "GET", 200, 1, None),
        (&trial, "POST", 503, 0, Some(&[][..])),
        (
            &trial,
            "POST with a key",
            200,
            1,
            Some(&[("idempotency-key", "7")][..]),
        ),
        (&any, "POST with methods: any", 200, 1, Some(&[][..])),
    ] {
        trial.set(sick(503, &[]));
        assert_answered(trial, what, status, retries, headers).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_retried_for_every_method() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let dead = Upstream::start("dead", anywhere()).await?;
    dead.set(Knobs::down());
    let plan = Plan {
        hosts: vec![dead.address()],
        ..Plan::new(paid(&json!({})))
    };
    let trial = plan.start().await?;
    // Before it is known that the filter stands behind the router, too, a POST is not retried at all.
    assert_eq!(trial.get().await?.status, 200);
    trial.upstream.reset_stats();
    for _ in 0..20 {
        let answer = trial.post(&[]).await?;
        assert_eq!(answer.status, 200);
        assert_clean(&answer);
    }
    assert_eq!(trial.attempts(), (20, 0), "the living one got each once");
    let refused = trial.envoy.sum(&["upstream_cx_connect_fail"]).await?;
    assert!(refused >= 5, "{refused} of 20 went to the dead one first");
    let granted = trial.wait_decided("granted", "none", refused).await?;
    assert_eq!(granted, refused, "and each was paid for");

    // Where nobody pays, the client is told of the failure.
    let poor = Plan {
        hosts: vec![dead.address()],
        ..Plan::new(json!({"retries": {"budget": {"ratio": 0, "min_per_second": 0}}}))
    };
    let poor = poor.start().await?;
    let mut failed = u64::from(poor.get().await?.status == 503);
    for _ in 0..20 {
        let answer = poor.post(&[]).await?;
        assert_clean(&answer);
        failed += u64::from(answer.status == 503);
    }
    let refused = poor.envoy.sum(&["upstream_cx_connect_fail"]).await?;
    assert_eq!((failed, refused > 0), (refused, true));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_is_a_post_and_its_status_speaks() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let plan = Plan::new(paid(&json!({}))).grpc();
    let any = Plan::new(paid(&json!({"methods": "any"}))).grpc();
    for (plan, status, expected, retries) in
        [(plan, 14, 14, 0), (any.clone(), 14, 0, 1), (any, 5, 5, 0)]
    {
        let trial = plan.start().await?;
        let knobs = Knobs {
            grpc_status: status,
            ..sick(503, &[])
        };
        trial.set(knobs);
        for _ in 0..TIMES {
            let answer = trial.pool.grpc("/grpc", &[]).await?;
            assert_eq!(answer.grpc_status(), Some(expected));
            assert_clean(&answer);
        }
        let times = TIMES as u64;
        assert_eq!(trial.attempts(), (times, times * retries));
        if retries == 0 {
            continue;
        }
        // Who asks for a pause, or not to come again at all, is not asked again.
        let pause = [("grpc-retry-pushback-ms", "1")];
        let never = [("grpc-retry-pushback-ms", "-1")];
        for header in [pause, never] {
            trial.set(sick(503, &header));
            let answer = trial.pool.grpc("/grpc", &[]).await?;
            assert_eq!(answer.grpc_status(), Some(14));
            assert_eq!(trial.attempts(), (1, 0), "{header:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_asks_for_a_pause_is_not_asked_again() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = Plan::new(paid(&json!({}))).start().await?;
    for (name, value, retries) in [
        ("retry-after", "1", 0),
        ("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT", 0),
        ("retry-after", "0", 1),
        ("grpc-retry-pushback-ms", "1000", 0),
        ("x-seawall-no-retry", "1", 0),
        ("x-envoy-ratelimited", "true", 0),
        ("x-other", "1", 1),
    ] {
        trial.set(sick(503, &[(name, value)]));
        let answer = trial.get().await?;
        let status = if retries == 0 { 503 } else { 200 };
        assert_eq!(answer.status, status, "{name}: {value}");
        assert_eq!(trial.attempts(), (1, retries), "{name}: {value}");
        if !name.starts_with("x-envoy") && !name.starts_with("x-seawall") {
            assert_eq!(
                answer.headers.get(name).map(|v| v.as_bytes()),
                Some(value.as_bytes())
            );
            assert_clean(&answer);
        }
    }
    trial.wait_decided("denied", "upstream", 5).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_is_retried_where_it_is_named_and_not_found_is_an_answer() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = Plan::new(paid(&json!({}))).start().await?;
    trial.set(sick(409, &[]));
    assert_answered(&trial, "409", 409, 0, None).await?;
    trial.set(sick(404, &[]));
    assert_answered(&trial, "404", 404, 0, None).await?;
    let named = Plan::new(paid(&json!({"on": ["409"]}))).start().await?;
    named.set(sick(409, &[]));
    assert_answered(&named, "409 by name", 200, 1, None).await?;
    named.set(sick(503, &[]));
    assert_answered(&named, "503 without its name", 503, 0, None).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_retried_while_the_breaker_is_not_closed() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let mut policy = paid(&json!({}));
    policy["breaker"] = json!({
        "consecutive": 3, "failure_rate": 0, "ramp": "60s", "hosts": {"grace": "0s"},
        "open": {"for": "200ms", "up_to": "200ms", "jitter": 0}, "half_open": {"permits": 4, "wait": "20s"}
    });
    let trial = Plan::new(policy).start().await?;
    let probed = async || -> anyhow::Result<u64> {
        // Refused as long as it is open, then one goes.
        until("a probe", async || {
            trial.client(1).get(0, "/").await.1 != Kind::Refused
        })
        .await?;
        Ok(trial.attempts().0)
    };
    trial.save(2, 2).await?;
    trial.set(Knobs::failing(1.0));
    for _ in 0..3 {
        assert_eq!(trial.get().await?.status, 503);
    }
    assert_eq!(trial.attempts(), (3, 3), "closed: each was retried");
    assert_eq!(transitions(&trial.envoy), ["closed -> open"]);

    // Half-open: a failed probe is not repeated; with the rates off one failure opens it again.
    trial.set(Knobs::failing(1.0));
    assert_eq!(probed().await?, 1);
    assert_eq!(trial.attempts(), (1, 0), "half-open");

    // Closed again by four good probes, and ramping up for a minute.
    trial.set(Knobs::default());
    until("closing", async || {
        trial.client(1).get(0, "/").await;
        transitions(&trial.envoy).last().map(String::as_str) == Some("half_open -> closed")
    })
    .await?;
    trial.set(sick(503, &[]));
    assert_eq!(probed().await?, 1);
    assert_eq!(trial.attempts(), (1, 0), "ramping up");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_trusted_peer_marks_as_a_retry_is_not_retried() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let marked = [("x-seawall-attempt", "2"), ("idempotency-key", "7")];
    for (trust, retries) in [("127.0.0.0/8", 0), ("10.0.0.0/8", 1)] {
        let plan = Plan {
            trust: vec![trust],
            ..Plan::new(paid(&json!({})))
        };
        let trial = plan.start().await?;
        trial.set(sick(503, &[]));
        let answer = trial.post(&marked).await?;
        assert_eq!(answer.status == 200, retries == 1, "{trust}");
        assert_eq!(trial.attempts(), (1, retries), "{trust}");
        let first = &trial.upstream.snapshot().arrivals[0];
        let told = first.values.contains_key("x-seawall-attempt");
        assert_eq!(told, retries == 0, "the mark goes on where it is believed");
        // The same peer's unmarked requests are retried.
        trial.set(sick(503, &[]));
        assert_eq!(trial.get().await?.status, 200);
        assert_eq!(trial.attempts(), (1, 1), "{trust}");
    }
    Ok(())
}
