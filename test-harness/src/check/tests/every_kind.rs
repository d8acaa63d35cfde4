//! In every kind of file what is wrong is found where it stands, and what is right is valid; and files of one Envoy are
//! judged together.

use serde_json::json;

use super::kinds::{KINDS, Kind, bootstrap, filter, listener, parsed, tags};
use super::*;

const BAD: &str =
    r#"{"version": 1, "policies": {"default": {"breaker": {"open": {"fro": "2s"}}}}}"#;
const HTTP: &str = "filter_chains[0].filters[0].typed_config.http_filters[0]";
const CONFIG: &str = "typed_config.config.configuration";
const STRUCT: &str = "typed_config.value.config.configuration";

fn path(kind: &Kind) -> String {
    let at = kind.at.replace("HTTP", HTTP);
    at.replace("CONFIG", CONFIG).replace("STRUCT", STRUCT)
}

/// `httpFilters` for `http_filters`, in all of Envoy's messages.
fn camel(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let each = map.iter().map(|(key, inner)| {
                let is_free = key == "configuration" || key == "filter_metadata";
                let inner = if is_free { inner.clone() } else { camel(inner) };
                let mut words = key.split('_');
                let mut name = words.next().unwrap_or_default().to_owned();
                for word in words {
                    let (first, rest) = word.split_at(1);
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

#[test]
fn what_is_wrong_is_found_in_every_kind_of_file() {
    for kind in KINDS {
        let found = findings(&(kind.of)(BAD).to_string());
        let key = "policies.default.breaker.open.fro";
        let at = match path(kind).as_str() {
            "" => key.to_owned(),
            path => format!("{path}: {key}"),
        };
        assert_eq!(paths(&found.errors), [at], "{}", kind.name);
        assert_eq!(found.verdict(), Verdict::Invalid, "{}", kind.name);
    }
}

#[test]
fn what_is_right_is_valid_in_every_kind_of_file() {
    for kind in KINDS {
        let found = findings(&(kind.of)(GOOD).to_string());
        let is = (found.verdict(), found.configurations);
        assert_eq!(is, (Verdict::Valid, 1), "{}: {found:#?}", kind.name);
        let expected = match kind.name {
            "EnvoyExtensionPolicy" | "EnvoyExtensionPolicy with a text" => {
                vec!["spec.wasm[0].failOpen"]
            }
            _ => vec![],
        };
        assert_eq!(paths(&found.warnings), expected, "{}", kind.name);
    }
}

#[test]
fn both_spellings_of_protobufs_json_say_the_same() {
    // With something to say of what stands around the filter, too.
    let retries = r#"{"version":1,"policies":{"default":{"retries":{},"timeout":{"total":"20s","per_try":"16s"}}}}"#;
    let mut count = 0;
    for kind in KINDS.iter().filter(|kind| kind.is_envoys) {
        for policy in [BAD, GOOD, retries] {
            let document = (kind.of)(policy);
            let other = camel(&document);
            assert_ne!(document, other, "{}", kind.name);
            let both = [document, other].map(|document| findings(&document.to_string()));
            assert_eq!(both[0], both[1], "{}", kind.name);
            count += both[0].warnings.len();
        }
    }
    assert!(count > 10, "{count}");
    let twice = "staticResources: {}\nstatic_resources: {}\n";
    assert_eq!(paths(&findings(twice).errors), ["static_resources"]);
}

#[test]
fn a_names_own_spelling_in_a_free_map_stays() {
    let policy = r#"{"version":1,"policies":{"default":{},"myPolicy":{"retries":{}}}}"#;
    let mut document = bootstrap(filter(policy));
    let route = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0";
    let metadata = json!({"filter_metadata": {"seawall": {"policy": "myPolicy"}}});
    document.pointer_mut(route).unwrap()["metadata"] = metadata;
    document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        ["http_filters"][0]["typed_config"]["config"]["configuration"] = json!({
        "@type": "type.googleapis.com/google.protobuf.Struct", "value": parsed(policy)});
    let found = findings(&camel(&document).to_string());
    assert_eq!(found.errors, vec![]);
    let limit = "static_resources.clusters[0].circuit_breakers.thresholds";
    assert!(paths(&found.warnings).contains(&limit), "{found:#?}");
}

#[test]
fn what_belongs_to_one_envoy_is_judged_together() {
    let retries = r#"{"version":1,"policies":{"default":{"retries":{}}}}"#;
    let lds = json!({"resources": [listener(filter(retries))]});
    let cluster = |retries: u64| {
        json!({"resources": [{
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "users",
            "circuit_breakers": {"thresholds": [{"max_retries": retries}]}}]})
    };
    let limit = "document 2.resources[0].circuit_breakers.thresholds";
    for (retries, warned) in [(3, true), (1000, false)] {
        let text = format!("{lds}\n---\n{}\n", cluster(retries));
        let found = findings(&text);
        assert_eq!(
            paths(&found.warnings).contains(&limit),
            warned,
            "{found:#?}"
        );
        assert_eq!(found.verdict(), Verdict::Valid);
    }
    // A bootstrap that takes both from files, beside these files.
    let bootstrap = json!({"stats_config": tags(), "dynamic_resources": {
        "lds_config": {"path": "lds.json"}, "cds_config": {"path": "cds.json"}}});
    assert_eq!(
        findings(&bootstrap.to_string()).verdict(),
        Verdict::Incomplete
    );
    let files = [
        ("envoy.json", bootstrap),
        ("lds.json", lds),
        ("cds.json", cluster(3)),
    ];
    let files = files.map(|(name, value)| (name.to_owned(), vec![value]));
    let found = together(files.to_vec());
    assert_eq!((found.verdict(), found.configurations), (Verdict::Valid, 1));
    let limit = "cds.json: resources[0].circuit_breakers.thresholds";
    assert!(paths(&found.warnings).contains(&limit), "{found:#?}");
}

#[test]
fn routes_by_rds_are_judged_as_a_listeners_own() {
    let policy = r#"{"version":1,"policies":{"default":{"timeout":{"total":"30s"}}}}"#;
    let mut manager = listener(filter(policy));
    let owner = &mut manager["filter_chains"][0]["filters"][0]["typed_config"];
    let mut routes = owner["route_config"].take();
    owner.as_object_mut().unwrap().remove("route_config");
    owner["rds"] = json!({"route_config_name": "all", "config_source": {"ads": {}}});
    let alone = findings(&json!({"resources": [manager]}).to_string());
    let rds = format!("resources[0].{}", HTTP.replace("http_filters[0]", "rds"));
    assert_eq!(paths(&alone.unread), [rds]);
    routes["name"] = json!("all");
    routes["virtual_hosts"][0]["routes"][0]["route"]["timeout"] = json!("5s");
    let both = findings(&json!({"resources": [manager, routes]}).to_string());
    let timeout = "resources[1].virtual_hosts[0].routes[0].route.timeout";
    assert_eq!(
        (paths(&both.warnings), both.unread.len()),
        (vec![timeout], 0)
    );
}
