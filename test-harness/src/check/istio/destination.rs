//! A DestinationRule: `connectionPool.http.maxRetries` is Envoy's own limit on retries at a time.

use serde_json::Value;

use super::{concerns, governing, host, keys, odd, perhaps};
use crate::check::manifest::{Seat, namespace};
use crate::check::rules::{self, MAX_RETRIES_LEAST, repeats};
use crate::check::{Findings, joined, list, text};

/// A place in which a traffic policy may stand, and the subset that it is for; `None` for all.
struct Scope<'a> {
    path: String,
    policy: &'a Value,
    subset: Option<&'a str>,
}

pub(super) fn check(findings: &mut Findings, at: &str, document: &Value, seats: &[Seat]) {
    let spec = &document["spec"];
    shape(findings, at, spec);
    let name = text(spec, "/host");
    let scopes = scopes(at, spec);
    if name.is_empty() {
        if scopes.iter().any(|scope| !scope.policy.is_null()) {
            odd(findings, at, "host", "missing: what it is for is not known");
        }
        return;
    }
    for scope in scopes {
        limit(
            findings,
            document,
            &scope.path,
            scope.policy,
            (name, scope.subset, None),
            seats,
        );
        let ports = list(&scope.policy["portLevelSettings"]).iter().enumerate();
        for (index, settings) in ports {
            let path = joined(&scope.path, &format!("portLevelSettings[{index}]"));
            let port = settings.pointer("/port/number").and_then(Value::as_u64);
            limit(
                findings,
                document,
                &path,
                settings,
                (name, scope.subset, port),
                seats,
            );
        }
    }
}

/// Which keys of a rule's spec are no key of Istio's.
pub(in crate::check) fn unknown_keys(spec: &Value) -> Findings {
    let mut findings = Findings::default();
    shape(&mut findings, "", spec);
    findings
}

/// Keys of what is judged here. The API server drops others without a word.
fn shape(findings: &mut Findings, at: &str, spec: &Value) {
    const KIND: &str = "DestinationRule";
    const SPEC: [&str; 5] = [
        "exportTo",
        "host",
        "subsets",
        "trafficPolicy",
        "workloadSelector",
    ];
    const POLICY: [&str; 8] = [
        "connectionPool",
        "loadBalancer",
        "outlierDetection",
        "portLevelSettings",
        "proxyProtocol",
        "retryBudget",
        "tls",
        "tunnel",
    ];
    const PORT: [&str; 5] = [
        "connectionPool",
        "loadBalancer",
        "outlierDetection",
        "port",
        "tls",
    ];
    const POOL: [&str; 2] = ["http", "tcp"];
    const HTTP: [&str; 8] = [
        "h2UpgradePolicy",
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "idleTimeout",
        "maxConcurrentStreams",
        "maxRequestsPerConnection",
        "maxRetries",
        "useClientProtocol",
    ];
    const TCP: [&str; 5] = [
        "connectTimeout",
        "idleTimeout",
        "maxConnectionDuration",
        "maxConnections",
        "tcpKeepalive",
    ];
    const OUTLIERS: [&str; 9] = [
        "baseEjectionTime",
        "consecutive5xxErrors",
        "consecutiveErrors",
        "consecutiveGatewayErrors",
        "consecutiveLocalOriginFailures",
        "interval",
        "maxEjectionPercent",
        "minHealthPercent",
        "splitExternalLocalOriginErrors",
    ];
    const SUBSET: [&str; 3] = ["labels", "name", "trafficPolicy"];
    keys(findings, &joined(at, "spec"), KIND, spec, &SPEC);
    for (index, subset) in list(&spec["subsets"]).iter().enumerate() {
        keys(
            findings,
            &joined(at, &format!("spec.subsets[{index}]")),
            KIND,
            subset,
            &SUBSET,
        );
    }
    for scope in scopes(at, spec) {
        keys(findings, &scope.path, KIND, scope.policy, &POLICY);
        let ports = list(&scope.policy["portLevelSettings"]).iter().enumerate();
        let ports = ports.map(|(index, port)| {
            (
                joined(&scope.path, &format!("portLevelSettings[{index}]")),
                port,
            )
        });
        let ports: Vec<_> = ports.collect();
        for (path, port) in &ports {
            keys(findings, path, KIND, port, &PORT);
        }
        for (path, policy) in ports.into_iter().chain([(scope.path, scope.policy)]) {
            let outliers = joined(&path, "outlierDetection");
            keys(
                findings,
                &outliers,
                KIND,
                &policy["outlierDetection"],
                &OUTLIERS,
            );
            let path = joined(&path, "connectionPool");
            let pool = &policy["connectionPool"];
            keys(findings, &path, KIND, pool, &POOL);
            keys(findings, &joined(&path, "http"), KIND, &pool["http"], &HTTP);
            keys(findings, &joined(&path, "tcp"), KIND, &pool["tcp"], &TCP);
        }
    }
}

fn scopes<'a>(at: &str, spec: &'a Value) -> Vec<Scope<'a>> {
    let mut scopes = vec![Scope {
        path: joined(at, "spec.trafficPolicy"),
        policy: &spec["trafficPolicy"],
        subset: None,
    }];
    for (index, subset) in list(&spec["subsets"]).iter().enumerate() {
        scopes.push(Scope {
            path: joined(at, &format!("spec.subsets[{index}].trafficPolicy")),
            policy: &subset["trafficPolicy"],
            subset: Some(text(subset, "/name")),
        });
    }
    scopes
}

/// One limit, and what it is for: a host, a subset, a port.
fn limit(
    findings: &mut Findings,
    document: &Value,
    at: &str,
    policy: &Value,
    (name, subset, port): (&str, Option<&str>, Option<u64>),
    seats: &[Seat],
) {
    let Some(given) = policy.pointer("/connectionPool/http/maxRetries") else {
        return;
    };
    let path = joined(at, "connectionPool.http.maxRetries");
    let own = namespace(document);
    let is_seen = |other: &str| sees(document, name, other);
    let clusters = host::clusters(name, own, port, subset);
    let governing = governing(seats, is_seen, &clusters);
    let Some((policy, alone)) = governing.into_iter().find(|(policy, _)| repeats(policy)) else {
        return;
    };
    match given.as_u64() {
        // None is said: Istio then sets no limit.
        Some(0) => {}
        Some(limit) if limit < MAX_RETRIES_LEAST => {
            let is = format!("is {limit}{}", perhaps(alone));
            rules::overflow(findings, &path, &is, name, policy);
        }
        Some(_) => {}
        None => findings.unread(&path, "is no number of retries"),
    }
}

/// A client's proxy takes rules of its own namespace, of the service's, and of the root's.
fn sees(document: &Value, name: &str, other: &str) -> bool {
    let own = namespace(document);
    let service = host::namespace_of(name, own);
    let is_near = own == other || own == service || service.is_empty() || own == super::ROOT;
    let unknown = own.is_empty() || other.is_empty() || other == super::ROOT;
    (unknown || is_near) && concerns(own, &document["spec"]["exportTo"], other)
}
