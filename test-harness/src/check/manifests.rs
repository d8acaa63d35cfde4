//! Resources of Kubernetes: those of Istio and of Envoy Gateway that hold the filter, and those that stand beside it.

use serde_json::Value;

use super::read::is_suspicious;
use super::{Findings, gateway, istio, text};

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
