//! What holds where attempts are not decided one by one: without the upstream position, and in shadow.

use hyper::Method;
use seawall_live::pool::Answer;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::support::trial::{Plan, Trial, back_off};
use crate::support::{assert_no_trap, beside_others, until};

const USERS: usize = 20;
const REQUESTS: usize = 20_000;
const GAUGE: &str = "wasmcustom.seawall_retry_accounting";

fn fifth(mode: &str) -> Value {
    json!({"retries": {"mode": mode, "attempts": 3, "budget": {"ratio": 20, "min_per_second": 0}}})
}

/// Floods it while everything fails, and gives the retries in percent of the first attempts.
async fn flooded(trial: &Trial) -> anyhow::Result<f64> {
    trial.set(Knobs {
        latency_ms: 0,
        ..Knobs::failing(1.0)
    });
    let samples = trial.client(USERS).flood("/", REQUESTS).await;
    assert!(samples.iter().all(|sample| sample.status == 503));
    let (first, retries) = trial.attempts();
    assert_eq!(first, REQUESTS as u64);
    let overflow = trial.envoy.sum(&["upstream_rq_retry_overflow"]).await?;
    assert_eq!(overflow, 0, "Envoy's own limit was not in the way");
    assert_no_trap(&trial.envoy);
    Ok(retries as f64 * 100.0 / first as f64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_upstream_position_retries_are_granted_by_request_and_bounded()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let plan = Plan {
        upstream: false,
        ..Plan::new(fifth("enforce"))
    };
    let trial = plan.start().await?;
    let share = flooded(&trial).await?;
    println!("{share:.2} % retries without the upstream position");
    assert!((15.0..=25.0).contains(&share), "{share:.2} % retries");
    trial.envoy.wait_for(&[GAUGE], 1).await?;
    assert_eq!(trial.envoy.sum(&[GAUGE]).await?, 1, "by request");
    trial
        .wait_decided("charged", "per_request", trial.attempts().1)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_upstream_position_nobody_knocks_at_a_closed_door_three_times()
-> anyhow::Result<()> {
    const KNOCKS: usize = 4_000;
    let _turn = beside_others().await;
    let plan = Plan {
        upstream: false,
        ..Plan::new(fifth("enforce"))
    };
    let trial = plan.start().await?;
    trial.set(Knobs::down());
    let samples = trial.client(USERS).flood("/", KNOCKS).await;
    assert!(samples.iter().all(|sample| sample.status == 503));
    let stats = trial
        .envoy
        .stats("cluster.upstream.upstream_rq_retry")
        .await?;
    let retries = stats["cluster.upstream.upstream_rq_retry"];
    let share = retries as f64 * 100.0 / KNOCKS as f64;
    println!("{share:.2} % retries of refused connections without the upstream position");
    assert!((15.0..=25.0).contains(&share), "{share:.2} % retries");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_upstream_position_retries_are_accounted_one_by_one() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = Plan::new(fifth("enforce")).start().await?;
    let share = flooded(&trial).await?;
    println!("{share:.2} % retries with the upstream position");
    assert!((19.0..=21.0).contains(&share), "{share:.2} % retries");
    assert_eq!(trial.envoy.wait_for(&[GAUGE], 2).await?, 2, "by attempt");
    let granted = trial
        .wait_decided("granted", "none", trial.attempts().1)
        .await?;
    assert_eq!(granted, trial.attempts().1);
    assert_eq!(
        trial
            .envoy
            .sum(&["seawall_retries", "decision=charged"])
            .await?,
        0
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_shadow_the_route_retries_as_ever_and_seawall_counts() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let plan = Plan {
        action: json!({"retry_policy": {
            "retry_on": "5xx", "num_retries": 2, "retry_back_off": back_off()
        }}),
        ..Plan::new(fifth("shadow"))
    };
    let trial = plan.start().await?;
    let share = flooded(&trial).await?;
    assert!((199.0..=200.0).contains(&share), "{share:.2} % retries");
    let part = ["wasmcustom.seawall_retries", "decision=shadow_denied"];
    let least = (REQUESTS as u64 * 178) / 100;
    let denied = trial.envoy.wait_for(&part, least).await?;
    let denied = denied as f64 * 100.0 / REQUESTS as f64;
    println!("{share:.2} % retries in shadow, {denied:.2} % would have been denied");
    assert!((178.0..=182.0).contains(&denied), "{denied:.2} %");
    let vetoed = trial
        .envoy
        .sum(&["seawall_retries", "decision=denied"])
        .await?;
    assert_eq!(vetoed, 0);
    Ok(())
}

/// Who is retried without the upstream position, on a route with retries of its own: `Ok` is answered well by a retry.
async fn retried(
    trial: &Trial,
    method: &Method,
    headers: &[(&str, &str)],
) -> anyhow::Result<(Answer, u64)> {
    trial.set(Knobs {
        latency_ms: 0,
        ..Knobs::failing_first(1.0)
    });
    let answer = trial.pool.send(method, "/", headers).await?;
    Ok((answer, trial.attempts().1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_upstream_position_a_route_repeats_nothing_that_is_not_safe()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let start = async |methods: &str, upstream: bool| {
        let budget = json!({"ratio": 100, "min_per_second": 100});
        let plan = Plan {
            upstream,
            // As Istio has it where nothing is said.
            action: json!({"retry_policy": {
                "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
                "retriable_status_codes": [503], "num_retries": 2, "retry_back_off": back_off()
            }}),
            ..Plan::new(json!({"retries": {"methods": methods, "budget": budget}}))
        };
        plan.start().await
    };
    let keyed = [("idempotency-key", "7")];
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    let trial = start("idempotent", false).await?;
    // From the first request on: nobody knows yet where the filter stands.
    for method in [Method::POST, Method::PATCH] {
        let (answer, retries) = retried(&trial, &method, &[]).await?;
        assert_eq!(
            (answer.status, retries),
            (503, 0),
            "{method} of a new process"
        );
    }
    trial.save(10, 1).await?;
    for _ in 0..5 {
        for method in [Method::POST, Method::PATCH] {
            let (answer, retries) = retried(&trial, &method, &[]).await?;
            assert_eq!((answer.status, retries), (503, 0), "{method}");
        }
    }
    trial.wait_decided("denied", "unsafe_coarse", 12).await?;
    for (method, headers) in [
        (Method::GET, &[][..]),
        (Method::PUT, &[][..]),
        (Method::POST, &keyed[..]),
        (Method::POST, &grpc[..]),
    ] {
        let (answer, retries) = retried(&trial, &method, headers).await?;
        assert_eq!((answer.status, retries), (200, 1), "{method} {headers:?}");
    }
    let denied = ["seawall_retries", "decision=denied", "reason=unsafe_coarse"];
    assert_eq!(
        trial.envoy.sum(&denied).await?,
        12,
        "no other is counted so"
    );

    let any = start("any", false).await?;
    any.save(10, 1).await?;
    let (answer, retries) = retried(&any, &Method::POST, &[]).await?;
    assert_eq!((answer.status, retries), (200, 1), "methods: any");

    // In the upstream position the same is decided attempt by attempt, and what never arrived is repeated.
    let seen = start("idempotent", true).await?;
    seen.save(10, 1).await?;
    let (answer, retries) = retried(&seen, &Method::POST, &[]).await?;
    assert_eq!(
        (answer.status, retries),
        (503, 0),
        "with the upstream position"
    );
    seen.set(Knobs::down());
    // A request on a connection that is just being cut would be reset, which is not repeated.
    let connections = "cluster.upstream.upstream_cx_active";
    until("the old connections are gone", async || {
        let stats = seen.envoy.stats(connections).await;
        stats.is_ok_and(|stats| stats.get(connections) == Some(&0))
    })
    .await?;
    assert_eq!(seen.post(&[]).await?.status, 503);
    let stats = seen
        .envoy
        .stats("cluster.upstream.upstream_rq_retry")
        .await?;
    assert_eq!(
        stats["cluster.upstream.upstream_rq_retry"], 1,
        "a connection that did not come about"
    );
    assert_eq!(seen.envoy.sum(&denied).await?, 0);
    Ok(())
}
