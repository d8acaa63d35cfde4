//! The switch to `mode: off`: how long it takes from the move of the file until traffic passes again.

use std::time::{Duration, Instant};

use seawall_live::clock;
use seawall_live::load::{Client, Kind};
use serde_json::{Value, json};

use crate::support::dynamic::{Discovery, Ground};
use crate::support::{alone, assert_no_trap, policy};

const BOUND: Duration = Duration::from_secs(1);
/// How long the pollers ask, and how often.
const WATCHED: Duration = Duration::from_secs(6);
const EVERY: Duration = Duration::from_millis(5);

/// A policy whose breakers are open for long: one tripped, one forced.
fn refusing() -> Value {
    let mut whole = policy(json!({"open": {"for": "60s", "up_to": "60s", "jitter": 0}}));
    whole["policies"]["forced"] = json!({"extends": "default", "breaker": {"mode": "forced_open"}});
    whole["upstreams"] = json!([{"cluster": "forced", "policy": "forced"}]);
    whole
}

/// When the first request passed and when the last was refused, since the move of the file.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    passed: Option<Duration>,
    refused: Option<Duration>,
}

/// Asks until the time is over, on connections that stay or on a new one each time.
async fn watch(client: Client, path: &'static str, kept: bool) -> Vec<(Instant, Kind)> {
    let end = clock::now() + WATCHED;
    let mut seen = Vec::new();
    for slot in 0.. {
        if clock::now() >= end {
            break;
        }
        let at = clock::now();
        let kind = if kept {
            client.get(slot, path).await.1
        } else {
            Client::new(client.address(), 1, BOUND).get(0, path).await.1
        };
        seen.push((at, kind));
        tokio::time::sleep(EVERY).await;
    }
    seen
}

fn turn(moment: Instant, seen: &[(Instant, Kind)]) -> Turn {
    let mut turn = Turn::default();
    for (at, kind) in seen {
        let since = at.saturating_duration_since(moment);
        match kind {
            Kind::Good => turn.passed = turn.passed.or(Some(since)),
            Kind::Refused if *at >= moment => turn.refused = Some(since),
            _ => {}
        }
    }
    assert!(
        seen.iter()
            .all(|(_, kind)| matches!(kind, Kind::Good | Kind::Refused))
    );
    turn
}

/// The turns of a tripped breaker, then of a forced one: on new connections, then on those that stay.
async fn switch_off(discovery: Discovery, arguments: &[&str]) -> anyhow::Result<[[Turn; 2]; 2]> {
    let ground = Ground::new(discovery).await?;
    let envoy = ground.envoy(&refusing(), arguments).await?;
    ground.trip().await?;
    let watched = |path, kept| tokio::spawn(watch(ground.client(4), path, kept));
    let pollers = [
        [watched("/sick", false), watched("/sick", true)],
        [watched("/forced", false), watched("/forced", true)],
    ];
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut off = refusing();
    for name in ["default", "forced"] {
        off["policies"][name]["breaker"]["mode"] = json!("off");
    }
    let moment = ground.publish(&off)?;
    let mut turns = [[Turn::default(); 2]; 2];
    for (pair, pollers) in turns.iter_mut().zip(pollers) {
        for (turn, poller) in pair.iter_mut().zip(pollers) {
            *turn = self::turn(moment, &poller.await?);
        }
    }
    assert_no_trap(&envoy);
    Ok(turns)
}

fn show(what: &str, turns: &[[Turn; 2]; 2]) {
    for (breaker, pair) in ["tripped", "forced"].iter().zip(turns) {
        for (connections, turn) in ["new connections", "kept ones"].iter().zip(pair) {
            println!("off by {what}, {breaker}, {connections}: {turn:.0?}");
        }
    }
}

fn within(at: Option<Duration>, bound: Duration) -> bool {
    at.is_some_and(|at| at < bound)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_holds_within_a_second_for_every_connection_where_the_filter_alone_is_replaced()
-> anyhow::Result<()> {
    let _alone = alone().await;
    let turns = switch_off(Discovery::Extension, &[]).await?;
    show("ECDS", &turns);
    for turn in turns.as_flattened() {
        assert!(within(turn.passed, BOUND), "{turns:?}");
        assert!(turn.refused.is_none_or(|at| at < BOUND), "{turns:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_holds_within_a_second_for_every_connection_where_listeners_drain_at_once()
-> anyhow::Result<()> {
    let _alone = alone().await;
    let arguments = ["--drain-strategy", "immediate"];
    let turns = switch_off(Discovery::Listener, &arguments).await?;
    show("LDS, immediate drain", &turns);
    for turn in turns.as_flattened() {
        assert!(within(turn.passed, BOUND), "{turns:?}");
        assert!(turn.refused.is_none_or(|at| at < BOUND), "{turns:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_holds_for_kept_connections_when_the_old_listener_has_drained() -> anyhow::Result<()> {
    let _alone = alone().await;
    let drain = Duration::from_secs(3);
    let arguments = ["--drain-time-s", "3", "--parent-shutdown-time-s", "5"];
    let turns = switch_off(Discovery::Listener, &arguments).await?;
    show("LDS, drain of 3 s", &turns);
    for [new, kept] in turns {
        assert!(within(new.passed, BOUND), "{turns:?}");
        assert!(new.refused.is_none_or(|at| at < BOUND), "{turns:?}");
        assert!(within(kept.passed, drain + BOUND), "{turns:?}");
        assert!(
            kept.refused.is_none_or(|at| at < drain + BOUND),
            "{turns:?}"
        );
    }
    Ok(())
}
