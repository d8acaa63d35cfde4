//! A chain of services as a mesh has it: a gateway, then A, B and C, each behind an Envoy of its own.
//!
//! ```text
//! door -> [gateway] -> [a-in] app A [a-out] -> [b-in] app B [b-out] -> [c-in] upstream C
//! ```
//! What stands in brackets is a listener; A's two are one process, B's too. The apps copy nothing but `x-request-id`. HTTP/1
//! stays HTTP/1 all the way, and HTTP/2, as gRPC needs it, stays HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use seawall_live::app::App;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::load::Client;
use seawall_live::pool::{Pool, Protocol};
use seawall_live::upstream::Upstream;
use serde_json::{Value, json};

use super::{WORKERS, anywhere, assert_no_trap};

/// What a test says of a listener.
#[derive(Default)]
pub(crate) struct Side {
    /// The filter's configuration, for both positions; no filter without it.
    pub(crate) policy: Option<Value>,
    /// More of the route's action.
    pub(crate) action: Value,
}

/// The whole chain.
pub(crate) struct Chain {
    pub(crate) app_a: App,
    pub(crate) app_b: App,
    pub(crate) upstream: Upstream,
    envoys: Vec<Envoy>,
    door: SocketAddr,
    inlet: SocketAddr,
}

impl Chain {
    /// Starts all of it from its end; `side` is asked for each listener by its name.
    pub(crate) async fn start(side: impl Fn(&str) -> Side) -> anyhow::Result<Self> {
        let upstream = Upstream::start("c", anywhere()).await?;
        let app_a = App::start("a", anywhere()).await?;
        let app_b = App::start("b", anywhere()).await?;

        let c = envoy(&side, &[("c-in", "INBOUND", upstream.address())]).await?;
        let b = sidecar(&side, "b", &app_b, c.listener("c-in")?).await?;
        let a = sidecar(&side, "a", &app_a, b.listener("b-in")?).await?;
        let gateway = [("gateway", "UNSPECIFIED", a.listener("a-in")?)];
        let gateway = envoy(&side, &gateway).await?;
        let door = gateway.listener("gateway")?;
        let inlet = a.listener("a-in")?;
        Ok(Self {
            app_a,
            app_b,
            upstream,
            envoys: vec![gateway, a, b, c],
            door,
            inlet,
        })
    }

    /// Connections to A's sidecar, past the gateway.
    pub(crate) fn inlet(&self, protocol: Protocol) -> Pool {
        Pool::new(self.inlet, protocol)
    }

    /// Users at the gateway.
    pub(crate) fn users(&self, connections: usize) -> Client {
        Client::new(self.door, connections, Duration::from_secs(20))
    }

    /// Connections to the gateway, for whole answers.
    pub(crate) fn door(&self, protocol: Protocol) -> Pool {
        Pool::new(self.door, protocol)
    }

    /// The sum of all counters, over all Envoys, whose name holds all of `parts`.
    pub(crate) async fn sum(&self, parts: &[&str]) -> anyhow::Result<u64> {
        let mut sum = 0;
        for envoy in &self.envoys {
            sum += envoy.sum(parts).await?;
        }
        Ok(sum)
    }

    /// No VM died in any of them.
    pub(crate) fn assert_no_trap(&self) {
        self.envoys.iter().for_each(assert_no_trap);
    }
}

/// An app's Envoy: what comes goes to the app, what the app asks goes to the next.
async fn sidecar(
    side: &impl Fn(&str) -> Side,
    name: &str,
    app: &App,
    next: SocketAddr,
) -> anyhow::Result<Envoy> {
    let (inbound, outbound) = (format!("{name}-in"), format!("{name}-out"));
    let listeners = [
        (inbound.as_str(), "INBOUND", app.address()),
        (outbound.as_str(), "OUTBOUND", next),
    ];
    let envoy = envoy(side, &listeners).await?;
    app.send_to(envoy.listener(&outbound)?);
    Ok(envoy)
}

/// One Envoy with these listeners: name, direction, and where all of it goes.
async fn envoy(
    side: &impl Fn(&str) -> Side,
    listeners: &[(&str, &'static str, SocketAddr)],
) -> anyhow::Result<Envoy> {
    let (mut stand, mut clusters) = (Vec::new(), Vec::new());
    for (name, direction, host) in listeners {
        let Side { policy, action } = side(name);
        let cluster = format!("from-{name}");
        clusters.push(Cluster {
            name: cluster.clone(),
            hosts: vec![*host],
            more: as_it_came(),
            http2: false,
        });
        stand.push(Listener {
            name: (*name).to_owned(),
            upstream: policy.is_some(),
            policy,
            routes: vec![Route {
                prefix: "/".to_owned(),
                cluster,
                action,
                ..Route::default()
            }],
            direction: Some(direction),
            ..Listener::default()
        });
    }
    Envoy::start(&bootstrap(&filter()?, &stand, &clusters), WORKERS).await
}

/// To the hosts in the protocol in which it came.
fn as_it_came() -> Value {
    json!({"typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}
        }
    }})
}
