//! What was paid for and never sent comes back: the next request has it.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use seawall_live::raw;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::support::beside_others;
use crate::support::trial::{Plan, Trial};

const PATIENCE: Duration = Duration::from_secs(5);

/// Ten requests pay for one retry.
fn tenth() -> Value {
    json!({"retries": {"budget": {"ratio": 10, "min_per_second": 0}}})
}

/// Whether the next failed request is retried, and the one after it is not: there was one retry left, and no more.
async fn assert_one_left(trial: &Trial, what: &str) -> anyhow::Result<()> {
    for (status, retries) in [(200, 1), (503, 0)] {
        trial.set(Knobs::failing_first(1.0));
        assert_eq!(trial.get().await?.status, status, "{what}");
        assert_eq!(trial.attempts(), (1, retries), "{what}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_that_the_router_drops_is_refunded() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    for chunked in [false, true] {
        let plan = Plan {
            virtual_host: json!({"per_request_buffer_limit_bytes": 1_024}),
            ..Plan::new(tenth())
        };
        let trial = plan.start().await?;
        trial.save(10, 1).await?;
        // Within the buffer it would be repeated; longer than it, the router cannot.
        trial.set(Knobs {
            latency_ms: 100,
            ..Knobs::failing_first(1.0)
        });
        let body = vec![b'x'; 65_536];
        let status = if chunked {
            let mut request = b"PUT / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                transfer-encoding: chunked\r\n\r\n10000\r\n"
                .to_vec();
            request.extend_from_slice(&body);
            request.extend_from_slice(b"\r\n0\r\n\r\n");
            raw::status(&raw::exchange(trial.address, &request, PATIENCE).await?)
        } else {
            let answer = trial
                .pool
                .exchange(&Method::PUT, "/", &[], Bytes::from(body));
            Some(answer.await?.status)
        };
        assert_eq!(status, Some(503), "chunked: {chunked}");
        assert_eq!(trial.attempts(), (1, 0), "chunked: {chunked}");
        trial.wait_decided("granted", "none", 1).await?;
        trial.wait_decided("refunded", "none", 1).await?;
        assert_one_left(&trial, "after a dropped vote").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_during_back_off_gives_its_retry_back() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let patient = Plan {
        action: json!({"timeout": "600s", "retry_policy": {
            "retry_back_off": {"base_interval": "300s", "max_interval": "600s"}
        }}),
        ..Plan::new(tenth())
    };
    let trial = patient.start().await?;
    trial.save(10, 1).await?;
    trial.set(Knobs::failing_first(1.0));
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = raw::exchange(trial.address, request, Duration::from_millis(500)).await?;
    assert!(answer.is_empty(), "it waits for its retry");
    assert_eq!(trial.attempts(), (1, 0));
    trial.wait_decided("granted", "none", 1).await?;
    trial.wait_decided("refunded", "none", 1).await?;
    // A second one is granted what the first gave back, and a third is answered: there is no more.
    trial.set(Knobs::failing_first(1.0));
    let answer = raw::exchange(trial.address, request, Duration::from_millis(500)).await?;
    assert!(answer.is_empty(), "it waits for its retry");
    assert_eq!(trial.wait_decided("granted", "none", 2).await?, 2);
    trial.wait_decided("refunded", "none", 2).await?;
    Ok(())
}
