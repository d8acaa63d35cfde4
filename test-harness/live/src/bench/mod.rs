//! What a request costs a real Envoy, row beside row: `make bench-envoy`.
//!
//! Every row is an Envoy of its own, and all run at the same time. In each round every row gets one slice of load, in an order
//! that is drawn anew, and what is counted is the CPU time of that Envoy's threads alone: neither client nor upstream. What a row
//! adds is counted within its round, so that a machine that is slower for a while is so for all. Each row is started several
//! times, since where a process lies in memory costs something too. At the end the upstream gets sick, and each row must have
//! decided what it is there for.

mod cpu;
mod decisions;
pub mod figures;
pub mod rows;
mod setup;
pub mod show;
mod stand;

use std::time::Duration;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use seawall_harness::random::chance;
use serde::Serialize;

use crate::envoy;
use crate::upstream::Upstream;

use figures::{Figures, figures, quantile, spread};
use rows::Row;
use setup::Modules;
use stand::{Slice, Stand};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Slices of each row.
    pub rounds: usize,
    /// How long a slice is.
    pub slice: Duration,
    /// How often each row is started.
    pub starts: usize,
    /// How long each plain row is under half load, for its latencies; not at all if zero.
    pub half_load: Duration,
    /// Requests of a row in flight at the same time while CPU time is counted.
    pub in_flight: usize,
    /// Of the order.
    pub seed: u64,
}

/// What a run gives.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Envoy's version.
    pub envoy: String,
    /// Slices of each row.
    pub rounds: usize,
    /// How long each was.
    pub slice_seconds: f64,
    /// How often each row was started.
    pub starts: usize,
    /// Requests in flight at the same time.
    pub in_flight: usize,
    /// Of the order.
    pub seed: u64,
    /// The rate of half load, in requests a second; 0 if it was not measured.
    pub half_load_per_second: f64,
    /// How many processors other programs took meanwhile: the median over all slices.
    pub others: f64,
    /// The rows' figures.
    pub rows: Vec<Figures>,
    /// Rows that did not decide what they are there for, and how.
    pub void: Vec<String>,
}

/// Where other programs take more processors than this, the figures are those of a fight for caches, and no measure.
pub const OTHERS_MAX: f64 = 0.1;
/// Before the first slice of a start: V8 compiles what runs often once more.
const WARM: Duration = Duration::from_secs(2);
/// Slices of half load for each row.
const HALF_LOADS: u32 = 3;

/// How many steps a run of these rows has, for a progress bar.
pub fn steps(rows: &[Row], options: &Options) -> u64 {
    let half_loads = if options.half_load.is_zero() {
        0
    } else {
        HALF_LOADS as usize
    };
    let plain = rows.iter().filter(|row| row.is_plain()).count();
    (rows.len() * (options.starts + options.rounds + 1) + plain * half_loads) as u64
}

/// Runs these rows; `step` is told before each step what it is.
///
/// # Errors
/// If an Envoy does not start, or requests fail while nothing is wrong.
pub async fn run(rows: &[Row], options: &Options, step: &dyn Fn(&str)) -> anyhow::Result<Run> {
    let upstream = Upstream::start("upstream", ([127, 0, 0, 1], 0).into()).await?;
    upstream.set(decisions::well());
    let modules = Modules::new()?;
    let mut order = chance(options.seed, "order");
    let mut slices: Vec<Vec<Slice>> = vec![Vec::new(); rows.len()];
    let mut stands = Vec::new();
    for start in 0..options.starts {
        stands.clear();
        stands = started(
            rows,
            (&modules, options.in_flight),
            &upstream,
            &mut order,
            step,
        )
        .await?;
        // The first starts have one more where it does not divide evenly.
        let rounds = (options.rounds + options.starts - 1 - start) / options.starts;
        for _ in 0..rounds {
            for at in drawn(rows.len(), &mut order) {
                step(&rows[at].name);
                slices[at].push(stands[at].slice(options.slice).await?);
                upstream.reset_stats();
            }
        }
    }
    let others = slices.iter().flatten().map(|slice| slice.others);
    let others = spread(others.collect()).map_or(0.0, |others| others.median);
    let mut half = 0.0;
    let mut latencies = vec![None; rows.len()];
    if !options.half_load.is_zero() {
        let rates = slices.iter().flatten().map(|slice| slice.per_second);
        half = rates.fold(f64::INFINITY, f64::min) / 2.0;
        latencies = at_half_load(
            &stands,
            (half, options.half_load),
            &upstream,
            &mut order,
            step,
        )
        .await;
    }
    let mut void = Vec::new();
    for stand in &stands {
        step(&stand.row.name);
        if let Err(why) = decisions::seen(stand, &upstream).await? {
            void.push(why);
        }
    }
    Ok(Run {
        envoy: envoy::version()?,
        rounds: options.rounds,
        slice_seconds: options.slice.as_secs_f64(),
        starts: options.starts,
        in_flight: options.in_flight,
        seed: options.seed,
        half_load_per_second: half,
        others,
        rows: figures(rows, &slices, &latencies),
        void,
    })
}

/// All rows, each started and warm, in the order of the rows.
async fn started(
    rows: &[Row],
    (modules, in_flight): (&Modules, usize),
    upstream: &Upstream,
    order: &mut ChaCha8Rng,
    step: &dyn Fn(&str),
) -> anyhow::Result<Vec<Stand>> {
    let mut stands: Vec<Option<Stand>> = rows.iter().map(|_| None).collect();
    for at in drawn(rows.len(), order) {
        step(&rows[at].name);
        let stand = Stand::start(&rows[at], modules, upstream.address(), in_flight).await?;
        stand.slice(WARM).await?;
        upstream.reset_stats();
        stands[at] = Some(stand);
    }
    Ok(stands.into_iter().flatten().collect())
}

/// Latencies of the plain rows at this rate: median and 99th percentile, in milliseconds.
async fn at_half_load(
    stands: &[Stand],
    (per_second, length): (f64, Duration),
    upstream: &Upstream,
    order: &mut ChaCha8Rng,
    step: &dyn Fn(&str),
) -> Vec<Option<(f64, f64)>> {
    let mut all: Vec<Vec<f64>> = vec![Vec::new(); stands.len()];
    for _ in 0..HALF_LOADS {
        let plain = drawn(stands.len(), order).into_iter();
        for at in plain.filter(|at| stands[*at].row.is_plain()) {
            step(&stands[at].row.name);
            let latencies = stands[at].at_rate(per_second, length / HALF_LOADS).await;
            all[at].extend(latencies.iter().map(|latency| latency.as_secs_f64() * 1e3));
            upstream.reset_stats();
        }
    }
    let quantiles = |mut latencies: Vec<f64>| {
        latencies.sort_by(f64::total_cmp);
        quantile(&latencies, 0.5).zip(quantile(&latencies, 0.99))
    };
    all.into_iter().map(quantiles).collect()
}

/// So many numbers in an order that is drawn.
fn drawn(count: usize, order: &mut ChaCha8Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    all.shuffle(order);
    all
}
