//! The limit of one attempt: who hangs is asked again as long as somebody pays, and then the client is told.

use std::time::Duration;

use seawall_live::load::Kind;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::support::trial::{Plan, assert_clean, timed};
use crate::support::{alone, transitions, until};

/// Two attempts can be paid for of each three that there may be.
fn policy(breaker: &Value) -> Value {
    json!({
        "timeout": {"per_try": "300ms", "total": "5s"},
        "retries": {"attempts": 3, "budget": {"ratio": 100, "min_per_second": 0}},
        "breaker": breaker
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_hangs_is_repeated_and_the_next_answers() -> anyhow::Result<()> {
    let _alone = alone().await;
    let trial = Plan::new(policy(&json!({"mode": "off"}))).start().await?;
    trial.set(Knobs::slow_first(5_000));
    let (answer, took) = timed(trial.get()).await?;
    assert_eq!(answer.status, 200);
    assert_clean(&answer);
    assert_eq!(trial.attempts(), (1, 1));
    let cut = Duration::from_millis(270)..Duration::from_millis(1_000);
    assert!(
        cut.contains(&took),
        "after the limit of one attempt: {took:?}"
    );
    // What is not safe to repeat is cut at the same time and told so.
    trial.set(Knobs::slow_first(5_000));
    let (answer, took) = timed(trial.post(&[])).await?;
    assert_eq!((answer.status, trial.attempts()), (504, (1, 0)));
    assert!(cut.contains(&took), "{took:?}");
    assert_clean(&answer);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_nobody_pays_for_is_not_sent_and_the_client_gets_a_504()
-> anyhow::Result<()> {
    let _alone = alone().await;
    let breaker = json!({
        "consecutive": 3, "failure_rate": 0, "hosts": {"grace": "0s"},
        "open": {"for": "60s", "up_to": "60s"}
    });
    let trial = Plan::new(policy(&breaker)).start().await?;
    trial.save(1, 1).await?;
    for failures in 1..=3 {
        // One retry stood to its account, and it brings one more: two retries for the first, one for each after it.
        let retries = if failures == 1 { 2 } else { 1 };
        trial.set(Knobs::hanging());
        let (answer, took) = timed(trial.get()).await?;
        assert_eq!(answer.status, 504, "{answer:?}");
        assert_clean(&answer);
        assert_eq!(trial.attempts(), (1, retries), "request {failures}");
        let least = Duration::from_millis(270 * (retries + 1));
        let cut = least..least + Duration::from_millis(700);
        assert!(cut.contains(&took), "{took:?} and not {cut:?}");
        let outcomes = ["wasmcustom.seawall_outcomes", "outcome=failure"];
        assert_eq!(trial.envoy.wait_for(&outcomes, failures).await?, failures);
    }
    until("the access log", async || {
        trial
            .envoy
            .access_log()
            .matches("seawall_retry_budget")
            .count()
            == 2
    })
    .await?;
    // All three were failures to the breaker, in a row.
    assert_eq!(transitions(&trial.envoy), ["closed -> open"]);
    assert_eq!(trial.client(1).get(0, "/").await.1, Kind::Refused);
    Ok(())
}
