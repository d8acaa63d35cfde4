//! How Envoy takes a configuration: as a string, as a Struct, anew while it runs, or not at all.

mod held_state;
mod off;
mod shadow;
mod updates;

use std::path::Path;
use std::time::Duration;

use seawall_live::envoy::body::Body;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter, validate};
use seawall_live::listen;
use seawall_live::load::Client;
use seawall_live::upstream::Upstream;
use serde_json::{Value, json};

use crate::support::{WORKERS, anywhere, beside_others, policy, until};

const FILTER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config";

fn listener(policy: Value) -> Listener {
    Listener {
        name: "edge".to_owned(),
        policy: Some(policy),
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: "upstream".to_owned(),
            ..Route::default()
        }],
        ..Listener::default()
    }
}

#[test]
fn a_bad_configuration_is_refused_whole_and_a_struct_is_as_good_as_a_string() -> anyhow::Result<()>
{
    let wasm = filter()?;
    let with = |policy: Value| {
        let listener = Listener {
            routes: Vec::new(),
            ..listener(policy)
        };
        bootstrap(&wasm, &[listener], &[])
    };
    assert_eq!(validate(&with(policy(json!({}))))?, Ok(()));
    let bad = json!({"version": 1, "policies": {"default": {"breaker": {"open": {"fro": "5s"}}}}});
    let said = validate(&with(bad.clone()))?.expect_err("a bad configuration");
    assert!(
        said.contains("policies.default.breaker.open.fro: unknown key, did you mean \"for\"?"),
        "{said}"
    );

    let mut whole = with(json!({}));
    for (value, valid) in [(policy(json!({"failure_rate": 12.5})), true), (bad, false)] {
        let filter = whole.pointer_mut(FILTER).expect("the filter");
        let place = match Body::asked()? {
            Body::Wasm => &mut filter["config"]["configuration"],
            Body::Module => &mut filter["filter_config"],
        };
        *place = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": value});
        let said = validate(&whole)?;
        assert_eq!(said.is_ok(), valid, "{said:?}");
    }
    Ok(())
}

/// Puts a listener where Envoy looks for it, by a move, as Envoy wants it.
fn publish(directory: &Path, bootstrap: &Value) -> anyhow::Result<()> {
    let mut listener = bootstrap["static_resources"]["listeners"][0].clone();
    listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
    let next = directory.join("next.json");
    std::fs::write(&next, json!({"resources": [listener]}).to_string())?;
    std::fs::rename(next, directory.join("lds.json"))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_envoy_keeps_what_it_has_when_the_new_one_is_bad() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let directory = tempfile::tempdir()?;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream.address()],
        ..Cluster::default()
    };
    let wasm = filter()?;
    let port = listen::reserved()?.port();
    let with = |policy: Value| {
        let mut whole = bootstrap(&wasm, &[listener(policy)], std::slice::from_ref(&cluster));
        whole["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] =
            json!(port);
        whole
    };
    let forced = |mode: &str| policy(json!({"mode": mode}));
    publish(directory.path(), &with(forced("enforce")))?;
    let mut dynamic = with(forced("enforce"));
    dynamic["static_resources"]["listeners"] = json!([]);
    dynamic["node"] = json!({"id": "test", "cluster": "test"});
    dynamic["dynamic_resources"] =
        json!({"lds_config": {"path_config_source": {"path": directory.path().join("lds.json")}}});
    let envoy = Envoy::start(&dynamic, WORKERS).await?;
    let client = Client::new(envoy.listener("edge")?, 1, Duration::from_secs(2));
    let status = async || client.get(0, "/").await.0;
    until("enforce", async || status().await == 200).await?;

    publish(
        directory.path(),
        &with(policy(json!({"mode": "forced_opne"}))),
    )?;
    until("a refused update", async || {
        envoy
            .sum(&["listener_manager.lds.update_rejected"])
            .await
            .is_ok_and(|count| count > 0)
            || !envoy.log_lines("configuration refused").is_empty()
    })
    .await?;
    assert_eq!(status().await, 200, "the old one still holds");

    publish(directory.path(), &with(forced("forced_open")))?;
    until("the new one", async || status().await == 503).await?;
    publish(directory.path(), &with(forced("enforce")))?;
    until("the old one again, closed and empty", async || {
        status().await == 200
    })
    .await?;
    crate::support::assert_no_trap(&envoy);
    Ok(())
}
