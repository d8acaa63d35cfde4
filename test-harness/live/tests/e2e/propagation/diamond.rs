//! Two live requests under one id in one application: a call that leaves it may belong to either.

use std::time::Duration;

use hyper::Method;
use seawall_live::pool::{Answer, Pool, Protocol};
use serde_json::json;

use crate::propagation::hops::left;
use crate::support::chain::{Chain, Side};
use crate::support::{alone, until};

const THINKS: Duration = Duration::from_millis(300);

async fn chain() -> anyhow::Result<Chain> {
    let policy = json!({
        "version": 1,
        "trust": {"addresses": ["127.0.0.0/8"]},
        "policies": {"default": {
            "breaker": {"mode": "off"},
            "shedding": {"limit": "fixed", "max": 100},
            "timeout": {"total": "10s", "propagate": ["grpc-timeout"]}
        }}
    });
    let chain = Chain::start(|_| Side {
        policy: Some(policy.clone()),
        ..Side::default()
    })
    .await?;
    chain.app_a.think(THINKS);
    Ok(chain)
}

/// Waits until so many requests have reached the first app.
async fn in_the_app(chain: &Chain, number: u64) -> anyhow::Result<()> {
    until("it is in the app", async || {
        chain.app_a.counts().arrived >= number
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diamond_of_50_ms_and_5_s_leaves_the_longer_its_time() -> anyhow::Result<()> {
    let _alone = alone().await;
    let chain = chain().await?;
    let door = chain.door(Protocol::Http2);
    let call = |id: &'static str, timeout: &'static str| {
        let door: &Pool = &door;
        async move {
            let headers = [("x-request-id", id), ("grpc-timeout", timeout)];
            door.grpc("/grpc", &headers).await
        }
    };
    for (round, id) in ["first", "second", "third"].into_iter().enumerate() {
        let arrived = 2 * round as u64;
        let long = call(id, "5S");
        let short = async {
            in_the_app(&chain, arrived + 1).await?;
            call(id, "50m").await
        };
        let (long, short) = tokio::join!(long, short);
        let status = |answer: anyhow::Result<Answer>| anyhow::Ok(answer?.grpc_status());
        assert_eq!((status(long)?, status(short)?), (Some(0), Some(4)), "{id}");
        let arrivals = chain.upstream.snapshot().arrivals;
        let told = arrivals
            .iter()
            .filter(|arrival| arrival.id == id)
            .filter_map(|arrival| left(arrival.values.get("grpc-timeout")?))
            .max();
        // What the apps and the way took is gone.
        let told = told.expect("the call reaches C with a deadline");
        assert!(told > Duration::from_secs(2), "{told:?}");
        assert!(told <= Duration::from_secs(5), "{told:?}");
        until("both apps are done", async || {
            chain.app_a.counts().in_work() + chain.app_b.counts().in_work() == 0
        })
        .await?;
    }
    // Alone, the short one is late at once: the id began anew.
    let before = chain.upstream.snapshot().requests;
    assert_eq!(call("first", "50m").await?.grpc_status(), Some(4));
    until("the app is done", async || {
        chain.app_a.counts().in_work() == 0
    })
    .await?;
    assert_eq!(chain.upstream.snapshot().requests, before, "it is doomed");
    chain.assert_no_trap();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_an_id_that_a_stranger_uses_too_nothing_is_passed_on() -> anyhow::Result<()> {
    let _alone = alone().await;
    let chain = chain().await?;
    let inlet = chain.inlet(Protocol::Http1);
    let friend = |id: &'static str| {
        let inlet: &Pool = &inlet;
        async move {
            let headers = [("x-request-id", id), ("x-seawall-priority", "sheddable")];
            inlet.send(&Method::GET, "/", &headers).await
        }
    };
    // An address that a header says is nobody's.
    let stranger = |id: &'static str| {
        let inlet: &Pool = &inlet;
        async move {
            let headers = [("x-request-id", id), ("x-forwarded-for", "192.0.2.1")];
            inlet.send(&Method::GET, "/", &headers).await
        }
    };
    // The priorities that C is told of the calls with an id.
    let told = |id: &str| -> Vec<Option<String>> {
        let arrivals = chain.upstream.snapshot().arrivals;
        let of = arrivals.into_iter().filter(|arrival| arrival.id == id);
        of.map(|mut arrival| arrival.values.remove("x-seawall-priority"))
            .collect()
    };
    friend("alone").await?;
    assert_eq!(told("alone"), [Some("sheddable".to_owned())]);
    let (one, other) = tokio::join!(friend("friend-first"), async {
        in_the_app(&chain, 2).await?;
        stranger("friend-first").await
    });
    one?;
    other?;
    assert_eq!(told("friend-first"), [None, None]);
    let (one, other) = tokio::join!(stranger("stranger-first"), async {
        in_the_app(&chain, 4).await?;
        friend("stranger-first").await
    });
    one?;
    other?;
    assert_eq!(told("stranger-first"), [None, None]);
    friend("stranger-first").await?;
    let last = told("stranger-first").pop().flatten();
    assert_eq!(last.as_deref(), Some("sheddable"), "all others have ended");
    chain.assert_no_trap();
    Ok(())
}
