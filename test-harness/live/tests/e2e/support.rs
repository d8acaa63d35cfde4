//! What all these tests start from: upstreams, an Envoy in front of them, a client.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use seawall_live::clock;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{self, Envoy};
use seawall_live::load::Client;
use seawall_live::upstream::Upstream;
use serde_json::{Value, json};

pub(crate) const WORKERS: usize = 2;

/// Tests that measure short times, and tests that use all of the machine, take turns.
pub(crate) async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    MACHINE.lock().await
}

/// A free port on this machine.
pub(crate) fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// One upstream behind one Envoy with the filter.
pub(crate) struct Stand {
    pub(crate) envoy: Envoy,
    pub(crate) upstream: Upstream,
    pub(crate) address: SocketAddr,
}

/// A policy named default around this breaker, without jitter, ramp and grace.
pub(crate) fn policy(breaker: Value) -> Value {
    json!({"version": 1, "policies": {"default": {"breaker": overlaid(breaker)}}})
}

/// The breaker of these tests: fast, and without chance.
fn overlaid(breaker: Value) -> Value {
    let mut whole = json!({
        "minimum_calls": 20, "consecutive": 0, "window": {"over": "10s"}, "ramp": "0s", "hosts": {"grace": "0s"},
        "open": {"for": "1s", "up_to": "1s", "jitter": 0}, "half_open": {"permits": 5, "wait": "20s"}
    });
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), breaker.as_object()) {
        whole.extend(more.clone());
    }
    whole
}

/// An Envoy that sends everything from its listener "edge" through the filter to one cluster.
pub(crate) async fn edge(policy: Value, action: Value, cluster: Cluster) -> anyhow::Result<Envoy> {
    let listener = Listener {
        name: "edge".to_owned(),
        policy: Some(policy),
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: cluster.name.clone(),
            policy: None,
            action,
        }],
        ..Listener::default()
    };
    Envoy::start(
        &bootstrap(&envoy::filter()?, &[listener], &[cluster]),
        WORKERS,
    )
    .await
}

impl Stand {
    pub(crate) async fn start(policy: Value) -> anyhow::Result<Self> {
        Self::with(policy, json!({}), json!({})).await
    }

    /// With more of the route's action and of the cluster.
    pub(crate) async fn with(policy: Value, action: Value, more: Value) -> anyhow::Result<Self> {
        let upstream = Upstream::start("upstream", anywhere()).await?;
        let cluster = Cluster {
            name: "upstream".to_owned(),
            hosts: vec![upstream.address()],
            more,
            http2: false,
        };
        let envoy = edge(policy, action, cluster).await?;
        let address = envoy.listener("edge")?;
        Ok(Self {
            envoy,
            upstream,
            address,
        })
    }

    pub(crate) fn client(&self, connections: usize) -> Client {
        Client::new(self.address, connections, Duration::from_secs(5))
    }

    /// How many requests each worker served, by connections that Envoy balanced.
    pub(crate) async fn workers(&self) -> anyhow::Result<Vec<u64>> {
        let stats = self.envoy.stats("downstream_cx_total").await?;
        let of_worker = |name: &str| name.contains(".worker_") && !name.contains("admin");
        Ok(stats
            .into_iter()
            .filter(|(name, _)| of_worker(name))
            .map(|(_, value)| value)
            .collect())
    }

    /// The transitions that the filter logged, as `closed -> open`, in order.
    pub(crate) fn transitions(&self) -> Vec<String> {
        transitions(&self.envoy)
    }

    /// Nothing was refused and no breaker moved, as the filter, its log and the client see it.
    pub(crate) async fn assert_quiet(&self) -> anyhow::Result<()> {
        let envoy = &self.envoy;
        let transitions = envoy.sum(&["wasmcustom.seawall_transitions"]).await?;
        let refused = envoy
            .sum(&["wasmcustom.seawall_decisions", "decision=refused"])
            .await?;
        let trouble = envoy.sum(&["wasmcustom.seawall_host_errors"]).await?;
        let undecided = envoy.sum(&["wasmcustom.seawall_undecided"]).await?;
        assert_eq!(
            (transitions, refused, trouble, undecided),
            (0, 0, 0, 0),
            "{:#?}",
            envoy.stats("seawall").await?
        );
        assert_eq!(self.transitions(), Vec::<String>::new());
        assert_no_trap(envoy);
        Ok(())
    }
}

pub(crate) fn transitions(envoy: &Envoy) -> Vec<String> {
    let lines = envoy.log_lines(" -> ");
    let of = |line: &String| {
        let (before, after) = line.split_once(" -> ")?;
        let from = before.rsplit(' ').next()?;
        Some(format!("{from} -> {}", after.split(' ').next()?))
    };
    lines.iter().filter_map(of).collect()
}

/// No VM died.
pub(crate) fn assert_no_trap(envoy: &Envoy) {
    let log = envoy.log();
    for word in [
        "panicked",
        "Function: ",
        "wasm failed",
        "Uncaught RuntimeError",
    ] {
        let line = log.lines().find(|line| line.contains(word));
        assert_eq!(line, None);
    }
}

/// Waits until something is so, for at most ten seconds.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let deadline = clock::now() + Duration::from_secs(10);
    while !so().await {
        if clock::now() > deadline {
            return Err(anyhow::anyhow!("ten seconds passed")).context(what.to_owned());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
