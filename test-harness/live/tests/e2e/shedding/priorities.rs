//! How important a request is: who says so, who is believed, and who is told.

use hyper::Method;
use serde_json::json;

use crate::support::beside_others;
use crate::support::trial::{Plan, Trial};

async fn trial(trusted: bool, metadata: serde_json::Value) -> anyhow::Result<Trial> {
    let policy = json!({"shedding": {"limit": "fixed", "max": 100}});
    let plan = Plan {
        trust: if trusted {
            vec!["127.0.0.0/8"]
        } else {
            vec!["192.0.2.1"]
        },
        metadata,
        ..Plan::new(policy)
    };
    plan.start().await
}

/// What the upstream is told of requests that say this.
async fn told(trial: &Trial, said: &[&str]) -> anyhow::Result<Vec<Option<String>>> {
    trial.upstream.reset_stats();
    for said in said {
        let headers = [("x-seawall-priority", *said)];
        let headers = if said.is_empty() { &[][..] } else { &headers };
        let answer = trial.pool.send(&Method::GET, "/", headers).await?;
        assert_eq!(answer.status, 200);
    }
    let arrivals = trial.upstream.snapshot().arrivals.into_iter();
    let told = arrivals.map(|mut arrival| arrival.values.remove("x-seawall-priority"));
    Ok(told.collect())
}

fn some(levels: &[&str]) -> Vec<Option<String>> {
    levels
        .iter()
        .map(|level| Some((*level).to_owned()))
        .collect()
}

const SAID: [&str; 4] = ["critical_plus", "critical", "sheddable_plus", "sheddable"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_peers_word_is_believed_and_goes_on() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = trial(true, serde_json::Value::Null).await?;
    assert_eq!(told(&trial, &SAID).await?, some(&SAID));
    assert_eq!(told(&trial, &["", "nonsense"]).await?, [None, None]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_trusted_can_only_lower_his_request() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = trial(false, serde_json::Value::Null).await?;
    let lowered = ["critical", "critical", "sheddable_plus", "sheddable"];
    assert_eq!(told(&trial, &SAID).await?, some(&lowered));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_says_what_its_requests_are() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let metadata = json!({"priority": "sheddable_plus"});
    let strangers = trial(false, metadata.clone()).await?;
    let expected = [
        "sheddable_plus",
        "sheddable_plus",
        "sheddable_plus",
        "sheddable",
    ];
    assert_eq!(told(&strangers, &SAID).await?, some(&expected));
    assert_eq!(told(&strangers, &[""]).await?, some(&["sheddable_plus"]));
    let friends = trial(true, metadata).await?;
    assert_eq!(told(&friends, &SAID).await?, some(&SAID));
    Ok(())
}
