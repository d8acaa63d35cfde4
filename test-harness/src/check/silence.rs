//! Whether the breaker sees an upstream that hangs. What ends a request sooner than `slow_call.over` is no verdict unless it is
//! an operator's limit, so where everything does, silence opens nothing.

use seawall_policy::policy::Policy;
use seawall_policy::ratio::Share;
use seawall_policy::route::Routing;
use seawall_policy::time::Span;

use super::Findings;

/// Policies whose own limit, which follows latency, ends requests before they are slow. `at` says where a key of the
/// configuration stands.
pub(super) fn check(findings: &mut Findings, at: &dyn Fn(&str) -> String, routing: &Routing) {
    for policy in &routing.policies {
        let Some(follow) = policy.time.adaptive else {
            continue;
        };
        let over = slow_over(policy);
        if !policy.breaker.mode.counts()
            || over.is_some_and(|over| over <= follow.max)
            || is_counted(policy, follow.max)
        {
            continue;
        }
        let path = at(&format!("policies.{}.timeout.adaptive", policy.name));
        let max = follow.max;
        let problem = match over {
            Some(over) => format!(
                "ends requests after {max} at the latest, before slow_call.over ({over}): what it ends sooner is no verdict, so \
                 that an upstream that hangs is not seen; write breaker.slow_call.over below {max}, or timeout.per_try"
            ),
            None => "what it ends is at most a slow call, and breaker.slow_call.rate is 0, so that an upstream that hangs is not \
                     seen; write a rate, or timeout.per_try"
                .to_owned(),
        };
        findings.warning(&path, problem);
    }
}

/// Why an upstream that hangs is not seen where callers bring no longer limits than this; nothing if it is.
pub(super) fn unseen(policy: &Policy, limit: Span) -> Option<String> {
    let over = slow_over(policy).filter(|over| limit < *over)?;
    let seen = !policy.breaker.mode.counts() || is_counted(policy, limit);
    let name = &policy.name;
    (!seen).then(|| {
        format!(
            "a gRPC caller's own deadline is at most {limit} here, shorter than slow_call.over ({over}) of the policy \"{name}\": \
             what it ends is no verdict, so that an upstream that hangs is not seen where all callers bring one; write \
             breaker.slow_call.over below {limit}, or timeout.per_try"
        )
    })
}

/// Whether an attempt's limit, which is the operator's, ends a silent attempt sooner than this: a failure.
fn is_counted(policy: &Policy, limit: Span) -> bool {
    let mut own = [policy.time.per_try, policy.time.total]
        .into_iter()
        .flatten();
    own.any(|own| own < limit)
}

/// Longer than this is a slow call, where slow calls open a breaker.
fn slow_over(policy: &Policy) -> Option<Span> {
    let thresholds = &policy.breaker.thresholds;
    (thresholds.slow_rate != Share::NONE).then_some(thresholds.slow_over)
}
