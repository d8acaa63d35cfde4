//! From a host in one of Istio's resources to the clusters that Istio makes of it, `outbound|PORT|SUBSET|HOST`, as far as
//! the resource tells; and to the policies that may govern those.

use seawall_policy::glob;
use seawall_policy::policy::Policy;
use seawall_policy::route::{DEFAULT, Routing};

/// The names of the clusters of a host, in which `*` stands for what is not known.
pub(super) fn clusters(
    host: &str,
    namespace: &str,
    port: Option<u64>,
    subset: Option<&str>,
) -> String {
    let port = port.map_or_else(|| "*".to_owned(), |port| port.to_string());
    let subset = subset.unwrap_or("*");
    format!("outbound|{port}|{subset}|{}", full(host, namespace))
}

/// A host without a dot is a service of the resource's own namespace.
fn full(host: &str, namespace: &str) -> String {
    match (host.contains(['.', '*']), namespace) {
        (true, _) => host.to_owned(),
        (false, "") => format!("{host}.*"),
        (false, namespace) => format!("{host}.{namespace}.svc.*"),
    }
}

/// The namespace of a service, where its host tells.
pub(super) fn namespace_of<'a>(host: &'a str, own: &'a str) -> &'a str {
    let mut labels = host.split('.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some(_), None, _) => own,
        (Some(_), Some(namespace), Some("svc")) => namespace,
        _ => "",
    }
}

/// The policies that may govern clusters of such a name, each once.
pub(super) fn policies<'r>(routing: &'r Routing, clusters: &str) -> Vec<&'r Policy> {
    // A character that no pattern has is matched by a star alone: then the pattern fits whatever stands there.
    let any = clusters.replace('*', "\u{1}");
    let mut found: Vec<&Policy> = Vec::new();
    let mut add = |policy: Option<&'r Policy>| {
        found.extend(policy);
    };
    for entry in &routing.upstreams {
        if meet(entry.cluster.as_bytes(), clusters.as_bytes()) {
            add(routing.policies.get(entry.policy));
        }
        if glob::matches(&entry.cluster, &any) {
            return once(found);
        }
    }
    add(routing.named(DEFAULT).map(|(_, policy)| policy));
    once(found)
}

fn once(found: Vec<&Policy>) -> Vec<&Policy> {
    let mut each: Vec<&Policy> = Vec::new();
    for policy in found {
        if !each.iter().any(|known| known.name == policy.name) {
            each.push(policy);
        }
    }
    each
}

/// Whether there is a text that fits both patterns. In the product of both lengths; beyond a bound it may be.
fn meet(one: &[u8], other: &[u8]) -> bool {
    const BYTES_MAX: usize = 2_000;
    if one.len() > BYTES_MAX || other.len() > BYTES_MAX {
        return true;
    }
    // What is left of `other` that some beginning of it and of `one` have in common.
    let mut row = vec![false; other.len() + 1];
    row[0] = true;
    stars(&mut row, other);
    for byte in one {
        let mut next = vec![false; row.len()];
        for (index, is_met) in row.iter().enumerate() {
            if !is_met {
                continue;
            }
            let at = other.get(index);
            if *byte == b'*' || at == Some(&b'*') {
                next[index] = true;
            }
            if at.is_some_and(|at| at == byte) {
                next[index + 1] = true;
            }
        }
        if *byte == b'*' {
            // It takes any run of what is left.
            let first = next.iter().position(|is_met| *is_met);
            let first = first.unwrap_or(next.len());
            next[first..].fill(true);
        }
        stars(&mut next, other);
        row = next;
    }
    row[other.len()]
}

/// A star may also stand for nothing.
fn stars(row: &mut [bool], other: &[u8]) {
    for (index, byte) in other.iter().enumerate() {
        if *byte == b'*' && row[index] {
            row[index + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_patterns_meet_where_one_text_fits_both() {
        for (one, other, meets) in [
            ("*", "*", true),
            ("", "", true),
            ("", "*", true),
            ("", "a", false),
            ("a", "b", false),
            ("a*", "*b", true),
            ("a*c", "ab*", true),
            ("a*c", "ab*d", false),
            ("ab", "a", false),
            ("a", "ab", false),
            ("*a*", "b*b", true),
            ("a*a", "a", false),
            (
                "outbound|443||payments.*",
                "outbound|*|*|payments.shop.svc.*",
                true,
            ),
            (
                "outbound|443||payments.*",
                "outbound|80|*|payments.shop.svc.*",
                false,
            ),
            (
                "outbound|443|v1|payments.*",
                "outbound|443||payments.shop.svc.*",
                false,
            ),
            ("*payments*", "outbound|*||users.shop.svc.*", true),
            (
                "*payments",
                "outbound|*||users.shop.svc.cluster.local",
                false,
            ),
        ] {
            assert_eq!(
                meet(one.as_bytes(), other.as_bytes()),
                meets,
                "{one} {other}"
            );
            assert_eq!(
                meet(other.as_bytes(), one.as_bytes()),
                meets,
                "{other} {one}"
            );
        }
    }

    #[test]
    fn a_host_is_a_service_of_its_own_namespace_or_as_it_stands() {
        for (host, namespace, name) in [
            ("payments", "shop", "outbound|*|*|payments.shop.svc.*"),
            ("payments", "", "outbound|*|*|payments.*"),
            (
                "payments.shop.svc.cluster.local",
                "a",
                "outbound|*|*|payments.shop.svc.cluster.local",
            ),
            ("api.example.com", "a", "outbound|*|*|api.example.com"),
            ("*", "a", "outbound|*|*|*"),
            ("*.example.com", "a", "outbound|*|*|*.example.com"),
        ] {
            assert_eq!(clusters(host, namespace, None, None), name);
        }
        assert_eq!(
            clusters("a.b", "", Some(443), Some("v1")),
            "outbound|443|v1|a.b"
        );
    }
}
