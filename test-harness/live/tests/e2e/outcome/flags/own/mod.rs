//! Our own local replies, row by row, on a real Envoy: each is logged with the code details of its row, and counts for its
//! upstream what that row says. Many of each in a row move no breaker.

mod ways;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use seawall_live::clock;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::pool::{Pool, Protocol};
use seawall_live::upstream::Upstream;
use seawall_policy::admission::Reason;
use seawall_policy::outcome::blame::{OWN, OwnOutcome, own_reply};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::trial::back_off;
use crate::support::{anywhere, assert_no_trap, beside_others, until};
use ways::{Asks, STANDBY, Way};

/// So many replies of each row. As failures they would open any breaker here.
const REPLIES: u64 = 20;
/// Between two requests to the same upstream.
const EVERY: Duration = Duration::from_millis(20);
/// So many requests to each upstream between two looks at Envoy's logs.
const ROUNDS: u32 = 5;
/// Until all replies are there.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn each_row_of_our_own_has_one_way_to_it() {
    let ways = ways::all();
    for row in OWN {
        let mut found = Vec::new();
        for way in &ways {
            let of_row = own_reply(way.details).filter(|of| of.details == row.details);
            found.extend(of_row.map(|_| way.details));
        }
        assert_eq!(found.len(), 1, "{}: {found:?}", row.details);
    }
    assert_eq!(ways.len(), OWN.len());
}

/// One Envoy with a policy, a route and a cluster for each of them; the filter in both positions.
async fn start(ways: &[Way], upstreams: &[Upstream], standby: SocketAddr) -> anyhow::Result<Envoy> {
    let mut policies = json!({"default": {}});
    let mut routes = Vec::new();
    let mut clusters = Vec::new();
    let cluster = |name: &str, host| Cluster {
        name: name.to_owned(),
        hosts: vec![host],
        ..Cluster::default()
    };
    for (way, upstream) in ways.iter().zip(upstreams) {
        policies[way.details] = way.policy.clone();
        routes.push(Route {
            prefix: format!("/{}/", way.details),
            cluster: way.details.to_owned(),
            policy: Some(way.details.to_owned()),
            action: json!({"retry_policy": {"retry_back_off": back_off()}}),
            ..Route::default()
        });
        clusters.push(cluster(way.details, upstream.address()));
    }
    clusters.push(cluster(STANDBY, standby));
    let page = json!({"path": "/seawall_page/", "trust": {"addresses": ["127.0.0.0/8"]}});
    let listener = Listener {
        name: "edge".to_owned(),
        policy: Some(json!({"version": 1, "page": page, "policies": policies})),
        routes,
        upstream: true,
        ..Listener::default()
    };
    Envoy::start(&bootstrap(&filter()?, &[listener], &clusters), 1).await
}

async fn ask(pool: Arc<Pool>, address: SocketAddr, way: (&'static str, Asks)) {
    let (name, asks) = way;
    let path = format!("/{name}/");
    // What Envoy logs and the filter counts tells how it ended.
    match asks {
        Asks::Gets(headers) => {
            let _ = pool.send(&Method::GET, &path, headers).await;
        }
        Asks::Uploads => {
            let _ = upload(address, &path).await;
        }
    }
}

/// Sends ten bytes of a hundred, and stays until Envoy closes the connection.
async fn upload(address: SocketAddr, path: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n0123456789");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(())
}

/// How many replies with these code details Envoy logged on their route.
fn replies(log: &str, details: &str) -> u64 {
    let path = format!("/{details}/");
    let logged = log.lines().filter(|line| {
        let mut words = line.split(' ');
        words.next() == Some(path.as_str()) && words.nth(2) == Some(details)
    });
    logged.count() as u64
}

/// Whether the breaker of this upstream opened.
fn has_opened(envoy: &Envoy, upstream: &str) -> bool {
    let line = format!("upstream={upstream} closed -> open");
    !envoy.log_lines(&line).is_empty()
}

/// Asks until there are enough replies of each.
async fn ask_all(envoy: &Envoy, ways: &[Way], upstreams: &[Upstream]) -> anyhow::Result<()> {
    let address = envoy.listener("edge")?;
    let pool = Arc::new(Pool::new(address, Protocol::Http1));
    let deadline = clock::now() + PATIENCE;
    let mut asked = JoinSet::new();
    let mut missing: Vec<&Way> = ways.iter().collect();
    while !missing.is_empty() {
        for _ in 0..ROUNDS {
            for way in &missing {
                asked.spawn(ask(Arc::clone(&pool), address, (way.details, way.asks)));
            }
            tokio::time::sleep(EVERY).await;
        }
        for (way, upstream) in ways.iter().zip(upstreams) {
            if let Some(knobs) = &way.opened
                && has_opened(envoy, way.details)
            {
                upstream.set(knobs.clone());
            }
        }
        let log = envoy.access_log();
        missing.retain(|way| replies(&log, way.details) < REPLIES);
        let names: Vec<_> = missing.iter().map(|way| way.details).collect();
        anyhow::ensure!(
            names.is_empty() || clock::now() < deadline,
            "{PATIENCE:?} passed, and too few of {names:?}"
        );
    }
    // Those that still wait for their upstream leave.
    asked.shutdown().await;
    Ok(())
}

/// What the filter counted.
#[derive(Debug)]
struct Counters(BTreeMap<String, u64>);

impl Counters {
    async fn read(envoy: &Envoy) -> anyhow::Result<Self> {
        Ok(Self(envoy.stats("wasmcustom.seawall_").await?))
    }

    /// The sum of a family for one upstream, of the series with this label.
    fn sum(&self, family: &str, upstream: &str, label: &str) -> u64 {
        let parts = [
            format!("seawall_{family}.."),
            format!("..upstream={upstream}.."),
            format!("..{label}"),
        ];
        let of = self.0.iter();
        of.filter(|(name, _)| parts.iter().all(|part| name.contains(part)))
            .map(|(_, count)| count)
            .sum()
    }

    /// What of these replies is not as their row says, if anything.
    fn complaint(&self, way: &Way) -> Option<String> {
        let row = own_reply(way.details)?;
        let name = way.counted_for();
        let outcomes = self.sum("outcomes", name, "outcome=");
        let due = match row.outcome {
            OwnOutcome::Unsent => None,
            OwnOutcome::Replaced => Some(self.sum("outcomes", name, "outcome=failure")),
            OwnOutcome::Ignored(why) => {
                let reason = format!("reason={}", why.name());
                Some(self.sum("ignored", name, &reason))
            }
        };
        // The last ones left before they had any reply.
        let left = self.sum("ignored", name, "reason=client_gone");
        let as_due = due.is_none_or(|due| due >= REPLIES && due + left == outcomes);
        // One outcome for each request that was sent, so none for a reply.
        let all_sent = [way.details, name].iter().all(|name| {
            let sent = self.sum("decisions", name, "decision=admitted");
            sent == self.sum("outcomes", name, "outcome=")
        });
        let reason = way.details.trim_start_matches("seawall_");
        let refused = match Reason::ALL.iter().any(|known| known.name() == reason) {
            true => self.sum("decisions", name, &format!("reason={reason}")) >= REPLIES,
            false => true,
        };
        let well = as_due && all_sent && refused;
        (!well).then(|| {
            let of = self.0.iter();
            let of = of.filter(|(series, count)| series.contains(name) && **count > 0);
            format!("{row:?}: {:#?}", of.collect::<Vec<_>>())
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reply_of_our_own_counts_what_its_row_says_and_moves_no_breaker() -> anyhow::Result<()>
{
    let _turn = beside_others().await;
    let ways = ways::all();
    let mut upstreams = Vec::new();
    for way in &ways {
        let upstream = Upstream::start(way.details, anywhere()).await?;
        upstream.set(way.knobs.clone());
        upstreams.push(upstream);
    }
    let standby = Upstream::start(STANDBY, anywhere()).await?;
    let envoy = start(&ways, &upstreams, standby.address()).await?;
    ask_all(&envoy, &ways, &upstreams).await?;

    let complaints = async || -> anyhow::Result<Vec<String>> {
        let counters = Counters::read(&envoy).await?;
        Ok(ways
            .iter()
            .filter_map(|way| counters.complaint(way))
            .collect())
    };
    let settled = until("all is counted as its row says", async || {
        complaints().await.is_ok_and(|wrong| wrong.is_empty())
    });
    if let Err(error) = settled.await {
        anyhow::bail!("{error:#}: {:#?}", complaints().await?);
    }
    for way in &ways {
        assert_eq!(has_opened(&envoy, way.details), way.opens, "{way:?}");
    }
    assert!(!has_opened(&envoy, STANDBY));
    assert_no_trap(&envoy);
    Ok(())
}
