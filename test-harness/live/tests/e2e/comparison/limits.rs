//! How many at the same time, how many retries, and what is only slow.

use seawall_live::load::Kind;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use super::{Plan, Stand, ejecting, extend, typed};
use crate::support::until;

pub(super) const TOO_MANY: &str =
    "`circuit_breakers`: limits on connections, requests, retries; `adaptive_concurrency`";
pub(super) const RETRIES: &str = "per route and per Envoy; `retry_budget` limits retries in flight, not their number, \
     with `budget_interval` too";
pub(super) const SLOW: &str =
    "limits fill up; what ends by a time-out counts for outlier detection";

/// How many come at once, and how many may be in work.
const AT_ONCE: usize = 12;
const PLACES: usize = 3;
/// What two workers may let through beyond a limit that each reads before it counts.
const RACE: usize = 2;

pub(super) fn plans() -> Vec<Plan> {
    vec![
        Plan {
            name: "requests",
            knobs: Knobs::slow(500),
            cluster: thresholds(&json!({"max_requests": PLACES})),
            ..Plan::default()
        },
        Plan {
            name: "connections",
            knobs: Knobs::slow(500),
            cluster: thresholds(&json!({"max_connections": PLACES, "max_pending_requests": 1})),
            ..Plan::default()
        },
        Plan {
            name: "no-retries",
            knobs: Knobs::failing(1.0),
            cluster: thresholds(&json!({"max_retries": 0})),
            action: three_retries(),
            ..Plan::default()
        },
        Plan {
            name: "adaptive",
            knobs: Knobs::slow(500),
            filters: vec![adaptive_concurrency()],
            ..Plan::default()
        },
        Plan {
            name: "budget",
            knobs: dead(),
            cluster: thresholds(&budget(&json!({}))),
            action: three_retries(),
            ..Plan::default()
        },
        Plan {
            name: "budget-interval",
            knobs: dead(),
            cluster: thresholds(&budget(
                &json!({"min_retry_concurrency": 0, "budget_interval": "10s"}),
            )),
            action: three_retries(),
            ..Plan::default()
        },
        Plan {
            name: "slow",
            knobs: Knobs::slow(300),
            cluster: json!({"outlier_detection": ejecting(3)}),
            ..Plan::default()
        },
        Plan {
            name: "late",
            knobs: Knobs::slow(300),
            cluster: json!({"outlier_detection": ejecting(3)}),
            action: json!({"timeout": "0.1s"}),
            ..Plan::default()
        },
    ]
}

fn thresholds(limits: &Value) -> Value {
    json!({"circuit_breakers": {"thresholds": [limits]}})
}

fn dead() -> Knobs {
    Knobs {
        latency_ms: 0,
        ..Knobs::failing(1.0)
    }
}

/// A fifth.
fn budget(more: &Value) -> Value {
    let mut budget = json!({"budget_percent": {"value": 20}});
    extend(&mut budget, more);
    json!({"retry_budget": budget})
}

fn three_retries() -> Value {
    json!({"retry_policy": {
        "retry_on": "5xx", "num_retries": 3,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}
    }})
}

/// Before it has learned anything its limit is the least.
fn adaptive_concurrency() -> Value {
    json!({
        "name": "envoy.filters.http.adaptive_concurrency",
        "typed_config": typed("extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency", &json!({
            "gradient_controller_config": {
                "concurrency_limit_params": {"concurrency_update_interval": "0.1s", "min_concurrency_limit": PLACES},
                "min_rtt_calc_params": {"interval": "60s", "request_count": 50, "min_concurrency": PLACES}
            }
        }))
    })
}

pub(super) async fn too_many(stand: &Stand) -> anyhow::Result<()> {
    // One that waits for a connection that is being made is waiting too.
    for (lane, least, most) in [
        ("requests", PLACES, PLACES),
        ("connections", 1, PLACES + 1),
        ("adaptive", PLACES, PLACES),
    ] {
        let good = stand.at_once(lane, AT_ONCE).await?;
        assert!(
            (least..=most + RACE).contains(&good),
            "{lane}: {good} of {AT_ONCE} were answered"
        );
    }
    assert_eq!(stand.at_once("no-retries", 1).await?, 0);
    assert_eq!(stand.upstream("no-retries").snapshot().retries, 0);
    let refused = stand.of_cluster("no-retries", "upstream_rq_retry_overflow");
    assert_eq!(refused.await?, 1);
    Ok(())
}

/// One request after the other, so that no more than one retry is in flight: a budget of a fifth lets three of each through.
pub(super) async fn retries(stand: &Stand) -> anyhow::Result<()> {
    const REQUESTS: u64 = 100;
    for lane in ["budget", "budget-interval"] {
        let client = stand.client(lane, 1)?;
        for _ in 0..REQUESTS {
            client.get(0, "/").await;
        }
        let seen = stand.upstream(lane).snapshot();
        println!("{lane}: {REQUESTS} requests, {} retries", seen.retries);
        // The first ones of an interval find too few requests in it.
        assert!(seen.retries >= 5 * REQUESTS / 2, "{lane}: {}", seen.retries);
    }
    Ok(())
}

pub(super) async fn slow(stand: &Stand) -> anyhow::Result<()> {
    // A time-out is a failure, an answer that comes at last is none.
    let late = async {
        let client = stand.client("late", 1)?;
        for _ in 0..3 {
            assert_eq!(client.get(0, "/").await, (504, Kind::Failed));
        }
        until("the ejection", async || {
            let ejected = stand.of_cluster("late", "outlier_detection.ejections_active");
            ejected.await.is_ok_and(|ejected| ejected == 1)
        })
        .await
    };
    let slow = async {
        for _ in 0..2 {
            assert_eq!(stand.at_once("slow", AT_ONCE).await?, AT_ONCE);
        }
        anyhow::Ok(())
    };
    tokio::try_join!(late, slow)?;
    let detected = stand.of_cluster("slow", "outlier_detection.ejections_enforced_total");
    assert_eq!(detected.await?, 0);
    Ok(())
}
