//! From what is known of a request to the policy that governs it.
//!
//! A route's metadata wins, then the first upstream entry whose pattern fits the cluster, then the policy named
//! `default`. Clusters that stand for many destinations are governed only where an entry names them and keys them by
//! authority: one state for all of them would let one dead host cut off every other.

use crate::glob;
use crate::policy::Policy;
use crate::state_page::StatePage;
use crate::trust::Trust;

/// The name of the policy that applies where nothing else does.
pub const DEFAULT: &str = "default";

/// How the state of a cluster is keyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// One state for the cluster.
    Cluster,
    /// One state for each authority asked for, for at most this many; the rest has none.
    Authority {
        /// How many authorities may have a state of their own.
        max_keys: u32,
    },
}

/// Which clusters a policy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The cluster's name; `*` stands for any run of characters.
    pub cluster: String,
    /// Index of the policy in [`Routing::policies`].
    pub policy: usize,
    /// How its state is keyed.
    pub key: Key,
}

/// All policies and what they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Every policy, `extends` resolved.
    pub policies: Vec<Policy>,
    /// First match wins.
    pub upstreams: Vec<Upstream>,
    /// How many upstreams a process keeps a state for; the rest is let through.
    pub upstreams_max: u32,
    /// Whose marks are believed.
    pub trust: Trust,
    /// The state page, where there is one.
    pub page: Option<StatePage>,
}

impl Routing {
    /// How many upstreams a process keeps a state for where the configuration does not say.
    pub const UPSTREAMS_MAX_DEFAULT: u32 = 2_000;

    /// A policy by its name, and its place.
    pub fn named(&self, name: &str) -> Option<(usize, &Policy)> {
        let mut policies = self.policies.iter().enumerate();
        policies.find(|(_, policy)| policy.name == name)
    }

    /// Whether requests with this policy are governed: it has a say in something, or marks of peers are passed on.
    pub fn governs(&self, policy: &Policy) -> bool {
        policy.governs() || !self.trust.is_empty()
    }

    /// Whether the policy that a route's metadata names can be another than what a request gets anyway.
    pub fn heeds_names(&self) -> bool {
        !matches!(self.policies.as_slice(), [only] if only.name == DEFAULT)
    }

    /// The policy for a request to `cluster`, and how its state is keyed; `None` where Seawall stays out.
    ///
    /// `named` is the policy that the route's metadata asks for. A name that does not exist is as if none were given:
    /// the second value says so, for a counter.
    pub fn select(&self, cluster: &str, named: Option<&str>) -> (Option<(&Policy, Key)>, bool) {
        let by_name = |name: &str| self.named(name).map(|(_, policy)| policy);
        let metadata = named.and_then(by_name);
        let unknown = named.is_some() && metadata.is_none();
        let entry = self
            .upstreams
            .iter()
            .find(|entry| glob::matches(&entry.cluster, cluster));
        let key = entry.map_or(Key::Cluster, |entry| entry.key);
        if stands_for_many(cluster) && key == Key::Cluster {
            return (None, unknown);
        }
        let policy = metadata
            .or_else(|| entry.and_then(|entry| self.policies.get(entry.policy)))
            .or_else(|| by_name(DEFAULT));
        (policy.map(|policy| (policy, key)), unknown)
    }
}

/// Whether a cluster of this name stands for many destinations: Istio's pass-through clusters, original-destination
/// clusters and dynamic forward proxies, by the names their documentation gives them.
pub fn stands_for_many(cluster: &str) -> bool {
    [
        "PassthroughCluster",
        "BlackHoleCluster",
        "InboundPassthroughCluster*",
        "*original_dst*",
        "*original-dst*",
        "*dynamic_forward_proxy*",
    ]
    .iter()
    .any(|pattern| glob::matches(pattern, cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing() -> Routing {
        let policy = |name: &str| Policy {
            name: name.to_owned(),
            ..Policy::default()
        };
        Routing {
            policies: vec![policy(DEFAULT), policy("payments"), policy("egress")],
            upstreams: vec![
                Upstream {
                    cluster: "payments*".to_owned(),
                    policy: 1,
                    key: Key::Cluster,
                },
                Upstream {
                    cluster: "PassthroughCluster".to_owned(),
                    policy: 2,
                    key: Key::Authority { max_keys: 10 },
                },
            ],
            trust: Trust::default(),
            page: None,
            upstreams_max: Routing::UPSTREAMS_MAX_DEFAULT,
        }
    }

    #[track_caller]
    fn check(cluster: &str, named: Option<&str>, expected: Option<&str>) {
        let routing = routing();
        let (selected, _) = routing.select(cluster, named);
        assert_eq!(selected.map(|(policy, _)| policy.name.as_str()), expected);
    }

    #[test]
    fn metadata_wins_then_the_first_entry_then_default() {
        check("payments-eu", Some("egress"), Some("egress"));
        check("payments-eu", None, Some("payments"));
        check("orders", None, Some("default"));
    }

    #[test]
    fn an_unknown_name_in_metadata_is_reported_and_changes_nothing() {
        check("payments-eu", Some("paymnets"), Some("payments"));
        assert!(routing().select("orders", Some("nobody")).1);
        assert!(!routing().select("orders", Some("egress")).1);
    }

    #[test]
    fn a_cluster_that_stands_for_many_is_left_alone_unless_keyed_by_authority() {
        check("BlackHoleCluster", None, None);
        check("BlackHoleCluster", Some("payments"), None);
        check("my_dynamic_forward_proxy_cluster", None, None);
        check("PassthroughCluster", None, Some("egress"));
    }
}
