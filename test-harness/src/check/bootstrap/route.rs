//! The routes of a chain of HTTP filters, as far as policies ask about them.

use serde_json::Value;

use seawall_policy::policy::Policy;
use seawall_policy::route::Routing;
use seawall_policy::time::{Span, parse_duration};

use super::place::Chain;
use crate::check::{joined, list};

/// Envoy's limit for a route that names none.
const TIMEOUT_DEFAULT: Span = Span::secs(15);

/// A route of a connection manager.
pub(super) struct Route<'a> {
    /// Where it stands.
    pub(super) path: String,
    route: &'a Value,
    host: &'a Value,
    host_path: String,
}

/// The routes of a chain; `None` where they come from elsewhere.
pub(super) fn routes<'a>(chain: &Chain<'a>) -> Option<Vec<Route<'a>>> {
    let (at, configuration) = chain.routes.as_ref()?;
    let hosts = configuration["virtual_hosts"].as_array()?;
    let mut routes = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let host_path = joined(at, &format!("virtual_hosts[{number}]"));
        for (number, route) in list(&host["routes"]).iter().enumerate() {
            routes.push(Route {
                path: format!("{host_path}.routes[{number}]"),
                route,
                host,
                host_path: host_path.clone(),
            });
        }
    }
    Some(routes)
}

impl<'a> Route<'a> {
    /// The clusters it goes to; `None` where only a request tells.
    pub(super) fn clusters(&self) -> Option<Vec<&'a str>> {
        let Some(action) = self.route.get("route") else {
            return Some(Vec::new());
        };
        if let Some(cluster) = action["cluster"].as_str() {
            return Some(vec![cluster]);
        }
        let weighted = action.pointer("/weighted_clusters/clusters")?;
        let names = list(weighted).iter();
        names.map(|cluster| cluster["name"].as_str()).collect()
    }

    /// The policy that its metadata names.
    pub(super) fn named(&self) -> Option<&'a str> {
        self.metadata("policy")
    }

    /// The policies that govern its requests, each once.
    pub(super) fn policies<'r>(&self, routing: &'r Routing) -> Vec<&'r Policy> {
        let mut policies: Vec<&Policy> = Vec::new();
        for cluster in self.clusters().unwrap_or_default() {
            if let (Some((policy, _)), _) = routing.select(cluster, self.named())
                && !policies.iter().any(|known| known.name == policy.name)
            {
                policies.push(policy);
            }
        }
        policies
    }

    /// Whether it is for requests that the filter sends to this cluster, and goes there.
    pub(super) fn fails_over_to(&self, cluster: &str) -> bool {
        const FAILOVER: &str = "x-seawall-failover";
        let headers = self.route.pointer("/match/headers");
        let mut headers = headers.and_then(Value::as_array).into_iter().flatten();
        let listens = headers.any(|header| header["name"].as_str() == Some(FAILOVER));
        let by_header = self.route.pointer("/route/cluster_header");
        let follows = by_header.and_then(Value::as_str) == Some(FAILOVER);
        let named = self.clusters().unwrap_or_default().contains(&cluster);
        listens && (follows || named)
    }

    /// The time that a request of this policy has here; `None` if there is no limit.
    pub(super) fn limit(&self, policy: &Policy) -> Option<Span> {
        let repeated = self.metadata("timeout").and_then(length);
        match (policy.time.total, repeated) {
            (Some(total), Some(repeated)) => Some(total.min(repeated)),
            (Some(total), None) => Some(total),
            // Envoy's own way to say that there is no limit is 0s.
            (None, _) => match self.route.pointer("/route/timeout") {
                Some(given) => length(given.as_str()?),
                None => Some(TIMEOUT_DEFAULT),
            },
        }
    }

    /// Its own limit, where its metadata does not repeat it.
    pub(super) fn unrepeated(&self) -> Option<Span> {
        let own = length(self.route.pointer("/route/timeout")?.as_str()?)?;
        self.metadata("timeout").is_none().then_some(own)
    }

    /// All of its metadata.
    pub(super) fn filter_metadata(&self) -> Option<&'a Value> {
        self.route.pointer("/metadata/filter_metadata")
    }

    /// Whether the host that a caller asks for is the one that the upstream hears of.
    pub(super) fn keeps_host(&self) -> bool {
        let action = &self.route["route"];
        let mut keys = action
            .as_object()
            .into_iter()
            .flat_map(|action| action.keys());
        !keys.any(|key| key.starts_with("host_rewrite") || key == "auto_host_rewrite")
    }

    /// The most that a gRPC caller's own deadline may be, and where each such bound stands.
    pub(super) fn callers_limits(&self) -> Vec<(String, Span)> {
        const BOUNDS: [(&str, &str); 2] = [
            ("/route/max_grpc_timeout", "route.max_grpc_timeout"),
            (
                "/route/max_stream_duration/grpc_timeout_header_max",
                "route.max_stream_duration.grpc_timeout_header_max",
            ),
        ];
        let bound = |(pointer, name): (&str, &str)| {
            let limit = length(self.route.pointer(pointer)?.as_str()?)?;
            Some((joined(&self.path, name), limit))
        };
        BOUNDS.into_iter().filter_map(bound).collect()
    }

    /// Its retry policy, its own or its virtual host's, and where that stands.
    pub(super) fn retry_policy(&self) -> Option<(String, &'a Value)> {
        let own = self.route.pointer("/route/retry_policy");
        if let Some(own) = own {
            return Some((joined(&self.path, "route.retry_policy"), own));
        }
        let path = joined(&self.host_path, "retry_policy");
        Some((path, self.host.get("retry_policy")?))
    }

    fn metadata(&self, key: &str) -> Option<&'a str> {
        let seawall = self.route.pointer("/metadata/filter_metadata/seawall")?;
        seawall[key].as_str()
    }
}

fn length(text: &str) -> Option<Span> {
    let length = parse_duration(text).ok()?;
    (length > Span::ZERO).then_some(length)
}
