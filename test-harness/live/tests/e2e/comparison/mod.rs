//! README's comparison, row by row: what it says of Envoy alone holds in the Envoy that it names, with Envoy's own means and
//! without Seawall. A row that says something else, or a new one, has no test and fails.
//!
//! What the rows say of Seawall has tests of its own; those of its tables of figures are `budget`, `hops` and `overload`.

mod answers;
mod limits;
mod sick;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use hyper::Method;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter, version};
use seawall_live::load::{Client, Kind};
use seawall_live::pool::{Answer, Pool, Protocol};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{WORKERS, anywhere, beside_others};

const README: &str = include_str!("../../../../../README.md");
const HEADING: &str = "## Beside Envoy's own limits";
/// The Envoy that README names.
const NAMED: &str = "1.40";

/// Where a listener's connection manager stands.
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";

/// What README says of Envoy alone, and has a test below.
const ROWS: [(&str, &str); 8] = [
    ("too many at the same time", limits::TOO_MANY),
    ("a sick host among healthy ones", sick::HOST),
    ("retries", limits::RETRIES),
    ("deadlines", answers::DEADLINES),
    ("a sick upstream", sick::UPSTREAM),
    ("slow, but not failing", limits::SLOW),
    ("what the user gets meanwhile", answers::MEANWHILE),
    ("what a threshold would do", sick::THRESHOLD),
];

/// A way through Envoy alone, to upstreams of its own.
#[derive(Default)]
struct Plan {
    /// The listener's name, and that of its cluster.
    name: &'static str,
    /// How its first upstream is.
    knobs: Knobs,
    /// Hosts beside the first, which are well.
    more_hosts: usize,
    /// More of the route's action.
    action: Value,
    /// The route's `typed_per_filter_config`.
    on_route: Value,
    /// More of the cluster.
    cluster: Value,
    /// Filters before the router.
    filters: Vec<Value>,
    /// More of the router.
    router: Value,
    /// More of the connection manager.
    manager: Value,
}

/// All of them, in one Envoy.
struct Stand {
    envoy: Envoy,
    lanes: BTreeMap<&'static str, Vec<Upstream>>,
}

impl Stand {
    async fn start(plans: Vec<Plan>) -> anyhow::Result<Self> {
        let (mut listeners, mut clusters, mut lanes) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut more = Vec::new();
        for plan in plans {
            let mut upstreams = Vec::new();
            for _ in 0..=plan.more_hosts {
                upstreams.push(Upstream::start(plan.name, anywhere()).await?);
            }
            upstreams[0].set(plan.knobs);
            let route = |prefix: &str, cluster: &str| Route {
                prefix: prefix.to_owned(),
                cluster: cluster.to_owned(),
                ..Route::default()
            };
            listeners.push(Listener {
                name: plan.name.to_owned(),
                routes: vec![
                    route("/elsewhere", "elsewhere"),
                    Route {
                        action: plan.action,
                        filters: plan.on_route,
                        ..route("/", plan.name)
                    },
                ],
                filters: plan.filters,
                ..Listener::default()
            });
            clusters.push(Cluster {
                name: plan.name.to_owned(),
                hosts: upstreams.iter().map(Upstream::address).collect(),
                more: plan.cluster,
                http2: false,
            });
            more.push((plan.manager, plan.router));
            lanes.insert(plan.name, upstreams);
        }
        let mut whole = bootstrap(&filter()?, &listeners, &clusters);
        for (at, (of_manager, of_router)) in more.iter().enumerate() {
            let path = format!("/static_resources/listeners/{at}{MANAGER}");
            let manager = whole.pointer_mut(&path).context(path)?;
            extend(manager, of_manager);
            let filters = manager["http_filters"].as_array_mut();
            let router = filters.and_then(|filters| filters.last_mut());
            extend(&mut router.context("a router")?["typed_config"], of_router);
        }
        Ok(Self {
            envoy: Envoy::start(&whole, WORKERS).await?,
            lanes,
        })
    }

    /// The first upstream of a lane.
    fn upstream(&self, lane: &str) -> &Upstream {
        &self.lanes[lane][0]
    }

    fn client(&self, lane: &str, connections: usize) -> anyhow::Result<Client> {
        let patience = Duration::from_secs(5);
        Ok(Client::new(
            self.envoy.listener(lane)?,
            connections,
            patience,
        ))
    }

    /// The whole answer to one request.
    async fn answer(&self, lane: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let pool = Pool::new(self.envoy.listener(lane)?, Protocol::Http1);
        pool.send(&Method::GET, "/asked", headers).await
    }

    /// Requests at the same time, each on a connection of its own: how many were answered well.
    async fn at_once(&self, lane: &str, requests: usize) -> anyhow::Result<usize> {
        let client = self.client(lane, requests)?;
        let mut tasks = JoinSet::new();
        for slot in 0..requests {
            let client = client.clone();
            tasks.spawn(async move { client.get(slot, "/").await.1 });
        }
        let kinds = tasks.join_all().await;
        Ok(kinds.iter().filter(|kind| **kind == Kind::Good).count())
    }

    /// One of Envoy's counters and gauges of a lane's cluster.
    async fn of_cluster(&self, lane: &str, name: &str) -> anyhow::Result<u64> {
        let name = format!("cluster.{lane}.{name}");
        let stats = self.envoy.stats(&name).await?;
        stats.get(&name).copied().context(name)
    }
}

/// An outlier detection that ejects after so many failures in a row.
fn ejecting(failures: u32) -> Value {
    json!({
        "consecutive_5xx": failures, "consecutive_gateway_failure": failures, "interval": "0.1s",
        "base_ejection_time": "2s", "max_ejection_time": "2s", "max_ejection_percent": 100
    })
}

/// An extension's configuration: its type's name, and more.
fn typed(kind: &str, more: &Value) -> Value {
    let mut whole = json!({"@type": format!("type.googleapis.com/envoy.{kind}")});
    extend(&mut whole, more);
    whole
}

/// Puts what is given on top of what there is.
fn extend(whole: &mut Value, more: &Value) {
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), more.as_object()) {
        whole.extend(more.clone());
    }
}

/// The cells of the table under a heading, without its head.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let under = README.split(heading).nth(1).unwrap_or_default();
    let under = under.split("\n## ").next().unwrap_or_default();
    let rows = under.lines().filter(|line| line.starts_with('|'));
    let cells = |row: &'static str| row.trim_matches('|').split(" | ").map(str::trim).collect();
    rows.skip(2).map(cells).collect()
}

#[test]
fn every_row_of_the_readme_s_comparison_has_a_test() {
    let rows = table(HEADING);
    let said: Vec<(&str, &str)> = rows.iter().map(|cells| (cells[0], cells[1])).collect();
    assert_eq!(said, ROWS);
    let heads = [
        format!("| | Envoy {NAMED} alone | with Seawall |"),
        format!("| | Envoy {NAMED}'s retries | with Seawall"),
        format!("| bare Envoy {NAMED} |"),
    ];
    for head in heads {
        assert!(README.contains(&head), "README names its Envoy: {head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_readme_says_of_envoy_alone_holds() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let version = version()?;
    if !version.starts_with(&format!("{NAMED}.")) {
        println!("this is Envoy {version}: README's comparison is with {NAMED}");
        return Ok(());
    }
    let plans = [limits::plans(), sick::plans(), answers::plans()];
    let stand = Stand::start(plans.into_iter().flatten().collect()).await?;
    let stand = &stand;
    tokio::try_join!(
        async { limits::too_many(stand).await.context(limits::TOO_MANY) },
        async { sick::host(stand).await.context(sick::HOST) },
        async { limits::retries(stand).await.context(limits::RETRIES) },
        async { answers::deadlines(stand).await.context(answers::DEADLINES) },
        async { sick::upstream(stand).await.context(sick::UPSTREAM) },
        async { limits::slow(stand).await.context(limits::SLOW) },
        async { answers::meanwhile(stand).await.context(answers::MEANWHILE) },
        async { sick::threshold(stand).await.context(sick::THRESHOLD) },
    )?;
    Ok(())
}
