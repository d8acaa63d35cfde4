//! Shadow over two workers: what the metrics say of it is what the access log and the upstream's answers say.

use std::time::Duration;

use seawall_live::load::{Kind, count};
use seawall_live::upstream::Knobs;
use serde_json::json;

use crate::support::{Stand, assert_no_trap, beside_others, policy, until};

const CONNECTIONS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_false_refusal_rate_is_the_one_of_the_access_log() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let shadow = json!({"mode": "shadow", "open": {"for": "60s", "up_to": "60s", "jitter": 0}});
    let stand = Stand::start(policy(shadow)).await?;
    let client = stand.client(CONNECTIONS);
    let mut sent = 0;
    // An outage, a recovery that the open breaker does not see, half an outage.
    for (knobs, requests) in [
        (Knobs::failing(1.0), 60),
        (Knobs::default(), 90),
        (Knobs::failing(0.5), 50),
    ] {
        stand.upstream.set(knobs);
        let samples = client
            .run("/", 200.0, Duration::from_millis(5 * requests))
            .await;
        assert_eq!(count(&samples, Kind::Refused), 0, "shadow refuses nothing");
        sent += samples.len();
    }
    assert_eq!(stand.upstream.snapshot().requests, sent as u64);
    assert_eq!(stand.transitions(), ["closed -> open"]);

    let lines = || stand.envoy.access_log();
    until("the whole access log", async || {
        lines().lines().count() == sent
    })
    .await?;
    let log = lines();
    let marked = |status: &str| {
        let marked = log.lines().filter(|line| line.contains(" shadow_refused "));
        let of_status = format!("/ {status} ");
        marked.filter(|line| line.starts_with(&of_status)).count() as u64
    };
    let (fine, sick) = (marked("200"), marked("503"));
    println!(
        "{} would have been refused, {fine} of them would have been fine",
        fine + sick
    );
    assert!(
        fine > 90 && sick > 40 && fine + sick < 190,
        "{fine} and {sick}"
    );

    let shadow = "wasmcustom.seawall_shadow_outcomes";
    stand.envoy.wait_for(&[shadow], fine + sick).await?;
    let reported = [
        stand.envoy.sum(&[shadow, "outcome=success"]).await?,
        stand.envoy.sum(&[shadow, "outcome=failure"]).await?,
        stand.envoy.sum(&[shadow]).await?,
    ];
    assert_eq!(reported, [fine, sick, fine + sick]);
    assert_no_trap(&stand.envoy);
    Ok(())
}
