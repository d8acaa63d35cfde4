//! One filter, as it stands in a list: its name, the type of its configuration, and that configuration, wherever it is.
//!
//! A configuration comes as a message of its type, as a `TypedStruct` that names the type, or from elsewhere by the filter's
//! name (ECDS). What these have in common is read here, so that no rule asks which it was.

use std::collections::HashMap;

use serde_json::Value;

use super::{Findings, joined, list, text};

/// The end of the type that Seawall runs as.
const WASM: &str = "http.wasm.v3.Wasm";
/// The end of the type of Seawall's second body.
const DYNAMIC_MODULE: &str = "http.dynamic_modules.v3.DynamicModuleFilter";
/// The end of the type that holds a list of HTTP filters.
const CONNECTION_MANAGER: &str = "http_connection_manager.v3.HttpConnectionManager";

/// One filter.
pub(super) struct Filter<'a> {
    /// Where it stands.
    pub(super) path: String,
    /// Its name.
    pub(super) name: &'a str,
    /// The type of its configuration; nothing if none is given.
    pub(super) kind: &'a str,
    /// Its configuration.
    pub(super) message: &'a Value,
    /// Where that stands.
    pub(super) message_path: String,
    /// Where its configuration comes from, where that is elsewhere.
    elsewhere: Option<&'a Value>,
    /// Whether it runs only where a route says so.
    pub(super) is_disabled: bool,
}

/// Filters' configurations by their names (ECDS).
#[derive(Default)]
pub(super) struct Extensions<'a>(HashMap<&'a str, (String, &'a Value)>);

impl<'a> Extensions<'a> {
    /// Adds one that stands at a place.
    pub(super) fn add(&mut self, path: &str, extension: &'a Value) {
        let name = text(extension, "/name");
        self.0.entry(name).or_insert((path.to_owned(), extension));
    }

    fn named(&self, name: &str) -> Option<(&str, &'a Value)> {
        let (path, extension) = self.0.get(name)?;
        Some((path, extension))
    }
}

/// A list of filters, and where it stands.
pub(super) struct List<'a> {
    /// Where.
    pub(super) path: String,
    /// The filters.
    pub(super) filters: Vec<Filter<'a>>,
}

impl<'a> List<'a> {
    /// The filters of a list that stands at a place.
    pub(super) fn of(path: &str, value: &'a Value, extensions: &Extensions<'a>) -> Self {
        let filters = list(value).iter().enumerate();
        let each = filters
            .map(|(index, filter)| Filter::of(format!("{path}[{index}]"), filter, extensions));
        Self {
            path: path.to_owned(),
            filters: each.collect(),
        }
    }

    /// Every Seawall among them, with its number.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, &Filter<'a>)> {
        let filters = self.filters.iter().enumerate();
        filters.filter(|(_, filter)| filter.is_seawall())
    }

    /// The number of the first filter of a type.
    pub(super) fn position(&self, kind_end: &str, name_end: &str) -> Option<usize> {
        let mut filters = self.filters.iter();
        filters.position(|filter| filter.has_type(kind_end, name_end))
    }
}

impl<'a> Filter<'a> {
    /// Reads the filter that stands at a place.
    pub(super) fn of(path: String, filter: &'a Value, extensions: &Extensions<'a>) -> Self {
        let is_disabled = filter["disabled"].as_bool() == Some(true);
        Self {
            is_disabled,
            ..Self::found(path, filter, extensions)
        }
    }

    fn found(path: String, filter: &'a Value, extensions: &Extensions<'a>) -> Self {
        let name = text(filter, "/name");
        let at = joined(&path, "typed_config");
        if let Some(config) = filter.get("typed_config") {
            return Self::with(path, name, at, config);
        }
        let Some(discovery) = filter.get("config_discovery") else {
            return Self::with(path, name, at, &Value::Null);
        };
        if let Some((there, extension)) = extensions.named(name) {
            let there = joined(there, "typed_config");
            return Self::with(path, name, there, &extension["typed_config"]);
        }
        let at = joined(&path, "config_discovery.default_config");
        let mut own = Self::with(path, name, at, &discovery["default_config"]);
        own.elsewhere = Some(discovery);
        own
    }

    /// Reads a configuration that stands in no filter.
    pub(super) fn bare(path: String, message: &'a Value) -> Self {
        Self::with(path.clone(), "", path, message)
    }

    fn with(path: String, name: &'a str, at: String, message: &'a Value) -> Self {
        let (mut message_path, mut message, mut kind) = (at, message, text(message, "/@type"));
        // One may be within another; a value has an end.
        while kind.ends_with("TypedStruct") && message.get("value").is_some() {
            kind = text(message, "/type_url");
            message = &message["value"];
            message_path = joined(&message_path, "value");
        }
        Self {
            path,
            name,
            kind,
            message,
            message_path,
            elsewhere: None,
            is_disabled: false,
        }
    }

    /// Whether it is of a type. Its name is free, and counts only where no type is given.
    pub(super) fn has_type(&self, kind_end: &str, name_end: &str) -> bool {
        match self.kind {
            "" => self.name.ends_with(name_end),
            kind => kind.ends_with(kind_end),
        }
    }

    /// Whether it runs Seawall, in one of its bodies.
    pub(super) fn is_seawall(&self) -> bool {
        (self.kind.ends_with(WASM) || self.is_dynamic_module()) && self.is_ours()
    }

    /// Whether it is a dynamic module.
    pub(super) fn is_dynamic_module(&self) -> bool {
        self.kind.ends_with(DYNAMIC_MODULE)
    }

    /// By a name, by the file that it runs, or by its configuration.
    fn is_ours(&self) -> bool {
        const NAMES: [&str; 6] = [
            "/name",
            "/root_id",
            "/filter_name",
            "/dynamic_module_config/name",
            "/vm_config/code/local/filename",
            "/vm_config/code/remote/http_uri/uri",
        ];
        let config = self.config();
        let mut names = NAMES.iter().map(|pointer| text(config, pointer));
        let configuration = &config[self.policies_key()];
        self.name.contains("seawall")
            || names.any(|name| name.contains("seawall"))
            || holds_policies(text(configuration, "/value"))
            || configuration.get("policies").is_some()
            || configuration.pointer("/value/policies").is_some()
    }

    /// Why it is not read, though it may be Seawall. In a list of HTTP filters a name is enough to ask.
    pub(super) fn unread(&self, is_http: bool) -> Option<String> {
        let named = is_http && self.name.contains("seawall");
        if let Some(discovery) = self.elsewhere {
            let mut types = list(&discovery["type_urls"]).iter().map(Value::as_str);
            let may_hold = |kind: &str| {
                [WASM, DYNAMIC_MODULE, CONNECTION_MANAGER]
                    .iter()
                    .any(|end| kind.ends_with(end))
            };
            let may_be = types.any(|kind| kind.is_some_and(may_hold));
            return (named || may_be).then(|| {
                format!(
                    "its configuration comes from elsewhere ({}): check it together with that, or what Envoy's /config_dump says",
                    source(&discovery["config_source"])
                )
            });
        }
        if self.kind.ends_with(WASM) || self.is_dynamic_module() {
            return None;
        }
        let other = self.kind.contains(".wasm.") && self.is_ours();
        (named || other).then(|| match self.kind {
            "" => "no type of a configuration is given".to_owned(),
            kind => format!("its type is {kind}; Seawall is an envoy.extensions.filters.{WASM} or an envoy.extensions.filters.{DYNAMIC_MODULE}"),
        })
    }

    /// Where the plugin's configuration stands. A dynamic module has none around its own.
    pub(super) fn config_path(&self) -> String {
        match self.is_dynamic_module() {
            true => self.message_path.clone(),
            false => joined(&self.message_path, "config"),
        }
    }

    /// The plugin's configuration.
    pub(super) fn config(&self) -> &'a Value {
        match self.is_dynamic_module() {
            true => self.message,
            false => &self.message["config"],
        }
    }

    /// The key of it under which Seawall's own configuration stands.
    pub(super) fn policies_key(&self) -> &'static str {
        match self.is_dynamic_module() {
            true => "filter_config",
            false => "configuration",
        }
    }

    /// The id of its VM, nothing if it has none.
    pub(super) fn vm_id(&self) -> &'a str {
        text(self.config(), "/vm_config/vm_id")
    }
}

/// Whether a text is a policy file, as JSON or, where somebody took it for that, as YAML.
pub(super) fn holds_policies(text: &str) -> bool {
    text.contains("\"policies\"") || text.lines().any(|line| line.starts_with("policies:"))
}

/// Where a configuration comes from, in words.
pub(super) fn source(source: &Value) -> String {
    let path = match text(source, "/path_config_source/path") {
        "" => text(source, "/path"),
        path => path,
    };
    match path {
        "" if source.get("ads").is_some() => "ADS".to_owned(),
        "" if source.get("api_config_source").is_some() => "a server".to_owned(),
        "" => "a source that is not known".to_owned(),
        path => format!("the file {path}"),
    }
}

/// Names filter chains that come from elsewhere.
pub(super) fn discovered(findings: &mut Findings, path: &str, given: &Value) {
    let problem = format!(
        "filter chains come from elsewhere ({}): their filters are not judged; check what Envoy's /config_dump says",
        source(&given["config_source"])
    );
    findings.unread(path, problem);
}

/// What is met on a walk through a value.
pub(super) enum Met<'a> {
    /// A filter, and whether it stands in a list of HTTP filters.
    Filter(Filter<'a>, bool),
    /// The filters behind a router.
    Behind(List<'a>),
    /// Filter chains of a listener that come from elsewhere: where that is said, and what.
    Discovered(String, &'a Value),
}

/// Every filter in a value, wherever it stands. `is_filter` says whether the value itself may be an HTTP filter.
pub(super) fn walk<'a>(
    at: &str,
    value: &'a Value,
    is_filter: bool,
    extensions: &Extensions<'a>,
    met: &mut dyn FnMut(Met<'a>),
) {
    match value {
        Value::Object(map) => {
            if map.contains_key("typed_config") || map.contains_key("config_discovery") {
                let filter = Filter::of(at.to_owned(), value, extensions);
                met(Met::Filter(filter, is_filter));
            }
            for (key, inner) in map {
                if !inner.is_object() && !inner.is_array() {
                    continue;
                }
                let path = joined(at, key);
                if key == "upstream_http_filters" {
                    met(Met::Behind(List::of(&path, inner, extensions)));
                }
                if key == "fcds_config" {
                    met(Met::Discovered(path.clone(), inner));
                }
                let lists = key == "http_filters" || key == "upstream_http_filters";
                // A message that no filter around it names.
                if key != "typed_config" && key != "default_config" {
                    let bare = Filter::bare(path.clone(), inner);
                    if bare.kind.contains(".wasm.") {
                        met(Met::Filter(bare, false));
                    }
                }
                walk(&path, inner, lists, extensions, met);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                walk(&format!("{at}[{index}]"), inner, is_filter, extensions, met);
            }
        }
        _ => {}
    }
}
