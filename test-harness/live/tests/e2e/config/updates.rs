//! New policies and new modules for a running Envoy under load: nobody's request fails, and breakers stay as they are.
//!
//! The clients keep their connections and let them go as HTTP/1.1 says. That is what no request is lost by: a listener
//! that is replaced tells its connections to close while it drains.

use std::time::Duration;

use seawall_live::envoy::Envoy;
use seawall_live::load::{Client, Kind, Sample, count};
use serde_json::{Value, json};

use crate::support::dynamic::{Discovery, Ground, updates};
use crate::support::{
    WORKERS, assert_no_trap, beside_others, left_out_on_module, logged_transitions, policy,
    transitions, until,
};

/// A listener that is replaced drains for so long, in seconds: the load outlives it several times.
const DRAIN: &[&str] = &["--drain-time-s", "2", "--parent-shutdown-time-s", "4"];
const BETWEEN: Duration = Duration::from_millis(900);
/// The breaker stays open for so much longer than the load: whatever closes it before was not its time.
const LONGER: Duration = Duration::from_secs(5);

/// So long is the load: what `SEAWALL_LOAD_SECONDS` says, 9 s where it says nothing.
fn load_time() -> Duration {
    let said = std::env::var("SEAWALL_LOAD_SECONDS").ok();
    let seconds = said.and_then(|said| said.parse().ok());
    Duration::from_secs(seconds.unwrap_or(9))
}

/// A policy whose breaker, once open, outlives the load.
fn lasting(more: Value) -> Value {
    let open = format!("{}s", (load_time() + LONGER).as_secs());
    let mut breaker = json!({"open": {"for": open, "up_to": open, "jitter": 0}});
    if let (Some(breaker), Some(more)) = (breaker.as_object_mut(), more.as_object()) {
        breaker.extend(more.clone());
    }
    policy(breaker)
}

/// Policies that follow each other: other thresholds, other geometries of the window, and back.
fn policies() -> Vec<Value> {
    vec![
        lasting(json!({"failure_rate": 30})),
        lasting(json!({"window": {"over": "30s"}})),
        lasting(json!({"window": {"calls": 100}})),
        lasting(json!({"window": {"over": "30s"}, "consecutive": 9})),
        lasting(json!({})),
    ]
}

/// Load on the upstream that is well and on the one whose breaker is open, until all of `changes` are made.
async fn load(
    ground: &Ground,
    changes: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<[(Vec<Sample>, u64); 2]> {
    let drive = |client: Client, path: &'static str, per_second: f64| {
        tokio::spawn(async move {
            let samples = client.run(path, per_second, load_time()).await;
            (samples, client.repeated())
        })
    };
    let good = drive(ground.client(16), "/", 300.0);
    let refused = drive(ground.client(8), "/sick", 100.0);
    changes().await?;
    Ok([good.await?, refused.await?])
}

/// No request failed, the open breaker stayed open through all of it, in the same generation.
async fn assert_unharmed(
    what: &str,
    ground: &Ground,
    envoy: &Envoy,
    [good, refused]: [(Vec<Sample>, u64); 2],
) -> anyhow::Result<()> {
    println!(
        "{what}: {} requests to a well upstream, {} sent once more on a new connection; {} to an open one, {} once more",
        good.0.len(),
        good.1,
        refused.0.len(),
        refused.1
    );
    let failed: Vec<&Sample> = good.0.iter().filter(|one| one.kind != Kind::Good).collect();
    assert_eq!(failed.len(), 0, "{what}: {failed:?}");
    assert_eq!(count(&refused.0, Kind::Refused), refused.0.len(), "{what}");
    assert_eq!(ground.sick.snapshot().requests, 0, "{what}");
    assert_eq!(transitions(envoy), ["closed -> open"], "{what}");
    until("the end of its time", async || {
        ground.client(1).get(0, "/sick").await;
        transitions(envoy).len() > 1
    })
    .await?;
    let logged = logged_transitions(envoy);
    let generations: Vec<u64> = logged.iter().map(|made| made.generation).collect();
    assert_eq!(
        generations.get(..2),
        Some([1, 2].as_slice()),
        "{what}: {logged:?}"
    );
    assert_no_trap(envoy);
    Ok(())
}

/// Publishes one policy after the other under load.
async fn change_policies(what: &str, ground: &Ground) -> anyhow::Result<Envoy> {
    let envoy = ground.envoy(&lasting(json!({})), DRAIN).await?;
    ground.trip().await?;
    let before = updates(&envoy).await?;
    let seen = load(ground, async || {
        for policy in policies() {
            tokio::time::sleep(BETWEEN).await;
            ground.publish(&policy)?;
        }
        Ok(())
    })
    .await?;
    assert_eq!(
        updates(&envoy).await?,
        before + policies().len() as u64,
        "{what}"
    );
    assert_unharmed(what, ground, &envoy, seen).await?;
    Ok(envoy)
}

/// The `number`th of a storm: other thresholds, limits with room, many policies, and each fifth one that is refused.
fn of_a_storm(number: u64) -> Value {
    let limits = json!({"bulkhead": {"max_concurrent": 300 + number}, "retries": {"attempts": 2}});
    let mut whole = match number % 5 {
        0 => lasting(json!({"failure_rate": 30 + number % 50})),
        1 => lasting(json!({"window": {"calls": 100 + number}})),
        2 => return json!({"version": 1, "policies": {"default": {"brekaer": {}}}}),
        _ => lasting(json!({"window": {"over": format!("{}s", 5 + number % 40)}})),
    };
    if number % 5 == 3
        && let Some(policy) = whole["policies"]["default"].as_object_mut()
    {
        policy.extend(limits.as_object().cloned().unwrap_or_default());
    }
    if number % 5 == 4 {
        for other in 0..50 {
            whole["policies"][format!("of-{other}")] =
                json!({"breaker": {"failure_rate": 1 + other}});
        }
    }
    whole
}

/// Publishes a policy each 25 ms for as long as the load runs, good ones and bad ones.
async fn storm(what: &str, discovery: Discovery) -> anyhow::Result<()> {
    const EVERY: Duration = Duration::from_millis(25);
    const UPDATES: u64 = 300;
    let ground = Ground::new(discovery).await?;
    let envoy = ground.envoy(&lasting(json!({})), DRAIN).await?;
    ground.trip().await?;
    let before = updates(&envoy).await?;
    let seen = load(&ground, async || {
        let mut turns = tokio::time::interval(EVERY);
        for number in 0..UPDATES {
            turns.tick().await;
            ground.publish(&of_a_storm(number))?;
        }
        Ok(())
    })
    .await?;
    let taken = updates(&envoy).await? - before;
    let refused = envoy.sum(&["lds.update_rejected"]).await?
        + envoy.sum(&["http_filter.seawall.config_fail"]).await?;
    println!("{what}: of {UPDATES} updates Envoy took {taken}, and refused some {refused} times");
    // Envoy reads a file anew only once it is done with what it read before.
    assert!(taken >= 30 && refused >= 5, "{taken} {refused}");
    assert_unharmed(what, &ground, &envoy, seen).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_good_and_bad_policies_in_listeners_harms_no_request() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    storm("LDS, a storm", Discovery::Listener).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_good_and_bad_policies_by_themselves_harms_no_request() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    storm("ECDS, a storm", Discovery::Extension).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_filter_chains_are_replaced_and_an_open_breaker_stays_open()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let ground = Ground::new(Discovery::Listener).await?;
    let envoy = change_policies("LDS, filter chains", &ground).await?;
    let replaced = envoy.sum(&["listener_manager.listener_in_place_updated"]);
    assert_eq!(replaced.await?, policies().len() as u64);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_listeners_are_replaced_and_an_open_breaker_stays_open()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let mut ground = Ground::new(Discovery::Listener).await?;
    ground.whole_listeners();
    let envoy = change_policies("LDS, listeners", &ground).await?;
    let replaced = envoy.sum(&["listener_manager.listener_in_place_updated"]);
    assert_eq!(replaced.await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_filter_alone_is_replaced_and_an_open_breaker_stays_open()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let ground = Ground::new(Discovery::Extension).await?;
    change_policies("ECDS", &ground).await?;
    Ok(())
}

/// Publishes one module after the other under load: another one and this one again. The other one is an earlier module where
/// `SEAWALL_OLD_WASM` says where that is, and otherwise one with the same code.
async fn change_modules(what: &str, discovery: Discovery) -> anyhow::Result<()> {
    let ground = Ground::new(discovery).await?;
    let envoy = ground.envoy(&lasting(json!({})), DRAIN).await?;
    ground.trip().await?;
    let other = match std::env::var_os("SEAWALL_OLD_WASM") {
        Some(earlier) => {
            println!("{what}: beside {}", earlier.display());
            earlier.into()
        }
        None => ground.version("second")?,
    };
    let versions = [other, ground.version("third")?];
    let created = ["wasm.envoy.wasm.runtime.v8.created"];
    let before = envoy.sum(&created).await?;
    // There and back, again and again where the load is long.
    let changes = load_time().as_secs() as usize / 5;
    let seen = load(&ground, async || {
        for wasm in versions.iter().cycle().take(changes.max(2)) {
            tokio::time::sleep(2 * BETWEEN).await;
            ground.publish_module(wasm, &lasting(json!({})))?;
        }
        Ok(())
    })
    .await?;
    let made = envoy.sum(&created).await? - before;
    assert!(made >= 2 * WORKERS as u64, "{what}: {made} new VMs");
    assert_unharmed(what, &ground, &envoy, seen).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_module_under_the_same_vm_id_takes_the_state_over_with_its_listener()
-> anyhow::Result<()> {
    if left_out_on_module("Envoy keeps a library that it has loaded")? {
        return Ok(());
    }
    let _turn = beside_others().await;
    change_modules("LDS, modules", Discovery::Listener).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_module_under_the_same_vm_id_takes_the_state_over_by_itself() -> anyhow::Result<()> {
    if left_out_on_module("Envoy keeps a library that it has loaded")? {
        return Ok(());
    }
    let _turn = beside_others().await;
    change_modules("ECDS, modules", Discovery::Extension).await
}
