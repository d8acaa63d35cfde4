//! The story of a profile page: users and orders are required, recommendations are optional, and get sick.
//!
//! One Envoy, three listeners over the same upstreams: *bare*, *native* (what Envoy brings, at its best) and *Seawall*.
//! Each lane gets the same page views. A page is good if all three parts are the upstreams' own, degraded if the optional
//! part came from what stands in for it, failed if any part is an error.

mod lanes;
mod native;
mod pages;
mod shared;
mod show;

use std::time::Duration;

use seawall_harness::stdout::put;
use serde::Serialize;

use crate::clock;
use crate::envoy::{self, Envoy};
use crate::load::Client;
use crate::upstream::{self, Knobs, Upstream};

use pages::{Page, Pages};

/// Page views a second, for each lane.
const PAGES_PER_SECOND: f64 = 20.0;
/// A user's patience.
const PATIENCE: Duration = Duration::from_secs(5);
/// A page that takes longer is called slow.
const SLOW: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 180;
const WORKERS: usize = 2;

/// One part of the story.
struct Phase {
    name: &'static str,
    seconds: u64,
    knobs: fn() -> Knobs,
    sick: bool,
}

const STORY: [Phase; 7] = [
    Phase {
        name: "all is well",
        seconds: 6,
        knobs: Knobs::default,
        sick: false,
    },
    Phase {
        name: "recommendations are down",
        seconds: 12,
        knobs: Knobs::down,
        sick: true,
    },
    Phase {
        name: "they are back",
        seconds: 10,
        knobs: Knobs::default,
        sick: false,
    },
    Phase {
        name: "they are slow: 3 s",
        seconds: 14,
        knobs: slow,
        sick: true,
    },
    Phase {
        name: "they are back",
        seconds: 10,
        knobs: Knobs::default,
        sick: false,
    },
    Phase {
        name: "half of their answers are wrong",
        seconds: 12,
        knobs: half_wrong,
        sick: true,
    },
    Phase {
        name: "they are back",
        seconds: 10,
        knobs: Knobs::default,
        sick: false,
    },
];

fn slow() -> Knobs {
    Knobs::slow(3_000)
}

fn half_wrong() -> Knobs {
    Knobs::failing(0.5)
}

/// The figures of one lane.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The lane.
    pub lane: &'static str,
    /// Pages all of whose parts were the upstreams' own.
    pub good: usize,
    /// Pages whose optional part came from what stands in for it.
    pub degraded: usize,
    /// Pages with an error.
    pub failed: usize,
    /// Median time to the whole page, in milliseconds.
    pub p50_ms: u128,
    /// 99th percentile of it.
    pub p99_ms: u128,
    /// Pages that took longer than [`SLOW`].
    pub slow: usize,
    /// Requests that reached the recommendations while they were sick.
    pub reached_while_sick: usize,
    /// From their return to the last page that was not good, in milliseconds; the worst of three returns.
    pub time_to_recover_ms: u128,
}

/// Runs the story and gives the figures of each lane.
///
/// # Errors
/// If Envoy or the upstreams cannot be started.
pub async fn run(json: bool) -> anyhow::Result<Vec<Figures>> {
    let mut upstreams = Vec::new();
    for name in ["users", "orders", "recommendations"] {
        upstreams.push(Upstream::start(name, ([127, 0, 0, 1], 0).into()).await?);
    }
    let admin = upstream::admin(([127, 0, 0, 1], 0).into(), &upstreams).await?;
    let version = envoy::version()?;
    let bootstrap = lanes::bootstrap(&envoy::filter()?, &upstreams, &version);
    let envoy = Envoy::start(&bootstrap, WORKERS).await?;
    if !json {
        put(format_args!(
            "Three lanes of Envoy {version}, {PAGES_PER_SECOND} page views a second each. Recommendations are optional."
        ))?;
        put(format_args!(
            "Break more while it runs: curl -d '{{\"refuse\": true}}' http://{admin}/users\n"
        ))?;
    }
    let begin = clock::now();
    let older = upstreams[2].age();
    let mut load = Vec::new();
    for lane in lanes::NAMES {
        let client = Client::new(envoy.listener(lane)?, CONNECTIONS, PATIENCE);
        load.push(Pages::start(lane, client, begin, PAGES_PER_SECOND));
    }
    let mut view = show::View::new(json);
    let mut times = Vec::new();
    for phase in &STORY {
        upstreams[2].set((phase.knobs)());
        let from = clock::now().duration_since(begin);
        for second in 0..phase.seconds {
            tokio::time::sleep_until((begin + from + Duration::from_secs(second + 1)).into()).await;
            view.second(
                &envoy,
                phase.name,
                &load,
                clock::now().duration_since(begin),
            )
            .await?;
        }
        times.push((phase, from, clock::now().duration_since(begin)));
    }
    let mut figures = Vec::new();
    for pages in load {
        let lane = pages.lane();
        figures.push(figures_of(
            lane,
            &pages.finish().await,
            &times,
            (&upstreams[2], older),
        ));
    }
    Ok(figures)
}

fn figures_of(
    lane: &'static str,
    pages: &[Page],
    times: &[(&Phase, Duration, Duration)],
    (recommendations, older): (&Upstream, Duration),
) -> Figures {
    let count = |kind| pages.iter().filter(|page| page.kind == kind).count();
    let mut latencies: Vec<Duration> = pages.iter().map(|page| page.latency).collect();
    latencies.sort();
    let quantile = |share: f64| {
        let place =
            ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        latencies.get(place).map_or(0, Duration::as_millis)
    };
    let recover = times
        .iter()
        .enumerate()
        .filter(|(index, (phase, ..))| *index > 0 && !phase.sick)
        .map(|(_, (_, from, to))| {
            // A page that ends in the next phase may be bad for what happens there.
            let within = |page: &&Page| page.at >= *from && page.at + page.latency < *to;
            let bad = pages
                .iter()
                .filter(within)
                .filter(|page| page.kind != pages::Kind::Good);
            bad.map(|page| {
                (page.at + page.latency.min(PATIENCE))
                    .saturating_sub(*from)
                    .as_millis()
            })
            .max()
            .unwrap_or(0)
        });
    let mark = format!("lane={lane}");
    let arrivals = recommendations.snapshot().arrivals;
    // The upstream's clock is older than the pages', by the time that Envoy took to start.
    let sick = |at_ms: u64| {
        let at = Duration::from_millis(at_ms).saturating_sub(older);
        times
            .iter()
            .any(|(phase, from, to)| phase.sick && (*from..*to).contains(&at))
    };
    Figures {
        lane,
        good: count(pages::Kind::Good),
        degraded: count(pages::Kind::Degraded),
        failed: count(pages::Kind::Failed),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        slow: latencies.iter().filter(|latency| **latency > SLOW).count(),
        reached_while_sick: arrivals
            .iter()
            .filter(|arrival| arrival.path.ends_with(&mark) && sick(arrival.at_ms))
            .count(),
        time_to_recover_ms: recover.max().unwrap_or(0),
    }
}

pub use show::table;
