//! A second attempt beside a slow one: who gets the answer, who pays, and what becomes of one that nobody pays for.

use std::time::Duration;

use seawall_live::load::{Kind, count};
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::support::trial::{Plan, Trial, assert_clean, timed};
use crate::support::{WORKERS, alone, assert_no_trap};

const HEDGED_AFTER: Duration = Duration::from_millis(50);
/// What this machine may be late.
const LATE: Duration = Duration::from_millis(400);

fn hedged(ratio: u32) -> Value {
    json!({"retries": {
        "budget": {"ratio": ratio, "min_per_second": 0},
        "hedge": {"after": "50ms"}
    }})
}

/// Nobody pays for a hedge; whether somebody would is asked when it starts, once the upstream position is known.
async fn poor() -> anyhow::Result<Trial> {
    let trial = Plan::new(hedged(0)).start().await?;
    assert_eq!(trial.get().await?.status, 200);
    Ok(trial)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hedge_of_a_slow_attempt_answers() -> anyhow::Result<()> {
    let _alone = alone().await;
    let trial = Plan::new(hedged(100)).start().await?;
    trial.set(Knobs::slow_first(3_000));
    for number in 1..=5 {
        let (answer, took) = timed(trial.get()).await?;
        assert_eq!(answer.status, 200);
        assert_clean(&answer);
        assert_eq!(trial.attempts(), (number, number));
        let expected = HEDGED_AFTER..HEDGED_AFTER + LATE;
        assert!(expected.contains(&took), "{took:?}");
    }
    let granted = trial.wait_decided("granted", "none", 5).await?;
    assert_eq!(granted, 5, "each is paid for, once");
    // A fast attempt has none, and what is not safe to repeat neither.
    trial.set(Knobs::default());
    assert_eq!(trial.get().await?.status, 200);
    assert_eq!(trial.attempts(), (1, 0));
    trial.set(Knobs::slow_first(300));
    let (answer, took) = timed(trial.post(&[])).await?;
    assert_eq!((answer.status, trial.attempts()), (200, (1, 0)));
    assert!(took >= Duration::from_millis(300), "{took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_slow_answers_is_hedged_within_the_budget() -> anyhow::Result<()> {
    const REQUESTS: usize = 8_000;
    let _alone = alone().await;
    let trial = Plan::new(hedged(20)).start().await?;
    trial.set(Knobs::slow(120));
    let samples = trial.client(100).flood("/", REQUESTS).await;
    assert_eq!(count(&samples, Kind::Good), REQUESTS);
    let (first, hedges) = trial.attempts();
    assert_eq!(first, REQUESTS as u64);
    let share = hedges as f64 * 100.0 / first as f64;
    let mut took: Vec<Duration> = samples.iter().map(|sample| sample.latency).collect();
    took.sort();
    let slowest = took[REQUESTS - 1];
    println!(
        "{share:.2} % hedges, median {:?}, slowest {slowest:?}",
        took[REQUESTS / 2]
    );
    assert!((19.0..=21.0).contains(&share), "{share:.2} % hedges");
    // Who is not hedged waits no longer than for its own answer.
    assert!(took[REQUESTS / 2] < Duration::from_millis(400), "{took:?}");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    assert_no_trap(&trial.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hedge_that_nobody_pays_for_is_in_nobodys_way() -> anyhow::Result<()> {
    let _alone = alone().await;
    let trial = poor().await?;
    for _ in 0..5 {
        trial.set(Knobs::slow(300));
        let (answer, took) = timed(trial.get()).await?;
        assert_eq!(answer.status, 200);
        assert_clean(&answer);
        assert_eq!(trial.attempts(), (1, 0), "it was not sent");
        let least = Duration::from_millis(300);
        assert!((least..least + LATE).contains(&took), "{took:?}");
    }
    // The first request of each worker does not ask: it finds out whether there is anybody to ask.
    let asked = 5 - WORKERS as u64;
    trial.wait_decided("denied", "budget", asked).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_attempt_beside_a_waiting_hedge_breaks_the_client_is_told_at_once()
-> anyhow::Result<()> {
    let _alone = alone().await;
    let trial = poor().await?;
    let broken_after = Duration::from_millis(200);
    for round in 0..5 {
        trial.set(Knobs {
            latency_ms: 200,
            reset: true,
            ..Knobs::default()
        });
        let (answer, took) = timed(trial.get()).await?;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_clean(&answer);
        assert_eq!(trial.attempts(), (1, 0), "round {round}");
        let expected = broken_after..broken_after + LATE;
        assert!(expected.contains(&took), "round {round}: {took:?}");
    }
    // Many at a time, some of whom leave: each is answered, and the VM lives.
    trial.set(Knobs {
        latency_ms: 200,
        reset_rate: 0.5,
        ..Knobs::default()
    });
    let impatient = trial.client(20);
    let leaving = seawall_live::load::Client::new(trial.address, 20, Duration::from_millis(120));
    let (stay, _left) = tokio::join!(impatient.flood("/", 200), leaving.flood("/", 200));
    assert_eq!(stay.len(), 200);
    let slowest = stay.iter().map(|sample| sample.latency).max();
    assert!(slowest < Some(Duration::from_secs(2)), "{slowest:?}");
    assert!(
        stay.iter()
            .all(|sample| [200, 503].contains(&sample.status))
    );
    assert_no_trap(&trial.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_budget_a_crowd_of_hedged_requests_sends_each_request_once() -> anyhow::Result<()>
{
    // One of the two workers has at least 350 of them, and has places for 256 hedges to wait.
    const CROWD: usize = 700;
    let _alone = alone().await;
    let mut policy = hedged(0);
    policy["timeout"] = json!({"total": "2s"});
    let trial = Plan::new(policy).start().await?;
    // Each worker finds out whether there is an upstream position.
    let samples = trial.client(40).flood("/", 200).await;
    assert_eq!(count(&samples, Kind::Good), 200);
    for round in 0..2 {
        trial.set(Knobs::hanging());
        let samples = trial.client(CROWD).flood("/", CROWD).await;
        assert!(
            samples.iter().all(|sample| sample.status == 504),
            "round {round}"
        );
        assert_eq!(trial.attempts(), (CROWD as u64, 0), "round {round}");
    }
    let not_allowed = ["wasmcustom.seawall_hedges_not_allowed"];
    let counted = trial.envoy.wait_for(&not_allowed, 1).await?;
    println!("{counted} were not hedged for want of a place");
    // All places came back: the hedges of as many requests wait again.
    let denied = trial.wait_decided("denied", "budget", 1).await?;
    trial.set(Knobs::slow(300));
    for _ in 0..5 {
        let (answer, _) = timed(trial.get()).await?;
        assert_eq!((answer.status, trial.attempts().1), (200, 0));
    }
    trial.wait_decided("denied", "budget", denied + 3).await?;
    Ok(())
}
