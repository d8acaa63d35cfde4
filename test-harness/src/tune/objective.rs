//! What a policy shall be good at: figures with weights, and bounds that it must keep.

use std::fmt;
use std::str::FromStr;

use crate::measure::Figures;
use crate::report::{Criterion, Figure, Unit};

/// One objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// A figure that shall be good; one with twice the weight counts twice as much.
    Aim(Figure, f64),
    /// What must be reached.
    Bound(Criterion),
}

/// Values of the aims, in their order; `None` is a figure without a value.
pub type Values = Vec<Option<f64>>;

/// How one value compares with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Better.
    Better,
    /// The same.
    Same,
    /// Worse.
    Worse,
}

/// The objectives where none is given: success, latency, load of the sick upstream, false refusals.
pub const DEFAULTS: [Objective; 4] = [
    Objective::Aim(Figure::Success, 1.0),
    Objective::Aim(Figure::P99, 1.0),
    Objective::Aim(Figure::SickLoad, 1.0),
    Objective::Aim(Figure::FalseRefusals, 1.0),
];

/// Nothing is better or worse by more than this.
const GAIN_MAX: f64 = 1.0;
const LOSS_MAX: f64 = -5.0;
/// What is worse than the default counts so many times.
const NO_WORSE: f64 = 20.0;
/// A bound that is missed costs this and more.
const MISSED: f64 = 50.0;

/// The figures that are aimed at.
pub fn aims(objectives: &[Objective]) -> Vec<(Figure, f64)> {
    let aims = objectives.iter().filter_map(|objective| match objective {
        Objective::Aim(figure, weight) => Some((*figure, *weight)),
        Objective::Bound(_) => None,
    });
    aims.collect()
}

/// The values of what is aimed at.
pub fn values(objectives: &[Objective], figures: &Figures) -> Values {
    let aims = aims(objectives).into_iter();
    aims.map(|(figure, _)| figure.of(figures)).collect()
}

/// How far the bounds are missed, in parts of their targets; 0 where all are kept.
pub fn missed(objectives: &[Objective], figures: &Figures) -> f64 {
    let missed = objectives.iter().map(|objective| match objective {
        Objective::Aim(..) => 0.0,
        Objective::Bound(criterion) => {
            let judged = criterion.judge(figures);
            match judged.met {
                true => 0.0,
                false => judged.value.map_or(1.0, |value| {
                    ((value - judged.target).abs() / judged.target.abs().max(1.0)).clamp(0.001, 1.0)
                }),
            }
        }
    });
    missed.sum()
}

/// How much better these values are than the default's: a weighted mean of what each gained, less much for what is worse.
pub fn score(objectives: &[Objective], default: &Values, values: &Values, missed: f64) -> f64 {
    let aims = aims(objectives);
    let weights: f64 = aims.iter().map(|(_, weight)| weight).sum();
    let mut score = 0.0;
    for ((figure, weight), (default, value)) in aims.iter().zip(default.iter().zip(values)) {
        let gain = gain(*figure, *default, *value);
        score += weight * gain / weights.max(1e-9);
        if gain < 0.0 {
            score += NO_WORSE * gain;
        }
    }
    match missed > 0.0 {
        true => score - MISSED * (1.0 + missed),
        false => score,
    }
}

/// Which part of the default's cost is saved: 1 is all of it, 0 is nothing, below 0 it costs more.
fn gain(figure: Figure, default: Option<f64>, value: Option<f64>) -> f64 {
    let (default, value) = match (cost(figure, default), cost(figure, value)) {
        (None, None) => return 0.0,
        (None, Some(_)) => return GAIN_MAX,
        (Some(_), None) => return LOSS_MAX,
        (Some(default), Some(value)) => (default, value),
    };
    let least = match figure.unit() {
        Unit::Percent => 0.5,
        Unit::Millis => 1.0,
        Unit::PerSecond => 0.1,
        Unit::Times => 0.02,
    };
    ((default - value) / default.abs().max(least)).clamp(LOSS_MAX, GAIN_MAX)
}

/// A figure as what one would have less of.
fn cost(figure: Figure, value: Option<f64>) -> Option<f64> {
    let value = value?;
    Some(match (figure.unit(), figure.more_is_better()) {
        (Unit::Percent, Some(true)) => 100.0 - value,
        (_, Some(true)) => -value,
        _ => value,
    })
}

/// How a value compares with the default's. What differs by less than the figure's resolution is the same: a tenth of a point
/// of percent, a hundredth of anything else.
pub fn change(figure: Figure, default: Option<f64>, value: Option<f64>) -> Change {
    let (default, value) = match (cost(figure, default), cost(figure, value)) {
        (None, None) => return Change::Same,
        (None, Some(_)) => return Change::Better,
        (Some(_), None) => return Change::Worse,
        (Some(default), Some(value)) => (default, value),
    };
    let resolution = match figure.unit() {
        Unit::Percent => 0.1,
        Unit::Millis | Unit::PerSecond | Unit::Times => default.abs() / 100.0,
    };
    match default - value {
        gained if gained > resolution => Change::Better,
        gained if gained < -resolution => Change::Worse,
        _ => Change::Same,
    }
}

/// Whether one is not worse in anything than another, and better in something, beyond the figures' resolution.
pub fn beats(objectives: &[Objective], one: &Values, other: &Values) -> bool {
    let aims = aims(objectives).into_iter();
    let values = other.iter().zip(one);
    let changes = aims
        .zip(values)
        .map(|((figure, _), (other, one))| change(figure, *other, *one));
    let changes: Vec<Change> = changes.collect();
    changes.contains(&Change::Better) && !changes.contains(&Change::Worse)
}

/// Whether one is at least as good in everything as another, and better in something.
pub fn dominates(objectives: &[Objective], one: &Values, other: &Values) -> bool {
    let aims = aims(objectives);
    let costs = aims.iter().zip(one.iter().zip(other));
    let mut better = false;
    for ((figure, _), (one, other)) in costs {
        let worst = f64::INFINITY;
        let one = cost(*figure, *one).unwrap_or(worst);
        let other = cost(*figure, *other).unwrap_or(worst);
        if one > other {
            return false;
        }
        better |= one < other;
    }
    better
}

impl fmt::Display for Objective {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aim(figure, weight) if *weight == 1.0 => f.write_str(figure.name()),
            Self::Aim(figure, weight) => write!(f, "{}={weight}", figure.name()),
            Self::Bound(criterion) => criterion.fmt(f),
        }
    }
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(['<', '>']) {
            return text.parse().map(Self::Bound);
        }
        let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
        let aimed = |figure: &Figure| figure.more_is_better().is_some();
        let mut all = Figure::ALL.into_iter().filter(aimed);
        let Some(figure) = all.find(|figure| figure.name() == name.trim()) else {
            let names = Figure::ALL.into_iter().filter(aimed).map(Figure::name);
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(format!(
                "\"{name}\" is no figure to aim at: write FIGURE, FIGURE=WEIGHT or a bound such as failed<1%; figures are {names}"
            ));
        };
        let number = weight.trim().parse::<f64>().ok();
        match number.filter(|number| *number > 0.0 && number.is_finite()) {
            Some(weight) => Ok(Self::Aim(figure, weight)),
            None => Err(format!(
                "\"{weight}\" is no weight of {name}: expected a number above 0, such as {name}=2"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_is_read_and_written_the_same() {
        for text in ["success", "p99=2", "sick_load=0.5", "failed<1%"] {
            let read: Objective = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        for (text, told) in [
            ("speed", "false_refusals"),
            ("degraded", "figures are"),
            ("p99=0", "p99=2"),
            ("p99=much", "above 0"),
            ("p98<1s", "is no figure"),
        ] {
            let error = text.parse::<Objective>().unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_worse_in_one_figure_is_never_made_good_by_others() {
        let all = DEFAULTS;
        let default = vec![Some(90.0), Some(100.0), Some(0.2), Some(4.0)];
        let better = vec![Some(95.0), Some(100.0), Some(0.2), Some(1.0)];
        let mixed = vec![Some(99.0), Some(130.0), Some(0.1), Some(0.0)];
        let score = |values, missed| score(&all, &default, values, missed);
        assert_eq!(score(&default, 0.0), 0.0);
        assert_eq!(score(&better, 0.0), (0.5 + 0.75) / 4.0);
        assert!(score(&mixed, 0.0) < -5.0, "{}", score(&mixed, 0.0));
        assert!(
            score(&better, 0.1) < score(&mixed, 0.0),
            "a bound is missed"
        );
        assert!(dominates(&all, &better, &default) && !dominates(&all, &mixed, &default));
        assert!(!dominates(&all, &better, &better) && !beats(&all, &better, &better));
        assert!(beats(&all, &better, &default) && !beats(&all, &mixed, &default));
    }

    #[test]
    fn a_figure_without_a_value_is_the_worst() {
        let figure = Figure::TimeToRecover;
        let (never, soon) = (None, Some(10.0));
        assert_eq!(change(figure, never, soon), Change::Better);
        assert_eq!(change(figure, soon, never), Change::Worse);
        assert_eq!(change(figure, never, never), Change::Same);
        assert_eq!(change(figure, soon, Some(10.05)), Change::Same);
        assert_eq!(
            change(Figure::Success, Some(99.0), Some(98.8)),
            Change::Worse
        );
    }
}
