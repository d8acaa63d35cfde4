//! The state page in a real Envoy.

mod forced;

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::Method;
use seawall_live::load::Kind;
use seawall_live::pool::{Pool, Protocol};
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::support::{Stand, assert_no_trap, beside_others, policy, until};

const PATH: &str = "/seawall";

fn shown_to(addresses: &[&str]) -> Value {
    let mut whole = policy(json!({"open": {"for": "30s", "up_to": "30s", "jitter": 0}}));
    whole["page"] = json!({"path": PATH, "trust": {"addresses": addresses}});
    whole
}

/// What a connection of its own is answered.
async fn get(stand: &Stand) -> anyhow::Result<(u16, Vec<u8>)> {
    let pool = Pool::new(stand.address, Protocol::Http1);
    let answer = pool.send(&Method::GET, PATH, &[]).await?;
    Ok((answer.status, answer.body.to_vec()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_worker_answers_shows_the_same_state() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(shown_to(&["127.0.0.0/8"])).await?;
    let client = stand.client(20);
    client.run("/", 100.0, Duration::from_millis(200)).await;
    stand.upstream.set(Knobs::failing(1.0));
    client.run("/", 300.0, Duration::from_millis(300)).await;
    for connection in 0..20 {
        assert_eq!(client.get(connection, "/").await.1, Kind::Refused);
    }
    stand.upstream.reset_stats();
    let mut states = BTreeSet::new();
    for _ in 0..10 {
        let (status, body) = get(&stand).await?;
        assert_eq!(status, 200);
        let page: Value = serde_json::from_slice(&body)?;
        let seen = &page["upstreams"][0];
        assert_eq!(seen["upstream"], json!("upstream"), "{page}");
        assert!((1..=30_000).contains(&seen["open_ms_left"].as_u64().unwrap_or(0)));
        states.insert((seen["state"].to_string(), seen["generation"].to_string()));
    }
    assert_eq!(
        states,
        BTreeSet::from([("\"open\"".to_owned(), "1".to_owned())])
    );
    assert_eq!(
        stand.upstream.snapshot().requests,
        0,
        "it is no request of the upstream's"
    );
    until("the access log", async || {
        stand.envoy.access_log().contains("seawall_page")
    })
    .await?;
    assert_no_trap(&stand.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_a_stranger_its_path_is_a_path_of_the_upstream() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(shown_to(&["10.0.0.0/8"])).await?;
    let (status, body) = get(&stand).await?;
    assert_eq!(status, 200);
    assert!(
        serde_json::from_slice::<Value>(&body).is_err(),
        "the upstream's own answer"
    );
    let arrivals = stand.upstream.snapshot().arrivals;
    assert_eq!(
        arrivals.first().map(|arrival| arrival.path.as_str()),
        Some(PATH)
    );
    stand.assert_quiet().await
}
