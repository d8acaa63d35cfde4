//! Where the filter stands: chains of HTTP filters, and what the router in one of them has behind it.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::check::joined;

/// A chain of HTTP filters.
pub(super) struct Chain<'a> {
    /// Where it stands.
    pub(super) path: String,
    /// What it belongs to, such as a connection manager's configuration.
    pub(super) owner: &'a Map<String, Value>,
    /// Where that stands.
    pub(super) owner_path: String,
    /// The direction of its listener.
    pub(super) direction: Direction,
    filters: &'a [Value],
}

/// The direction of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the application behind it.
    Inbound,
    /// From the application behind it.
    Outbound,
    /// Neither is said, as at a gateway.
    Either,
}

/// One Wasm filter that runs Seawall.
pub(in crate::check) struct Place<'a> {
    /// Where it stands.
    pub(in crate::check) path: String,
    filter: &'a Value,
}

/// A list of filters, and where it stands.
pub(in crate::check) struct List<'a> {
    /// Where.
    pub(in crate::check) path: String,
    filters: &'a [Value],
}

impl<'a> Place<'a> {
    /// Where the plugin's configuration stands.
    pub(in crate::check) fn config_path(&self) -> String {
        joined(&self.path, "typed_config.config")
    }

    /// The plugin's configuration.
    pub(in crate::check) fn config(&self) -> &'a Value {
        let config = self.filter.pointer("/typed_config/config");
        config.unwrap_or(&Value::Null)
    }

    /// The id of its VM, nothing if it has none.
    pub(in crate::check) fn vm_id(&self) -> &'a str {
        let id = self.config().pointer("/vm_config/vm_id");
        id.and_then(Value::as_str).unwrap_or_default()
    }
}

impl<'a> List<'a> {
    /// The list under `key` of a filter's configuration.
    pub(in crate::check) fn of(path: &str, value: &'a Value) -> Self {
        Self {
            path: path.to_owned(),
            filters: value.as_array().map_or(&[], Vec::as_slice),
        }
    }

    /// Every Seawall among them, with its number.
    pub(in crate::check) fn places(&self) -> Vec<(usize, Place<'a>)> {
        places(&self.path, self.filters)
    }

    /// How many filters there are, and the number of the codec.
    pub(in crate::check) fn codec(&self) -> (usize, Option<usize>) {
        let codec = self.filters.iter().position(|filter| {
            has_type(filter, "upstream_codec.v3.UpstreamCodec", "upstream_codec")
        });
        (self.filters.len(), codec)
    }
}

impl<'a> Chain<'a> {
    /// Every Seawall in it, with its number.
    pub(super) fn places(&self) -> Vec<(usize, Place<'a>)> {
        places(&self.path, self.filters)
    }

    /// The number of the router.
    pub(super) fn router(&self) -> Option<usize> {
        self.filters.iter().position(is_router)
    }

    /// Where filters of a type stand that come after this number, and before the router.
    pub(super) fn after(&self, number: usize, kind_end: &str, name_end: &str) -> Vec<String> {
        let router = self.router().unwrap_or(self.filters.len());
        self.among(number + 1..router, kind_end, name_end)
    }

    /// Where filters of a type stand that come before this number.
    pub(super) fn before(&self, number: usize, kind_end: &str, name_end: &str) -> Vec<String> {
        self.among(0..number, kind_end, name_end)
    }

    fn among(&self, numbers: Range<usize>, kind_end: &str, name_end: &str) -> Vec<String> {
        let filters = self.filters.iter().enumerate();
        filters
            .filter(|(index, filter)| {
                numbers.contains(index) && has_type(filter, kind_end, name_end)
            })
            .map(|(index, _)| format!("{}[{index}]", self.path))
            .collect()
    }

    /// What the router has behind it: filters that see each attempt.
    pub(super) fn behind(&self) -> Option<List<'a>> {
        let number = self.router()?;
        let path = format!("{}[{number}].typed_config.upstream_http_filters", self.path);
        let router = self.filters.get(number)?;
        Some(List::of(
            &path,
            &router["typed_config"]["upstream_http_filters"],
        ))
    }

    /// Whether it stands in a cluster, where it sees each attempt too.
    pub(super) fn is_a_clusters(&self) -> bool {
        let kind = self.owner.get("@type").and_then(Value::as_str);
        kind.is_some_and(|kind| kind.ends_with("http.v3.HttpProtocolOptions"))
    }
}

/// All chains of a document: they stand in many places.
pub(super) fn chains<'a>(at: &str, document: &'a Value) -> Vec<Chain<'a>> {
    let mut chains = Vec::new();
    find(&mut chains, at, document, Direction::Either);
    chains
}

fn find<'a>(chains: &mut Vec<Chain<'a>>, at: &str, value: &'a Value, direction: Direction) {
    match value {
        Value::Object(map) => {
            let direction = map.get("traffic_direction").map_or(direction, said);
            for (key, inner) in map {
                let path = joined(at, key);
                if let (true, Some(filters)) = (key == "http_filters", inner.as_array()) {
                    chains.push(Chain {
                        path: path.clone(),
                        owner: map,
                        owner_path: at.to_owned(),
                        direction,
                        filters,
                    });
                }
                find(chains, &path, inner, direction);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                find(chains, &format!("{at}[{index}]"), inner, direction);
            }
        }
        _ => {}
    }
}

/// By the enum's name or its number, as protobuf's JSON has both.
fn said(direction: &Value) -> Direction {
    match (direction.as_str(), direction.as_u64()) {
        (Some("INBOUND"), _) | (_, Some(1)) => Direction::Inbound,
        (Some("OUTBOUND"), _) | (_, Some(2)) => Direction::Outbound,
        _ => Direction::Either,
    }
}

fn places<'a>(path: &str, filters: &'a [Value]) -> Vec<(usize, Place<'a>)> {
    let own = filters
        .iter()
        .enumerate()
        .filter(|(_, filter)| is_seawall(filter));
    own.map(|(index, filter)| {
        let path = format!("{path}[{index}]");
        (index, Place { path, filter })
    })
    .collect()
}

/// The filter that stands here, if it is Seawall.
pub(in crate::check) fn place<'a>(path: &str, filter: &'a Value) -> Option<Place<'a>> {
    let path = path.to_owned();
    is_seawall(filter).then_some(Place { path, filter })
}

fn is_router(filter: &Value) -> bool {
    has_type(filter, "http.router.v3.Router", "router")
}

/// By its type; a filter's name is free, and counts only where no type is given.
fn has_type(filter: &Value, kind_end: &str, name_end: &str) -> bool {
    let kind = filter
        .pointer("/typed_config/@type")
        .and_then(Value::as_str);
    let name = filter["name"].as_str().unwrap_or_default();
    kind.map_or(name.ends_with(name_end), |kind| kind.ends_with(kind_end))
}

/// A Wasm filter that is named so, or runs a file of this name.
fn is_seawall(filter: &Value) -> bool {
    let config = filter.pointer("/typed_config/config");
    let is_wasm = filter
        .pointer("/typed_config/@type")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("http.wasm.v3.Wasm"));
    let text = |pointer: &str| {
        config
            .and_then(|config| config.pointer(pointer))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    is_wasm
        && (filter["name"]
            .as_str()
            .is_some_and(|name| name.contains("seawall"))
            || text("/name").contains("seawall")
            || text("/root_id").contains("seawall")
            || text("/vm_config/code/local/filename").contains("seawall"))
}
