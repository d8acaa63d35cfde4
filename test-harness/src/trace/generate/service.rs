//! Service times by their percentiles.

use std::str::FromStr;

use rand::{Rng, RngExt};
use seawall_policy::time::parse_duration;

/// Percentiles of service times: between two of them the logarithm of the time grows evenly.
#[derive(Clone, Debug, PartialEq)]
pub struct Percentiles(Vec<(f64, f64)>);

const HOW: &str = "write p50=10ms,p90=30ms,p99=200ms: percentiles from p0 to p100 in order, each longer than the one before";

impl Percentiles {
    /// A service time, in microseconds.
    pub fn draw(&self, random: &mut dyn Rng) -> f64 {
        self.at(random.random_range(0.0..100.0))
    }

    /// The time that this percentage of all take no longer than, in microseconds.
    pub fn at(&self, percent: f64) -> f64 {
        let above = self.0.partition_point(|(point, _)| *point <= percent);
        let (from, to) = match (
            above.checked_sub(1).and_then(|at| self.0.get(at)),
            self.0.get(above),
        ) {
            (Some(from), Some(to)) => (from, to),
            (Some((_, only)), None) | (None, Some((_, only))) => return *only,
            (None, None) => return 0.0,
        };
        let part = (percent - from.0) / (to.0 - from.0);
        (from.1.ln() + part * (to.1.ln() - from.1.ln())).exp()
    }
}

impl FromStr for Percentiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for part in text.split(',') {
            let point = part
                .trim()
                .strip_prefix('p')
                .and_then(|part| part.split_once('='));
            let point = point.and_then(|(percent, time)| {
                let percent = percent.parse::<f64>().ok()?;
                let micros = parse_duration(time).ok()?.as_nanos() as f64 / 1e3;
                Some((percent, micros))
            });
            let fits = |(percent, micros): &(f64, f64)| {
                let last = points.last().copied().unwrap_or((-1.0, 0.0));
                (0.0..=100.0).contains(percent) && *percent > last.0 && *micros > last.1
            };
            match point.filter(fits) {
                Some(point) => points.push(point),
                None => return Err(format!("\"{part}\": {HOW}")),
            }
        }
        // What is not said: the quickest take half of the first one, the slowest twice the last one.
        if let (Some(first), Some(last)) = (points.first().copied(), points.last().copied()) {
            if first.0 > 0.0 {
                points.insert(0, (0.0, first.1 / 2.0));
            }
            if last.0 < 100.0 {
                points.push((100.0, last.1 * 2.0));
            }
        }
        Ok(Self(points))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::chance;

    #[test]
    fn what_is_drawn_has_the_percentiles_that_were_asked_for() {
        let asked: Percentiles = "p50=10ms,p90=30ms,p99=200ms,p99.9=2s".parse().unwrap();
        let mut random = chance(1, "service");
        let mut drawn: Vec<f64> = (0..400_000).map(|_| asked.draw(&mut random)).collect();
        drawn.sort_by(f64::total_cmp);
        for (percent, micros) in [
            (50.0, 10_000.0),
            (90.0, 30_000.0),
            (99.0, 200_000.0),
            (99.9, 2e6),
        ] {
            let found = drawn[(percent / 100.0 * drawn.len() as f64) as usize];
            // Where the curve is steep, one draw in a thousand is worth some percent.
            let tolerance = if percent >= 99.0 { 0.12 } else { 0.02 };
            let close = (found - micros).abs() < micros * tolerance;
            assert!(close, "p{percent}: {found}");
        }
        assert!(drawn[0] >= 5_000.0 && drawn[drawn.len() - 1] <= 4e6);
        // Halfway between p50 and p90 the logarithm is halfway.
        let middle = (10_000.0_f64 * 30_000.0).sqrt();
        assert!((asked.at(70.0) - middle).abs() < 1.0);
    }

    #[test]
    fn percentiles_out_of_order_are_refused() {
        for text in [
            "",
            "p50",
            "50=1ms",
            "p50=1",
            "p50=2ms,p90=1ms",
            "p90=1ms,p50=2ms",
            "p101=1ms",
            "p50=0ms",
        ] {
            let told = text.parse::<Percentiles>().unwrap_err();
            assert!(told.contains("p50=10ms"), "{text}: {told}");
        }
    }
}
