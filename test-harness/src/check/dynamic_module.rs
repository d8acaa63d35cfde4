//! What a dynamic module says beside its configuration: which library, and whether Envoy may unload it.

use serde_json::Value;

use super::filter::Filter;
use super::layers::{Envoy, Kind};
use super::{Findings, joined, text};

/// Without it metrics keep their namespace as a prefix.
const STRIPS: &str = "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix";

/// What any filter says.
pub(super) fn check(findings: &mut Findings, place: &Filter<'_>) {
    let (config, path) = (place.config(), place.config_path());
    let module = joined(&path, "dynamic_module_config");
    if text(config, "/dynamic_module_config/name").is_empty() {
        let problem = "missing, so that Envoy does not start: write seawall, for libseawall.so in a folder that \
                       ENVOY_DYNAMIC_MODULES_SEARCH_PATH names";
        findings.error(&joined(&module, "name"), problem);
    }
    if config.pointer("/dynamic_module_config/do_not_close") != Some(&Value::Bool(true)) {
        let problem = "is not true: the library keeps the state of all breakers, which must outlive a configuration";
        findings.warning(&joined(&module, "do_not_close"), problem);
    }
    if text(config, "/dynamic_module_config/metrics_namespace") != "seawall" {
        let problem = "is not seawall: metrics get another name than rules and dashboards ask for";
        findings.warning(&joined(&module, "metrics_namespace"), problem);
    }
    if config["terminal_filter"].as_bool() == Some(true) {
        let problem = "is true: no request would reach a router; take it out";
        findings.error(&joined(&path, "terminal_filter"), problem);
    }
}

/// Whether an Envoy gives its metrics the names that they have in the other body.
pub(super) fn names(findings: &mut Findings, envoy: &Envoy) {
    for part in envoy.of(Kind::Bootstrap) {
        let layers = super::list(&part.value["layered_runtime"]["layers"]).iter();
        let is_set = layers.map(|layer| &layer["static_layer"]).any(|layer| {
            let nested = STRIPS.split('.').try_fold(layer, |at, key| at.get(key));
            layer.get(STRIPS).or(nested) == Some(&Value::Bool(true))
        });
        if !is_set {
            let problem = format!(
                "{STRIPS} is not true: metrics are called envoy_seawall_seawall_... where rules and dashboards ask for seawall_..."
            );
            findings.warning(&joined(&part.path, "layered_runtime"), problem);
        }
    }
}
