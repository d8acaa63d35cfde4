//! A trace from nothing: arrivals of a shape, service times, priorities by weight; or one that is like a log.

mod like;
mod service;
mod shape;

use rand_distr::weighted::WeightedIndex;
use rand_distr::{Distribution, Exp, LogNormal};
use seawall_policy::priority::Priority;

pub use like::Like;
pub use service::Percentiles;
pub use shape::Shape;

use super::Request;
use crate::random::chance;

/// What is asked for, at which times.
#[derive(Debug)]
pub enum Work {
    /// Log-normal service times.
    LogNormal {
        /// Their median, in microseconds.
        median_us: f64,
        /// Their sigma.
        sigma: f64,
    },
    /// Service times with these percentiles.
    Percentiles(Percentiles),
    /// Requests of a log.
    Like(Box<Like>),
}

/// Requests of a shape, one after the other. `None` if a figure is out of its bounds.
pub fn generate(
    shape: &Shape,
    rate: f64,
    seconds: f64,
    work: Work,
    seed: u64,
) -> Option<Box<dyn Iterator<Item = Request>>> {
    if let (Shape::Poisson, Work::LogNormal { median_us, sigma }) = (shape, &work) {
        let requests = arrivals(rate, seconds, *median_us, *sigma, seed)?;
        return Some(Box::new(requests));
    }
    let log_normal = match &work {
        Work::LogNormal { median_us, sigma } => LogNormal::new(median_us.ln(), *sigma).ok()?,
        _ => LogNormal::new(0.0, 1.0).ok()?,
    };
    let mut random = chance(seed, "service");
    let times = shape.times(rate, seconds, seed)?;
    Some(Box::new(times.map(move |at| {
        let mut request = Request::default();
        match &work {
            Work::LogNormal { .. } => request.service_us = log_normal.sample(&mut random) as u64,
            Work::Percentiles(asked) => request.service_us = asked.draw(&mut random) as u64,
            Work::Like(like) => request = like.draw(&mut random),
        }
        request.at_us = (at * 1e6) as u64;
        request
    })))
}

/// Requests at `rate` a second for `seconds`, with a median service time and a spread (sigma of the log-normal), one after the
/// other. `None` if a figure is out of its bounds.
pub fn arrivals(
    rate: f64,
    seconds: f64,
    median_us: f64,
    sigma: f64,
    seed: u64,
) -> Option<impl Iterator<Item = Request>> {
    let gaps = Exp::new(rate)
        .ok()
        .filter(|_| rate.is_finite() && rate > 0.0)?;
    let service = LogNormal::new(median_us.ln(), sigma).ok()?;
    let mut arrivals = chance(seed, "arrivals");
    let mut work = chance(seed, "service");
    let mut at = 0.0;
    Some(std::iter::from_fn(move || {
        at += gaps.sample(&mut arrivals);
        (at < seconds).then(|| Request {
            at_us: (at * 1e6) as u64,
            service_us: service.sample(&mut work) as u64,
            ..Request::default()
        })
    }))
}

/// The same, all of them, as far as a trace may have so many.
pub fn poisson(
    rate: f64,
    seconds: f64,
    median_us: f64,
    sigma: f64,
    seed: u64,
) -> Option<Vec<Request>> {
    let requests = arrivals(rate, seconds, median_us, sigma, seed)?;
    Some(requests.take(super::REQUESTS_MAX).collect())
}

/// Gives each request a priority, drawn by these weights. `None` if no weight is above 0, or one is below.
pub fn with_priorities<R: IntoIterator<Item = Request>>(
    requests: R,
    weights: &[(Priority, f64)],
    seed: u64,
) -> Option<impl Iterator<Item = Request> + use<R>> {
    let draw = WeightedIndex::new(weights.iter().map(|(_, weight)| weight)).ok()?;
    let priorities: Vec<Priority> = weights.iter().map(|(priority, _)| *priority).collect();
    let mut random = chance(seed, "priorities");
    Some(requests.into_iter().map(move |request| Request {
        priority: priorities.get(draw.sample(&mut random)).copied(),
        ..request
    }))
}
