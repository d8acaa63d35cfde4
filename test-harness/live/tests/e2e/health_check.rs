//! Own probes of an open upstream over two workers, counted at the upstream.

use std::time::Duration;

use seawall_live::clock;
use seawall_live::load::{Client, Kind};
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Stand, alone, assert_no_trap, beside_others, policy, until};

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

/// Clients that leave a hanging upstream after a moment: no verdict, and so nothing that half-open could decide by.
async fn leave_early(stand: &Stand) {
    let client = Client::new(stand.address, 2, Duration::from_millis(400));
    client.run("/", 4.0, Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_health_check_alone_answers_a_tenth_is_admitted_and_it_opens_again()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(policy(json!({
        "consecutive": 7,
        "slow_call": {"over": "500ms"},
        "ramp": "5s",
        "open": {"for": "1s", "up_to": "60s", "jitter": 0},
        "half_open": {"permits": 2, "wait": "20s"},
        "probe": {"path": HEALTH, "every": "1s", "timeout": "500ms"}
    })))
    .await?;
    stand.upstream.set(Knobs::failing(1.0));
    let client = stand.client(CONNECTIONS);
    client.run("/", 300.0, Duration::from_millis(300)).await;
    assert_eq!(stand.transitions(), ["closed -> open"]);
    stand.upstream.set(Knobs {
        well_path: Some(HEALTH.to_owned()),
        ..Knobs::hanging()
    });
    let last = || stand.transitions().pop().unwrap_or_default();
    let begin = clock::now();
    while last() != "half_open -> closed" {
        leave_early(&stand).await;
        let late = begin.elapsed() > Duration::from_secs(60);
        anyhow::ensure!(!late, "{:#?}", stand.transitions());
    }

    // Those who come now wait for longer than a call may take.
    stand.upstream.reset_stats();
    let begin = clock::now();
    let mut asked = 0_u64;
    let mut waiting = JoinSet::new();
    let mut turns = tokio::time::interval(Duration::from_millis(20));
    while last() == "half_open -> closed" {
        turns.tick().await;
        asked += 1;
        let client = Client::new(stand.address, 1, Duration::from_secs(4));
        waiting.spawn(async move { client.get(0, "/").await });
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(30), "it stays closed");
    }
    let arrivals = stand.upstream.snapshot().arrivals.into_iter();
    let admitted = arrivals.filter(|arrival| arrival.path == "/").count() as u64;
    println!("{admitted} of {asked} were admitted, until {}", last());
    assert_eq!(last(), "closed -> open");
    assert!(admitted * 100 <= asked * 16 + 500, "{admitted} of {asked}");
    assert_no_trap(&stand.envoy);
    Ok(())
}
