//! What is met and not read is named, and then no file is valid.

use serde_json::json;

use super::kinds::{discovery, filter, listener, plugin, tags};
use super::*;

const RETRIES: &str = r#"{"version":1,"policies":{"default":{"retries":{}}}}"#;

/// A bootstrap that is valid but for what is changed in it.
fn with(change: impl FnOnce(&mut Value)) -> Findings {
    let mut document = json!({
        "stats_config": tags(),
        "static_resources": {
            "listeners": [listener(filter(RETRIES))],
            "clusters": [{"name": "users", "circuit_breakers": {"thresholds": [{"max_retries": 1000}]}}],
        },
    });
    change(&mut document);
    findings(&document.to_string())
}

fn manager(document: &mut Value) -> &mut Value {
    &mut document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

/// Puts something beside the Seawall that is valid.
fn beside(other: Value) -> Findings {
    with(|document| {
        let filters = manager(document)["http_filters"].as_array_mut().unwrap();
        filters.insert(0, other);
    })
}

#[track_caller]
fn is_unread(found: &Findings, path: &str, words: &str) {
    assert_eq!(found.verdict(), Verdict::Incomplete, "{found:#?}");
    let [unread] = found.unread.as_slice() else {
        panic!("{found:#?}");
    };
    assert!(unread.path.ends_with(path), "{unread:?}");
    assert!(unread.problem.contains(words), "{unread:?}");
}

#[test]
fn the_bootstrap_itself_is_valid() {
    assert_eq!(with(|_| ()).verdict(), Verdict::Valid);
}

#[test]
fn a_filter_that_may_be_seawall_is_named() {
    let at = "http_filters[0]";
    let unnamed = |types: Value| json!({"name": "ns.plugin", "config_discovery": {"config_source": {"ads": {}}, "type_urls": types}});
    let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
    for (other, words) in [
        (discovery(), "from elsewhere (ADS)"),
        (unnamed(json!([wasm])), "from elsewhere (ADS)"),
        (
            json!({"name": "seawall", "config_discovery": {"config_source": {"path_config_source": {"path": "/a.yaml"}}}}),
            "the file /a.yaml",
        ),
        (
            json!({"name": "seawall", "config_discovery": {"config_source": {"api_config_source": {}}}}),
            "a server",
        ),
        (
            json!({"name": "seawall", "config_discovery": 3}),
            "a source that is not known",
        ),
        (json!({"name": "seawall"}), "no type"),
        (
            json!({"name": "seawall", "typed_config": {"value": {}}}),
            "no type",
        ),
        (
            json!({"name": "seawall", "typed_config": {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "value": {}}}),
            "no type",
        ),
        (
            json!({"name": "seawall", "typed_config": {
                "@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "type_url": "a/other.Filter", "value": {}}}),
            "its type is a/other.Filter",
        ),
        (
            json!({"name": "my-seawall", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"}}),
            "lua.v3.Lua",
        ),
    ] {
        is_unread(&beside(other), at, words);
    }
    for other in [
        unnamed(json!([
            "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
        ])),
        json!({"name": "lua", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"}}),
        json!({"name": "stats", "typed_config": {"@type": wasm, "config": {"root_id": "stats"}}}),
    ] {
        assert_eq!(beside(other).verdict(), Verdict::Valid);
    }
}

#[test]
fn what_a_filter_has_until_its_discovery_answers_is_judged_too() {
    let of = |policy: &str| {
        let mut other = discovery();
        other["config_discovery"]["default_config"] = filter(policy)["typed_config"].take();
        beside(other)
    };
    let same = beside(filter(RETRIES)).warnings.len();
    let good = of(RETRIES);
    is_unread(&good, "http_filters[0]", "from elsewhere (ADS)");
    assert_eq!(good.warnings.len(), same);
    let bad = of(r#"{"version":1,"policies":{"default":{"breaker":3}}}"#);
    let at = "http_filters[0].config_discovery.default_config.config.configuration: policies.default.breaker";
    assert!(bad.errors[0].path.ends_with(at), "{bad:#?}");
}

#[test]
fn seawall_without_its_name_is_known_by_what_it_is_told_or_runs() {
    let bad = r#"{"version":1,"policies":{"default":{"breaker":3}}}"#;
    let of = |config: Value| {
        let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
        let other = json!({"name": "wasm", "typed_config": {"@type": wasm, "config": config}});
        let found = beside(other).errors.into_iter();
        found
            .filter(|error| error.path.contains("config.configuration"))
            .count()
    };
    let mut told = plugin(bad);
    for key in ["name", "root_id", "vm_config"] {
        told.as_object_mut().unwrap().remove(key);
    }
    assert_eq!(of(told), 1);
    let uri = json!({"remote": {"http_uri": {"uri": "https://a.example/seawall.wasm"}}});
    assert_eq!(of(json!({"vm_config": {"code": uri}})), 1);
}

#[test]
fn a_filter_where_no_rule_knows_it_is_judged_and_named() {
    let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
    let matched = json!({"name": "composite", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
        "xds_matcher": {"on_no_match": {"action": {"name": "run", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.ExecuteFilterAction",
            "typed_config": filter(GOOD)}}}}}});
    is_unread(
        &beside(matched),
        "action.typed_config.typed_config",
        "not judged",
    );
    let per_route = with(|document| {
        let hosts = &mut manager(document)["route_config"]["virtual_hosts"][0];
        hosts["typed_per_filter_config"] =
            json!({"seawall": {"@type": wasm, "config": plugin(GOOD)}});
    });
    is_unread(&per_route, "typed_per_filter_config.seawall", "not judged");
    let network = with(|document| {
        let filters =
            &mut document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
        let kind = "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm";
        let other =
            json!({"name": "seawall", "typed_config": {"@type": kind, "config": plugin(GOOD)}});
        filters.as_array_mut().unwrap().insert(0, other);
    });
    is_unread(
        &network,
        "filter_chains[0].filters[0]",
        "network.wasm.v3.Wasm",
    );
    let service = with(|document| {
        let kind = "type.googleapis.com/envoy.extensions.wasm.v3.WasmService";
        document["bootstrap_extensions"] =
            json!([{"name": "wasm", "typed_config": {"@type": kind, "config": plugin(GOOD)}}]);
    });
    is_unread(&service, "bootstrap_extensions[0]", "WasmService");
}

#[test]
fn what_comes_from_elsewhere_is_named() {
    let dynamic = |key: &str, source: Value| {
        with(|document| document["dynamic_resources"] = json!({key: source}))
    };
    let ads = json!({"ads": {}});
    is_unread(
        &dynamic("lds_config", ads.clone()),
        "dynamic_resources.lds_config",
        "(ADS)",
    );
    let file = json!({"path_config_source": {"path": "/cds.yaml"}});
    is_unread(
        &dynamic("cds_config", file),
        "dynamic_resources.cds_config",
        "(the file /cds.yaml)",
    );
    for (key, value) in [
        (
            "rds",
            json!({"route_config_name": "all", "config_source": ads}),
        ),
        (
            "scoped_routes",
            json!({"name": "all", "rds_config_source": ads}),
        ),
    ] {
        let found = with(|document| {
            let manager = manager(document).as_object_mut().unwrap();
            manager.remove("route_config");
            manager.insert(key.to_owned(), value);
        });
        is_unread(&found, key, "(ADS)");
    }
    let vhds = with(|document| manager(document)["route_config"]["vhds"] = json!({}));
    is_unread(&vhds, "route_config.vhds", "virtual hosts");
    // A listener alone says nothing of clusters, which matters where retries ask for their limit.
    let lds =
        |policy: &str| findings(&json!({"resources": [listener(filter(policy))]}).to_string());
    is_unread(&lds(RETRIES), "", "no clusters");
    assert_eq!(lds(GOOD).verdict(), Verdict::Valid);
}

#[test]
fn filter_chains_that_come_from_elsewhere_are_named_wherever_a_listener_stands() {
    let discovered = || {
        let mut listener = listener(filter(GOOD));
        listener["fcds_config"] = json!({"name": "chains", "config_source": {"ads": {}}});
        listener
    };
    let patch =
        |kind: &str, spec: Value| json!({"kind": kind, "metadata": {"name": "a"}, "spec": spec});
    for document in [
        json!({"stats_config": tags(), "static_resources": {"listeners": [discovered()]}}),
        json!({"stats_config": tags(), "staticResources": {"listeners": [
            {"name": "other", "fcdsConfig": {"configSource": {"ads": {}}}}, listener(filter(GOOD))]}}),
        json!({"resources": [discovered()]}),
        json!({"configs": [{"dynamic_listeners": [{"active_state": {"listener": discovered()}}]}]}),
        patch(
            "EnvoyFilter",
            json!({"configPatches": [{"applyTo": "LISTENER", "patch": {"operation": "ADD", "value": discovered()}}]}),
        ),
        patch(
            "EnvoyPatchPolicy",
            json!({"jsonPatches": [{"operation": {"op": "add", "path": "", "value": discovered()}}]}),
        ),
    ] {
        let found = findings(&document.to_string());
        is_unread(&found, ".fcds_config", "(ADS)");
        assert_eq!(found.configurations, 1, "{document}");
    }
}

#[test]
fn a_template_is_no_error_and_not_valid() {
    for template in [
        r#"{"version": 1, "policies": {{ .Values.policies | toJson }}}"#,
        r#"{"version": 1, "policies": {"default": {"timeout": {"total": "${TOTAL}"}}}}"#,
    ] {
        let found = with(|document| {
            manager(document)["http_filters"][0] = filter(template);
        });
        is_unread(&found, "config.configuration", "template");
        assert_eq!(found.configurations, 0);
    }
    let plugin = "kind: WasmPlugin\nmetadata: {name: seawall}\nspec: {url: a, failStrategy: FAIL_RELOAD, pluginConfig: {version: 1, \
                  policies: {default: {timeout: {total: '{{ .Values.total }}'}}}}}\n";
    is_unread(&findings(plugin), "spec.pluginConfig", "template");
    let whole = check("static_resources: {{ toYaml . }}\n  a: {{ b }}\n").unwrap_err();
    assert!(whole.to_string().contains("template"), "{whole}");
    // What is right as it stands is right, whatever its texts say.
    let text = r#"{"version":1,"policies":{"default":{"fallback":[{"on":["open"],"static":{"body":"{{ }} ${A}"}}]}}}"#;
    let found = with(|document| manager(document)["http_filters"][0] = filter(text));
    assert_eq!(found.verdict(), Verdict::Valid, "{found:#?}");
}

#[test]
fn a_configuration_in_another_form_is_named() {
    let bytes = with(|document| {
        manager(document)["http_filters"][0]["typed_config"]["config"]["configuration"] =
            json!({"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": "e30="});
    });
    is_unread(&bytes, "config.configuration", "BytesValue");
}

#[test]
fn texts_of_an_unknown_kind_are_named() {
    for (text, path, words) in [
        ("just words\n", "", "none of the kinds"),
        ("image: {tag: 1}\n", "", "none of the kinds"),
        ("resources: 3\n", "resources", "is no list"),
        ("resources: [a.yaml]\n", "resources[0]", "names a file"),
        (
            "resources: [{'@type': a.b/c}]\n",
            "resources[0]",
            "unknown type",
        ),
        ("resources: [{a: 1}]\n", "resources[0]", "unknown type"),
        (
            "kind: HelmRelease\nspec: {values: {policies: {default: {}}, version: 1}}\n",
            "",
            "HelmRelease",
        ),
        ("kind: 3\npolicies: {}\nversion: 1\n", "", "kind"),
        ("kind: List\nitems: 3\n", "items", "is no list"),
        ("kind: ConfigMap\ndata: 3\n", "data", "no files"),
        ("kind: ConfigMap\ndata: {a: 3}\n", "data.a", "is no text"),
        (
            "kind: ConfigMap\ndata: {a.yaml: 'static_resources: {{ \"filters.http.wasm\" }} }'}\n",
            "data.a.yaml",
            "template",
        ),
        (
            "kind: ConfigMap\nbinaryData: {envoy.yaml: aaaa}\n",
            "binaryData.envoy.yaml",
            "base64",
        ),
        (
            "kind: Secret\ndata: {envoy.yaml: aaaa}\n",
            "data.envoy.yaml",
            "base64",
        ),
        (
            "kind: EnvoyFilter\nspec: {configPatches: 3}\n",
            "spec.configPatches",
            "is no list",
        ),
        (
            "kind: EnvoyExtensionPolicy\nspec: 3\n",
            "spec.wasm",
            "is no list",
        ),
        (
            "kind: TrafficExtension\nmetadata: {name: seawall}\nspec: {lua: {inlineCode: a}}\n",
            "spec.lua",
            "script",
        ),
        (
            "kind: EnvoyPatchPolicy\nspec: {jsonPatches: [{operation: {op: replace, path: /a/configuration/value/policies, value: {}}}]}\n",
            "operation.value",
            "a part of a configuration",
        ),
        (
            "configs: [{dynamic_listeners: [{error_state: {details: no such thing}}]}]\n",
            "dynamic_listeners[0].error_state",
            "no such thing",
        ),
    ] {
        let found = findings(text);
        is_unread(&found, path, words);
        assert_eq!(found.configurations, 0, "{text}");
    }
}

#[test]
fn where_there_is_nothing_of_ours_that_is_said_and_nothing_is_valid() {
    for text in [
        "",
        "kind: Deployment\n",
        "kind: ConfigMap\ndata: {a: b, c.properties: 'x=1', d.yaml: 'a: 1'}\n",
        "kind: ConfigMap\nbinaryData: {seawall.wasm: AGFzbQ==}\n",
        "kind: DestinationRule\nspec: {host: a, trafficPolicy: {connectionPool: {http: {maxRetries: 3}}}}\n",
        "kind: WasmPlugin\nmetadata: {name: other}\nspec: {url: a}\n",
        "static_resources: {listeners: [], clusters: []}\n",
        "configs: []\n",
        "resources: []\n",
        "[]\n",
    ] {
        let found = findings(text);
        assert_eq!(found.verdict(), Verdict::Invalid, "{text}");
        assert!(
            found.errors[0]
                .problem
                .starts_with("no configuration of Seawall"),
            "{text}"
        );
    }
}

#[test]
fn beside_envoy_gateways_own_limits_a_policy_with_limits_is_not_valid() {
    let policy = |policy: &str| {
        format!(
            "kind: EnvoyExtensionPolicy\nmetadata: {{name: seawall}}\nspec: {{wasm: [{{name: seawall, config: {policy}}}]}}\n---\n"
        )
    };
    let traffic = "kind: BackendTrafficPolicy\nspec: {circuitBreaker: {maxParallelRetries: 3}}\n";
    let route = "kind: HTTPRoute\nspec: {rules: [{timeouts: {request: 1s}}]}\n";
    for (other, path) in [
        (traffic, "spec.circuitBreaker"),
        (route, "spec.rules[0].timeouts"),
    ] {
        is_unread(
            &findings(&format!("{}{other}", policy(RETRIES))),
            path,
            "is not judged",
        );
        let plain = findings(&format!("{}{other}", policy(GOOD)));
        assert_eq!(plain.verdict(), Verdict::Valid);
    }
}

#[test]
fn a_connection_manager_that_comes_from_elsewhere_is_named() {
    let kind = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let found = with(|document| {
        let mut other = listener(filter(RETRIES));
        other["name"] = json!("other");
        other["filter_chains"][0]["filters"][0] = json!({
            "name": "hcm",
            "config_discovery": {"config_source": {"ads": {}}, "type_urls": [kind]},
        });
        let listeners = document["static_resources"]["listeners"].as_array_mut();
        listeners.unwrap().push(other);
    });
    is_unread(&found, "filters[0]", "from elsewhere (ADS)");
}

#[test]
fn a_policy_file_in_yaml_is_found_under_any_name() {
    let found = beside(json!({
        "name": "resilience",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {"configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": "version: 1\npolicies: {default: {}}\n",
            }},
        },
    }));
    assert_eq!(found.verdict(), Verdict::Invalid, "{found:#?}");
}
