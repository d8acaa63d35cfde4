//! What one worker stores, others heed at once, by a counter of Envoy's; and where that counter is reset or dropped.

use std::time::Duration;

use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::load::{Client, Kind, Sample, count};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use crate::support::{WORKERS, anywhere, assert_no_trap, beside_others, policy, transitions};

/// How Envoy keeps the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    Kept,
    /// An admin resets all counters, over and over.
    Reset,
    /// A `stats_matcher` drops it.
    Dropped,
}

async fn start(counter: Counter) -> anyhow::Result<(Envoy, Upstream)> {
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let listener = Listener {
        name: "edge".to_owned(),
        policy: Some(policy(
            json!({"open": {"for": "30s", "up_to": "30s", "jitter": 0}}),
        )),
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: "upstream".to_owned(),
            ..Route::default()
        }],
        ..Listener::default()
    };
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream.address()],
        ..Cluster::default()
    };
    let mut whole: Value = bootstrap(&filter()?, &[listener], &[cluster]);
    if counter == Counter::Dropped {
        whole["stats_config"]["stats_matcher"] = json!({"exclusion_list": {"patterns": [
            {"prefix": "wasmcustom.seawall_record_changes"},
            {"prefix": "seawall.seawall_record_changes"}
        ]}});
    }
    Ok((Envoy::start(&whole, WORKERS).await?, upstream))
}

async fn load(envoy: &Envoy, seconds: u64) -> anyhow::Result<Vec<Sample>> {
    let client = Client::new(envoy.listener("edge")?, 8, Duration::from_secs(5));
    Ok(client.run("/", 300.0, Duration::from_secs(seconds)).await)
}

/// Resets all counters again and again, where that is asked for; never ends.
async fn disturb(envoy: &Envoy, counter: Counter) -> anyhow::Result<()> {
    let mut turns = tokio::time::interval(Duration::from_millis(20));
    loop {
        turns.tick().await;
        if counter == Counter::Reset {
            envoy.admin_post("/reset_counters").await?;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_breaker_is_heeded_by_all_workers_whatever_becomes_of_the_counter()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    for counter in [Counter::Kept, Counter::Reset, Counter::Dropped] {
        let (envoy, upstream) = start(counter).await?;
        let traffic = async {
            let well = load(&envoy, 2).await?;
            assert_eq!(count(&well, Kind::Good), well.len(), "{counter:?}");
            assert_eq!(transitions(&envoy), [""; 0], "{counter:?}");
            upstream.set(Knobs::failing(1.0));
            load(&envoy, 3).await?;
            assert_eq!(transitions(&envoy), ["closed -> open"], "{counter:?}");
            // It has been open for longer than a tick.
            let before = upstream.snapshot().first_attempts;
            let refused = load(&envoy, 1).await?;
            assert_eq!(count(&refused, Kind::Refused), refused.len(), "{counter:?}");
            assert_eq!(upstream.snapshot().first_attempts, before, "{counter:?}");
            anyhow::Ok(())
        };
        tokio::select! {
            ended = traffic => ended?,
            ended = disturb(&envoy, counter) => ended?,
        }
        let counted = envoy.sum(&["wasmcustom.seawall_record_changes"]).await?;
        match counter {
            Counter::Kept => assert!((1..1_000).contains(&counted), "{counted} changes"),
            Counter::Reset => {}
            Counter::Dropped => assert_eq!(counted, 0),
        }
        assert_no_trap(&envoy);
    }
    Ok(())
}
