//! Own probes of an open upstream over two workers, counted at the upstream.

use std::time::Duration;

use seawall_live::load::Kind;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::support::{Stand, alone, assert_no_trap, policy, until};

const CONNECTIONS: usize = 20;
const HEALTH: &str = "/healthz";

/// Open for longer than any test takes, and asked each second.
fn asked() -> Value {
    policy(json!({
        "open": {"for": "60s", "up_to": "60s", "jitter": 0},
        "probe": {"path": HEALTH, "every": "1s", "timeout": "500ms"}
    }))
}

/// A stand whose breaker opened, as both workers saw.
async fn open(knobs: Knobs) -> anyhow::Result<Stand> {
    let stand = Stand::start(asked()).await?;
    stand.upstream.set(knobs);
    let client = stand.client(CONNECTIONS);
    client.run("/", 300.0, Duration::from_millis(300)).await;
    assert_eq!(stand.transitions(), ["closed -> open"]);
    for connection in 0..CONNECTIONS {
        assert_eq!(client.get(connection, "/").await.1, Kind::Refused);
    }
    Ok(stand)
}

/// When it was probed, in milliseconds.
fn probes(stand: &Stand) -> Vec<u64> {
    let arrivals = stand.upstream.snapshot().arrivals.into_iter();
    arrivals
        .filter(|arrival| arrival.path == HEALTH)
        .map(|arrival| arrival.at_ms)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_asks_at_a_time_and_a_good_answer_ends_the_open_time() -> anyhow::Result<()> {
    let _alone = alone().await;
    let stand = open(Knobs::failing(1.0)).await?;
    until("five probes", async || probes(&stand).len() >= 5).await?;
    let times = probes(&stand);
    // A tick comes late now and then, and the one after it in time. Of two askers one would ask each half second.
    let shortest = times.windows(2).map(|two| two[1] - two[0]).min();
    assert!(shortest >= Some(600), "{times:?}");
    assert_eq!(stand.transitions(), ["closed -> open"]);
    let bad = ["wasmcustom.seawall_probes", "outcome=bad"];
    until("they are counted", async || {
        stand.envoy.sum(&bad).await.is_ok_and(|count| count >= 5)
    })
    .await?;

    // No user's request comes, and it is taken back.
    stand.upstream.set(Knobs::default());
    until("half-open", async || {
        stand.transitions().last().map(String::as_str) == Some("open -> half_open")
    })
    .await?;
    assert!(stand.envoy.log().contains("own_probe=good"));
    let client = stand.client(CONNECTIONS);
    for connection in 0..CONNECTIONS {
        assert_eq!(client.get(connection, "/").await, (200, Kind::Good));
    }
    assert_eq!(
        stand.transitions(),
        ["closed -> open", "open -> half_open", "half_open -> closed"]
    );
    assert_no_trap(&stand.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_down_or_hangs_is_asked_on_and_stays_open() -> anyhow::Result<()> {
    let _alone = alone().await;
    for sick in [Knobs::down(), Knobs::hanging()] {
        let stand = open(Knobs::failing(1.0)).await?;
        stand.upstream.set(sick);
        let bad = ["wasmcustom.seawall_probes", "outcome=bad"];
        until("three bad answers", async || {
            stand.envoy.sum(&bad).await.is_ok_and(|count| count >= 3)
        })
        .await?;
        assert_eq!(stand.transitions(), ["closed -> open"]);
        let trouble = ["wasmcustom.seawall_host_errors"];
        assert_eq!(stand.envoy.sum(&trouble).await?, 0);
        assert_no_trap(&stand.envoy);
    }
    Ok(())
}
