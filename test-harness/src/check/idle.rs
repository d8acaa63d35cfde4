//! What is written and does nothing: entries and rungs that nothing reaches, conditions that nothing meets, policies that
//! govern nothing. All of it is right for the filter, and none of it is what somebody meant.

use seawall_policy::breaker::Settings;
use seawall_policy::fallback::{Fallback, Kind};
use seawall_policy::glob;
use seawall_policy::policy::Policy;
use seawall_policy::retry::Conditions;
use seawall_policy::route::{DEFAULT, Routing};

use super::Findings;
use super::shape::near;

/// All that one configuration says of itself. `at` says where a key of it stands.
pub(super) fn check(findings: &mut Findings, at: &dyn Fn(&str) -> String, routing: &Routing) {
    nearly_default(findings, at, routing);
    entries(findings, at, routing);
    for policy in &routing.policies {
        let at = |key: &str| at(&format!("policies.{}.{key}", policy.name));
        rungs(findings, &at, policy);
        conditions(findings, &at, policy);
        slow_calls(findings, &at, policy);
    }
}

/// The policy for everything else has one name, and no other.
fn nearly_default(findings: &mut Findings, at: &dyn Fn(&str) -> String, routing: &Routing) {
    if routing.named(DEFAULT).is_some() || !routing.upstreams.is_empty() {
        return;
    }
    let mut policies = routing.policies.iter();
    if let Some(policy) = policies.find(|policy| near(&policy.name, &[DEFAULT]).is_some()) {
        let problem = format!(
            "governs only routes whose metadata names it: what no upstream and no route names is governed by the policy \
             \"{DEFAULT}\", and there is none; write \"{DEFAULT}\""
        );
        findings.warning(&at(&format!("policies.{}", policy.name)), problem);
    }
}

/// Of the upstreams the first that fits counts.
fn entries(findings: &mut Findings, at: &dyn Fn(&str) -> String, routing: &Routing) {
    for (index, entry) in routing.upstreams.iter().enumerate() {
        // A character that no pattern has is matched by a star alone.
        let all = entry.cluster.replace('*', "\u{1}");
        let mut before = routing.upstreams[..index].iter().enumerate();
        if let Some((first, _)) = before.find(|(_, other)| glob::matches(&other.cluster, &all)) {
            let problem = format!(
                "never asked: upstreams[{first}] (\"{}\") takes all that it fits, and the first counts; put it before that",
                routing.upstreams[first].cluster
            );
            findings.warning(&at(&format!("upstreams[{index}]")), problem);
        }
    }
}

/// A static rung answers all that it stands for.
fn rungs(findings: &mut Findings, at: &dyn Fn(&str) -> String, policy: &Policy) {
    let ladder = &policy.fallback;
    for (index, rung) in ladder.rungs.iter().enumerate() {
        let kinds = [Kind::Plain, Kind::Grpc, Kind::Tunnel];
        let reached = kinds.into_iter().any(|kind| {
            // Who answers gRPC or tunnels by the way is there for plain requests.
            let stands_so = match (&rung.answer, kind) {
                (_, Kind::Plain) => true,
                (Fallback::Static(fixed), Kind::Grpc) => fixed.grpc.is_some(),
                _ => false,
            };
            stands_so
                && rung.on.iter().any(|cause| {
                    let mut answers = ladder.answers(*cause, kind);
                    let first = answers.find(|answer| {
                        std::ptr::eq(*answer, &raw const rung.answer)
                            || matches!(answer, Fallback::Static(_))
                    });
                    first.is_some_and(|first| std::ptr::eq(first, &raw const rung.answer))
                })
        });
        if !reached && !rung.on.is_empty() {
            let problem = "never reached: a static rung before it answers all that it is for; put it before that";
            findings.warning(&at(&format!("fallback[{index}]")), problem);
        }
    }
}

fn conditions(findings: &mut Findings, at: &dyn Fn(&str) -> String, policy: &Policy) {
    let retries = policy.retries.as_ref();
    if retries.is_some_and(|retries| retries.on == Conditions::default()) {
        let problem = "is empty, so that nothing is ever repeated: leave it out for the usual conditions, or write mode: off";
        findings.warning(&at("retries.on"), problem);
    }
    let mut failures = policy.outcomes.failure_status.iter();
    if let Some(status) = failures.find(|status| (200..300).contains(status)) {
        let problem = format!(
            "{status} says that all went well, and counts as a failure here; the list takes the place of the usual one \
             (500, 502 to 504, 520 to 527, 530)"
        );
        findings.warning(&at("outcomes.failure.status"), problem);
    }
}

/// What a policy's own limit ends sooner is a failure, and never a slow call.
fn slow_calls(findings: &mut Findings, at: &dyn Fn(&str) -> String, policy: &Policy) {
    let over = policy.breaker.thresholds.slow_over;
    let is_said = over != Settings::default().thresholds.slow_over;
    let counts = policy.breaker.mode.counts()
        && policy.breaker.thresholds.slow_rate != seawall_policy::ratio::Share::NONE;
    if let Some(total) = policy.time.total.filter(|total| *total <= over)
        && is_said
        && counts
    {
        let problem = format!(
            "no call is ever slow: timeout.total ({total}) ends each before {over}, as a failure; make it shorter than that"
        );
        findings.warning(&at("breaker.slow_call.over"), problem);
    }
}
