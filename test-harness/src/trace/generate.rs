//! A trace from nothing: Poisson arrivals, log-normal service times, priorities by weight.

use rand_distr::weighted::WeightedIndex;
use rand_distr::{Distribution, Exp, LogNormal};
use seawall_policy::priority::Priority;

use super::Request;
use crate::sim::chance;

/// Requests at `rate` a second for `seconds`, with a median service time and a spread (sigma of the log-normal).
/// `None` if a figure is out of its bounds.
pub fn poisson(
    rate: f64,
    seconds: f64,
    median_us: f64,
    sigma: f64,
    seed: u64,
) -> Option<Vec<Request>> {
    let gaps = Exp::new(rate)
        .ok()
        .filter(|_| rate.is_finite() && rate > 0.0)?;
    let service = LogNormal::new(median_us.ln(), sigma).ok()?;
    let mut arrivals = chance(seed, "arrivals");
    let mut work = chance(seed, "service");
    let mut requests = Vec::new();
    let mut at = 0.0;
    while requests.len() < super::REQUESTS_MAX {
        at += gaps.sample(&mut arrivals);
        if at >= seconds {
            break;
        }
        requests.push(Request {
            at_us: (at * 1e6) as u64,
            service_us: service.sample(&mut work) as u64,
            ..Request::default()
        });
    }
    Some(requests)
}

/// Gives each request a priority, drawn by these weights. `None` if no weight is above 0, or one is below.
pub fn with_priorities(
    mut requests: Vec<Request>,
    weights: &[(Priority, f64)],
    seed: u64,
) -> Option<Vec<Request>> {
    let draw = WeightedIndex::new(weights.iter().map(|(_, weight)| weight)).ok()?;
    let mut random = chance(seed, "priorities");
    for request in &mut requests {
        request.priority = Some(weights[draw.sample(&mut random)].0);
    }
    Some(requests)
}
