//! What ships for others to copy is what these tests run with.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use seawall_harness::check::{check, parse};
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap, stats_tags};
use seawall_live::envoy::{Envoy, filter, repository, validate};
use seawall_live::load::{Client, Kind, count};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use crate::support::{WORKERS, anywhere, assert_no_trap, beside_others, left_out_on_module, until};

const BOOTSTRAPS: [&str; 2] = ["envoy/seawall.yaml", "examples/compose/envoy.yaml"];
const FILTERS: &str =
    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";

fn document(path: &str) -> Value {
    let text = std::fs::read_to_string(repository().join(path)).expect("a shipped file");
    parse(&text).expect("YAML").remove(0)
}

/// Puts this filter in the place of every one that is read from a file.
fn with_filter(value: &mut Value, wasm: &Path) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner.as_str() {
                    Some(_) if key == "filename" => *inner = json!(wasm),
                    _ => with_filter(inner, wasm),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| with_filter(inner, wasm)),
        _ => {}
    }
}

/// A shipped bootstrap on free ports, with this upstream as its backend.
fn on_free_ports(path: &str, wasm: &Path, backend: SocketAddr) -> Value {
    let mut whole = document(path);
    with_filter(&mut whole, wasm);
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    whole["admin"]["address"] = address(0);
    whole["static_resources"]["listeners"][0]["address"] = address(0);
    let cluster = &mut whole["static_resources"]["clusters"][0];
    cluster["type"] = json!("STATIC");
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] =
        address(backend.port());
    whole
}

/// Sends requests of which a tenth fails at first: all retries are the filter's, paid one by one. Gives their number.
async fn assert_retries(envoy: &Envoy, upstream: &Upstream, path: &str) -> anyhow::Result<u64> {
    upstream.set(Knobs::failing_first(0.1));
    let client = Client::new(envoy.listener("edge")?, 8, Duration::from_secs(5));
    // At a pace, since two VMs learn of each other's deposits at the tick; a flood of one instant would find none.
    let samples = client.run("/", 250.0, Duration::from_secs(4)).await;
    let seen = upstream.snapshot();
    assert_eq!(seen.first_attempts, samples.len() as u64, "{path}");
    // The budget starts empty, so that the failures of the first half second may stay what they are.
    assert!(seen.retries >= 50, "{path}: {} retries", seen.retries);
    let good = count(&samples, Kind::Good);
    assert!(good + 40 >= samples.len(), "{path}: {good} good answers");
    let granted = ["wasmcustom.seawall_retries", "decision=granted"];
    assert_eq!(envoy.wait_for(&granted, seen.retries).await?, seen.retries);
    let accounting = envoy.sum(&["wasmcustom.seawall_retry_accounting"]).await?;
    assert_eq!(accounting, 2, "{path}: by attempt");
    assert_eq!(envoy.sum(&["upstream_rq_retry_overflow"]).await?, 0);
    assert_eq!(envoy.sum(&["wasmcustom.seawall_host_errors"]).await?, 0);
    assert_no_trap(envoy);
    Ok(seen.retries)
}

#[test]
fn the_stats_tags_are_the_same_everywhere_and_envoy_takes_what_the_envoyfilter_patches()
-> anyhow::Result<()> {
    let patch = document("examples/istio/envoyfilter-stats-tags.yaml");
    let patched = patch
        .pointer("/spec/configPatches/0/patch/value/stats_config")
        .expect("the patch");
    assert_eq!(patched["stats_tags"], stats_tags());
    for path in BOOTSTRAPS {
        let shipped = document(path);
        assert_eq!(
            shipped["stats_config"]["stats_tags"],
            stats_tags(),
            "{path}"
        );
    }
    let mut whole = bootstrap(&filter()?, &[], &[]);
    whole["stats_config"] = patched.clone();
    assert_eq!(validate(&whole)?, Ok(()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_bootstraps_retry_and_their_series_have_labels() -> anyhow::Result<()> {
    if left_out_on_module(
        "it is about shipped configurations of the .wasm; scripts/test-configurations.sh runs envoy/seawall-module.yaml",
    )? {
        return Ok(());
    }
    let _turn = beside_others().await;
    let wasm = filter()?;
    for path in BOOTSTRAPS {
        let upstream = Upstream::start("backend", anywhere()).await?;
        let whole = on_free_ports(path, &wasm, upstream.address());
        let envoy = Envoy::start(&whole, WORKERS).await?;
        let retries = assert_retries(&envoy, &upstream, path).await?;

        let series = envoy.admin("/stats/prometheus").await?;
        let own: Vec<&str> = series
            .lines()
            .filter(|line| line.starts_with("seawall_"))
            .collect();
        for name in own.iter().filter_map(|line| line.split('{').next()) {
            assert!(!name.contains(".."), "a label in a name: {name}");
            assert!(!name.contains("__"), "a label in a name: {name}");
        }
        let both = r#"policy="default",upstream="backend"}"#;
        for expected in [
            format!(
                r#"seawall_retries{{policy="default",upstream="backend",decision="granted",reason="none"}} {retries}"#
            ),
            format!("seawall_retry_accounting{{{both} 2"),
            format!("seawall_retry_budget{{{both}"),
        ] {
            let there = own.iter().any(|line| line.starts_with(&expected));
            assert!(there, "{path}: {expected} is not in {own:#?}");
        }
        // Envoy writes it in batches.
        until("the attempts in the access log", async || {
            let twice = envoy.access_log().matches(r#""attempts":2"#).count();
            twice as u64 == retries
        })
        .await?;
    }
    Ok(())
}

/// Istio gives a WasmPlugin no `vm_id` and a variable for each version, so that what the EnvoyFilter puts behind the
/// router is another VM, and what the two share stands in shared data alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_envoyfilter_merges_works_beside_a_wasm_plugin() -> anyhow::Result<()> {
    if left_out_on_module(
        "it is about shipped configurations of the .wasm; scripts/test-configurations.sh runs envoy/seawall-module.yaml",
    )? {
        return Ok(());
    }
    let _turn = beside_others().await;
    let wasm = filter()?;
    let plugin = document("examples/istio/wasmplugin.yaml");
    let policy = plugin.pointer("/spec/pluginConfig").expect("pluginConfig");
    let mut router = document("examples/istio/envoyfilter-upstream.yaml")
        .pointer("/spec/configPatches/0/patch/value")
        .cloned()
        .expect("the patch");
    with_filter(&mut router, &wasm);
    let text = "/typed_config/upstream_http_filters/0/typed_config/config/configuration/value";
    let text = router.pointer(text).and_then(Value::as_str).expect("text");
    assert_eq!(&serde_json::from_str::<Value>(text)?, policy);

    let upstream = Upstream::start("upstream", anywhere()).await?;
    let cluster = Cluster {
        name: "outbound|80||users.shop".to_owned(),
        hosts: vec![upstream.address()],
        ..Cluster::default()
    };
    let listener = Listener {
        name: "edge".to_owned(),
        policy: Some(policy.clone()),
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: cluster.name.clone(),
            ..Route::default()
        }],
        ..Listener::default()
    };
    let mut whole = bootstrap(&wasm, &[listener], &[cluster]);
    let vm = format!("{FILTERS}/0/typed_config/config/vm_config");
    let vm = whole.pointer_mut(&vm).expect("the filter");
    vm["vm_id"] = json!("");
    vm["environment_variables"] =
        json!({"key_values": {"ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "1"}});
    *whole
        .pointer_mut(&format!("{FILTERS}/1"))
        .expect("the router") = router;
    let envoy = Envoy::start(&whole, WORKERS).await?;
    assert_retries(&envoy, &upstream, "examples/istio").await?;
    Ok(())
}

/// What `seawall check` finds in a bootstrap, by the last key of its path.
fn found(whole: &Value) -> Vec<String> {
    let found = check(&whole.to_string()).expect("JSON");
    let all = found.errors.iter().chain(&found.warnings);
    let key = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    all.map(|finding| key(&finding.path)).collect()
}

#[test]
fn envoy_refuses_a_codec_that_is_not_the_last_as_check_does() -> anyhow::Result<()> {
    if left_out_on_module(
        "it is about shipped configurations of the .wasm; scripts/test-configurations.sh runs envoy/seawall-module.yaml",
    )? {
        return Ok(());
    }
    let whole = on_free_ports(BOOTSTRAPS[0], &filter()?, anywhere());
    assert_eq!((found(&whole), validate(&whole)?), (Vec::new(), Ok(())));
    let behind = format!("{FILTERS}/1/typed_config/upstream_http_filters");
    let filters = whole.pointer(&behind).expect("filters").clone();
    for (wrong, key) in [
        (json!([filters[0]]), "upstream_http_filters"),
        (json!([filters[1], filters[0]]), "upstream_http_filters[0]"),
    ] {
        let mut whole = whole.clone();
        *whole.pointer_mut(&behind).expect("filters") = wrong;
        assert_eq!(found(&whole), [key]);
        assert!(validate(&whole)?.is_err(), "{key}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_filters_of_its_own_hides_its_attempts_as_check_says() -> anyhow::Result<()>
{
    if left_out_on_module(
        "it is about shipped configurations of the .wasm; scripts/test-configurations.sh runs envoy/seawall-module.yaml",
    )? {
        return Ok(());
    }
    let _turn = beside_others().await;
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let upstream = Upstream::start("backend", anywhere()).await?;
    let mut whole = on_free_ports(BOOTSTRAPS[0], &filter()?, upstream.address());
    let codec = format!("{FILTERS}/1/typed_config/upstream_http_filters/1");
    let codec = whole.pointer(&codec).expect("the codec").clone();
    whole["static_resources"]["clusters"][0]["typed_extension_protocol_options"] = json!({
        OPTIONS: {
            "@type": format!("type.googleapis.com/{OPTIONS}"),
            "explicit_http_config": {"http_protocol_options": {}},
            "http_filters": [codec]
        }
    });
    assert_eq!(found(&whole), ["http_filters"]);
    let envoy = Envoy::start(&whole, WORKERS).await?;
    let client = Client::new(envoy.listener("edge")?, 8, Duration::from_secs(5));
    let samples = client.flood("/", 100).await;
    assert_eq!(count(&samples, Kind::Good), 100);
    let accounting = ["wasmcustom.seawall_retry_accounting"];
    assert_eq!(envoy.wait_for(&accounting, 1).await?, 1, "by request");
    Ok(())
}
