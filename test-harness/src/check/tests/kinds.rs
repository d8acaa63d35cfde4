//! Every kind of file in which a configuration of Seawall stands.

use serde_json::json;

use super::*;

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// A kind of file.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Where the configuration stands in it.
    pub(super) at: &'static str,
    /// Whether it is Envoy's own, with two spellings of each field.
    pub(super) is_envoys: bool,
    pub(super) of: fn(&str) -> Value,
}

fn message(policy: &str) -> Value {
    json!({"@type": WASM, "config": plugin(policy)})
}

pub(super) fn plugin(policy: &str) -> Value {
    json!({
        "name": "seawall",
        "root_id": "seawall",
        "failure_policy": "FAIL_RELOAD",
        "vm_config": {"vm_id": "seawall", "code": {"local": {"filename": "seawall.wasm"}}},
        "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": policy},
    })
}

pub(super) fn filter(policy: &str) -> Value {
    json!({"name": "seawall", "typed_config": message(policy)})
}

fn typed_struct(package: &str, policy: &str) -> Value {
    json!({"name": "seawall", "typed_config": {
        "@type": format!("type.googleapis.com/{package}.TypedStruct"),
        "type_url": WASM,
        "value": {"config": plugin(policy)},
    }})
}

pub(super) fn discovery() -> Value {
    json!({"name": "seawall", "config_discovery": {
        "config_source": {"ads": {}},
        "type_urls": [WASM],
    }})
}

pub(super) fn manager(filter: Value) -> Value {
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
    json!({"name": "hcm", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "route_config": {"virtual_hosts": [{"domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "users"}}]}]},
        "http_filters": [filter, router],
    }})
}

pub(super) fn listener(filter: Value) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "edge",
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [manager(filter)]}],
    })
}

fn extension(filter: &Value) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": "seawall",
        "typed_config": filter["typed_config"],
    })
}

pub(super) fn tags() -> Value {
    let names = [
        "policy", "upstream", "decision", "reason", "outcome", "from", "to", "rung", "call",
    ];
    json!({"stats_tags": names.map(|name| json!({"tag_name": name}))})
}

pub(super) fn bootstrap(filter: Value) -> Value {
    let mut listener = listener(filter);
    listener.as_object_mut().unwrap().remove("@type");
    json!({
        "stats_config": tags(),
        "static_resources": {"listeners": [listener], "clusters": [{"name": "users"}]},
    })
}

fn envoy_filter(patches: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "seawall", "namespace": "istio-system"},
        "spec": {"configPatches": patches},
    })
}

fn insert(filter: Value) -> Value {
    json!({"applyTo": "HTTP_FILTER", "patch": {"operation": "INSERT_BEFORE", "value": filter}})
}

fn wasm_plugin(policy: &str) -> Value {
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "seawall", "namespace": "shop"},
        "spec": {
            "url": "oci://repo.example/seawall:1",
            "match": [{"mode": "CLIENT"}],
            "failStrategy": "FAIL_RELOAD",
            "pluginConfig": parsed(policy),
        },
    })
}

fn patch_policy(path: &str, value: Value) -> Value {
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyPatchPolicy",
        "metadata": {"name": "seawall"},
        "spec": {"type": "JSONPatch", "jsonPatches": [{
            "type": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": "default/eg/http",
            "operation": {"op": "add", "path": path, "value": value},
        }]},
    })
}

fn config_map(name: &str, inner: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "envoy"}, "data": {name: inner.to_string()}})
}

/// A text that is no policy stands as it is, so that hostile tests can put anything there.
pub(super) fn parsed(policy: &str) -> Value {
    serde_json::from_str(policy).unwrap_or_else(|_| json!(policy))
}

/// All kinds. In `at`, `HTTP`, `CONFIG` and `STRUCT` stand for those paths.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "policy",
        at: "",
        is_envoys: false,
        of: parsed,
    },
    Kind {
        name: "bootstrap",
        at: "static_resources.listeners[0].HTTP.CONFIG",
        is_envoys: true,
        of: |policy| bootstrap(filter(policy)),
    },
    Kind {
        name: "udpa TypedStruct",
        at: "static_resources.listeners[0].HTTP.STRUCT",
        is_envoys: true,
        of: |policy| bootstrap(typed_struct("udpa.type.v1", policy)),
    },
    Kind {
        name: "xds TypedStruct",
        at: "static_resources.listeners[0].HTTP.STRUCT",
        is_envoys: true,
        of: |policy| bootstrap(typed_struct("xds.type.v3", policy)),
    },
    Kind {
        name: "Struct",
        at: "static_resources.listeners[0].HTTP.CONFIG",
        is_envoys: true,
        of: |policy| {
            let mut filter = filter(policy);
            filter["typed_config"]["config"]["configuration"] = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": parsed(policy)});
            bootstrap(filter)
        },
    },
    Kind {
        name: "a discovery with its resource",
        at: "resources[1].CONFIG",
        is_envoys: true,
        of: |policy| json!({"resources": [listener(discovery()), extension(&filter(policy))]}),
    },
    Kind {
        name: "LDS",
        at: "resources[0].HTTP.CONFIG",
        is_envoys: true,
        of: |policy| json!({"version_info": "1", "resources": [listener(filter(policy))]}),
    },
    Kind {
        name: "LDS in wrappers",
        at: "resources[0].resource.HTTP.CONFIG",
        is_envoys: true,
        of: |policy| {
            json!({"resources": [{
            "@type": "type.googleapis.com/envoy.service.discovery.v3.Resource",
            "name": "edge", "version": "1", "resource": listener(filter(policy))}]})
        },
    },
    Kind {
        name: "ECDS alone",
        at: "resources[0].STRUCT",
        is_envoys: true,
        of: |policy| json!({"resources": [extension(&typed_struct("xds.type.v3", policy))]}),
    },
    Kind {
        name: "a listener",
        at: "HTTP.CONFIG",
        is_envoys: true,
        of: |policy| listener(filter(policy)),
    },
    Kind {
        name: "listeners without types",
        at: "[0].HTTP.CONFIG",
        is_envoys: true,
        of: |policy| {
            let mut listener = listener(filter(policy));
            listener.as_object_mut().unwrap().remove("@type");
            json!([listener])
        },
    },
    Kind {
        name: "config_dump",
        at: "configs[1].dynamic_listeners[0].active_state.listener.HTTP.CONFIG",
        is_envoys: true,
        of: |policy| {
            json!({"configs": [
                {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"stats_config": tags(),
                    "dynamic_resources": {"lds_config": {"ads": {}}, "cds_config": {"ads": {}}}}},
                {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [
                    {"name": "edge", "active_state": {"version_info": "1", "listener": listener(filter(policy))}}]},
                {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": [
                    {"cluster": {"name": "users"}}]},
            ]})
        },
    },
    Kind {
        name: "config_dump with ECDS",
        at: "configs[0].ecds_filters[0].ecds_filter.STRUCT",
        is_envoys: true,
        of: |policy| {
            json!({"configs": [
                {"@type": "type.googleapis.com/envoy.admin.v3.EcdsConfigDump", "ecds_filters": [
                    {"ecds_filter": extension(&typed_struct("udpa.type.v1", policy))}]},
                {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "static_listeners": [
                    {"listener": listener(discovery())}]},
            ]})
        },
    },
    Kind {
        name: "one item of a config_dump",
        at: "configs[0].active_state.listener.HTTP.CONFIG",
        is_envoys: true,
        of: |policy| {
            json!({"configs": [{
            "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener",
            "name": "edge", "active_state": {"listener": listener(filter(policy))}}]})
        },
    },
    Kind {
        name: "ConfigMap",
        at: "data.envoy.yaml.static_resources.listeners[0].HTTP.CONFIG",
        is_envoys: false,
        of: |policy| config_map("envoy.yaml", &bootstrap(filter(policy))),
    },
    Kind {
        name: "ConfigMap of a listener in a List",
        at: "items[0].data.lds.json.resources[0].HTTP.CONFIG",
        is_envoys: false,
        of: |policy| {
            json!({"kind": "ConfigMapList", "items": [
            config_map("lds.json", &json!({"resources": [listener(filter(policy))]}))]})
        },
    },
    Kind {
        name: "Secret",
        at: "stringData.policy.yaml",
        is_envoys: false,
        of: |policy| json!({"kind": "Secret", "stringData": {"policy.yaml": policy}}),
    },
    Kind {
        name: "WasmPlugin",
        at: "spec.pluginConfig",
        is_envoys: false,
        of: wasm_plugin,
    },
    Kind {
        name: "WasmPlugin in a List",
        at: "items[0].spec.pluginConfig",
        is_envoys: false,
        of: |policy| json!({"apiVersion": "v1", "kind": "List", "items": [wasm_plugin(policy)]}),
    },
    Kind {
        name: "TrafficExtension",
        at: "spec.wasm.pluginConfig",
        is_envoys: false,
        of: |policy| {
            json!({
                "apiVersion": "extensions.istio.io/v1alpha1",
                "kind": "TrafficExtension",
                "metadata": {"name": "seawall"},
                "spec": {"phase": "UNSPECIFIED", "wasm": {
                    "url": "oci://repo.example/seawall:1", "failStrategy": "FAIL_RELOAD", "pluginConfig": parsed(policy)}},
            })
        },
    },
    Kind {
        name: "EnvoyFilter",
        at: "spec.configPatches[0].patch.value.CONFIG",
        is_envoys: true,
        of: |policy| envoy_filter(json!([insert(filter(policy))])),
    },
    Kind {
        name: "EnvoyFilter with TypedStruct",
        at: "spec.configPatches[0].patch.value.STRUCT",
        is_envoys: true,
        of: |policy| envoy_filter(json!([insert(typed_struct("udpa.type.v1", policy))])),
    },
    Kind {
        name: "EnvoyFilter with EXTENSION_CONFIG",
        at: "spec.configPatches[1].patch.value.STRUCT",
        is_envoys: true,
        of: |policy| {
            envoy_filter(json!([
                insert(discovery()),
                {"applyTo": "EXTENSION_CONFIG", "patch": {"operation": "ADD", "value": typed_struct("udpa.type.v1", policy)}},
            ]))
        },
    },
    Kind {
        name: "EnvoyFilter with a connection manager",
        at: "spec.configPatches[0].patch.value.typed_config.http_filters[0].CONFIG",
        is_envoys: true,
        of: |policy| {
            envoy_filter(json!([
            {"applyTo": "NETWORK_FILTER", "patch": {"operation": "MERGE", "value": manager(filter(policy))}}]))
        },
    },
    Kind {
        name: "EnvoyExtensionPolicy",
        at: "spec.wasm[0].config",
        is_envoys: false,
        of: |policy| {
            json!({
                "apiVersion": "gateway.envoyproxy.io/v1alpha1",
                "kind": "EnvoyExtensionPolicy",
                "metadata": {"name": "policies"},
                "spec": {"wasm": [{"name": "seawall", "code": {"type": "Image"}, "config": parsed(policy)}]},
            })
        },
    },
    Kind {
        name: "EnvoyExtensionPolicy with a text",
        at: "spec.wasm[0].config",
        is_envoys: false,
        of: |policy| {
            json!({
                "kind": "EnvoyExtensionPolicy",
                "metadata": {"name": "policies"},
                "spec": {"wasm": [{"name": "resilience", "code": {"type": "Image"}, "config": policy}]},
            })
        },
    },
    Kind {
        name: "EnvoyPatchPolicy with a filter",
        at: "spec.jsonPatches[0].operation.value.CONFIG",
        is_envoys: true,
        of: |policy| {
            patch_policy(
                "/filter_chains/0/filters/0/typed_config/http_filters/0",
                filter(policy),
            )
        },
    },
    Kind {
        name: "EnvoyPatchPolicy with a listener",
        at: "spec.jsonPatches[0].operation.value.HTTP.STRUCT",
        is_envoys: true,
        of: |policy| patch_policy("", listener(typed_struct("xds.type.v3", policy))),
    },
    Kind {
        name: "EnvoyPatchPolicy with a configuration",
        at: "spec.jsonPatches[0].operation.value",
        is_envoys: false,
        of: |policy| {
            patch_policy(
                "/http_filters/0/typed_config/config/configuration/value",
                json!(policy),
            )
        },
    },
];
