//! An upstream's own reports of its load, in every form, in a real Envoy.

use std::time::Duration;

use seawall_live::load::{Client, Kind, count};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use crate::support::trial::Plan;
use crate::support::{Stand, alone, anywhere, assert_no_trap, beside_others, policy, until};

const BURST: Duration = Duration::from_millis(250);

fn shedding() -> Value {
    let mut whole = policy(json!({}));
    whole["policies"]["default"]["shedding"] = json!({"limit": "none", "load_over": 80});
    whole["trust"] = json!({"addresses": ["127.0.0.0/8"]});
    whole
}

fn saying(header: &str, value: &str) -> Knobs {
    Knobs {
        answer_headers: vec![(header.to_owned(), value.to_owned())],
        ..Knobs::default()
    }
}

/// The share of a burst that was refused.
async fn refused(client: &Client) -> f64 {
    let samples = client.run("/", 200.0, BURST).await;
    count(&samples, Kind::Refused) as f64 / samples.len().max(1) as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_form_too_much_load_sheds_the_lowest_until_there_is_less() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    for (header, value) in [
        (
            "endpoint-load-metrics",
            "TEXT cpu_utilization=0.97,named_metrics.queue=12",
        ),
        (
            "endpoint-load-metrics",
            r#"JSON {"cpu_utilization": 0.2, "applicationUtilization": 0.97}"#,
        ),
        ("endpoint-load-metrics", "BIN CQrXo3A9Cu8/"),
        ("endpoint-load-metrics-bin", "CQrXo3A9Cu8/"),
    ] {
        let stand = Stand::start(shedding()).await?;
        let of = |priority| stand.client(8).header("x-seawall-priority", priority);
        let (lowest, highest) = (of("sheddable"), of("critical_plus"));
        stand.upstream.set(saying(header, value));
        until(value, async || refused(&lowest).await > 0.5).await?;
        assert_eq!(refused(&highest).await, 0.0, "{value}");
        let shed = ["seawall_decisions", "reason=shed_load"];
        until("it is counted", async || {
            stand.envoy.sum(&shed).await.is_ok_and(|count| count > 0)
        })
        .await?;

        stand
            .upstream
            .set(saying("endpoint-load-metrics", "TEXT cpu_utilization=0.3"));
        until("nobody is shed", async || refused(&lowest).await == 0.0).await?;
        assert_no_trap(&stand.envoy);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_reports_its_load_in_the_trailers() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let plan = Plan {
        trust: vec!["127.0.0.0/8"],
        ..Plan::new(json!({"shedding": {"limit": "none", "load_over": 80}})).grpc()
    };
    let trial = plan.start().await?;
    let says = |value: &str| {
        trial.set(Knobs {
            answer_trailers: vec![("endpoint-load-metrics".to_owned(), value.to_owned())],
            ..Knobs::default()
        });
    };
    // How many of so many calls of the lowest level are shed.
    let shed = async || -> anyhow::Result<usize> {
        let mut shed = 0;
        for _ in 0..20 {
            let lowest = [("x-seawall-priority", "sheddable")];
            let answer = trial.pool.grpc("/grpc?trailers", &lowest).await?;
            let reason = answer.headers.get("x-seawall-reason");
            shed += usize::from(reason.is_some_and(|reason| reason == "shed_load"));
        }
        Ok(shed)
    };
    says("TEXT cpu_utilization=0.97");
    until("most are shed", async || {
        shed().await.is_ok_and(|shed| shed > 10)
    })
    .await?;
    let highest = [("x-seawall-priority", "critical_plus")];
    let answer = trial.pool.grpc("/grpc?trailers", &highest).await?;
    assert_eq!(answer.grpc_status(), Some(0));
    assert!(answer.trailers.contains_key("endpoint-load-metrics"));
    says("TEXT cpu_utilization=0.3");
    until("nobody is shed", async || {
        shed().await.is_ok_and(|shed| shed == 0)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_report_sheds_nobody() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(shedding()).await?;
    let lowest = stand.client(8).header("x-seawall-priority", "sheddable");
    for value in [
        "TEXT cpu_utilization=-3",
        "TEXT cpu_utilization=inf",
        "TEXT cpu_utilization=0.97,cpu_utilization=0.97",
        "JSON {\"cpu_utilization\": 0.97",
        "BIN ////",
        "cpu_utilization=0.97",
    ] {
        stand.upstream.set(saying("endpoint-load-metrics", value));
        for _ in 0..4 {
            assert_eq!(refused(&lowest).await, 0.0, "{value}");
        }
    }
    stand.assert_quiet().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_of_five_decides_neither_that_anybody_is_shed_nor_that_nobody_is()
-> anyhow::Result<()> {
    let _alone = alone().await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(Upstream::start("other", anywhere()).await?);
    }
    let say = |others: &[Upstream], value: &str| {
        for other in others {
            other.set(saying("endpoint-load-metrics", value));
        }
    };
    let plan = Plan {
        trust: vec!["127.0.0.0/8"],
        hosts: others.iter().map(Upstream::address).collect(),
        ..Plan::new(json!({"shedding": {"limit": "none", "load_over": 80}}))
    };
    let trial = plan.start().await?;
    let lowest = trial.client(8).header("x-seawall-priority", "sheddable");
    say(&others, "TEXT cpu_utilization=0.5");
    // All hosts are heard before one of them says something else.
    assert_eq!(refused(&lowest).await, 0.0);
    trial.set(saying("endpoint-load-metrics", "TEXT cpu_utilization=9.9"));
    for _ in 0..8 {
        assert_eq!(refused(&lowest).await, 0.0, "one says 990 %");
    }
    say(&others, "TEXT cpu_utilization=0.97");
    trial.set(saying("endpoint-load-metrics", "TEXT cpu_utilization=0.01"));
    until("all but one say 97 %", async || {
        refused(&lowest).await > 0.5
    })
    .await?;
    assert!(trial.upstream.snapshot().requests > 0);
    Ok(())
}
