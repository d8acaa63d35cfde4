//! Places that strangers hold for as long as they like: uploads that never end, and requests of hundreds of tenants. And
//! checks of health, which nothing sheds.

use std::time::Duration;

use seawall_live::clock;
use seawall_live::load::{Client, Kind, count};
use seawall_live::raw;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Stand, alone, assert_no_trap, beside_others, until};

/// More than a limit of 20 has room for.
const UPLOADS: usize = 22;

fn loaded(keys: Value) -> Value {
    let mut policy = json!({"breaker": {"mode": "off"}});
    if let (Some(policy), Some(keys)) = (policy.as_object_mut(), keys.as_object()) {
        policy.extend(keys.clone());
    }
    json!({"version": 1, "policies": {"default": policy}})
}

/// Connections with a request whose body is announced and does not come.
async fn open_uploads(stand: &Stand, many: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut open = Vec::new();
    for _ in 0..many {
        let mut stream = TcpStream::connect(stand.address).await?;
        let head = b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n0123456789";
        stream.write_all(head).await?;
        open.push(stream);
    }
    Ok(open)
}

async fn refused(stand: &Stand, reason: &str) -> anyhow::Result<u64> {
    let reason = format!("reason={reason}");
    let stat = ["wasmcustom.seawall_decisions", "decision=refused", &reason];
    stand.envoy.sum(&stat).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_uploads_hold_half_of_the_places_and_the_others_are_there_for_everybody()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    for (keys, held) in [
        (json!({"shedding": {"load_over": 0}}), 10),
        (json!({"bulkhead": {"max_concurrent": 20}}), 10),
        (
            json!({"bulkhead": {"max_concurrent": 20, "per": {"header": "x-tenant"}}}),
            10,
        ),
        (
            json!({"bulkhead": {"max_concurrent": 20, "unfinished": 25}}),
            5,
        ),
    ] {
        let stand = Stand::start(loaded(keys.clone())).await?;
        let uploads = open_uploads(&stand, UPLOADS).await?;
        until("as many uploads refused as have no place", async || {
            refused(&stand, "unfinished")
                .await
                .is_ok_and(|many| many == UPLOADS as u64 - held)
        })
        .await?;
        assert_eq!(stand.upstream.snapshot().requests, held, "{keys}");
        let good = stand.client(4).flood("/", 200).await;
        assert_eq!(count(&good, Kind::Good), 200, "{keys}: {:?}", good.first());
        // Whoever goes on and comes to an end makes room for others.
        let mut done = 0;
        for mut upload in uploads {
            let _ = upload.write_all(&[b'x'; 90]).await;
            let mut answer = [0; 12];
            let read = tokio::io::AsyncReadExt::read_exact(&mut upload, &mut answer);
            let _ = tokio::time::timeout(Duration::from_secs(2), read).await;
            done += u64::from(&answer[9..] == b"200");
        }
        assert_eq!(done, held, "{keys}");
        let whole = b"POST /upload HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
        for _ in 0..30 {
            let answer = raw::exchange(stand.address, whole, Duration::from_secs(2)).await?;
            assert_eq!(raw::status(&answer), Some(200), "{keys}");
        }
        until("no place held", async || {
            let held = stand.envoy.sum(&["wasmcustom.seawall_in_flight"]).await;
            held.is_ok_and(|held| held == 0)
        })
        .await?;
        assert_no_trap(&stand.envoy);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_tenants_takes_nothing_from_one_that_is_there_and_ends_with_its_requests()
-> anyhow::Result<()> {
    let _alone = alone().await;
    let keys = json!({"bulkhead": {"max_concurrent": 20, "per": {"header": "x-tenant"}}});
    let stand = Stand::start(loaded(keys)).await?;
    let of = |tenant: &str| {
        Client::new(stand.address, 1, Duration::from_secs(5)).header("x-tenant", tenant)
    };
    // One that always has something in flight, and one with a request now and then.
    let stream = |tenant: String| {
        let address = stand.address;
        async move {
            let mut stream = TcpStream::connect(address).await?;
            let head = format!("GET /events HTTP/1.1\r\nhost: a\r\nx-tenant: {tenant}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            anyhow::Ok(stream)
        }
    };
    let holds = stream("there".to_owned()).await?;
    let (there, steady, rare) = (of("there"), of("steady"), of("rare"));
    // Who has had a request that ended has a partition of its own from the next one on.
    for _ in 0..2 {
        assert_eq!(steady.get(0, "/").await.1, Kind::Good);
        assert_eq!(rare.get(0, "/").await.1, Kind::Good);
    }
    let mut attackers = Vec::new();
    let mut seen = Vec::new();
    for number in 0..400 {
        attackers.push(stream(format!("attacker {number}")).await?);
        if number % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            seen.push((there.get(0, "/").await.1, steady.get(0, "/").await.1));
        }
    }
    until("everything taken", async || {
        refused(&stand, "bulkhead_full")
            .await
            .is_ok_and(|refused| refused > 50)
    })
    .await?;
    for _ in 0..10 {
        seen.push((there.get(0, "/").await.1, steady.get(0, "/").await.1));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(rare.get(0, "/").await.1, Kind::Good, "ten seconds later");
    assert_eq!(of("new").get(0, "/").await.1, Kind::Refused);
    assert!(
        seen.iter().all(|(there, _)| *there == Kind::Good),
        "{seen:?}"
    );
    assert!(
        seen.iter().all(|(_, steady)| *steady == Kind::Good),
        "{seen:?}"
    );
    drop(attackers);
    until("places for new ones", async || {
        of("new").get(0, "/").await.1 == Kind::Good
    })
    .await?;
    drop(holds);
    assert_no_trap(&stand.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_of_health_are_answered_at_ten_times_what_an_application_can_do()
-> anyhow::Result<()> {
    let _alone = alone().await;
    let keys = json!({
        "shedding": {"limit": "fixed", "max": 4, "load_over": 0},
        "exempt": [{"path": "/healthz"}]
    });
    let stand = Stand::start(loaded(keys)).await?;
    // 40 in a second.
    stand.upstream.set(Knobs {
        latency_ms: 100,
        capacity: Some(4),
        ..Knobs::default()
    });
    let load = stand.client(64);
    let crowd = tokio::spawn(async move { load.run("/", 400.0, Duration::from_secs(4)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (health, other) = (stand.client(1), stand.client(1));
    let (mut answered, mut shed, mut longest) = (0, 0, Duration::ZERO);
    for _ in 0..20 {
        let before = clock::now();
        answered += usize::from(health.get(0, "/healthz?live").await == (200, Kind::Good));
        longest = longest.max(clock::now().duration_since(before));
        shed += usize::from(other.get(0, "/healthy").await.1 == Kind::Refused);
    }
    let crowd = crowd.await?;
    let good = count(&crowd, Kind::Good);
    println!(
        "{good} of {} good, {answered} of 20 checks answered, {longest:?} at most, {shed} of 20 others shed",
        crowd.len()
    );
    assert_eq!(answered, 20);
    assert!(shed > 0, "nothing was shed: there was no overload");
    // Who pretends to be a check has ten in a second from each worker, and is one like all others beyond.
    let pretends = stand
        .client(32)
        .run("/healthz", 400.0, Duration::from_secs(2))
        .await;
    let passed = count(&pretends, Kind::Good);
    assert!(
        passed < 200 && count(&pretends, Kind::Refused) > 400,
        "{passed} of {}",
        pretends.len()
    );
    assert_no_trap(&stand.envoy);
    Ok(())
}

/// The 99th percentile of requests that have nothing to do with all the others, in milliseconds.
async fn p99(stand: &Stand) -> f64 {
    let client = stand.client(4).header("x-tenant", "other");
    let samples = client.run("/", 100.0, Duration::from_secs(2)).await;
    assert_eq!(count(&samples, Kind::Good), samples.len());
    let mut latencies: Vec<_> = samples.iter().map(|sample| sample.latency).collect();
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100].as_secs_f64() * 1e3
}

/// Responses that stand still: one of each tenant, each at an authority of its own.
async fn hold(stand: &Stand, many: usize) -> anyhow::Result<Vec<TcpStream>> {
    let before = stand.upstream.snapshot().requests;
    let mut held = Vec::new();
    for number in 0..many {
        let mut stream = TcpStream::connect(stand.address).await?;
        let head = format!(
            "GET /stall?bytes=1 HTTP/1.1\r\nhost: {number}.example\r\nx-tenant: {number}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        held.push(stream);
    }
    until("all at the upstream", async || {
        stand.upstream.snapshot().requests >= before + many as u64
    })
    .await?;
    Ok(held)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_authorities_with_a_thousand_slots_each_make_nobody_wait() -> anyhow::Result<()>
{
    const STREAMS: usize = 990;
    let _alone = alone().await;
    let per = json!({"max_concurrent": 20, "per": {"header": "x-tenant", "max_keys": 1_000}});
    let mut policy = loaded(json!({"bulkhead": per}));
    policy["upstreams"] =
        json!([{"cluster": "*", "policy": "default", "key": "authority", "max_keys": 1_000}]);
    let slots = Stand::start(policy).await?;
    let none = Stand::start(loaded(json!({}))).await?;
    let mut rises = Vec::new();
    // Both at the same time, so that what else the machine does falls on both; and three times, since it may fall on one. The
    // streams end with the limit of their route, after 15 seconds.
    for _ in 0..3 {
        let held = (hold(&slots, STREAMS).await?, hold(&none, STREAMS).await?);
        until("all in flight", async || {
            let held = slots.envoy.sum(&["wasmcustom.seawall_in_flight"]).await;
            held.is_ok_and(|held| held >= STREAMS as u64)
        })
        .await?;
        let (with, without) = tokio::join!(p99(&slots), p99(&none));
        println!(
            "p99 of others: {with:.1} ms with {STREAMS} slots in use, {without:.1} ms without"
        );
        rises.push(with - without);
        drop(held);
        until("none in flight", async || {
            let held = slots.envoy.sum(&["wasmcustom.seawall_in_flight"]).await;
            held.is_ok_and(|held| held == 0)
        })
        .await?;
    }
    rises.sort_by(f64::total_cmp);
    let median = rises[rises.len() / 2];
    assert!(median <= 5.0, "{rises:?}");
    assert_no_trap(&slots.envoy);
    Ok(())
}
