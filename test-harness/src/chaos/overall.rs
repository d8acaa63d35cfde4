//! What all experiments of a suite say together, in a few figures.

use serde::{Deserialize, Serialize};

use super::row::Outcome;
use crate::measure::{Counts, Figures};

/// What became of all experiments with the same means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overall {
    /// How many experiments were played with them.
    pub experiments: usize,
    /// In how many the hypothesis held.
    pub passed: usize,
    /// The same in percent.
    pub pass_rate: f64,
    /// How many systems recovered by themselves.
    pub recovered: usize,
    /// The same in percent.
    pub automatic_recovery_rate: f64,
    /// The median time to recover, of those that did, in milliseconds; null where none did.
    pub mttr_median_ms: Option<u64>,
    /// The longest.
    pub mttr_max_ms: Option<u64>,
    /// The median time to detect, where something was noticed, in milliseconds.
    pub time_to_detect_median_ms: Option<u64>,
    /// The longest.
    pub time_to_detect_max_ms: Option<u64>,
    /// Blast radius: requests without the upstream's own answer, of all requests of all experiments, in percent.
    pub blast_radius_percent: f64,
    /// Requests with a good or a degraded answer, in percent.
    pub success_percent: f64,
    /// Degraded answers for each refusal or error, over all; null where there was neither.
    pub degraded_to_failed: Option<f64>,
}

impl Overall {
    /// Of lanes, one of each experiment; nothing if there is none.
    pub(super) fn of<'a>(
        lanes: impl Iterator<Item = Option<(&'a Outcome, &'a Figures)>>,
    ) -> Option<Self> {
        let lanes: Vec<_> = lanes.flatten().collect();
        if lanes.is_empty() {
            return None;
        }
        let count = |holds: &dyn Fn(&Outcome) -> bool| {
            let held = lanes.iter().filter(|(outcome, _)| holds(outcome));
            held.count()
        };
        let percent = |count: usize| 100.0 * count as f64 / lanes.len() as f64;
        let times = |of: &dyn Fn(&Outcome) -> Option<u64>| {
            let mut times: Vec<u64> = lanes
                .iter()
                .filter_map(|(outcome, _)| of(outcome))
                .collect();
            times.sort_unstable();
            times
        };
        let recover = times(&|outcome| outcome.time_to_recover_ms);
        let detect = times(&|outcome| outcome.time_to_detect_ms);
        let mut answers = Counts::default();
        for (_, figures) in &lanes {
            answers += figures.answers;
        }
        let bad = answers.refused + answers.failed;
        let (passed, recovered) = (
            count(&|outcome| outcome.passed),
            count(&|outcome| outcome.recovered),
        );
        Some(Self {
            experiments: lanes.len(),
            passed,
            pass_rate: percent(passed),
            recovered,
            automatic_recovery_rate: percent(recovered),
            mttr_median_ms: median(&recover),
            mttr_max_ms: recover.last().copied(),
            time_to_detect_median_ms: median(&detect),
            time_to_detect_max_ms: detect.last().copied(),
            blast_radius_percent: 100.0 * answers.share(answers.hit()),
            success_percent: 100.0 * answers.share(answers.good + answers.degraded),
            degraded_to_failed: (bad > 0).then(|| answers.degraded as f64 / bad as f64),
        })
    }
}

/// The median of sorted values.
fn median(sorted: &[u64]) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    let (low, high) = (sorted.get(last / 2)?, sorted.get(last.div_ceil(2))?);
    Some(low.midpoint(*high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7]), Some(7));
        assert_eq!(median(&[1, 5]), Some(3));
        assert_eq!(median(&[1, 2, 900]), Some(2));
        assert_eq!(median(&[1, 2, 4, 900]), Some(3));
    }
}
