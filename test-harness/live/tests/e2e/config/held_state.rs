//! What lives through an update: places that requests hold, and stale answers. With a listener, by itself, with a new module.

use std::time::Duration;

use seawall_live::load::{Client, Kind};
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::dynamic::{Discovery, Ground};
use crate::support::{assert_no_trap, beside_others, left_out_on_module, until};

/// Longer than any request of these tests: what a replaced listener still carries is cut when its drain ends.
const DRAIN: &[&str] = &["--drain-time-s", "30", "--parent-shutdown-time-s", "40"];
const BEFORE: u64 = 4;
const AFTER: u64 = 7;

fn with_places(places: u64) -> Value {
    json!({"version": 1, "policies": {"default": {
        "breaker": {"mode": "off"},
        "bulkhead": {"max_concurrent": places},
        "fallback": [{"on": ["failure"], "stale": {"max_age": "10m"}}]
    }}})
}

async fn ask(client: Client) -> (u16, Kind) {
    client.get(0, "/sick").await
}

/// Asks the sick upstream, on a connection of its own each time, until so many requests are in flight there and the next
/// is refused.
async fn fill(
    ground: &Ground,
    asked: &mut JoinSet<(u16, Kind)>,
    places: u64,
) -> anyhow::Result<()> {
    until("full places", async || {
        asked.spawn(ask(ground.client(1)));
        ground.sick.snapshot().in_flight >= places
    })
    .await?;
    assert_eq!(ask(ground.client(1)).await, (503, Kind::Refused));
    assert_eq!(ground.sick.snapshot().in_flight, places);
    Ok(())
}

async fn update(discovery: Discovery, new_module: bool) -> anyhow::Result<()> {
    let ground = Ground::new(discovery).await?;
    let envoy = ground.envoy(&with_places(BEFORE), DRAIN).await?;
    assert_eq!(ground.client(1).get(0, "/kept").await, (200, Kind::Good));
    envoy
        .wait_for(&["wasmcustom.seawall_stale", "outcome=kept"], 1)
        .await?;
    ground.sick.set(Knobs::hanging());
    let mut asked = JoinSet::new();
    fill(&ground, &mut asked, BEFORE).await?;

    match new_module {
        true => ground.publish_module(&ground.version("second")?, &with_places(AFTER))?,
        false => ground.publish(&with_places(AFTER))?,
    };
    // The new limit holds, and those that were let in before count under it.
    until("the new policy", async || {
        asked.spawn(ask(ground.client(1)));
        ground.sick.snapshot().in_flight > BEFORE
    })
    .await?;
    fill(&ground, &mut asked, AFTER).await?;
    ground.well.set(Knobs::failing(1.0));
    assert_eq!(
        ground.client(1).get(0, "/kept").await,
        (200, Kind::Degraded)
    );

    ground.sick.set(Knobs::default());
    let all = asked.join_all().await;
    let good = all.iter().filter(|one| one.1 == Kind::Good).count() as u64;
    assert!(
        all.iter()
            .all(|one| matches!(one.1, Kind::Good | Kind::Refused)),
        "{all:?}"
    );
    assert_eq!(good, AFTER, "nobody was cut");
    until("empty gauges", async || {
        let sum = envoy.sum(&["wasmcustom.seawall_in_flight"]).await;
        sum.is_ok_and(|sum| sum == 0)
    })
    .await?;
    assert_no_trap(&envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_and_stale_answers_live_through_a_new_listener() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    update(Discovery::Listener, false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_and_stale_answers_live_through_a_new_configuration_of_the_filter()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    update(Discovery::Extension, false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_and_stale_answers_live_through_a_new_module() -> anyhow::Result<()> {
    if left_out_on_module("Envoy keeps a library that it has loaded")? {
        return Ok(());
    }
    let _turn = beside_others().await;
    update(Discovery::Extension, true).await?;
    update(Discovery::Listener, true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replaced_listener_still_carries_when_its_drain_ends_is_cut_and_holds_no_place()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let short = ["--drain-time-s", "1", "--parent-shutdown-time-s", "3"];
    for (discovery, cut) in [(Discovery::Listener, true), (Discovery::Extension, false)] {
        let ground = Ground::new(discovery).await?;
        let envoy = ground.envoy(&with_places(BEFORE), &short).await?;
        ground.sick.set(Knobs::hanging());
        let held = tokio::spawn(ask(ground.client(1)));
        let gauge = ["wasmcustom.seawall_in_flight", "upstream=sick"];
        envoy.wait_for(&gauge, 1).await?;
        ground.publish(&with_places(AFTER))?;
        if cut {
            assert_eq!(held.await?, (0, Kind::Failed));
            // Its root is gone too. Whoever asks next sees what it held, and takes it back as that of a dead VM.
            let mut asked = JoinSet::new();
            fill(&ground, &mut asked, AFTER).await?;
            ground.sick.set(Knobs::default());
            asked.join_all().await;
            until("an empty gauge", async || {
                envoy.sum(&gauge).await.is_ok_and(|now| now == 0)
            })
            .await?;
        } else {
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert!(!held.is_finished(), "nothing drains");
            ground.sick.set(Knobs::default());
            assert_eq!(held.await?, (200, Kind::Good));
        }
        assert_no_trap(&envoy);
    }
    Ok(())
}
