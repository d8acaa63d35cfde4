//! A hundred thousand requests of users who do not behave, at an upstream that does not either: when they are gone, nothing
//! is held, and exactly as many requests find a place as before.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use hyper::Method;
use seawall_live::envoy::Envoy;
use seawall_live::load::{Client, Kind};
use seawall_live::pool::{Pool, Protocol};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::concurrency::dead_vms::Mortal;
use crate::support::trial::Plan;
use crate::support::unruly;
use crate::support::{WORKERS, beside_others, left_out_on_module, transitions, until, workers};

const USERS: u64 = 24;
const REQUESTS: u64 = 100_000;
const REQUESTS_AND_DEATHS: u64 = 20_000;
const PLACES: u64 = 20;
const PAGE: &str = "/seawall";

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

/// How many requests the long run makes: what `SEAWALL_REQUESTS` says.
fn requests() -> anyhow::Result<u64> {
    match std::env::var("SEAWALL_REQUESTS") {
        Ok(text) => Ok(text.parse()?),
        Err(_) => Ok(REQUESTS),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_hundred_thousand_requests_with_aborts_nothing_is_held() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let requests = requests()?;
    let plan = Plan {
        trust: vec!["127.0.0.0/8"],
        page: page(),
        ..Plan::new(policy())
    };
    let trial = plan.start().await?;
    trial.upstream.set(sick());
    unruly::run(trial.address, USERS, requests, 7).await;
    let client = || Client::new(trial.address, 1, Duration::from_secs(20));
    assert_nothing_is_held(&trial.envoy, &trial.upstream, client).await?;
    let decisions = trial.envoy.sum(&["wasmcustom.seawall_decisions"]).await?;
    let admitted = ["wasmcustom.seawall_decisions", "decision=admitted"];
    let admitted = trial.envoy.sum(&admitted).await?;
    let cut = ["wasmcustom.seawall_outcomes", "outcome=ignored"];
    let cut = trial.envoy.sum(&cut).await?;
    println!(
        "{requests} requests, {decisions} reached the filter, {admitted} were admitted, {cut} of them were cut by their users"
    );
    // Many hang up before their request is read: how many depends on the machine.
    assert!(decisions > requests * 6 / 10 && admitted > requests / 4 && cut > requests / 20);
    assert_nothing_is_owed(&trial.envoy, trial.address).await
}

/// A page for everybody here.
fn page() -> Value {
    json!({"path": PAGE, "trust": {"addresses": ["127.0.0.0/8"]}})
}

/// No worker owes anything or lets a hedge wait, and nothing is in flight, as their own pages say. What one owes it
/// settles with its next ticks.
async fn assert_nothing_is_owed(envoy: &Envoy, address: SocketAddr) -> anyhow::Result<()> {
    let before = workers(envoy).await?;
    // Connections stay open, and so are balanced over the workers; one may still have some of users who are gone.
    let mut pools = Vec::new();
    let mut last = Value::Null;
    let settled = async || {
        pools.push(Pool::new(address, Protocol::Http1));
        for pool in &pools {
            let page = pool.send(&Method::GET, PAGE, &[]).await;
            let page = page.map(|answer| answer.body).unwrap_or_default();
            last = serde_json::from_slice(&page).unwrap_or_default();
            if !is_settled(&last) {
                return false;
            }
        }
        let after = workers(envoy).await.unwrap_or_default();
        let mut pairs = before.iter().zip(&after);
        after.len() == WORKERS && pairs.all(|(before, now)| before < now)
    };
    let settled = until("each worker owes nothing", settled).await;
    settled.with_context(|| last.to_string())
}

fn is_settled(page: &Value) -> bool {
    let owed = [
        "settlements_pending",
        "budget_entries_pending",
        "slots_unreturned",
        "hedges_parked",
    ];
    let held = ["in_flight", "probes_in_flight"];
    let upstreams = page["upstreams"].as_array().map_or(&[][..], Vec::as_slice);
    !upstreams.is_empty()
        && owed.iter().all(|key| page["worker"][key] == json!(0))
        && upstreams.iter().all(|upstream| {
            let of = |key: &&str| upstream.get(key).is_none_or(|held| *held == json!(0));
            held.iter().all(of)
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_requests_with_aborts_each_tenant_has_all_of_its_places() -> anyhow::Result<()> {
    const OF_EACH: usize = 3;
    let _turn = beside_others().await;
    let plan = Plan {
        page: page(),
        ..Plan::new(json!({
            "timeout": {"total": "2s"},
            "retries": {"attempts": 2, "budget": {"ratio": 5}, "hedge": {"after": "2ms"}},
            "bulkhead": {"max_concurrent": OF_EACH, "per": {"header": "x-tenant"}}
        }))
    };
    let trial = plan.start().await?;
    trial.upstream.set(sick());
    unruly::run(trial.address, USERS, REQUESTS_AND_DEATHS, 9).await;
    let hedged = ["wasmcustom.seawall_retries", "decision=denied"];
    trial.envoy.wait_for(&hedged, 1).await?;
    let full = ["wasmcustom.seawall_decisions", "reason=bulkhead_full"];
    trial.envoy.wait_for(&full, 1).await?;
    assert_nothing_is_owed(&trial.envoy, trial.address).await?;

    trial.set(Knobs::hanging());
    let client = || Client::new(trial.address, 1, Duration::from_secs(20));
    let mut held = Vec::new();
    for number in 0..unruly::TENANTS {
        let tenant = format!("tenant-{number}");
        let asked = (tenant.as_str(), OF_EACH + 3, OF_EACH);
        held.push(ask_for(&client, &trial.upstream, asked).await?);
    }
    trial.upstream.set(Knobs::default());
    for asked in held {
        let all = asked.join_all().await;
        assert_eq!(all, vec![(200, Kind::Good); OF_EACH]);
    }
    assert_nothing_is_owed(&trial.envoy, trial.address).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_requests_with_aborts_all_permits_of_a_half_open_breaker_are_free()
-> anyhow::Result<()> {
    const PERMITS: usize = 4;
    let _turn = beside_others().await;
    // Open for a moment and half-open for long: what a probe that was cut still held would be missed.
    let plan = Plan {
        page: page(),
        ..Plan::new(json!({
            "timeout": {"total": "2s"},
            "breaker": {
                "minimum_calls": 20, "consecutive": 0, "ramp": "0s", "hosts": {"grace": "0s"},
                "open": {"for": "100ms", "up_to": "100ms", "jitter": 0},
                "half_open": {"permits": PERMITS, "wait": "60s"}
            }
        }))
    };
    let trial = plan.start().await?;
    trial.upstream.set(Knobs {
        error_rate: 0.6,
        ..sick()
    });
    unruly::run(trial.address, USERS, REQUESTS_AND_DEATHS, 10).await;
    let opened = ["wasmcustom.seawall_transitions", "from=half_open"];
    let opened = trial.envoy.wait_for(&opened, 5).await?;
    println!("{REQUESTS_AND_DEATHS} requests, {opened} times half-open");

    trial.upstream.set(Knobs::failing(1.0));
    let client = || Client::new(trial.address, 1, Duration::from_secs(20));
    until("an open breaker", async || {
        client().get(0, "/").await.1 == Kind::Refused
    })
    .await?;
    assert_nothing_is_owed(&trial.envoy, trial.address).await?;
    trial.set(Knobs::hanging());
    let mut asked = JoinSet::new();
    until("all permits", async || {
        let client = client();
        asked.spawn(async move { client.get(0, "/").await });
        trial.upstream.snapshot().requests >= PERMITS as u64
    })
    .await?;
    for _ in 0..8 {
        assert_eq!(client().get(0, "/").await.1, Kind::Refused);
    }
    assert_eq!(trial.upstream.snapshot().requests, PERMITS as u64);
    trial.upstream.set(Knobs::default());
    let all = asked.join_all().await;
    let good = all.iter().filter(|one| one.1 == Kind::Good).count();
    assert_eq!(good, PERMITS);
    until("closed", async || {
        let last = transitions(&trial.envoy).pop();
        last.as_deref() == Some("half_open -> closed")
    })
    .await?;
    assert_nothing_is_owed(&trial.envoy, trial.address).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_requests_with_aborts_and_vms_that_die_nothing_is_held() -> anyhow::Result<()> {
    if left_out_on_module(
        "there is no VM that could die; scripts/test-module.sh has hooks that panic",
    )? {
        return Ok(());
    }
    let _turn = beside_others().await;
    let whole = json!({"version": 1, "policies": {"default": policy()}, "page": page()});
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
    assert_nothing_is_held(&mortal.envoy, &mortal.upstream, client).await?;
    assert_nothing_is_owed(&mortal.envoy, address).await
}

/// Asks for `tenant` with so many requests at the same time; ends when all that found places are at the upstream.
async fn ask_for(
    client: &impl Fn() -> Client,
    upstream: &Upstream,
    (tenant, requests, places): (&str, usize, usize),
) -> anyhow::Result<JoinSet<(u16, Kind)>> {
    let path = format!("/{tenant}");
    // Their hedges and retries have no places of their own.
    let at_upstream = || {
        let arrivals = upstream.snapshot().arrivals;
        let first = arrivals.iter().filter(|one| one.attempt == 1);
        first.filter(|one| one.path == path).count()
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
    let _turn = beside_others().await;
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
