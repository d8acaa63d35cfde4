//! One upstream behind one Envoy whose filter stands in both positions, asked request by request.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;
use seawall_live::clock;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::load::Client;
use seawall_live::pool::{Answer, Pool, Protocol};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use super::{WORKERS, anywhere, assert_no_trap};

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// What a trial is made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The default policy; its breaker is off if it says nothing of one.
    pub(crate) policy: Value,
    /// Networks whose marks are believed.
    pub(crate) trust: Vec<&'static str>,
    /// More of the route's action; it has a short back-off if it says nothing of retries.
    pub(crate) action: Value,
    /// The route's `filter_metadata.seawall`.
    pub(crate) metadata: Value,
    /// Whose requests are internal to Envoy; nobody's if it says nothing.
    pub(crate) internal: Value,
    /// More of the virtual host.
    pub(crate) virtual_host: Value,
    /// Whether the filter stands in the upstream position too.
    pub(crate) upstream: bool,
    /// HTTP/2 to the upstream, as gRPC needs it.
    pub(crate) http2: bool,
    /// The filter's state page; none if it says nothing.
    pub(crate) page: Value,
    /// Hosts of the cluster beside the upstream.
    pub(crate) hosts: Vec<SocketAddr>,
}

impl Plan {
    pub(crate) fn new(policy: Value) -> Self {
        Self {
            policy,
            trust: Vec::new(),
            action: json!({}),
            metadata: Value::Null,
            internal: Value::Null,
            virtual_host: json!({}),
            upstream: true,
            http2: false,
            page: Value::Null,
            hosts: Vec::new(),
        }
    }

    /// The same for gRPC.
    pub(crate) fn grpc(self) -> Self {
        Self {
            http2: true,
            ..self
        }
    }

    pub(crate) async fn start(self) -> anyhow::Result<Trial> {
        let upstream = Upstream::start("upstream", anywhere()).await?;
        upstream.set(Knobs {
            latency_ms: 0,
            ..Knobs::default()
        });
        let mut policy = self.policy;
        if policy.get("breaker").is_none() {
            policy["breaker"] = json!({"mode": "off"});
        }
        let mut action = self.action;
        if action.get("retry_policy").is_none() {
            action["retry_policy"] = json!({"retry_back_off": back_off()});
        }
        let mut hosts = self.hosts;
        hosts.push(upstream.address());
        let cluster = Cluster {
            name: "upstream".to_owned(),
            hosts,
            http2: self.http2,
            ..Cluster::default()
        };
        let mut whole = json!({"version": 1, "policies": {"default": policy}});
        if !self.trust.is_empty() {
            whole["trust"] = json!({"addresses": self.trust});
        }
        if !self.page.is_null() {
            whole["page"] = self.page;
        }
        let listener = Listener {
            name: "edge".to_owned(),
            policy: Some(whole),
            routes: vec![Route {
                prefix: "/".to_owned(),
                cluster: cluster.name.clone(),
                action,
                ..Route::default()
            }],
            upstream: self.upstream,
            virtual_host: self.virtual_host,
            ..Listener::default()
        };
        let mut whole = bootstrap(&filter()?, &[listener], &[cluster]);
        let manager = whole.pointer_mut(MANAGER).expect("a connection manager");
        if !self.internal.is_null() {
            manager["internal_address_config"] = self.internal;
        }
        if !self.metadata.is_null() {
            let route = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0];
            route["metadata"] = json!({"filter_metadata": {"seawall": self.metadata}});
        }
        let envoy = Envoy::start(&whole, WORKERS).await?;
        let address = envoy.listener("edge")?;
        let protocol = if self.http2 {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        Ok(Trial {
            pool: Pool::new(address, protocol),
            envoy,
            upstream,
            address,
        })
    }
}

/// A running one.
pub(crate) struct Trial {
    pub(crate) envoy: Envoy,
    pub(crate) upstream: Upstream,
    pub(crate) address: SocketAddr,
    /// One connection, and so one worker, as long as one asks after the other.
    pub(crate) pool: Pool,
}

impl Trial {
    /// What becomes of requests from now on is counted anew.
    pub(crate) fn set(&self, knobs: Knobs) {
        self.upstream.reset_stats();
        self.upstream.set(knobs);
    }

    pub(crate) async fn get(&self) -> anyhow::Result<Answer> {
        self.pool.send(&Method::GET, "/", &[]).await
    }

    pub(crate) async fn post(&self, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.pool.send(&Method::POST, "/", headers).await
    }

    /// Good requests, each of which pays into the budget; ends when all workers can draw on so many retries.
    pub(crate) async fn save(&self, requests: usize, retries: u64) -> anyhow::Result<()> {
        self.upstream.set(Knobs {
            latency_ms: 0,
            ..Knobs::default()
        });
        for _ in 0..requests {
            assert_eq!(self.get().await?.status, 200);
        }
        let budget = ["wasmcustom.seawall_retry_budget"];
        self.envoy.wait_for(&budget, retries).await?;
        Ok(())
    }

    /// First attempts and retries since the knobs were last set.
    pub(crate) fn attempts(&self) -> (u64, u64) {
        let seen = self.upstream.snapshot();
        (seen.first_attempts, seen.retries)
    }

    pub(crate) fn client(&self, connections: usize) -> Client {
        Client::new(self.address, connections, Duration::from_secs(10))
    }

    /// Waits until the filter counted as much.
    pub(crate) async fn wait_decided(
        &self,
        decision: &str,
        reason: &str,
        least: u64,
    ) -> anyhow::Result<u64> {
        let decision = format!("decision={decision}");
        let reason = format!("reason={reason}");
        let parts = ["wasmcustom.seawall_retries", &decision, &reason];
        self.envoy.wait_for(&parts, least).await
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_no_trap(&self.envoy);
        }
    }
}

/// An answer and how long it took.
pub(crate) async fn timed(
    asked: impl Future<Output = anyhow::Result<Answer>>,
) -> anyhow::Result<(Answer, Duration)> {
    let begin = clock::now();
    let answer = asked.await?;
    Ok((answer, clock::now().duration_since(begin)))
}

/// Small, so that what is measured is not how long it takes.
pub(crate) fn back_off() -> Value {
    json!({"base_interval": "0.001s", "max_interval": "0.002s"})
}

/// Nothing of how retries are agreed on reaches a client.
#[track_caller]
pub(crate) fn assert_clean(answer: &Answer) {
    for name in answer.headers.keys() {
        let ours = name.as_str().starts_with("x-seawall") || name == "x-envoy-ratelimited";
        assert!(!ours, "{name} in {answer:?}");
    }
}
