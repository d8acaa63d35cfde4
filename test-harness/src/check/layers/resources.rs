//! A file of Envoy's resources (LDS, CDS, RDS, ECDS by path): `resources`, each with its type.

use serde_json::Value;

use super::{Kind, Layers, Place};
use crate::check::joined;
use crate::check::read::is_suspicious;

/// The kinds by the ends of their types.
const TYPES: [(&str, Kind); 5] = [
    ("config.bootstrap.v3.Bootstrap", Kind::Bootstrap),
    ("config.listener.v3.Listener", Kind::Listener),
    ("config.cluster.v3.Cluster", Kind::Cluster),
    ("config.route.v3.RouteConfiguration", Kind::Routes),
    ("config.core.v3.TypedExtensionConfig", Kind::Extension),
];
/// The kinds by keys that others do not have.
const KEYS: [(&str, Kind); 8] = [
    ("filter_chains", Kind::Listener),
    ("default_filter_chain", Kind::Listener),
    ("api_listener", Kind::Listener),
    ("virtual_hosts", Kind::Routes),
    ("typed_config", Kind::Extension),
    ("circuit_breakers", Kind::Cluster),
    ("load_assignment", Kind::Cluster),
    ("connect_timeout", Kind::Cluster),
];

/// What a resource is, by its type, or by its keys where none is given.
pub(super) fn kind(resource: &Value) -> Option<Kind> {
    match resource.get("@type") {
        Some(given) => {
            let given = given.as_str()?;
            let mut types = TYPES.iter();
            types
                .find(|(end, _)| given.ends_with(end))
                .map(|(_, kind)| *kind)
        }
        None => {
            let mut keys = KEYS.iter();
            keys.find(|(key, _)| resource.get(key).is_some())
                .map(|(_, kind)| *kind)
        }
    }
}

impl Layers<'_> {
    pub(super) fn resources(&mut self, place: &Place, mut message: Value) {
        let path = joined(&place.at, "resources");
        let Some(Value::Array(items)) = message.get_mut("resources").map(Value::take) else {
            self.findings.unread(&path, "is no list");
            return;
        };
        for (index, item) in items.into_iter().enumerate() {
            self.resource(format!("{path}[{index}]"), item);
        }
    }

    fn resource(&mut self, path: String, mut item: Value) {
        // One more wrapper, in which a resource has a name and a version.
        if let Some(inner @ Value::Object(_)) = item.get_mut("resource").map(Value::take) {
            let path = joined(&path, "resource");
            return self.resource(path, inner);
        }
        match kind(&item) {
            Some(kind) => self.loose.add(path, kind, item),
            None if item.is_string() => {
                self.findings
                    .unread(&path, "names a file: check what is built from it");
            }
            None if is_foreign(&item) && !is_suspicious(&item) => {}
            None => self
                .findings
                .unread(&path, "a resource of an unknown type: write its @type"),
        }
    }
}

/// Types of resources in which no filter stands.
fn is_foreign(item: &Value) -> bool {
    let given = item.get("@type").and_then(Value::as_str);
    given.is_some_and(|given| given.contains("/envoy."))
}
