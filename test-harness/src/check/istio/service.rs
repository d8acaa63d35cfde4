//! A VirtualService: its routes' time limits and retries, beside those of the policies that govern their destinations.

use serde_json::Value;

use seawall_policy::time::{Span, parse_duration};

use super::{concerns, governing, host, keys, odd, perhaps};
use crate::check::manifest::{Seat, namespace};
use crate::check::rules::{self, repeats};
use crate::check::{Findings, joined, list, text};

const KIND: &str = "VirtualService";
/// On what Istio retries where a VirtualService does not say.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,503";

pub(super) fn check(
    findings: &mut Findings,
    at: &str,
    document: &Value,
    seats: &[Seat],
    services: &[(&str, &Value)],
) {
    shape(findings, at, document);
    let export = &document["spec"]["exportTo"];
    let is_seen = |other: &str| concerns(namespace(document), export, other);
    match document["spec"].get("http") {
        Some(Value::Array(routes)) => {
            for (index, route) in routes.iter().enumerate() {
                let path = joined(at, &format!("spec.http[{index}]"));
                one(findings, &path, document, route, seats, &is_seen);
                delegate(findings, &path, route, services);
            }
        }
        Some(_) => odd(findings, at, "http", "is no list"),
        None => {}
    }
}

fn one(
    findings: &mut Findings,
    at: &str,
    document: &Value,
    route: &Value,
    seats: &[Seat],
    is_seen: &dyn Fn(&str) -> bool,
) {
    let own = limit(findings, at, route);
    let mut told: Vec<&str> = Vec::new();
    for (index, target) in list(&route["route"]).iter().enumerate() {
        let destination = &target["destination"];
        let name = text(destination, "/host");
        if name.is_empty() {
            let path = joined(at, &format!("route[{index}].destination.host"));
            findings.unread(&path, "missing: which policy governs it is not known");
            continue;
        }
        let port = destination.pointer("/port/number").and_then(Value::as_u64);
        let subset = text(destination, "/subset");
        let clusters = host::clusters(name, namespace(document), port, Some(subset));
        for (policy, alone) in governing(seats, is_seen, &clusters) {
            if told.contains(&policy.name.as_str()) {
                continue;
            }
            told.push(&policy.name);
            let path = joined(at, "timeout");
            if let Some(own) = own {
                let instead = format!(
                    "give this upstream a policy whose timeout.total is {own}{}",
                    perhaps(alone)
                );
                rules::lost_limit(findings, &path, own, &instead, policy);
                rules::longer_limit(findings, &path, own, policy);
            }
            // Without either there is no limit: Istio sets none.
            if let Some(limit) = policy.time.total.or(own) {
                rules::per_try(findings, &path, limit, policy);
            }
            if let Some(on) = retries(route).filter(|_| repeats(policy)) {
                let needs = "where Seawall has retries, they need none here";
                rules::own(findings, &joined(at, "retries"), on, needs, policy);
            }
        }
    }
}

/// Keys of what is judged here. The API server drops others without a word.
fn shape(findings: &mut Findings, at: &str, document: &Value) {
    const SPEC: [&str; 6] = ["exportTo", "gateways", "hosts", "http", "tcp", "tls"];
    const HTTP: [&str; 17] = [
        "corsPolicy",
        "delegate",
        "directResponse",
        "fault",
        "headers",
        "match",
        "mirror",
        "mirrorPercent",
        "mirrorPercentage",
        "mirror_percent",
        "mirrors",
        "name",
        "redirect",
        "retries",
        "rewrite",
        "route",
        "timeout",
    ];
    const RETRIES: [&str; 6] = [
        "attempts",
        "backoff",
        "perTryTimeout",
        "retryIgnorePreviousHosts",
        "retryOn",
        "retryRemoteLocalities",
    ];
    let spec = joined(at, "spec");
    keys(findings, &spec, KIND, &document["spec"], &SPEC);
    for (index, route) in list(&document["spec"]["http"]).iter().enumerate() {
        let path = joined(at, &format!("spec.http[{index}]"));
        keys(findings, &path, KIND, route, &HTTP);
        keys(
            findings,
            &joined(&path, "retries"),
            KIND,
            &route["retries"],
            &RETRIES,
        );
    }
}

/// A route's own limit. Nothing where there is none; what cannot be read is named.
fn limit(findings: &mut Findings, at: &str, route: &Value) -> Option<Span> {
    let given = route.get("timeout").filter(|given| !given.is_null())?;
    let limit = given.as_str().and_then(length);
    if limit.is_none() {
        findings.unread(&joined(at, "timeout"), "is no length of time, such as 2s");
    }
    limit.filter(|limit| *limit > Span::ZERO)
}

/// On what a route retries of its own, where it says so.
fn retries(route: &Value) -> Option<&str> {
    let retries = route.get("retries").filter(|given| given.is_object())?;
    let none = retries["attempts"].as_u64() == Some(0);
    let on = match text(retries, "/retryOn") {
        "" => RETRY_ON,
        on => on,
    };
    (!none).then_some(on)
}

/// Routes that stand in another VirtualService are judged there, if it is here.
fn delegate(findings: &mut Findings, at: &str, route: &Value, services: &[(&str, &Value)]) {
    let name = text(route, "/delegate/name");
    let is_here = || {
        let mut services = services.iter();
        services.any(|(_, service)| text(service, "/metadata/name") == name)
    };
    if route.get("delegate").is_some() && !is_here() {
        let problem =
            format!("the VirtualService \"{name}\" is not here: its routes are not judged");
        findings.unread(&joined(at, "delegate"), problem);
    }
}

/// A length of time as Istio has it, such as `1h2m3.5s`.
fn length(text: &str) -> Option<Span> {
    let mut total = Span::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let unit = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
        let after = &rest[unit..];
        let end = after
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (part, left) = rest.split_at(unit + end);
        total = total.plus(parse_duration(part).ok()?);
        rest = left;
    }
    (!text.trim().is_empty()).then_some(total)
}
