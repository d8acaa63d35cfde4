//! Resources of Kubernetes: those of Istio and of Envoy Gateway that hold the filter, and those that stand beside it.

use serde_json::Value;

use seawall_policy::route::Routing;

use super::read::is_suspicious;
use super::{Findings, gateway, istio, text};

/// A filter that a resource puts somewhere, and what it was told.
pub(super) struct Seat {
    /// The namespace of its resource; nothing if it names none.
    pub(super) namespace: String,
    /// What it was told.
    pub(super) routing: Routing,
}

/// All of a text's resources. Those that hold the filter come first, whatever their order is.
pub(super) fn check(findings: &mut Findings, manifests: &[(String, Value)]) {
    let mut seats = Vec::new();
    istio::holders(findings, manifests, &mut seats);
    gateway::holders(findings, manifests, &mut seats);
    istio::neighbours(findings, manifests, &seats);
    gateway::neighbours(findings, manifests, &seats);
    for (at, document) in manifests {
        let kind = text(document, "/kind");
        let is_read = istio::KINDS.contains(&kind) || gateway::KINDS.contains(&kind);
        if !is_read && is_suspicious(document) {
            let problem = match kind {
                "" => "its kind is no text".to_owned(),
                kind => {
                    format!("something like a configuration stands in a {kind}, which is not known")
                }
            };
            findings.unread(at, problem);
        }
    }
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
