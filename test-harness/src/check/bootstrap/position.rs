//! The order of filters: Seawall right before the router, and once more behind it, before the codec.

use serde_json::Value;

use super::place::Chain;
use crate::check::filter::{Filter, List};
use crate::check::{Findings, joined};

/// What must be the same in both positions, so that both are one VM with one configuration.
const ALIKE: [(&str, &str); 3] = [
    (
        "configuration",
        "they would go by different policies, and each would count for itself",
    ),
    (
        "vm_config.vm_id",
        "the two would share no state, so that retries were paid from an account into which nothing is paid",
    ),
    (
        "vm_config.code",
        "the two would be two VMs, perhaps of different versions",
    ),
];

/// The same where the body is a dynamic module, whose state is the process's.
const ALIKE_IN_MODULES: [(&str, &str); 2] = [
    (
        "filter_config",
        "they would go by different policies, and each would count for itself",
    ),
    (
        "dynamic_module_config.name",
        "the two would share no state, so that retries were paid from an account into which nothing is paid",
    ),
];

/// The places of a chain before its router.
pub(super) fn before(
    findings: &mut Findings,
    chain: &Chain<'_>,
    number: usize,
    place: &Filter<'_>,
) {
    if chain.is_a_clusters() {
        findings.warning(
            &place.path,
            "stands in a cluster's own filters, which take the place of the router's upstream_http_filters for this \
             cluster alone: take them out, and put it into the router's",
        );
        return;
    }
    match chain.router() {
        Some(router) if number > router => {
            findings.error(
                &place.path,
                "stands after the router, so it never runs: put it right before it",
            );
        }
        Some(router)
            if chain
                .places()
                .any(|(other, _)| other > number && other < router) =>
        {
            let problem = "Seawall stands twice before this router: each request is decided and counted by both; take one \
                           of them out";
            findings.warning(&place.path, problem);
        }
        Some(router) if number + 1 < router => {
            let problem = "other filters stand between it and the router: what they answer themselves looks like the \
                           upstream's answer";
            findings.warning(&place.path, problem);
        }
        Some(_) => {}
        None if number + 1 == chain.filters().len() => {
            let problem = "there is no router after it, so that Envoy does not start: put envoy.filters.http.router last";
            findings.error(&place.path, problem);
        }
        None => findings.warning(&place.path, "there is no router in its chain"),
    }
}

/// What stands behind a router, beside what stands before it.
pub(super) fn behind(findings: &mut Findings, list: &List<'_>, before: Option<&Filter<'_>>) {
    codec(findings, list);
    for (_, place) in list.places() {
        let Some(before) = before else {
            let problem =
                "the filter does not stand before this router: nothing decides on its requests";
            findings.warning(&place.path, problem);
            continue;
        };
        if before.is_dynamic_module() != place.is_dynamic_module() {
            let problem = format!(
                "runs in another body than the filter before the router ({}): the two share no state, so that retries are paid from an \
                 account into which nothing is paid; take one body for both",
                before.path
            );
            findings.warning(&place.path, problem);
            continue;
        }
        let alike: &[_] = match place.is_dynamic_module() {
            true => &ALIKE_IN_MODULES,
            false => &ALIKE,
        };
        for (key, consequence) in alike {
            let pointer = format!("/{}", key.replace('.', "/"));
            let here = place.config().pointer(&pointer).unwrap_or(&Value::Null);
            let there = before.config().pointer(&pointer).unwrap_or(&Value::Null);
            if here != there {
                let problem = format!(
                    "is written otherwise than in the filter before the router ({}): {consequence}; write both alike",
                    before.path
                );
                findings.warning(&joined(&place.config_path(), key), problem);
            }
        }
    }
}

/// Envoy takes no list of upstream filters that does not end with the codec.
pub(in crate::check) fn codec(findings: &mut Findings, list: &List<'_>) {
    if list.places().next().is_none() {
        return;
    }
    match list.position("upstream_codec.v3.UpstreamCodec", "upstream_codec") {
        None => findings.error(
            &list.path,
            "there is no envoy.filters.http.upstream_codec: put it after the filter, as the last one",
        ),
        Some(codec) if codec + 1 < list.filters.len() => findings.error(
            &format!("{}[{codec}]", list.path),
            "the codec is not the last one, so that Envoy does not start: put it after the filter",
        ),
        Some(_) => {}
    }
}
