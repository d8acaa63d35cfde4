//! A host or an upstream that fails, and what would be ejected.

use seawall_live::load::Kind;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use super::{Plan, Stand, ejecting, typed};
use crate::support::until;

pub(super) const HOST: &str = "outlier detection ejects it";
pub(super) const UPSTREAM: &str = "every host is ejected for a time, or none (panic threshold), and gets all traffic \
     afterwards; `admission_control` refuses a share, by what each worker saw";
pub(super) const THRESHOLD: &str =
    "outlier detection counts what it would eject (`enforcing_consecutive_5xx: 0`)";

pub(super) fn plans() -> Vec<Plan> {
    let failing = || Knobs {
        latency_ms: 200,
        ..Knobs::failing(1.0)
    };
    let ejecting = || json!({"outlier_detection": ejecting(3)});
    let mut all_or_none = ejecting();
    all_or_none["common_lb_config"] = json!({"healthy_panic_threshold": {"value": 0}});
    let mut counting = ejecting();
    for rule in ["consecutive_5xx", "consecutive_gateway_failure"] {
        counting["outlier_detection"][format!("enforcing_{rule}")] = json!(0);
    }
    vec![
        Plan {
            name: "one-of-two",
            knobs: failing(),
            more_hosts: 1,
            cluster: ejecting(),
            ..Plan::default()
        },
        Plan {
            name: "all-ejected",
            knobs: failing(),
            cluster: all_or_none,
            ..Plan::default()
        },
        Plan {
            name: "panic",
            knobs: failing(),
            cluster: ejecting(),
            ..Plan::default()
        },
        Plan {
            name: "admission",
            knobs: Knobs::failing(1.0),
            cluster: admission_control(),
            ..Plan::default()
        },
        Plan {
            name: "counting",
            knobs: failing(),
            cluster: counting,
            ..Plan::default()
        },
    ]
}

/// In the cluster's own filters, where it sees this upstream alone.
fn admission_control() -> Value {
    let filter = json!({
        "name": "envoy.filters.http.admission_control",
        "typed_config": typed("extensions.filters.http.admission_control.v3.AdmissionControl", &json!({
            "enabled": {"default_value": true, "runtime_key": "a"},
            "sampling_window": "60s",
            "sr_threshold": {"default_value": {"value": 95.0}, "runtime_key": "b"},
            "aggression": {"default_value": 1.0, "runtime_key": "c"},
            "rps_threshold": {"default_value": 0, "runtime_key": "d"},
            "max_rejection_probability": {"default_value": {"value": 90.0}, "runtime_key": "e"},
            "success_criteria": {"http_criteria": {"http_success_status": [{"start": 100, "end": 500}]}}
        }))
    });
    let codec = json!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": typed("extensions.filters.http.upstream_codec.v3.UpstreamCodec", &json!({}))
    });
    let options = typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        &json!({"explicit_http_config": {"http_protocol_options": {}}, "http_filters": [filter, codec]}),
    );
    json!({"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}})
}

/// Fails until this many hosts of the lane are ejected.
async fn ejected(stand: &Stand, lane: &str, hosts: u64) -> anyhow::Result<()> {
    let client = stand.client(lane, 1)?;
    until(lane, async || {
        client.get(0, "/").await;
        let active = stand.of_cluster(lane, "outlier_detection.ejections_active");
        active.await.is_ok_and(|active| active == hosts)
    })
    .await
}

pub(super) async fn host(stand: &Stand) -> anyhow::Result<()> {
    ejected(stand, "one-of-two", 1).await?;
    let before = stand.upstream("one-of-two").snapshot().requests;
    let client = stand.client("one-of-two", 1)?;
    for _ in 0..20 {
        assert_eq!(client.get(0, "/").await, (200, Kind::Good));
    }
    assert_eq!(stand.upstream("one-of-two").snapshot().requests, before);
    Ok(())
}

pub(super) async fn upstream(stand: &Stand) -> anyhow::Result<()> {
    tokio::try_join!(all(stand), none(stand), a_share(stand))?;
    Ok(())
}

/// Nothing reaches it while its one host is ejected; then everything does, though it is as sick as before.
async fn all(stand: &Stand) -> anyhow::Result<()> {
    const AT_ONCE: usize = 10;
    let lane = "all-ejected";
    let reached = || stand.upstream(lane).snapshot().requests;
    ejected(stand, lane, 1).await?;
    let before = reached();
    assert_eq!(stand.at_once(lane, AT_ONCE).await?, 0);
    assert_eq!(reached(), before, "there is no host");
    let client = stand.client(lane, 1)?;
    until("the end of the ejection", async || {
        client.get(0, "/").await;
        reached() > before
    })
    .await?;
    let before = reached();
    assert_eq!(stand.at_once(lane, AT_ONCE).await?, 0);
    assert_eq!(reached(), before + AT_ONCE as u64, "all of them at once");
    Ok(())
}

/// With the panic threshold as it is, an ejected host gets what it got before.
async fn none(stand: &Stand) -> anyhow::Result<()> {
    let lane = "panic";
    ejected(stand, lane, 1).await?;
    let before = stand.upstream(lane).snapshot().requests;
    stand.at_once(lane, 5).await?;
    assert_eq!(stand.upstream(lane).snapshot().requests, before + 5);
    Ok(())
}

/// Two connections, and so two workers: what one of them saw fail, the other does not know of.
async fn a_share(stand: &Stand) -> anyhow::Result<()> {
    const SEEN: usize = 40;
    let lane = "admission";
    let client = stand.client(lane, 2)?;
    for _ in 0..SEEN {
        client.get(0, "/").await;
    }
    let reached = stand.upstream(lane).snapshot().requests;
    assert!(reached < SEEN as u64, "{reached} of {SEEN} reached it");
    stand.upstream(lane).set(Knobs::default());
    let mut good = [0, 0];
    for _ in 0..10 {
        for (slot, good) in good.iter_mut().enumerate() {
            *good += usize::from(client.get(slot, "/").await.1 == Kind::Good);
        }
    }
    println!(
        "admission_control: good by worker {good:?}, {reached} of {SEEN} reached the sick upstream"
    );
    assert!(good[0] < 10 && good[1] == 10, "{good:?}");
    Ok(())
}

pub(super) async fn threshold(stand: &Stand) -> anyhow::Result<()> {
    let client = stand.client("counting", 1)?;
    until("what would be ejected", async || {
        client.get(0, "/").await;
        let name = "outlier_detection.ejections_detected_consecutive_5xx";
        let detected = stand.of_cluster("counting", name);
        detected.await.is_ok_and(|detected| detected > 0)
    })
    .await?;
    let enforced = stand.of_cluster("counting", "outlier_detection.ejections_enforced_total");
    assert_eq!(enforced.await?, 0);
    Ok(())
}
