//! What a configuration is wrapped in: lists, ConfigMaps, files of resources, what Envoy tells of itself. Each layer is
//! taken off here, and what was in it keeps the path by which its owner finds it.

mod config_map;
mod dump;
mod resources;

use serde_json::Value;

use super::read::is_suspicious;
use super::{Findings, joined, spelling};

/// How many layers may be around each other.
const DEPTH_MAX: usize = 8;
/// The keys by which a bootstrap is known.
const BOOTSTRAP: [&str; 6] = [
    "admin",
    "bootstrap_extensions",
    "dynamic_resources",
    "header_prefix",
    "static_resources",
    "stats_config",
];

/// What stands in a text, without its layers.
#[derive(Default)]
pub(super) struct Opened {
    /// Bare policy files.
    pub(super) policies: Vec<(String, Value)>,
    /// Envoys, each with all that is known of it.
    pub(super) envoys: Vec<Envoy>,
    /// Kubernetes' resources of other kinds.
    pub(super) manifests: Vec<(String, Value)>,
}

/// One Envoy: a bootstrap, and what it gets from elsewhere.
#[derive(Default)]
pub(super) struct Envoy {
    /// Where it stands as a whole.
    pub(super) at: String,
    /// Whether this Envoy says so itself.
    pub(super) is_dump: bool,
    /// All that is known of it.
    pub(super) parts: Vec<Part>,
}

/// A message that stands for itself.
pub(super) struct Part {
    /// Where it stands.
    pub(super) path: String,
    /// What it is.
    pub(super) kind: Kind,
    /// The message, in the spelling of its definition.
    pub(super) value: Value,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole bootstrap.
    Bootstrap,
    /// A listener.
    Listener,
    /// A cluster.
    Cluster,
    /// A route configuration.
    Routes,
    /// A filter's configuration that a listener refers to by its name (ECDS).
    Extension,
}

impl Kind {
    /// The name of its message.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Bootstrap => "envoy.config.bootstrap.v3.Bootstrap",
            Self::Listener => "envoy.config.listener.v3.Listener",
            Self::Cluster => "envoy.config.cluster.v3.Cluster",
            Self::Routes => "envoy.config.route.v3.RouteConfiguration",
            Self::Extension => "envoy.config.core.v3.TypedExtensionConfig",
        }
    }
}

impl Envoy {
    fn add(&mut self, path: String, kind: Kind, value: Value) {
        self.parts.push(Part { path, kind, value });
    }

    /// Whether a message of this kind stands for itself.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.parts.iter().any(|part| part.kind == kind)
    }

    /// All messages of a kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.kind == kind)
    }
}

/// Takes the layers off all documents of these files.
pub(super) fn open(findings: &mut Findings, files: Vec<(String, Vec<Value>)>) -> Opened {
    let mut layers = Layers {
        findings,
        opened: Opened::default(),
        loose: Envoy::default(),
    };
    for (file, documents) in files {
        let file = match file.as_str() {
            "" => String::new(),
            file => format!("{file}: "),
        };
        let many = documents.len() > 1;
        for (index, document) in documents.into_iter().enumerate() {
            let at = match many {
                true => format!("{file}document {}", index + 1),
                false => file.clone(),
            };
            let place = Place {
                at,
                depth: 0,
                told: true,
            };
            layers.document(place, document);
        }
    }
    let Layers {
        mut opened, loose, ..
    } = layers;
    // Resources that stand for themselves belong to the one bootstrap beside them, if there is one.
    match opened.envoys.as_mut_slice() {
        _ if loose.parts.is_empty() => {}
        [envoy] if envoy.has(Kind::Bootstrap) => envoy.parts.extend(loose.parts),
        _ => opened.envoys.push(loose),
    }
    opened
}

struct Layers<'f> {
    findings: &'f mut Findings,
    opened: Opened,
    loose: Envoy,
}

/// Where a document stands.
struct Place {
    at: String,
    depth: usize,
    /// Whether it was given as a configuration: then it is named if it is of no known kind.
    told: bool,
}

impl Place {
    fn inner(&self, key: &str, told: bool) -> Self {
        Self {
            at: joined(&self.at, key),
            depth: self.depth + 1,
            told,
        }
    }
}

impl Layers<'_> {
    fn document(&mut self, place: Place, document: Value) {
        if place.depth > DEPTH_MAX {
            let problem = format!("more than {DEPTH_MAX} layers around each other");
            self.findings.unread(&place.at, problem);
            return;
        }
        let map = match document {
            Value::Object(map) => map,
            Value::Array(items) => {
                for (index, item) in items.into_iter().enumerate() {
                    let inner = Place {
                        at: format!("{}[{index}]", place.at),
                        ..place.inner("", place.told)
                    };
                    self.document(inner, item);
                }
                return;
            }
            other => return self.unknown(&place, &other),
        };
        if let Some(kind) = map.get("kind") {
            let kind = kind.as_str().unwrap_or_default().to_owned();
            return self.manifest(place, &kind, Value::Object(map));
        }
        if map.contains_key("policies") || map.contains_key("version") {
            self.opened.policies.push((place.at, Value::Object(map)));
            return;
        }
        let message = spelling::message(self.findings, &place.at, Value::Object(map));
        self.message(place, message);
    }

    fn manifest(&mut self, place: Place, kind: &str, mut document: Value) {
        match kind {
            "ConfigMap" | "Secret" => self.config_map(&place, &document),
            list if list.ends_with("List") => match document.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => {
                    for (index, item) in items.into_iter().enumerate() {
                        let inner = place.inner(&format!("items[{index}]"), place.told);
                        self.document(inner, item);
                    }
                }
                _ => self
                    .findings
                    .unread(&joined(&place.at, "items"), "is no list"),
            },
            _ => self.opened.manifests.push((place.at, document)),
        }
    }

    fn message(&mut self, place: Place, mut message: Value) {
        if message.get("configs").is_some_and(Value::is_array) {
            self.dump(place, message);
        } else if BOOTSTRAP.iter().any(|key| message.get(key).is_some()) {
            let mut envoy = Envoy {
                at: place.at.clone(),
                ..Envoy::default()
            };
            envoy.add(place.at, Kind::Bootstrap, message);
            self.opened.envoys.push(envoy);
        } else if let Some(inner) = message.get_mut("bootstrap").map(Value::take) {
            self.document(place.inner("bootstrap", place.told), inner);
        } else if message.get("resources").is_some() {
            self.resources(&place, message);
        } else if let Some(kind) = resources::kind(&message) {
            self.loose.add(place.at, kind, message);
        } else {
            self.unknown(&place, &message);
        }
    }

    fn unknown(&mut self, place: &Place, value: &Value) {
        if place.told || is_suspicious(value) {
            let problem = "none of the kinds that are known: a policy file, an Envoy bootstrap, a file of Envoy's resources, \
                           what Envoy's /config_dump says, a resource of Kubernetes";
            self.findings.unread(&place.at, problem);
        }
    }
}
