//! Load that is offered, whatever becomes of it: requests come when they come (a Poisson process), each with a deadline,
//! on a connection of its own for the time it takes.
//!
//! [`load`](crate::load) keeps a fixed set of connections, and a request that finds its own taken waits: more than the
//! connections can carry is never in flight. Users do not wait for each other; here nothing holds the next one back, which is what
//! overload is made of.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;

use crate::clock;
use crate::pool::{Pool, Protocol};

/// So many requests a second for so long.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// Requests a second.
    pub per_second: f64,
    /// For how long.
    pub length: Duration,
}

/// What the one who asked got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Got {
    /// 200 within the deadline.
    Good,
    /// A refusal: 503, 429, within the deadline.
    Refused,
    /// Another answer, or a connection that broke.
    Failed,
    /// Nothing within the deadline.
    Nothing,
}

/// One request and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// When it came, since the load began.
    pub at: Duration,
    /// How much later than that it was sent: what the one who offers was late, whatever is answered.
    pub late: Duration,
    /// How long it took; the deadline if there was no answer.
    pub latency: Duration,
    /// Which of the kinds it was of.
    pub kind: usize,
    /// What came of it.
    pub got: Got,
}

/// A load: requests of several kinds, equally likely, told apart by the value of a header.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where they go.
    pub address: SocketAddr,
    /// The header that tells the kinds apart.
    pub header: &'static str,
    /// Its values.
    pub kinds: &'static [&'static str],
    /// For how long each waits.
    pub deadline: Duration,
    /// Seed of all chance.
    pub seed: u64,
}

impl Load {
    /// Offers one phase after the other; ends when the last request has its answer, or its deadline has passed.
    pub async fn offer(&self, phases: &[Phase]) -> Vec<Asked> {
        let pool = Arc::new(Pool::new(self.address, Protocol::Http1));
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let begin = clock::now();
        let mut tasks = JoinSet::new();
        let mut at = Duration::ZERO;
        let mut end = Duration::ZERO;
        for phase in phases {
            end += phase.length;
            while at < end {
                let kind = random.random_range(0..self.kinds.len());
                tokio::time::sleep_until((begin + at).into()).await;
                let (pool, load) = (Arc::clone(&pool), self.clone());
                tasks.spawn(async move {
                    let late = clock::now().duration_since(begin).saturating_sub(at);
                    load.ask(&pool, (at, late), kind).await
                });
                let gap = -(1.0 - random.random::<f64>()).ln() / phase.per_second;
                at += Duration::from_secs_f64(gap);
            }
        }
        let mut asked = tasks.join_all().await;
        asked.sort_by_key(|one| one.at);
        asked
    }

    async fn ask(&self, pool: &Pool, (at, late): (Duration, Duration), kind: usize) -> Asked {
        let begin = clock::now();
        let headers = [(self.header, self.kinds[kind])];
        let answer = pool.send(&Method::GET, "/", &headers);
        let got = match tokio::time::timeout(self.deadline, answer).await {
            Err(_) => Got::Nothing,
            Ok(Ok(answer)) => match answer.status {
                200 => Got::Good,
                429 | 503 => Got::Refused,
                _ => Got::Failed,
            },
            Ok(Err(_)) => Got::Failed,
        };
        let latency = clock::now().duration_since(begin);
        Asked {
            at,
            late,
            latency,
            kind,
            got,
        }
    }
}

/// How many of them got this, of one kind or of all.
pub fn count(asked: &[Asked], kind: Option<usize>, got: Got) -> usize {
    let fits = |one: &&Asked| one.got == got && kind.is_none_or(|kind| kind == one.kind);
    asked.iter().filter(fits).count()
}

/// The 90th percentile of the latencies of those that came in each window of this length: of good answers, and of the
/// deadline for who got nothing. Refusals say nothing about latency. Zero where there was none.
pub fn p90_by_window(asked: &[Asked], window: Duration) -> Vec<Duration> {
    let mut windows: Vec<Vec<Duration>> = Vec::new();
    for one in asked {
        let number = (one.at.as_nanos() / window.as_nanos().max(1)) as usize;
        if windows.len() <= number {
            windows.resize(number + 1, Vec::new());
        }
        if matches!(one.got, Got::Good | Got::Nothing) {
            windows[number].push(one.latency);
        }
    }
    let p90 = |mut window: Vec<Duration>| {
        window.sort_unstable();
        let rank = (window.len() * 9).div_ceil(10);
        window
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    };
    windows.into_iter().map(p90).collect()
}
