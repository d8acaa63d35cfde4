//! What a real Envoy says of itself is judged as the bootstrap it came from is, in every way in which a filter's configuration
//! can be written.

use std::path::Path;

use seawall_harness::check::{Findings, Verdict, check};
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use serde_json::{Value, json};

use crate::support::{WORKERS, anywhere, beside_others};

const FILTER: &str =
    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0";

/// A bootstrap in which one thing is wrong: Envoy's own limit on retries.
fn plain(wasm: &Path) -> Value {
    let listener = Listener {
        name: "edge".to_owned(),
        policy: Some(json!({"version": 1, "policies": {"default": {"retries": {}}}})),
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: "users".to_owned(),
            ..Route::default()
        }],
        upstream: true,
        ..Listener::default()
    };
    let cluster = Cluster {
        name: "users".to_owned(),
        hosts: vec![anywhere()],
        more: json!({"circuit_breakers": {"thresholds": [{"max_retries": 7}]}}),
        http2: false,
    };
    let mut whole = bootstrap(wasm, &[listener], &[cluster]);
    whole["node"] = json!({"id": "one", "cluster": "all"});
    whole
}

/// `httpFilters` for `http_filters`, in all of Envoy's messages.
fn camel(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let each = map.iter().map(|(key, inner)| {
                let is_free = [
                    "configuration",
                    "filter_config",
                    "json_format",
                    "static_layer",
                ]
                .contains(&key.as_str());
                let inner = if is_free { inner.clone() } else { camel(inner) };
                let mut words = key.split('_');
                let mut name = words.next().unwrap_or_default().to_owned();
                for word in words {
                    let (first, rest) = word.split_at(word.len().min(1));
                    name.push_str(&first.to_ascii_uppercase());
                    name.push_str(rest);
                }
                (name, inner)
            });
            Value::Object(each.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(camel).collect()),
        other => other.clone(),
    }
}

/// A filter whose configuration is a `TypedStruct`.
fn as_struct(filter: &mut Value, package: &str) {
    let mut message = filter["typed_config"].take();
    let kind = message["@type"].take();
    message.as_object_mut().expect("a message").remove("@type");
    filter["typed_config"] = json!({
        "@type": format!("type.googleapis.com/{package}.TypedStruct"),
        "type_url": kind,
        "value": message,
    });
}

/// What both must say: the one limit, and nothing else that retries ask for.
fn assert_found(found: &Findings, name: &str, at: &str) {
    assert_eq!(found.errors, vec![], "{name}");
    assert_eq!(
        found.verdict(),
        Verdict::Valid,
        "{name}: {:?}",
        found.unread
    );
    let limits = found
        .warnings
        .iter()
        .filter(|found| found.path.ends_with("circuit_breakers.thresholds"));
    let limits: Vec<&str> = limits.map(|found| found.path.as_str()).collect();
    assert_eq!(limits.len(), 1, "{name}: {:?}", found.warnings);
    assert!(limits[0].starts_with(at), "{name}: {limits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_envoy_says_of_itself_is_judged_as_its_bootstrap() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let wasm = filter()?;
    let directory = tempfile::tempdir()?;
    let ecds = directory.path().join("ecds.json");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut whole = plain(&wasm);
        change(whole.pointer_mut(FILTER).expect("the filter"));
        whole
    };
    let discovered = with(&|filter| {
        let kind = filter["typed_config"]["@type"].clone();
        let resource = json!({
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": "seawall",
            "typed_config": filter["typed_config"].take(),
        });
        std::fs::write(&ecds, json!({"resources": [resource]}).to_string()).expect("a file");
        *filter = json!({"name": "seawall", "config_discovery": {
            "config_source": {"path_config_source": {"path": ecds}, "resource_api_version": "V3"},
            "type_urls": [kind],
        }});
    });
    for (name, whole) in [
        ("plain", plain(&wasm)),
        ("camel case", camel(&plain(&wasm))),
        ("udpa", with(&|filter| as_struct(filter, "udpa.type.v1"))),
        ("xds", with(&|filter| as_struct(filter, "xds.type.v3"))),
        ("ECDS", discovered),
    ] {
        let envoy = Envoy::start(&whole, WORKERS).await?;
        assert_eq!(
            envoy.sum(&["wasmcustom.seawall_host_errors"]).await?,
            0,
            "{name}"
        );
        let dump = check(&envoy.admin("/config_dump").await?)?;
        assert_found(&dump, name, "configs[");
        // The file with its resource stands beside the bootstrap.
        let written = match name {
            "ECDS" => format!("{whole}\n---\n{}\n", std::fs::read_to_string(&ecds)?),
            _ => whole.to_string(),
        };
        let written = check(&written)?;
        let at = if name == "ECDS" {
            "document 1.static"
        } else {
            "static"
        };
        assert_found(&written, name, at);
        assert_eq!(written.warnings.len(), dump.warnings.len(), "{name}");
    }
    Ok(())
}
