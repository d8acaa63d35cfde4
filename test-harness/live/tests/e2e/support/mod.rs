//! What all these tests start from: upstreams, an Envoy in front of them, a client.

pub(crate) mod chain;
pub(crate) mod dynamic;
pub(crate) mod frames;
pub(crate) mod processes;
pub(crate) mod trial;
pub(crate) mod unruly;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use seawall_live::clock;
use seawall_live::envoy::body::Body;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{self, Envoy};
use seawall_live::load::Client;
use seawall_live::upstream::Upstream;
use seawall_policy::breaker::TransitionLine;
use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) const WORKERS: usize = 2;

/// Whose turn it is on this machine: one that measures, or any of those that do not.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// The turn of a test that measures short times, or that uses all of the machine: no other runs beside it.
pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// The turn of every other test, taken once and before anything starts: two of one test would wait for each other where one
/// that measures came between them.
pub(crate) async fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// Whether a test is left out since the filter runs as a dynamic module, where what it is about does not exist; says so and why.
pub(crate) fn left_out_on_module(reason: &str) -> anyhow::Result<bool> {
    let module = Body::asked()? == Body::Module;
    if module {
        println!("left out on the dynamic module: {reason}");
    }
    Ok(module)
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
            ..Route::default()
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
        workers(&self.envoy).await
    }

    /// The transitions that the filter logged, as `closed -> open`, in order.
    pub(crate) fn transitions(&self) -> Vec<String> {
        transitions(&self.envoy)
    }

    /// Nothing was refused and no breaker moved, as the filter, its log and the client see it.
    pub(crate) async fn assert_quiet(&self) -> anyhow::Result<()> {
        self.assert_quiet_but(0).await
    }

    /// The same but for so many refusals, which are their callers' own doing.
    pub(crate) async fn assert_quiet_but(&self, refusals: u64) -> anyhow::Result<()> {
        let envoy = &self.envoy;
        let transitions = envoy.sum(&["wasmcustom.seawall_transitions"]).await?;
        let refused = envoy
            .sum(&["wasmcustom.seawall_decisions", "decision=refused"])
            .await?;
        let trouble = envoy.sum(&["wasmcustom.seawall_host_errors"]).await?;
        let undecided = envoy.sum(&["wasmcustom.seawall_undecided"]).await?;
        assert_eq!(
            (transitions, refused, trouble, undecided),
            (0, refusals, 0, 0),
            "{:#?}",
            envoy.stats("seawall").await?
        );
        assert_eq!(self.transitions(), Vec::<String>::new());
        assert_no_trap(envoy);
        Ok(())
    }
}

pub(crate) fn transitions(envoy: &Envoy) -> Vec<String> {
    let logged = logged_transitions(envoy);
    logged.iter().map(TransitionLine::to_string).collect()
}

/// The same with all their figures.
pub(crate) fn logged_transitions(envoy: &Envoy) -> Vec<TransitionLine> {
    let lines = envoy.log_lines("seawall: ");
    let lines = lines.iter().map(String::as_str);
    lines.filter_map(TransitionLine::parse).collect()
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

/// How many connections each worker of this Envoy took so far.
pub(crate) async fn workers(envoy: &Envoy) -> anyhow::Result<Vec<u64>> {
    let stats = envoy.stats("downstream_cx_total").await?;
    let of_worker = |name: &str| name.contains(".worker_") && !name.contains("admin");
    Ok(stats
        .into_iter()
        .filter(|(name, _)| of_worker(name))
        .map(|(_, count)| count)
        .collect())
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

/// One that forgets would run beside what is measured.
#[test]
fn every_test_takes_its_turn() -> anyhow::Result<()> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let mut tests = 0;
    let mut files = vec![directory];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            for file in std::fs::read_dir(path)? {
                files.push(file?.path());
            }
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        for test in text.split("\n#[tokio::test(").skip(1) {
            let body = test.split("\n}\n").next().unwrap_or_default();
            let mut turns = ["alone().await;", "beside_others().await;"].iter();
            let takes = turns.any(|turn| body.contains(turn));
            assert!(takes, "{}: {body}", path.display());
            tests += 1;
        }
    }
    assert!(tests > 100, "{tests}");
    Ok(())
}
