//! What Envoy's `/config_dump` says: every listener, cluster, route and filter that it has now, from wherever they came.

use serde_json::Value;

use super::{Envoy, Kind, Layers, Place};
use crate::check::joined;
use crate::check::read::is_suspicious;

/// Lists of what a dump has, and what stands in each item: the newest is what Envoy goes over to.
const LISTS: [(&str, &[&str], Kind); 8] = [
    ("static_listeners", &["listener"], Kind::Listener),
    (
        "dynamic_listeners",
        &["active_state.listener", "warming_state.listener"],
        Kind::Listener,
    ),
    ("static_clusters", &["cluster"], Kind::Cluster),
    ("dynamic_active_clusters", &["cluster"], Kind::Cluster),
    ("dynamic_warming_clusters", &["cluster"], Kind::Cluster),
    ("static_route_configs", &["route_config"], Kind::Routes),
    ("dynamic_route_configs", &["route_config"], Kind::Routes),
    ("ecds_filters", &["ecds_filter"], Kind::Extension),
];
/// Items without a list, as where one kind was asked for.
const ITEMS: [(&str, Kind); 6] = [
    ("listener", Kind::Listener),
    ("active_state.listener", Kind::Listener),
    ("warming_state.listener", Kind::Listener),
    ("cluster", Kind::Cluster),
    ("route_config", Kind::Routes),
    ("ecds_filter", Kind::Extension),
];

impl Layers<'_> {
    pub(super) fn dump(&mut self, place: Place, mut message: Value) {
        let mut envoy = Envoy {
            at: place.at.clone(),
            is_dump: true,
            ..Envoy::default()
        };
        let configs = message.get_mut("configs").map(Value::take);
        let Some(Value::Array(configs)) = configs else {
            return;
        };
        let mut bootstrap = None;
        for (index, mut config) in configs.into_iter().enumerate() {
            let path = joined(&place.at, &format!("configs[{index}]"));
            if let Some(value) = config.get_mut("bootstrap").map(Value::take) {
                bootstrap = Some((joined(&path, "bootstrap"), value));
            } else if !self.lists(&mut envoy, &path, &mut config)
                && !self.item(&mut envoy, &path, &mut config)
                && is_suspicious(&config)
            {
                let problem = "a part of a configuration dump that is not known";
                self.findings.unread(&path, problem);
            }
        }
        if let Some((path, mut value)) = bootstrap {
            // What is listed apart stands in the bootstrap once more.
            for (key, kind) in [("listeners", Kind::Listener), ("clusters", Kind::Cluster)] {
                let fixed = value.get_mut("static_resources");
                if let Some(fixed) = fixed
                    .and_then(Value::as_object_mut)
                    .filter(|_| envoy.has(kind))
                {
                    fixed.remove(key);
                }
            }
            envoy.add(path, Kind::Bootstrap, value);
        }
        self.opened.envoys.push(envoy);
    }

    /// Takes all lists of one part; whether there was one.
    fn lists(&mut self, envoy: &mut Envoy, path: &str, config: &mut Value) -> bool {
        let mut found = false;
        for (key, inner, kind) in LISTS {
            let Some(Value::Array(items)) = config.get_mut(key).map(Value::take) else {
                continue;
            };
            found = true;
            for (index, mut item) in items.into_iter().enumerate() {
                let path = joined(path, &format!("{key}[{index}]"));
                self.refused(&path, &item);
                for inner in inner {
                    if let Some(value) = take(&mut item, inner) {
                        envoy.add(joined(&path, inner), kind, value);
                    }
                }
            }
        }
        found
    }

    fn item(&mut self, envoy: &mut Envoy, path: &str, config: &mut Value) -> bool {
        let mut found = false;
        self.refused(path, config);
        for (inner, kind) in ITEMS {
            if let Some(value) = take(config, inner) {
                envoy.add(joined(path, inner), kind, value);
                found = true;
            }
        }
        found
    }

    /// What Envoy did not take is not what it does.
    fn refused(&mut self, path: &str, item: &Value) {
        let Some(state) = item.get("error_state").filter(|state| state.is_object()) else {
            return;
        };
        let details = state["details"].as_str().unwrap_or("no reason is given");
        let problem = format!("an update that this Envoy refused: {details}");
        self.findings.unread(&joined(path, "error_state"), problem);
    }
}

fn take(value: &mut Value, path: &str) -> Option<Value> {
    let mut at = value;
    for key in path.split('.') {
        at = at.get_mut(key)?;
    }
    at.is_object().then(|| at.take())
}
