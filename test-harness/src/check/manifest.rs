//! What the resources of Kubernetes have in common: kind, namespace, and the filter that some of them hold.

use serde_json::Value;

use seawall_policy::route::Routing;

use super::text;

/// A filter that a resource puts somewhere, and what it was told.
pub(super) struct Seat {
    /// The namespace of its resource; nothing if it names none.
    pub(super) namespace: String,
    /// What it was told.
    pub(super) routing: Routing,
}

/// All resources of one kind.
pub(super) fn of_kind<'a>(
    manifests: &'a [(String, Value)],
    kind: &str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let of_kind = manifests
        .iter()
        .filter(move |(_, document)| text(document, "/kind") == kind);
    of_kind.map(|(at, document)| (at.as_str(), document))
}

/// The namespace of a resource; nothing if it names none.
pub(super) fn namespace(document: &Value) -> &str {
    text(document, "/metadata/namespace")
}
