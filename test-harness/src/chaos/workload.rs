//! What users ask: a rate or a trace, with surges on top.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::RngExt;
use seawall_policy::priority::Priority;
use serde::Deserialize;

use super::timeline::Timeline;
use crate::random::chance;
use crate::trace::{self, Input, Options, Request};
use crate::world::Time;

/// The requests of a surge come so much later than those that they are copies of, at most, in microseconds.
const SPREAD_US: u64 = 100_000;

/// What users ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// Requests a second.
    pub rate: f64,
    /// The median of the upstream's work.
    pub service: Time,
    /// The spread of the upstream's work: sigma of the log-normal.
    pub sigma: f64,
    /// What requests say of their priority, by weight.
    pub priorities: BTreeMap<String, f64>,
    /// A trace, or a log as `seawall trace import` reads it, in the place of all these.
    pub trace: Option<PathBuf>,
}

impl Default for Workload {
    /// A hundred requests a second.
    fn default() -> Self {
        Self {
            rate: 100.0,
            service: Time(20_000_000),
            sigma: 0.5,
            priorities: BTreeMap::new(),
            trace: None,
        }
    }
}

impl Workload {
    /// Whether it can be made.
    ///
    /// # Errors
    /// What cannot.
    pub fn check(&self) -> Result<(), String> {
        for name in self.priorities.keys() {
            if Priority::named(name.as_bytes()).is_none() {
                return Err(format!("priorities: \"{name}\" is no priority"));
            }
        }
        if !(self.rate > 0.0 && self.rate <= 100_000.0) {
            return Err(format!(
                "rate: {}: expected a number above 0, at most 100000",
                self.rate
            ));
        }
        Ok(())
    }

    /// The requests until the timeline's clock. Those of an earlier clock are the same.
    ///
    /// # Errors
    /// If it cannot be read or made.
    pub fn requests(&self, timeline: &Timeline, seed: u64) -> Result<Vec<Request>, String> {
        let end = timeline.clock / 1_000;
        let mut all = match &self.trace {
            Some(file) => read(file)?,
            None => self.drawn(timeline.clock, seed)?,
        };
        all.retain(|request| request.at_us < end);
        let mut more = Vec::new();
        for (number, surge) in timeline.surges.iter().enumerate() {
            let mut random = chance(seed, format_args!("surge {number}"));
            let (from, to) = (surge.at / 1_000, surge.end() / 1_000);
            for request in all
                .iter()
                .filter(|request| (from..to).contains(&request.at_us))
            {
                let extra = surge.times - 1.0;
                let copies =
                    extra as u64 + u64::from(random.random_range(0.0..1.0) < extra.fract());
                more.extend((0..copies).map(|_| Request {
                    // Never earlier than the request that it is a copy of: so what came before stays.
                    at_us: request.at_us + random.random_range(0..SPREAD_US),
                    ..request.clone()
                }));
            }
        }
        all.extend(more.into_iter().filter(|request| request.at_us < end));
        all.sort_by_key(|request| request.at_us);
        Ok(all)
    }

    fn drawn(&self, clock: u64, seed: u64) -> Result<Vec<Request>, String> {
        let median = (self.service.0 / 1_000).max(1) as f64;
        let drawn = trace::poisson(self.rate, clock as f64 / 1e9, median, self.sigma, seed);
        let drawn = drawn.ok_or("rate and sigma: expected numbers above 0")?;
        if self.priorities.is_empty() {
            return Ok(drawn);
        }
        let weights: Vec<_> = self
            .priorities
            .iter()
            .filter_map(|(name, weight)| Some((Priority::named(name.as_bytes())?, *weight)))
            .collect();
        let drawn = trace::with_priorities(drawn, &weights, seed);
        let drawn = drawn.ok_or("priorities: expected weights of 0 or more, and one above 0")?;
        Ok(drawn.collect())
    }
}

fn read(file: &Path) -> Result<Vec<Request>, String> {
    let told = |error: trace::TraceError| format!("{}: {error}", file.display());
    let input = Input::open(file, |input, _| input);
    let mut all = Vec::new();
    let mut keep = |request| {
        all.push(request);
        Ok(())
    };
    let options = Options {
        format: None,
        fields: trace::Fields::default(),
        service_us: None,
        strict: false,
    };
    let input = input.map_err(|error| told(error.into()))?;
    trace::import(input, &options, &mut keep).map_err(told)?;
    trace::bounded(all).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::timeline::Surge;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_surge_is_so_many_times_as_much_and_what_came_before_stays() {
        let workload = Workload::default();
        let mut timeline = Timeline::new(100 * SECOND);
        let calm = workload.requests(&timeline, 7).unwrap();
        timeline.surge(Surge {
            at: 0,
            length: 100 * SECOND,
            times: 2.5,
        });
        timeline.wait(50 * SECOND);
        let half = workload.requests(&timeline, 7).unwrap();
        timeline.wait(150 * SECOND);
        let all = workload.requests(&timeline, 7).unwrap();
        assert_eq!(all[..half.len()], half[..]);
        let count = |from: u64, to: u64| {
            let range = from * 1_000_000..to * 1_000_000;
            all.iter()
                .filter(|request| range.contains(&request.at_us))
                .count()
        };
        assert_eq!(all[..calm.len()], calm[..]);
        assert!((9_500..10_500).contains(&calm.len()));
        assert!((24_000..26_000).contains(&count(100, 200)));
        assert!((9_500..10_500).contains(&count(200, 300)));
        assert!(all.is_sorted_by_key(|request| request.at_us));
    }
}
