//! One Envoy whose filter's configuration changes while it runs: with its listener (LDS) or by itself (ECDS), both by files
//! that are moved into place.
//!
//! Three upstreams stand behind it, each with a breaker of its own: `/sick` goes to one whose breaker is to be open,
//! `/forced` to one that policies may force open, everything else to one that is well.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seawall_live::clock;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap, seawall};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::listen;
use seawall_live::load::{Client, Kind};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{WORKERS, anywhere, until};

/// Longer than it takes to compile a new module while requests are held, and shorter than the routes' own limit.
const PATIENCE: Duration = Duration::from_secs(15);
const FILTERS: &str = "/filter_chains/0/filters/0/typed_config/http_filters";
const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const EXTENSION: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";

/// How the filter's configuration comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discovery {
    /// In the listener, which is replaced as a whole: connections move from the old one to the new one.
    Listener,
    /// By itself; connections stay.
    Extension,
}

/// The files that Envoy watches, and what stands behind it.
pub(crate) struct Ground {
    discovery: Discovery,
    files: TempDir,
    address: SocketAddr,
    wasm: PathBuf,
    begin: Instant,
    whole_listeners: bool,
    pub(crate) well: Upstream,
    pub(crate) sick: Upstream,
    pub(crate) forced: Upstream,
}

impl Ground {
    pub(crate) async fn new(discovery: Discovery) -> anyhow::Result<Self> {
        // Port 0 would be another port after each update.
        let address = listen::reserved()?;
        Ok(Self {
            discovery,
            files: tempfile::tempdir()?,
            address,
            wasm: filter()?,
            begin: clock::now(),
            whole_listeners: false,
            well: Upstream::start("well", anywhere()).await?,
            sick: Upstream::start("sick", anywhere()).await?,
            forced: Upstream::start("forced", anywhere()).await?,
        })
    }

    /// From the next update on each listener differs in more than its filters: Envoy then replaces it as a whole, where
    /// it otherwise replaces the filter chain alone.
    pub(crate) fn whole_listeners(&mut self) {
        self.whole_listeners = true;
    }

    /// A module that does the same and has other bytes: an empty custom section of this name at its end.
    pub(crate) fn version(&self, name: &str) -> anyhow::Result<PathBuf> {
        let mut bytes = std::fs::read(&self.wasm)?;
        let length = u8::try_from(name.len())?;
        bytes.extend([0, length + 1, length]);
        bytes.extend(name.as_bytes());
        let path = self.files.path().join(name).with_extension("wasm");
        std::fs::write(&path, bytes)?;
        Ok(path)
    }

    /// The bootstrap of an Envoy that begins with this policy.
    pub(crate) fn bootstrap(&self, policy: &Value) -> anyhow::Result<Value> {
        self.publish(policy)?;
        let mut whole = self.whole(&self.wasm, policy);
        whole["node"] = json!({"id": "test", "cluster": "test"});
        match self.discovery {
            Discovery::Listener => {
                whole["static_resources"]["listeners"] = json!([]);
                whole["dynamic_resources"] =
                    json!({"lds_config": {"path_config_source": {"path": self.path("lds")}}});
            }
            Discovery::Extension => {
                let found = json!({
                    "name": "seawall",
                    "config_discovery": {
                        "config_source": {"path_config_source": {"path": self.path("ecds")}, "resource_api_version": "V3"},
                        "type_urls": [seawall(&self.wasm, policy)["typed_config"]["@type"]]
                    }
                });
                let listener = &mut whole["static_resources"]["listeners"][0];
                for place in positions() {
                    *listener.pointer_mut(&place).expect("the filter") = found.clone();
                }
            }
        }
        Ok(whole)
    }

    /// Moves this policy to where Envoy looks for it; the moment of the move.
    pub(crate) fn publish(&self, policy: &Value) -> anyhow::Result<Instant> {
        self.publish_module(&self.wasm, policy)
    }

    /// The same with another module.
    pub(crate) fn publish_module(&self, wasm: &Path, policy: &Value) -> anyhow::Result<Instant> {
        let (name, resource) = match self.discovery {
            Discovery::Listener => {
                let mut listener =
                    self.whole(wasm, policy)["static_resources"]["listeners"][0].clone();
                listener["@type"] = json!(LISTENER);
                if self.whole_listeners {
                    let number = clock::now().duration_since(self.begin).as_millis();
                    listener["per_connection_buffer_limit_bytes"] = json!(2_000_000 + number);
                }
                ("lds", listener)
            }
            Discovery::Extension => {
                let mut filter = seawall(wasm, policy);
                filter["@type"] = json!(EXTENSION);
                ("ecds", filter)
            }
        };
        let next = self.files.path().join("next");
        std::fs::write(&next, json!({"resources": [resource]}).to_string())?;
        let moment = clock::now();
        std::fs::rename(next, self.path(name))?;
        Ok(moment)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name).with_extension("json")
    }

    fn whole(&self, wasm: &Path, policy: &Value) -> Value {
        let to = |prefix: &str, cluster: &str| Route {
            prefix: prefix.to_owned(),
            cluster: cluster.to_owned(),
            action: json!({"timeout": "60s"}),
            ..Route::default()
        };
        let listener = Listener {
            name: "edge".to_owned(),
            policy: Some(policy.clone()),
            address: Some(self.address),
            upstream: true,
            routes: vec![
                to("/sick", "sick"),
                to("/forced", "forced"),
                to("/", "well"),
            ],
            ..Listener::default()
        };
        let cluster = |name: &str, upstream: &Upstream| Cluster {
            name: name.to_owned(),
            hosts: vec![upstream.address()],
            ..Cluster::default()
        };
        let clusters = [
            cluster("well", &self.well),
            cluster("forced", &self.forced),
            cluster("sick", &self.sick),
        ];
        bootstrap(wasm, &[listener], &clusters)
    }

    /// An Envoy on this ground, with more arguments.
    pub(crate) async fn envoy(&self, policy: &Value, more: &[&str]) -> anyhow::Result<Envoy> {
        self.started(&self.bootstrap(policy)?, more).await
    }

    /// The same with this bootstrap.
    pub(crate) async fn started(&self, bootstrap: &Value, more: &[&str]) -> anyhow::Result<Envoy> {
        let envoy = Envoy::start_with(bootstrap, WORKERS, more).await?;
        let client = self.client(1);
        until("a listener", async || client.get(0, "/").await.0 == 200).await?;
        Ok(envoy)
    }

    /// A client that keeps so many connections and lets them go as it is told to.
    pub(crate) fn client(&self, connections: usize) -> Client {
        Client::new(self.address, connections, PATIENCE).repeating()
    }

    /// Opens the breaker of the sick upstream, which is well from then on: who is refused is refused by the breaker.
    pub(crate) async fn trip(&self) -> anyhow::Result<()> {
        self.sick.set(Knobs::failing(1.0));
        let client = self.client(4);
        until("an open breaker", async || {
            client.get(0, "/sick").await.1 == Kind::Refused
        })
        .await?;
        self.sick.set(Knobs::default());
        self.sick.reset_stats();
        Ok(())
    }
}

/// Where the filter stands in a listener: before the router and behind it.
fn positions() -> [String; 2] {
    [
        format!("{FILTERS}/0"),
        format!("{FILTERS}/1/typed_config/upstream_http_filters/0"),
    ]
}

/// How often Envoy took an update of the filter, in the position before the router.
pub(crate) async fn updates(envoy: &Envoy) -> anyhow::Result<u64> {
    let listeners = envoy.sum(&["listener_manager.lds.update_success"]).await?;
    let name = "extension_config_discovery.http_filter.seawall.config_reload";
    Ok(listeners + envoy.sum(&[name]).await?)
}
