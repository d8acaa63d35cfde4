//! What retries and time limits need of what stands around the filter, whoever says it: a route of Envoy's, or a resource
//! that one is made from.

use seawall_policy::policy::Policy;
use seawall_policy::retry::Mode;
use seawall_policy::time::Span;

use super::Findings;

/// With fewer retries at a time Envoy's limit comes before any budget.
pub(super) const MAX_RETRIES_LEAST: u64 = 100;

/// Whether a policy has retries that can be made, or would be.
pub(super) fn repeats(policy: &Policy) -> bool {
    let retries = policy.retries.as_ref();
    retries.is_some_and(|retries| retries.attempts > 1 || retries.mode == Mode::Shadow)
}

/// A limit on retries at a time that comes before any budget. `is` says what it is, and where to set it.
pub(super) fn overflow(
    findings: &mut Findings,
    path: &str,
    is: &str,
    upstream: &str,
    policy: &Policy,
) {
    let problem = format!(
        "{is} at a time: retries to \"{upstream}\" beyond that are not sent, and the answer gets the flag UO, whatever \
         the retry budget of the policy \"{}\" still holds; set it to 1000",
        policy.name
    );
    findings.warning(path, problem);
}

/// Retries that a route makes of its own.
pub(super) fn own(findings: &mut Findings, path: &str, on: &str, needs: &str, policy: &Policy) {
    let retries = policy.retries.as_ref();
    let shadow = retries.is_some_and(|retries| retries.mode == Mode::Shadow);
    let name = &policy.name;
    let problem = if shadow {
        format!(
            "these retries ({on}) stay as they are, since those of the policy \"{name}\" are in shadow: what its budget \
             would refuse is counted"
        )
    } else {
        format!(
            "these retries ({on}) are brought under the budget of the policy \"{name}\", and its conditions and attempts \
             decide; {needs}"
        )
    };
    findings.warning(path, problem);
}

/// A policy's total takes the place of a route's own, shorter limit, which a filter cannot read. `instead` says what to do.
pub(super) fn lost_limit(
    findings: &mut Findings,
    path: &str,
    own: Span,
    instead: &str,
    policy: &Policy,
) {
    if let Some(total) = policy.time.total.filter(|total| own < *total) {
        let problem = format!(
            "{own} does not hold: timeout.total of the policy \"{}\" takes its place with {total}; {instead}",
            policy.name
        );
        findings.warning(path, problem);
    }
}

/// A policy's total takes the place of a route's own, longer limit.
pub(super) fn longer_limit(findings: &mut Findings, path: &str, own: Span, policy: &Policy) {
    if let Some(total) = policy.time.total.filter(|total| own > *total) {
        let problem = format!(
            "{own} does not hold: timeout.total of the policy \"{}\" ends requests after {total}; give those that may \
             take longer a policy of their own, or write both alike",
            policy.name
        );
        findings.warning(path, problem);
    }
}

/// Envoy leaves out the limit of an attempt that is not shorter than the whole request's.
pub(super) fn per_try(findings: &mut Findings, path: &str, limit: Span, policy: &Policy) {
    if let Some(per_try) = policy.time.per_try.filter(|per_try| *per_try >= limit) {
        let problem = format!(
            "a request has {limit} here, and timeout.per_try of the policy \"{}\" is {per_try}: Envoy then leaves it \
             out; make it shorter",
            policy.name
        );
        findings.warning(path, problem);
    }
}
