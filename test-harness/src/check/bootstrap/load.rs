//! What bulkhead and shedding need around them: checks of health that are not shed, and an end of requests that strangers
//! never complete.

use seawall_policy::route::Routing;
use serde_json::Value;

use super::place::{Chain, Direction};
use crate::check::Findings;
use crate::check::filter::Filter;

/// One place before a router.
pub(super) fn check(
    findings: &mut Findings,
    chain: &Chain<'_>,
    place: &Filter<'_>,
    routing: &Routing,
) {
    // What leaves an application is neither a check of its health nor a stranger's.
    if chain.direction == Direction::Outbound {
        return;
    }
    let at = place.config_path();
    for policy in &routing.policies {
        if policy.shedding.is_some() && policy.exempt.paths.is_empty() {
            let path = format!("{at}.configuration: policies.{}.shedding", policy.name);
            findings.warning(
                &path,
                "sheds checks of health too, and an instance that is busy would be taken out of service: list their \
                 paths, \"exempt\": [{\"path\": \"/healthz\"}]",
            );
        }
    }
    let counts = |policy: &&seawall_policy::policy::Policy| {
        policy.shedding.is_some() || policy.bulkhead.is_some()
    };
    let counting = routing.policies.iter().find(counts);
    let bounded = chain.owner.get("request_timeout").and_then(Value::as_str);
    let bounded = bounded.is_some_and(|text| text.trim_start_matches(['0', '.']) != "s");
    if let Some(policy) = counting.filter(|_| chain.direction == Direction::Either && !bounded) {
        let problem = format!(
            "not set: a stranger whose request never ends holds a place of policies.{} for as long as it likes; with \
             \"60s\" it ends then, and so does every upload that takes longer",
            policy.name
        );
        findings.warning(&format!("{}.request_timeout", chain.owner_path), problem);
    }
}
