//! A row that runs: its Envoy, and a client with connections of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use tokio::task::JoinSet;

use super::cpu;
use super::rows::Row;
use super::setup::{CLUSTER_HEADER, LISTENER, Modules, cluster_name, of};
use crate::clock;
use crate::envoy::Envoy;
use crate::load::{Client, Kind, Sample};

const PATIENCE: Duration = Duration::from_secs(10);
const PATH: &str = "/";
/// Before what is counted of a slice.
const LEAD_IN: Duration = Duration::from_millis(50);

/// A row that runs.
pub(super) struct Stand {
    pub(super) row: Row,
    envoy: Envoy,
    connections: usize,
    /// The same connections for each; one for each upstream.
    clients: Arc<Vec<Client>>,
}

/// What one slice of a row gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    /// Envoy's CPU time for each request, in microseconds.
    pub(super) cpu_us: f64,
    /// Requests a second.
    pub(super) per_second: f64,
    /// Processors that programs took which are neither this Envoy nor this program.
    pub(super) others: f64,
}

impl Stand {
    pub(super) async fn start(
        row: &Row,
        modules: &Modules,
        upstream: SocketAddr,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let envoy = Envoy::start(&of(row, modules, upstream)?, row.workers).await?;
        let client = Client::new(envoy.listener(LISTENER)?, connections, PATIENCE);
        let clients = (0..row.upstreams).map(|number| match row.upstreams {
            1 => client.clone(),
            _ => client.clone().header(CLUSTER_HEADER, &cluster_name(number)),
        });
        Ok(Self {
            row: row.clone(),
            clients: Arc::new(clients.collect()),
            envoy,
            connections,
        })
    }

    /// Requests as fast as they are answered, for so long and a little before; all must be good.
    pub(super) async fn slice(&self, length: Duration) -> anyhow::Result<Slice> {
        // Others ran meanwhile, and what this row needs is in no cache.
        self.flooded(LEAD_IN).await?;
        let own = std::process::id();
        let times = || {
            anyhow::Ok((
                cpu::time_of(self.envoy.pid())?,
                cpu::time_of(own)?,
                cpu::time_of_all()?,
            ))
        };
        let (begin, before) = (clock::now(), times()?);
        let requests = self.flooded(length).await?;
        let (after, took) = (times()?, clock::now().duration_since(begin).as_secs_f64());
        let used = after.0.saturating_sub(before.0);
        let by_us = used + after.1.saturating_sub(before.1);
        let others = after.2.saturating_sub(before.2).saturating_sub(by_us);
        Ok(Slice {
            cpu_us: used.as_secs_f64() * 1e6 / requests as f64,
            per_second: requests as f64 / took,
            others: others.as_secs_f64() / took,
        })
    }

    /// How many requests were answered in so long.
    async fn flooded(&self, length: Duration) -> anyhow::Result<usize> {
        let (begin, connections) = (clock::now(), self.connections);
        let bad = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for connection in 0..connections {
            let (clients, bad) = (Arc::clone(&self.clients), Arc::clone(&bad));
            tasks.spawn(async move {
                let mut made = 0;
                // One at least, however late this task gets its turn.
                loop {
                    let client = &clients[(connection + made * connections) % clients.len()];
                    let (_, kind) = client.get(connection, PATH).await;
                    if kind != Kind::Good {
                        bad.fetch_add(1, Ordering::Relaxed);
                    }
                    made += 1;
                    if clock::now().duration_since(begin) >= length {
                        break;
                    }
                }
                made
            });
        }
        let requests: usize = tasks.join_all().await.into_iter().sum();
        let bad = bad.load(Ordering::Relaxed);
        ensure!(
            bad == 0,
            "row \"{}\": {bad} of {requests} requests were not answered well while nothing was wrong",
            self.row.name
        );
        Ok(requests)
    }

    /// Requests at a rate, whatever becomes of them, each on the connection that rested longest; latencies count from when
    /// a request is sent.
    pub(super) async fn at_rate(&self, per_second: f64, length: Duration) -> Vec<Duration> {
        let begin = clock::now();
        let mut tasks = JoinSet::new();
        let count = (per_second * length.as_secs_f64()) as usize;
        for number in 0..count {
            let due = begin + Duration::from_secs_f64(number as f64 / per_second);
            if due > clock::now() {
                tokio::time::sleep_until(due.into()).await;
            }
            let clients = Arc::clone(&self.clients);
            tasks.spawn(async move {
                let client = &clients[number % clients.len()];
                let sent = clock::now();
                let sample = client.sample(sent, Duration::ZERO, number, PATH);
                sample.await.latency
            });
        }
        tasks.join_all().await
    }

    /// So many requests to one upstream, so many at the same time.
    pub(super) async fn burst(&self, count: usize, at_once: usize) -> anyhow::Result<Vec<Sample>> {
        let own = Client::new(self.envoy.listener(LISTENER)?, at_once, PATIENCE);
        let own = match self.row.upstreams {
            1 => own,
            _ => own.header(CLUSTER_HEADER, &cluster_name(0)),
        };
        Ok(own.flood(PATH, count).await)
    }
}
