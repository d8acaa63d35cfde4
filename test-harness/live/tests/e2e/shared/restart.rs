//! A hot restart: what survives it (every request) and what does not (all state: it lives in the process).

use std::time::Duration;

use seawall_live::envoy::body::Body;
use seawall_live::load::{Kind, count};
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::support::dynamic::{Discovery, Ground};
use crate::support::{WORKERS, assert_no_trap, beside_others, policy, transitions, until};

const TIMES: &[&str] = &["--drain-time-s", "3", "--parent-shutdown-time-s", "5"];
const LOAD: Duration = Duration::from_secs(9);

/// A breaker that stays open for long, and retries that only first attempts pay for.
fn lasting() -> Value {
    let mut whole = policy(json!({"open": {"for": "60s", "up_to": "60s", "jitter": 0}}));
    whole["policies"]["default"]["retries"] =
        json!({"attempts": 2, "on": ["500"], "budget": {"ratio": 20, "min_per_second": 0}});
    whole["policies"]["default"]["fallback"] =
        json!([{"on": ["failure"], "stale": {"max_age": "10m"}}]);
    whole
}

/// What a request to `/forced/kept` gets while its upstream fails.
async fn while_failing(ground: &Ground) -> (u16, Kind) {
    ground.forced.set(Knobs::failing(1.0));
    let got = ground.client(1).get(0, "/forced/kept").await;
    ground.forced.set(Knobs::default());
    got
}

/// One request to `/forced` whose first attempt fails: whether a retry saved it.
async fn is_retried(ground: &Ground) -> bool {
    let fails_first = Knobs {
        error_status: 500,
        ..Knobs::failing_first(1.0)
    };
    ground.forced.set(fails_first);
    let kind = ground.client(1).get(0, "/forced").await.1;
    ground.forced.set(Knobs::default());
    kind == Kind::Good
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_in_a_hot_restart_and_the_new_process_begins_closed_and_empty()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let ground = Ground::new(Discovery::Extension).await?;
    // What a process flushed before is its own; a new one takes over the rest, at each of its flushes.
    let flushing = |every: &str| -> anyhow::Result<Value> {
        let mut bootstrap = ground.bootstrap(&lasting())?;
        bootstrap["stats_flush_interval"] = json!(every);
        Ok(bootstrap)
    };
    let mut old = ground.started(&flushing("120s")?, TIMES).await?;
    ground.trip().await?;
    ground.client(2).flood("/forced", 50).await;
    let budget = ["wasmcustom.seawall_retry_budget", "upstream=forced"];
    old.wait_for(&budget, 9).await?;
    assert!(is_retried(&ground).await, "there is a budget");

    let client = ground.client(1);
    assert_eq!(client.get(0, "/forced/kept").await, (200, Kind::Good));
    let kept = ["wasmcustom.seawall_stale", "outcome=kept"];
    old.wait_for(&kept, 1).await?;
    assert_eq!(while_failing(&ground).await, (200, Kind::Degraded));

    let drive = |path: &'static str, per_second: f64| {
        let client = ground.client(12);
        tokio::spawn(async move {
            let samples = client.run(path, per_second, LOAD).await;
            (samples, client.repeated())
        })
    };
    let good = drive("/", 200.0);
    let sick = drive("/sick", 100.0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let new = old.taken_over(&flushing("0.5s")?, WORKERS, TIMES).await?;
    // Before that the old one may still take a connection.
    until("the end of the old process", async || {
        old.has_ended().unwrap_or(false)
    })
    .await?;
    assert!(
        !is_retried(&ground).await,
        "the new one has saved nothing yet"
    );
    assert_eq!(while_failing(&ground).await, (503, Kind::Failed));
    assert_eq!(ground.client(1).get(0, "/sick").await, (200, Kind::Good));

    let (good, repeated) = good.await?;
    println!(
        "{} requests over a hot restart, {repeated} sent once more",
        good.len()
    );
    let failed: Vec<_> = good.iter().filter(|one| one.kind != Kind::Good).collect();
    assert_eq!(failed.len(), 0, "{failed:?}");
    let (sick, repeated) = sick.await?;
    let refused = count(&sick, Kind::Refused);
    let last = sick.iter().rfind(|one| one.kind == Kind::Refused);
    println!(
        "{refused} of {} refused by the old process, the last {:?} after the begin, {repeated} sent once more",
        sick.len(),
        last.map(|one| one.at)
    );
    assert_eq!(refused + count(&sick, Kind::Good), sick.len());
    assert_eq!(transitions(&old), ["closed -> open"]);
    assert_eq!(transitions(&new), Vec::<String>::new());
    // Until the old process was gone, the new one's gauges showed the old one's state too; its counters go on.
    let state = ["wasmcustom.seawall_state", "upstream=sick"];
    until("its own gauges", async || {
        new.sum(&state).await.is_ok_and(|state| state == 0)
    })
    .await?;
    // Envoy hands counters over without the labels that a dynamic module gave them.
    let handed_over = u64::from(Body::asked()? == Body::Wasm);
    let opened = ["wasmcustom.seawall_transitions", "to=open"];
    assert_eq!(new.sum(&opened).await?, handed_over);
    assert_no_trap(&old);
    assert_no_trap(&new);
    Ok(())
}
