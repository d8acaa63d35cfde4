//! Where the filter stands: chains of HTTP filters, and what the router in one of them has behind it.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::check::filter::{Extensions, Filter, List};
use crate::check::joined;
use crate::check::layers::{Envoy, Kind};

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
    /// The routes beside it, and where they stand; `None` where they come from elsewhere.
    pub(super) routes: Option<(String, &'a Value)>,
    list: List<'a>,
    behind: Option<List<'a>>,
}

/// The direction of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// To the application behind it.
    Inbound,
    /// From the application behind it.
    Outbound,
    /// Neither is said, as at a gateway.
    Either,
}

impl<'a> Chain<'a> {
    /// Every Seawall in it, with its number.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, &Filter<'a>)> {
        self.list.places()
    }

    /// All of its filters.
    pub(super) fn filters(&self) -> &[Filter<'a>] {
        &self.list.filters
    }

    /// The number of the router.
    pub(super) fn router(&self) -> Option<usize> {
        router(&self.list)
    }

    /// Where filters of a type stand that come after this number, and before the router.
    pub(super) fn after(&self, number: usize, kind_end: &str, name_end: &str) -> Vec<&str> {
        let router = self.router().unwrap_or(self.list.filters.len());
        self.among(number + 1..router, kind_end, name_end)
    }

    /// Where filters of a type stand that come before this number.
    pub(super) fn before(&self, number: usize, kind_end: &str, name_end: &str) -> Vec<&str> {
        self.among(0..number, kind_end, name_end)
    }

    fn among(&self, numbers: Range<usize>, kind_end: &str, name_end: &str) -> Vec<&str> {
        let filters = self.list.filters.iter().enumerate();
        filters
            .filter(|(index, filter)| {
                numbers.contains(index) && filter.has_type(kind_end, name_end)
            })
            .map(|(_, filter)| filter.path.as_str())
            .collect()
    }

    /// What the router has behind it: filters that see each attempt.
    pub(super) fn behind(&self) -> Option<&List<'a>> {
        self.behind.as_ref()
    }

    /// Where its routes stand.
    pub(super) fn routes_path(&self) -> Option<&str> {
        self.routes.as_ref().map(|(path, _)| path.as_str())
    }

    /// Whether it stands in a cluster, where it sees each attempt too.
    pub(super) fn is_a_clusters(&self) -> bool {
        let kind = self.owner.get("@type").and_then(Value::as_str);
        kind.is_some_and(|kind| kind.ends_with("http.v3.HttpProtocolOptions"))
    }
}

/// All chains of an Envoy: they stand in many places.
pub(super) fn chains<'a>(envoy: &'a Envoy, extensions: &Extensions<'a>) -> Vec<Chain<'a>> {
    let mut find = Find {
        extensions,
        routes: HashMap::new(),
        chains: Vec::new(),
    };
    for part in envoy.of(Kind::Routes) {
        if let Some(name) = part.value["name"].as_str() {
            find.routes.insert(name, (&part.path, &part.value));
        }
    }
    for part in &envoy.parts {
        find.find(&part.path, &part.value, Direction::Either);
    }
    find.chains
}

struct Find<'f, 'a> {
    extensions: &'f Extensions<'a>,
    routes: HashMap<&'a str, (&'a str, &'a Value)>,
    chains: Vec<Chain<'a>>,
}

impl<'a> Find<'_, 'a> {
    fn find(&mut self, at: &str, value: &'a Value, direction: Direction) {
        match value {
            Value::Object(map) => {
                let direction = map.get("traffic_direction").map_or(direction, said);
                for (key, inner) in map {
                    if !inner.is_object() && !inner.is_array() {
                        continue;
                    }
                    let path = joined(at, key);
                    if key == "http_filters" && inner.is_array() {
                        self.chain(&path, inner, at, map, direction);
                    }
                    self.find(&path, inner, direction);
                }
            }
            Value::Array(items) => {
                for (index, inner) in items.iter().enumerate() {
                    self.find(&format!("{at}[{index}]"), inner, direction);
                }
            }
            _ => {}
        }
    }

    fn chain(
        &mut self,
        path: &str,
        filters: &'a Value,
        at: &str,
        owner: &'a Map<String, Value>,
        direction: Direction,
    ) {
        let list = List::of(path, filters, self.extensions);
        let router = router(&list).and_then(|number| list.filters.get(number));
        let behind = router.map(|router| {
            let path = joined(&router.message_path, "upstream_http_filters");
            List::of(
                &path,
                &router.message["upstream_http_filters"],
                self.extensions,
            )
        });
        self.chains.push(Chain {
            path: path.to_owned(),
            owner,
            owner_path: at.to_owned(),
            direction,
            routes: self.routes(at, owner),
            list,
            behind,
        });
    }

    /// A connection manager's own routes, or those that it names.
    fn routes(&self, at: &str, owner: &'a Map<String, Value>) -> Option<(String, &'a Value)> {
        if let Some(own) = owner.get("route_config") {
            return Some((joined(at, "route_config"), own));
        }
        let name = owner.get("rds")?["route_config_name"].as_str()?;
        let (path, routes) = self.routes.get(name)?;
        Some(((*path).to_owned(), *routes))
    }
}

fn router(list: &List<'_>) -> Option<usize> {
    list.position("http.router.v3.Router", "router")
}

/// By the enum's name or its number, as protobuf's JSON has both.
fn said(direction: &Value) -> Direction {
    match (direction.as_str(), direction.as_u64()) {
        (Some("INBOUND"), _) | (_, Some(1)) => Direction::Inbound,
        (Some("OUTBOUND"), _) | (_, Some(2)) => Direction::Outbound,
        _ => Direction::Either,
    }
}
