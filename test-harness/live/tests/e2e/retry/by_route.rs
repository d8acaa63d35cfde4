//! `retries.router: route`: the route's `retry_policy` lets the upstream position decide, and no header is written for requests
//! that may have all of their attempts.

use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::support::trial::{Plan, Trial, back_off};
use crate::support::{assert_no_trap, beside_others};

const REQUESTS: usize = 20_000;
const CUT: u64 = 100;

/// Three attempts by the route's policy, which the docs name.
async fn start(retries: Value) -> anyhow::Result<Trial> {
    let plan = Plan {
        action: json!({"retry_policy": {
            "retry_on": "retriable-headers,reset,connect-failure,refused-stream", "num_retries": 2,
            "retriable_headers": [{"name": "x-seawall-retry"}], "retry_back_off": back_off()
        }}),
        ..Plan::new(json!({"retries": retries}))
    };
    plan.start().await
}

fn fifth() -> Value {
    json!({"attempts": 3, "router": "route", "budget": {"ratio": 20, "min_per_second": 0}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_decides_about_failed_answers() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = start(fifth()).await?;
    trial.set(Knobs {
        latency_ms: 0,
        ..Knobs::failing(1.0)
    });
    let samples = trial.client(20).flood("/", REQUESTS).await;
    assert!(samples.iter().all(|sample| sample.status == 503));
    let (first, retries) = trial.attempts();
    let share = retries as f64 * 100.0 / first as f64;
    println!("{share:.2} % retries");
    assert!((19.0..=21.0).contains(&share), "{share:.2} % retries");
    let (first, again) = few(&trial).await?;
    assert!(
        first >= 99.0 && again > 8.0,
        "{first} % good, {again} % again"
    );
    assert_no_trap(&trial.envoy);
    Ok(())
}

/// One first attempt in ten fails; how many users got a good answer, and the retries.
async fn few(trial: &Trial) -> anyhow::Result<(f64, f64)> {
    trial.upstream.reset_stats();
    trial.set(Knobs {
        latency_ms: 0,
        first_error_rate: 0.1,
        ..Knobs::default()
    });
    let samples = trial.client(20).flood("/", REQUESTS).await;
    let good = samples.iter().filter(|sample| sample.status == 200).count();
    let (first, retries) = trial.attempts();
    let share = |count: f64| count * 100.0 / first as f64;
    Ok((share(good as f64), share(retries as f64)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reset_only_what_is_safe_is_repeated() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = start(json!({"attempts": 3, "router": "route", "budget": {"ratio": 100}})).await?;
    trial.set(Knobs {
        latency_ms: 0,
        reset: true,
        ..Knobs::default()
    });
    for (method, repeats) in [("POST", false), ("GET", true)] {
        trial.upstream.reset_stats();
        for _ in 0..CUT {
            let answer = match method {
                "POST" => trial.post(&[]).await?,
                _ => trial.get().await?,
            };
            assert_eq!(answer.status, 503, "{method}");
        }
        let (first, retries) = trial.attempts();
        assert_eq!(first, CUT, "{method}");
        assert_eq!(retries > 0, repeats, "{method}: {retries} retries");
    }
    assert_no_trap(&trial.envoy);
    Ok(())
}
