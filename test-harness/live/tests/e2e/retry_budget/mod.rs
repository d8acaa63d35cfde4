//! The retry budget over two workers, counted at the upstream: what it pays for, what it refuses, and beside it a lane with
//! Envoy's own retries and nothing to hold them.
//!
//! Twenty users ask again as soon as they are answered. The upstream's chance has a seed and streams of its own for first
//! attempts and retries, so these shares hardly vary between runs; the tolerance of a point is for retries in flight.

mod handover;
mod refunds;

use std::time::Duration;

use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::load::{Client, Kind, count};
use seawall_live::raw;
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use crate::support::{WORKERS, anywhere, assert_no_trap, beside_others};

const USERS: usize = 20;
const REQUESTS: usize = 20_000;
/// Fewer where each attempt costs a connection: their ports are not free again at once.
const CUT: usize = 5_000;
/// In points of a hundred.
const TOLERANCE: f64 = 1.0;

/// One listener, its cluster and its upstream.
struct Lane {
    name: &'static str,
    upstream: Upstream,
    client: Client,
}

/// Lanes of one Envoy.
struct Stand {
    envoy: Envoy,
    lanes: Vec<Lane>,
}

/// What came of a flood, in percent of the requests.
#[derive(Debug)]
struct Shares {
    /// Users who got the upstream's good answer.
    good: f64,
    /// Retries that reached the upstream, to first attempts.
    retries: f64,
}

impl Stand {
    /// A lane for each name, with the filter in both positions where there is a policy.
    async fn start(lanes: &[(&'static str, Option<Value>, Value)]) -> anyhow::Result<Self> {
        let (mut listeners, mut clusters, mut upstreams) = (Vec::new(), Vec::new(), Vec::new());
        for (name, policy, action) in lanes {
            let upstream = Upstream::start(name, anywhere()).await?;
            clusters.push(Cluster {
                name: (*name).to_owned(),
                hosts: vec![upstream.address()],
                ..Cluster::default()
            });
            listeners.push(Listener {
                name: (*name).to_owned(),
                upstream: policy.is_some(),
                named_roots: true,
                policy: policy.clone(),
                routes: vec![Route {
                    prefix: "/".to_owned(),
                    cluster: (*name).to_owned(),
                    action: action.clone(),
                    ..Route::default()
                }],
                ..Listener::default()
            });
            upstreams.push((*name, upstream));
        }
        let envoy = Envoy::start(&bootstrap(&filter()?, &listeners, &clusters), WORKERS).await?;
        let mut lanes = Vec::new();
        for (name, upstream) in upstreams {
            let client = Client::new(envoy.listener(name)?, USERS, Duration::from_secs(10));
            lanes.push(Lane {
                name,
                upstream,
                client,
            });
        }
        Ok(Self { envoy, lanes })
    }

    /// One lane with the filter, whose route has a back-off and no retries of its own.
    async fn guarded(attempts: u32) -> anyhow::Result<Self> {
        Self::start(&[("seawall", Some(budget(attempts)), inert())]).await
    }

    async fn naive(retries: u32) -> anyhow::Result<Self> {
        Self::start(&[("naive", None, naive(retries))]).await
    }

    /// Floods the lane with this number while its upstream is so.
    async fn flood(&self, lane: usize, knobs: Knobs) -> anyhow::Result<Shares> {
        self.flood_with(REQUESTS, lane, knobs).await
    }

    async fn flood_with(
        &self,
        requests: usize,
        lane: usize,
        knobs: Knobs,
    ) -> anyhow::Result<Shares> {
        let lane = &self.lanes[lane];
        lane.upstream.set(Knobs {
            latency_ms: 0,
            ..knobs
        });
        let samples = lane.client.flood("/", requests).await;
        let seen = lane.upstream.snapshot();
        assert_eq!(
            seen.first_attempts, requests as u64,
            "each request reached the upstream, and is known by its id"
        );
        let overflow = self.envoy.sum(&["upstream_rq_retry_overflow"]).await?;
        assert_eq!(overflow, 0, "Envoy's own limit was not in the way");
        assert_no_trap(&self.envoy);
        self.assert_both_workers().await?;
        let percent = |part: u64| part as f64 * 100.0 / requests as f64;
        let shares = Shares {
            good: percent(count(&samples, Kind::Good) as u64),
            retries: percent(seen.retries),
        };
        println!("{}: {shares:?}", lane.name);
        Ok(shares)
    }

    /// A budget is shared only where more than one worker draws on it.
    async fn assert_both_workers(&self) -> anyhow::Result<()> {
        let stats = self.envoy.stats("downstream_cx_total").await?;
        let of_worker = |name: &str| name.contains(".worker_") && !name.contains("admin");
        let mut connections = stats.iter().filter(|(name, _)| of_worker(name));
        let even = connections.all(|(_, count)| *count >= USERS as u64 / 4);
        assert!(even && !stats.is_empty(), "{stats:?}");
        Ok(())
    }
}

/// No breaker, and a budget of a fifth without a floor.
fn budget(attempts: u32) -> Value {
    json!({"version": 1, "policies": {"default": {
        "breaker": {"mode": "off"},
        "retries": {"attempts": attempts, "budget": {"ratio": 20, "min_per_second": 0}}
    }}})
}

/// Inert until a request's headers switch retries on: the back-off is the route's to set.
fn inert() -> Value {
    json!({"retry_policy": {"retry_back_off": back_off()}})
}

fn naive(retries: u32) -> Value {
    json!({"retry_policy": {"retry_on": "5xx", "num_retries": retries, "retry_back_off": back_off()}})
}

/// What Istio gives every route, but for the back-off, which is Envoy's default there.
fn istio() -> Value {
    json!({"retry_policy": {
        "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        "retriable_status_codes": [503],
        "num_retries": 2,
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            }
        }],
        "host_selection_retry_max_attempts": 5,
        "retry_back_off": back_off()
    }})
}

fn back_off() -> Value {
    json!({"base_interval": "0.001s", "max_interval": "0.002s"})
}

fn assert_near(what: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= TOLERANCE,
        "{what}: {found:.2} % and not {expected} % within {TOLERANCE}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn naive_retries_triple_the_load_of_a_dead_upstream() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let naive = Stand::naive(2).await?.flood(0, Knobs::failing(1.0)).await?;
    assert_near("naive retries", naive.retries, 200.0);
    assert_near("naive success", naive.good, 0.0);
    let cut = Knobs {
        reset_rate: 1.0,
        ..Knobs::default()
    };
    let naive = Stand::naive(2).await?.flood_with(CUT, 0, cut).await?;
    assert_near("naive retries of resets", naive.retries, 200.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn naive_retries_serve_as_well_as_chance_allows() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let first = Stand::naive(2).await?;
    let first = first.flood(0, Knobs::failing_first(0.5)).await?;
    assert_near("retries of failed first attempts", first.retries, 50.0);
    assert_near("success", first.good, 100.0);
    // The same figures that a budget that is not used up must reach, with the same draws.
    for (retries, least) in [(1, 98.9), (2, 99.8)] {
        let tenth = Stand::naive(retries).await?;
        let tenth = tenth.flood(0, Knobs::failing(0.1)).await?;
        assert!(tenth.good >= least, "{retries}: {tenth:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_upstream_gets_a_fifth_more_while_the_naive_lane_triples_it() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(&[
        ("seawall", Some(budget(3)), inert()),
        ("naive", None, naive(2)),
    ])
    .await?;
    let (guarded, naive) = tokio::try_join!(
        stand.flood(0, Knobs::failing(1.0)),
        stand.flood(1, Knobs::failing(1.0))
    )?;
    assert_near("retries with a budget", guarded.retries, 20.0);
    assert_near("naive retries", naive.retries, 200.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_asks_for_retries_itself_gets_no_more() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::guarded(3).await?;
    let asking = Knobs {
        answer_headers: vec![("x-seawall-retry".to_owned(), "1".to_owned())],
        ..Knobs::failing(1.0)
    };
    let shares = stand.flood(0, asking.clone()).await?;
    assert_near("retries", shares.retries, 20.0);
    // A good answer that asks for a retry is a good answer.
    stand.lanes[0].upstream.reset_stats();
    let well = Knobs {
        error_rate: 0.0,
        ..asking
    };
    let shares = stand.flood(0, well).await?;
    assert_eq!((shares.good, shares.retries), (100.0, 0.0));
    assert_clean(&stand.lanes[0], 20, 200, "seawall\n").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_are_paid_for_too() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let cut = Knobs {
        reset_rate: 1.0,
        ..Knobs::default()
    };
    let shares = Stand::guarded(3).await?;
    let shares = shares.flood_with(CUT, 0, cut).await?;
    assert_near("retries", shares.retries, 20.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_goes_to_whom_it_helps() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    // Half of the first attempts fail: the budget saves a fifth of all.
    let stand = Stand::guarded(3).await?;
    let first = stand.flood(0, Knobs::failing_first(0.5)).await?;
    assert_near("success when retries succeed", first.good, 70.0);
    assert_near("retries", first.retries, 20.0);
    // Every attempt fails by a coin: half of the fifth is saved.
    let stand = Stand::guarded(3).await?;
    let coin = stand.flood(0, Knobs::failing(0.5)).await?;
    assert_near("success when retries fail too", coin.good, 60.0);
    assert_near("retries", coin.retries, 20.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_failures_are_all_retried() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    for (attempts, least) in [(2, 98.9), (3, 99.8)] {
        let stand = Stand::guarded(attempts).await?;
        let tenth = stand.flood(0, Knobs::failing(0.1)).await?;
        assert!(tenth.good >= least, "{attempts} attempts: {tenth:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_with_retries_of_its_own_keeps_to_the_budget_too() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(&[("istio", Some(budget(3)), istio())]).await?;
    let shares = stand.flood(0, Knobs::failing(1.0)).await?;
    assert_near("retries", shares.retries, 20.0);
    assert_near("success", shares.good, 0.0);
    assert_clean(&stand.lanes[0], 60, 503, "sick\n").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn istios_default_without_a_budget_triples_the_load() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(&[("istio", None, istio())]).await?;
    let shares = stand.flood(0, Knobs::failing(1.0)).await?;
    assert_near("retries", shares.retries, 200.0);
    assert_clean(&stand.lanes[0], 5, 503, "sick\n").await
}

/// The client gets the upstream's own answer, and nothing of how retries are agreed on.
async fn assert_clean(lane: &Lane, times: usize, status: u16, body: &str) -> anyhow::Result<()> {
    let address = lane.client.address();
    for _ in 0..times {
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = raw::exchange(address, request, Duration::from_secs(5)).await?;
        assert_eq!(raw::status(&answer), Some(status));
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        assert!(text.ends_with(body), "{text}");
        for name in ["x-envoy-ratelimited", "x-seawall"] {
            assert!(!text.contains(name), "{name} in {text}");
        }
    }
    Ok(())
}
