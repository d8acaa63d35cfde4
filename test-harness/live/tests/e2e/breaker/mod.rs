//! The breaker over two workers, counted at the upstream.

mod false_alarms;
mod half_open;

use std::net::Ipv4Addr;
use std::time::Duration;

use seawall_live::load::{Kind, count};
use seawall_live::upstream::Knobs;
use seawall_policy::time::Span;
use serde_json::json;

use crate::support::{Stand, assert_no_trap, beside_others, logged_transitions, policy, until};

const CONNECTIONS: usize = 20;
const PERMITS: u64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_upstream_is_refused_spared_probed_and_taken_back() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let open = json!({"open": {"for": "3s", "up_to": "3s", "jitter": 0}});
    let stand = Stand::start(policy(open)).await?;
    let client = stand.client(CONNECTIONS);

    // At most the minimum of calls plus one for each connection, in flight in Envoy, reaches an upstream that fails from the
    // start.
    stand.upstream.set(Knobs::failing(1.0));
    let first = client.run("/", 500.0, Duration::from_millis(400)).await;
    let reached = stand.upstream.snapshot();
    let bound = 20 + CONNECTIONS as u64;
    assert!(
        reached.requests <= bound,
        "{} of at most {bound}",
        reached.requests
    );
    assert_eq!(
        count(&first, Kind::Refused) as u64,
        first.len() as u64 - reached.requests
    );
    assert_eq!(stand.transitions(), ["closed -> open"]);

    // Open: no user's request reaches it, by whichever worker.
    stand.upstream.reset_stats();
    let refused = client.run("/", 300.0, Duration::from_millis(500)).await;
    assert_eq!(count(&refused, Kind::Refused), refused.len());
    assert_eq!(stand.upstream.snapshot().requests, 0);

    // Slow probes that fail: never more than the permits in flight, over both workers.
    let sick = Knobs {
        latency_ms: 300,
        ..Knobs::failing(1.0)
    };
    stand.upstream.set(sick);
    until("two rounds of probes", async || {
        client.run("/", 300.0, Duration::from_millis(300)).await;
        stand
            .transitions()
            .iter()
            .filter(|made| *made == "half_open -> open")
            .count()
            == 2
    })
    .await?;
    let probes = stand.upstream.snapshot();
    assert_eq!(
        probes.in_flight_max, PERMITS,
        "all permits were used, and no more"
    );
    assert_eq!(probes.requests, 2 * PERMITS);

    // It closes by itself.
    stand.upstream.set(Knobs::default());
    until("closed again", async || {
        client.run("/", 100.0, Duration::from_millis(100)).await;
        stand
            .transitions()
            .last()
            .is_some_and(|last| last == "half_open -> closed")
    })
    .await?;
    let again = client.run("/", 200.0, Duration::from_secs(1)).await;
    assert_eq!(count(&again, Kind::Good), again.len());
    let workers = stand.workers().await?;
    let all: u64 = workers.iter().sum();
    assert!(
        workers.len() == 2 && workers.iter().all(|one| one * 10 >= all * 3),
        "each worker serves 30 %: {workers:?}"
    );
    assert_no_trap(&stand.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_saw_no_failure_refuses_too() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let open = json!({"open": {"for": "30s", "up_to": "30s"}});
    let stand = Stand::start(policy(open)).await?;
    stand.upstream.set(Knobs::failing(1.0));
    let alone = stand.client(1);
    for _ in 0..20 {
        assert_eq!(alone.get(0, "/").await.1, Kind::Failed);
    }
    assert_eq!(stand.transitions(), ["closed -> open"]);
    let others = stand.client(CONNECTIONS);
    for connection in 0..CONNECTIONS {
        assert_eq!(others.get(connection, "/").await, (503, Kind::Refused));
    }
    let workers = stand.workers().await?;
    assert!(
        workers.iter().all(|connections| *connections > 1),
        "both workers were asked: {workers:?}"
    );
    assert_eq!(stand.upstream.snapshot().requests, 20);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_upstream_trips_by_its_slow_calls() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let slow =
        json!({"slow_call": {"over": "50ms", "rate": 80}, "open": {"for": "30s", "up_to": "30s"}});
    let stand = Stand::start(policy(slow)).await?;
    stand.upstream.set(Knobs::slow(80));
    stand
        .client(CONNECTIONS)
        .run("/", 100.0, Duration::from_secs(1))
        .await;
    let logged = logged_transitions(&stand.envoy);
    assert_eq!(logged.len(), 1);
    let [slow, calls] = ["slow", "calls"].map(|name| logged[0].number(name));
    assert_eq!((slow, calls), (Some(20), Some(20)), "{logged:?}");
    assert_eq!(logged[0].figures["threshold"], "80 %");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_connection_and_a_dead_host_are_failures_and_retry_after_is_heard()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let breaker = json!({"consecutive": 4, "open": {"for": "5s", "up_to": "20s", "jitter": 0}});
    for knobs in [
        Knobs::down(),
        Knobs {
            reset: true,
            ..Knobs::default()
        },
    ] {
        let stand = Stand::start(policy(breaker.clone())).await?;
        stand.upstream.set(knobs);
        // The broken connections of one client alone say less.
        let clients = [2, 3].map(|last| {
            let from = Ipv4Addr::new(127, 0, 0, last);
            stand.client(2).from_address(from)
        });
        let length = Duration::from_millis(200);
        let [one, other] = &clients;
        tokio::join!(one.run("/", 25.0, length), other.run("/", 25.0, length));
        assert_eq!(stand.transitions(), ["closed -> open"]);
    }
    let stand = Stand::start(policy(breaker)).await?;
    stand.upstream.set(Knobs {
        retry_after: Some(9),
        ..Knobs::failing(1.0)
    });
    stand
        .client(1)
        .run("/", 50.0, Duration::from_millis(200))
        .await;
    let logged = logged_transitions(&stand.envoy);
    assert_eq!(logged[0].open_for, Some(Span::secs(9)), "{logged:?}");
    Ok(())
}
