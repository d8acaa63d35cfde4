//! The time that an attempt is told of is what is left when it starts: for retries, hedges and the route's own retries, in
//! every form.

use std::time::Duration;

use seawall_live::raw;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::propagation::hops::left;
use crate::support::alone;
use crate::support::trial::{Plan, Trial};

const GRPC: &str = "grpc-timeout";
const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";
const OWN: &str = "x-left";
/// What the caller leaves.
const TOTAL: Duration = Duration::from_secs(3);
/// What an attempt takes.
const ATTEMPT: Duration = Duration::from_millis(250);
/// What this machine may be late with each attempt.
const LATE: Duration = Duration::from_millis(250);
/// How much earlier Envoy's timers may start than an attempt.
const EARLY: Duration = Duration::from_millis(20);

/// A policy in which time goes on in all forms.
fn policy(more: Value) -> Value {
    let mut policy = json!({"timeout": {"propagate": [GRPC, EXPECTED, OWN]}});
    if let (Some(policy), Value::Object(more)) = (policy.as_object_mut(), more) {
        policy.extend(more);
    }
    policy
}

/// What the upstream was told of its time in this header, attempt by attempt.
fn told(trial: &Trial, name: &str) -> Vec<Duration> {
    let arrivals = trial.upstream.snapshot().arrivals;
    let values = arrivals.iter().filter_map(|arrival| {
        let value = arrival.values.get(name)?;
        match name {
            GRPC => left(value),
            _ => value.parse().ok().map(Duration::from_millis),
        }
    });
    values.collect()
}

/// Each attempt began `each` after the one before it, and was told so in every form.
fn assert_less_and_less(trial: &Trial, what: &str, attempts: u32, each: Duration) {
    for name in [GRPC, EXPECTED, OWN] {
        let told = told(trial, name);
        assert_eq!(told.len(), attempts as usize, "{what}, {name}: {told:?}");
        for (number, told) in (0..attempts).zip(told) {
            let most = TOTAL - each * number;
            let least = most - LATE * (number + 1);
            assert!(
                (least..=most + EARLY).contains(&told) && told <= TOTAL,
                "{what}, {name}: attempt {number} was told {told:?} and not {most:?}"
            );
        }
    }
}

async fn ask(trial: &Trial, knobs: Knobs) -> anyhow::Result<()> {
    trial.set(knobs);
    let sent = [(GRPC, "3S"), (OWN, "3000")];
    trial.pool.grpc("/grpc", &sent).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_retry_is_told_what_is_left_by_then() -> anyhow::Result<()> {
    let _alone = alone().await;
    let failing = Knobs {
        latency_ms: 250,
        ..Knobs::failing(1.0)
    };
    let budget = json!({"ratio": 100, "min_per_second": 10});
    let ours = json!({"retries": {"attempts": 3, "methods": "any", "budget": budget}});
    let trial = Plan::new(policy(ours)).grpc().start().await?;
    // Who pays is not the question: the budget fills.
    trial.save(5, 3).await?;
    ask(&trial, failing.clone()).await?;
    assert_less_and_less(&trial, "Seawall's retries", 3, ATTEMPT);

    let action = json!({"retry_policy": {
        "retry_on": "unavailable", "num_retries": 2,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}
    }});
    let plan = Plan {
        action,
        ..Plan::new(policy(json!({}))).grpc()
    };
    let trial = plan.start().await?;
    ask(&trial, failing).await?;
    assert_less_and_less(&trial, "the route's retries", 3, ATTEMPT);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hedge_is_told_what_is_left_by_then() -> anyhow::Result<()> {
    let _alone = alone().await;
    let retries = json!({"retries": {
        "methods": "any",
        "budget": {"ratio": 100, "min_per_second": 10},
        "hedge": {"after": "250ms"}
    }});
    let trial = Plan::new(policy(retries)).grpc().start().await?;
    trial.save(5, 3).await?;
    ask(&trial, Knobs::slow_first(1_000)).await?;
    assert_less_and_less(&trial, "a hedge", 2, ATTEMPT);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_is_never_told_as_nothing() -> anyhow::Result<()> {
    let _alone = alone().await;
    let retries = json!({"retries": {
        "attempts": 3, "methods": "any", "budget": {"ratio": 100, "min_per_second": 10}
    }});
    let trial = Plan::new(policy(retries)).grpc().start().await?;
    trial.save(40, 20).await?;
    let mut late = 0;
    // The second attempt begins when next to nothing is left. Sometimes the time is over before.
    for milliseconds in 100..120 {
        trial.set(Knobs {
            latency_ms: 100,
            ..Knobs::failing(1.0)
        });
        let limit = milliseconds.to_string();
        let grpc = format!("{limit}m");
        let sent = [(GRPC, grpc.as_str()), (OWN, limit.as_str())];
        trial.pool.grpc("/grpc", &sent).await?;
        for name in [GRPC, EXPECTED, OWN] {
            let told = told(&trial, name);
            assert!(
                told.iter().all(|told| *told > Duration::ZERO),
                "{name}: {told:?}"
            );
            late += usize::from(told.len() > 1);
        }
    }
    assert!(late > 0, "no second attempt began");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_lines_the_smallest_counts_and_none_goes_on() -> anyhow::Result<()> {
    let _alone = alone().await;
    let trial = Plan::new(policy(json!({}))).start().await?;
    for lines in [
        "x-left: 60000\r\nx-left: 300\r\n",
        "x-left: 300\r\nx-left: 60000\r\n",
        "x-left: soon\r\nx-left: 300\r\nx-left: 0\r\n",
        "x-left: 60000, 300\r\n",
    ] {
        trial.set(Knobs::hanging());
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n");
        let patience = Duration::from_secs(3);
        let answer = raw::exchange(trial.address, request.as_bytes(), patience).await?;
        assert_eq!(raw::status(&answer), Some(504), "{lines}");
        let told = told(&trial, OWN);
        let most = Duration::from_millis(300);
        assert!(
            told.len() == 1 && told.iter().all(|told| *told <= most),
            "{lines}: {told:?}"
        );
    }
    Ok(())
}
