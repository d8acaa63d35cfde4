//! The Istio manifests that ship, against Istio's own CRDs: `scripts/test-istio.sh` runs this where they are.

use std::collections::BTreeMap;
use std::path::Path;

use seawall_harness::check::parse;
use serde_json::{Value, json};

/// The schemas of all CRDs in a directory, by kind and version.
fn schemas(directory: &Path) -> BTreeMap<(String, String), Value> {
    let mut schemas = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("ISTIO_CRDS is a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a readable file");
        for crd in parse(&text).expect("YAML") {
            let kind = crd
                .pointer("/spec/names/kind")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            let group = crd
                .pointer("/spec/group")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            for version in crd
                .pointer("/spec/versions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let name = version["name"].as_str().unwrap_or_default();
                let mut schema = version
                    .pointer("/schema/openAPIV3Schema")
                    .cloned()
                    .unwrap_or_default();
                close(&mut schema);
                schema["properties"]["apiVersion"] = json!({"type": "string"});
                schema["properties"]["kind"] = json!({"type": "string"});
                schema["properties"]["metadata"] = json!({"type": "object"});
                schemas.insert((kind.clone(), format!("{group}/{name}")), schema);
            }
        }
    }
    schemas
}

/// The API server drops keys that a schema does not know: here they are errors.
fn close(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    let open = map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if map.contains_key("properties") && !open && !map.contains_key("additionalProperties") {
        map.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for (key, inner) in map.iter_mut() {
        match key.as_str() {
            "properties" => inner
                .as_object_mut()
                .into_iter()
                .flatten()
                .for_each(|(_, inner)| close(inner)),
            "items" => close(inner),
            _ => {}
        }
    }
}

#[test]
#[ignore = "needs Istio's CRDs: scripts/test-istio.sh runs it where ISTIO_CRDS names them"]
fn the_manifests_fit_istios_own_definitions() {
    let directory = std::env::var_os("ISTIO_CRDS").expect("ISTIO_CRDS");
    let schemas = schemas(Path::new(&directory));
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/istio");
    for file in [
        "wasmplugin.yaml",
        "trafficextension.yaml",
        "trafficextension-inbound.yaml",
        "trafficextension-gateway.yaml",
        "trafficextension-waypoint.yaml",
        "destinationrule.yaml",
        "envoyfilter-stats-tags.yaml",
        "envoyfilter-upstream.yaml",
    ] {
        let text = std::fs::read_to_string(Path::new(examples).join(file)).expect("a manifest");
        let manifest = parse(&text).expect("YAML").remove(0);
        let name = |key: &str| manifest[key].as_str().unwrap_or_default().to_owned();
        let schema = schemas
            .get(&(name("kind"), name("apiVersion")))
            .expect("its CRD");
        let validator = jsonschema::validator_for(schema).expect("a schema");
        let errors: Vec<String> = validator
            .iter_errors(&manifest)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{file}");

        let mut wrong = manifest.clone();
        wrong["spec"]["failStrateyg"] = json!("FAIL_RELOAD");
        assert!(!validator.is_valid(&wrong), "an unknown key is found");
    }
}
