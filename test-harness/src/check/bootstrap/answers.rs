//! What an answer of Seawall's own meets on its way to the client. Where it takes the place of a failed one, Envoy shows it
//! to no filter in front; and what routes add to answers is added to it too, though a kept one has it already.

use super::place::Chain;
use crate::check::filter::Filter;
use crate::check::{Findings, joined};
use seawall_policy::fallback::{Cause, Fallback};
use seawall_policy::route::Routing;
use serde_json::Value;

/// The filters without which callers cannot read an answer, by the end of their type and of their usual name.
const NEEDED: [(&str, &str); 2] = [
    ("cors.v3.Cors", "cors"),
    ("grpc_web.v3.GrpcWeb", "grpc_web"),
];

/// One place before a router.
pub(super) fn check(
    findings: &mut Findings,
    chain: &Chain<'_>,
    number: usize,
    place: &Filter<'_>,
    routing: &Routing,
) {
    let mut policies = routing.policies.iter();
    let replacing = policies.find(|policy| {
        let mut rungs = policy.fallback.rungs.iter();
        rungs.any(|rung| {
            rung.on.contains(&Cause::Failure) && !matches!(rung.answer, Fallback::Cluster(_))
        })
    });
    if let Some(policy) = replacing {
        for (kind, name) in NEEDED {
            for path in chain.before(number, kind, name) {
                let problem = format!(
                    "policies.{} answers in the place of a failure, which {path} ({name}) does not see: Envoy sends such an \
                     answer past the filters in front; leave \"failure\" out of the rung's \"on\", or give a static rung the \
                     headers itself",
                    policy.name
                );
                findings.warning(&place.path, problem);
            }
        }
    }
    if let Some(policy) = super::callers::keeping(routing) {
        let routes = chain.routes.as_ref();
        if let Some(adds) = routes.and_then(|(path, routes)| adding(path, routes)) {
            let problem = format!(
                "policies.{policy} has a stale rung, and {adds} adds headers to answers: a kept answer has them, and gets them \
                 once more; let the upstream send them, or a filter in front of Seawall"
            );
            findings.warning(&place.path, problem);
        }
    }
}

/// Where headers are added to answers first.
fn adding(at: &str, value: &Value) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, inner)| {
            let path = joined(at, key);
            let adds = key == "response_headers_to_add";
            match inner.as_array().filter(|_| adds) {
                Some(headers) => (!headers.is_empty()).then_some(path),
                None => adding(&path, inner),
            }
        }),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, inner)| adding(&format!("{at}[{index}]"), inner))
        }
        _ => None,
    }
}
