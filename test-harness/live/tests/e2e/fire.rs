//! A hundred thousand requests of users who do not behave, at an upstream that does not either: when they are gone, nothing
//! is held, and exactly as many requests find a place as before.

use std::time::Duration;

use seawall_live::envoy::Envoy;
use seawall_live::load::{Client, Kind};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::places::Mortal;
use crate::support::{alone, until};
use crate::trial::Plan;
use crate::unruly;

const USERS: u64 = 24;
const REQUESTS: u64 = 100_000;
const REQUESTS_AND_DEATHS: u64 = 20_000;
const PLACES: u64 = 20;

/// Places for most of them, so that all that can be held is held and given back.
fn policy() -> Value {
    json!({
        "timeout": {"total": "2s"},
        "breaker": {"mode": "off"},
        "retries": {"attempts": 2, "budget": {"ratio": 20}},
        "bulkhead": {"max_concurrent": PLACES},
        "shedding": {"min": 30, "max": 60}
    })
}

/// An upstream of which a tenth of the answers fails, a twentieth breaks and none comes at the same time.
fn sick() -> Knobs {
    Knobs {
        latency_ms: 0,
        jitter_ms: 6,
        reset_rate: 0.05,
        ..Knobs::failing(0.1)
    }
}

/// All gauges of what is held, by name.
async fn held(envoy: &Envoy) -> anyhow::Result<Vec<(String, u64)>> {
    let gauges = envoy.stats("wasmcustom.seawall_in_flight").await?;
    Ok(gauges.into_iter().collect())
}

/// Nothing is in flight, at the upstream and by every gauge; then exactly as many requests find a place as there are.
async fn assert_nothing_is_held(
    envoy: &Envoy,
    upstream: &Upstream,
    client: impl Fn() -> Client,
) -> anyhow::Result<()> {
    upstream.set(Knobs::hanging());
    let settled = async || {
        held(envoy)
            .await
            .is_ok_and(|all| !all.is_empty() && all.iter().all(|(_, now)| *now == 0))
    };
    until("empty gauges", settled).await?;
    upstream.reset_stats();
    assert_eq!(upstream.snapshot().in_flight, 0);
    let mut asked = tokio::task::JoinSet::new();
    until("full again", async || {
        let client = client();
        asked.spawn(async move { client.get(0, "/").await });
        upstream.snapshot().requests >= PLACES
    })
    .await?;
    for _ in 0..8 {
        assert_eq!(client().get(0, "/").await.1, Kind::Refused);
    }
    assert_eq!(upstream.snapshot().requests, PLACES);
    upstream.set(Knobs::default());
    let all = asked.join_all().await;
    let good = all.iter().filter(|one| one.1 == Kind::Good).count();
    assert_eq!(good as u64, PLACES);
    until("empty gauges", settled).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_hundred_thousand_requests_with_aborts_nothing_is_held() -> anyhow::Result<()> {
    let _alone = alone().await;
    let plan = Plan {
        trust: vec!["127.0.0.0/8"],
        ..Plan::new(policy())
    };
    let trial = plan.start().await?;
    trial.upstream.set(sick());
    unruly::run(trial.address, USERS, REQUESTS, 7).await;
    let client = || Client::new(trial.address, 1, Duration::from_secs(20));
    assert_nothing_is_held(&trial.envoy, &trial.upstream, client).await?;
    let decisions = trial.envoy.sum(&["wasmcustom.seawall_decisions"]).await?;
    let admitted = ["wasmcustom.seawall_decisions", "decision=admitted"];
    let admitted = trial.envoy.sum(&admitted).await?;
    let cut = ["wasmcustom.seawall_outcomes", "outcome=ignored"];
    let cut = trial.envoy.sum(&cut).await?;
    println!(
        "{REQUESTS} requests, {decisions} reached the filter, {admitted} were admitted, {cut} of them were cut by their users"
    );
    assert!(decisions > REQUESTS * 9 / 10 && admitted > REQUESTS / 2 && cut > REQUESTS / 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_requests_with_aborts_and_vms_that_die_nothing_is_held() -> anyhow::Result<()> {
    let _alone = alone().await;
    let whole = json!({"version": 1, "policies": {"default": policy()}});
    let mortal = Mortal::start(whole).await?;
    mortal.upstream.set(sick());
    let address = mortal.envoy.listener("edge")?;
    let mut load = tokio::spawn(unruly::run(address, USERS, REQUESTS_AND_DEATHS, 8));
    while tokio::time::timeout(Duration::from_millis(400), &mut load)
        .await
        .is_err()
    {
        mortal.kill(1).await?;
    }
    let deaths = mortal.deaths().await?;
    println!("{REQUESTS_AND_DEATHS} requests, {deaths} VMs made anew");
    assert!(deaths > 5, "{deaths}");
    let client = || Client::new(address, 1, Duration::from_secs(20));
    assert_nothing_is_held(&mortal.envoy, &mortal.upstream, client).await
}

/// Asks for `tenant` with so many requests at the same time; ends when all that found places are at the upstream.
async fn ask_for(
    client: &impl Fn() -> Client,
    upstream: &Upstream,
    (tenant, requests, places): (&str, usize, usize),
) -> anyhow::Result<JoinSet<(u16, Kind)>> {
    let path = format!("/{tenant}");
    let at_upstream = || {
        let arrivals = upstream.snapshot().arrivals;
        arrivals.iter().filter(|one| one.path == path).count()
    };
    let mut asked = JoinSet::new();
    for _ in 0..requests {
        let (client, path) = (client().header("x-tenant", tenant), path.clone());
        asked.spawn(async move { client.get(0, &path).await });
    }
    until("all places of a tenant", async || at_upstream() >= places).await?;
    while asked.len() > places {
        let one = asked.join_next().await.transpose()?;
        assert_eq!(one, Some((503, Kind::Refused)), "{tenant}");
    }
    assert_eq!(at_upstream(), places, "{tenant}");
    Ok(asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_floods_takes_none_of_another_s_places() -> anyhow::Result<()> {
    const OF_EACH: usize = 4;
    let plan = Plan::new(json!({
        "bulkhead": {"max_concurrent": OF_EACH, "per": {"header": "x-tenant"}}
    }));
    let trial = plan.start().await?;
    trial.set(Knobs::hanging());
    let client = || Client::new(trial.address, 1, Duration::from_secs(20));
    let ask = async |tenant: &str, requests| {
        ask_for(&client, &trial.upstream, (tenant, requests, OF_EACH)).await
    };
    let mut held = vec![ask("flood", 200).await?];
    for number in 0..12 {
        let tenant = format!("tenant-{number}");
        held.push(ask(&tenant, OF_EACH + 2).await?);
    }
    // The flood goes on meanwhile, and gets nothing.
    let flood = client().header("x-tenant", "flood");
    for _ in 0..50 {
        assert_eq!(flood.get(0, "/flood").await, (503, Kind::Refused));
    }
    trial.upstream.set(Knobs::default());
    for asked in held {
        let all = asked.join_all().await;
        assert_eq!(all, vec![(200, Kind::Good); OF_EACH]);
    }
    Ok(())
}
