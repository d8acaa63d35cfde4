//! The search.
//!
//! 1. **Start.** The default, and points of a Halton sequence, shifted by the seed. Half of a point's settings keep their default, since
//!    few settings matter for one outage.
//! 2. **Rounds.** Sixteen points at a time come from the best ones and from the front: one to three settings of a parent move to another
//!    level, after two parents were crossed, or not.
//! 3. **Halving.** Of each batch all points are played once, the better half twice, and the better half of those three times. A play differs
//!    from another one of the same point by its seed and by how long the outage is, so a point that fits one outage by luck falls back. Only
//!    what was played three times is a parent, or proposed.
//! 4. **Pruning.** Each setting of the best one goes back to its default, one after the other, and stays there where nothing is lost by
//!    it. What is lost by the others is why they are written.
//!
//! Points are played in parallel, and a batch is judged when all of it was played, so the number of threads changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::found::{Found, Reason, Tried};
use super::objective::{Objective, Values, aims, dominates, missed, score, values};
use super::space::{Point, Space};
use crate::measure::Figures;
use crate::parallel;
use crate::random::chance;

/// Points of a round.
const ROUND: usize = 16;
/// Points that the next ones come from.
const PARENTS: usize = 8;
/// Plays of a point that is taken seriously.
pub const PLAYS: usize = 3;
/// Plays of a batch of so many points by halves, at most.
const BATCH: usize = 2;
/// A setting that is worth less goes back to its default.
const WORTH: f64 = 0.004;
/// How often a point that was tried already is drawn anew.
const DRAWS: usize = 200;

/// How much is played.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Plays of the trace, but for those that prune.
    pub plays: usize,
    /// Threads.
    pub threads: usize,
    /// Seed of the search.
    pub seed: u64,
}

/// Plays a point.
pub trait Play: Sync {
    /// The lane's figures. Plays of a point are numbered from 0.
    ///
    /// # Errors
    /// If it cannot be played.
    fn play(&self, point: &Point, number: usize) -> anyhow::Result<Figures>;
}

struct Search<'a> {
    space: &'a Space,
    objectives: &'a [Objective],
    budget: Budget,
    player: &'a dyn Play,
    /// The figures' values and missed bounds, by point, play after play.
    known: BTreeMap<Point, Vec<(Values, f64)>>,
    order: Vec<Point>,
    plays: usize,
}

/// Searches a policy.
///
/// # Errors
/// If a play fails.
pub fn search(
    space: &Space,
    objectives: &[Objective],
    budget: Budget,
    player: &dyn Play,
) -> anyhow::Result<Found> {
    let mut search = Search {
        space,
        objectives,
        budget,
        player,
        known: BTreeMap::new(),
        order: Vec::new(),
        plays: 0,
    };
    search.start()?;
    let mut random = chance(budget.seed, "tune rounds");
    while search.plays < budget.plays {
        let left = budget.plays - search.plays;
        let children = search.children(&mut random, left.div_ceil(BATCH).min(ROUND));
        if children.is_empty() {
            break;
        }
        search.halve(&children)?;
    }
    let best = search.serious().into_iter().next();
    let best = best.map_or_else(|| space.default_point(), |tried| tried.point);
    let (best, reasons) = search.prune(best)?;
    let tried = search.order.iter().map(|point| search.tried(point));
    Ok(Found {
        default: search.tried(&space.default_point()),
        best: search.tried(&best),
        reasons,
        tried: tried.collect(),
        plays: search.plays,
    })
}

impl Search<'_> {
    fn start(&mut self) -> anyhow::Result<()> {
        let mut points = vec![self.space.default_point()];
        let mut halton = Halton::new(self.budget.seed, self.space.settings.len());
        let wanted = (self.budget.plays / (3 * BATCH)).max(1);
        for _ in 0..wanted * 10 {
            if points.len() >= wanted {
                break;
            }
            let place = halton.next();
            let settings = self.space.settings.iter().zip(self.space.default_point());
            let levels = settings.zip(place).map(|((setting, default), place)| {
                let others = setting.levels.len() - 1;
                // The lower half of the way is the default, the upper one all other levels.
                match ((place - 0.5) * 2.0 * others as f64).floor() {
                    level if level < 0.0 => default,
                    level if (level as usize) < default => level as usize,
                    level => (level as usize + 1).min(others),
                }
            });
            let point: Point = levels.collect();
            if self.space.is_valid(&point) && !points.contains(&point) {
                points.push(point);
            }
        }
        self.play(&points[..1], PLAYS)?;
        self.halve(&points)
    }

    /// Plays all points once, the better half twice, and so on.
    fn halve(&mut self, points: &[Point]) -> anyhow::Result<()> {
        let mut points = points.to_vec();
        for plays in 1..=PLAYS {
            self.play(&points, plays)?;
            points.sort_by(|one, other| {
                let score = |point: &Point| self.tried(point).score;
                score(other).total_cmp(&score(one))
            });
            points.truncate(points.len().div_ceil(2));
        }
        Ok(())
    }

    /// Plays points so many times, as far as they were not.
    fn play(&mut self, points: &[Point], plays: usize) -> anyhow::Result<()> {
        let mut jobs: Vec<(Point, usize)> = Vec::new();
        for point in points {
            if !self.known.contains_key(point) {
                self.known.insert(point.clone(), Vec::new());
                self.order.push(point.clone());
            }
            let known = self.known.get(point).map_or(0, Vec::len);
            let queued = jobs.iter().any(|(queued, _)| queued == point);
            let from = if queued { plays } else { known };
            jobs.extend((from..plays).map(|number| (point.clone(), number)));
        }
        self.plays += jobs.len();
        for (point, figures) in played(&jobs, self.player, self.budget.threads)? {
            let found = (
                values(self.objectives, &figures),
                missed(self.objectives, &figures),
            );
            self.known.entry(point).or_default().push(found);
        }
        Ok(())
    }

    /// What is known of a point: the mean over its plays, held against the default's over the same.
    fn tried(&self, point: &Point) -> Tried {
        let plays = self.known.get(point).map_or(0, Vec::len);
        let (values, missed) = self.mean(point, plays);
        let (default, _) = self.mean(&self.space.default_point(), plays);
        Tried {
            score: score(self.objectives, &default, &values, missed),
            point: point.clone(),
            values,
            missed,
            plays,
        }
    }

    fn mean(&self, point: &Point, plays: usize) -> (Values, f64) {
        let found = self.known.get(point).map_or(&[][..], Vec::as_slice);
        let found = &found[..plays.min(found.len())];
        let count = found.len().max(1) as f64;
        let mean = |number: usize| {
            let values = found.iter().map(|(values, _)| values.get(number).copied()?);
            // A figure that is without a value once is without one.
            let values: Option<Vec<f64>> = values.collect();
            values.map(|values| values.iter().sum::<f64>() / count)
        };
        let values = (0..aims(self.objectives).len()).map(mean).collect();
        let missed = found.iter().map(|(_, missed)| missed).sum::<f64>();
        (values, missed / count)
    }

    /// The points that were played often enough, the best first.
    fn serious(&self) -> Vec<Tried> {
        let all = self.order.iter().map(|point| self.tried(point));
        let mut all: Vec<Tried> = all.filter(|tried| tried.plays >= PLAYS).collect();
        // A stable sort: of equals the earlier one is first, and the default is the earliest.
        all.sort_by(|one, other| other.score.total_cmp(&one.score));
        all
    }

    /// Points that come from the best ones and from the front.
    fn children(&self, random: &mut ChaCha8Rng, most: usize) -> Vec<Point> {
        let ranked = self.serious();
        let front = ranked.iter().filter(|one| {
            let other = |other: &Tried| dominates(self.objectives, &other.values, &one.values);
            one.missed == 0.0 && !ranked.iter().any(other)
        });
        let mut parents: Vec<&Tried> = ranked.iter().take(PARENTS).collect();
        parents.extend(front.take(PARENTS));
        let known: BTreeSet<&Point> = self.order.iter().collect();
        let mut children: Vec<Point> = Vec::new();
        for _ in 0..DRAWS {
            if children.len() >= most || parents.is_empty() {
                break;
            }
            let parent = &parents[random.random_range(0..parents.len())].point;
            let other = &parents[random.random_range(0..parents.len())].point;
            let mut child = parent.clone();
            if random.random_bool(0.3) {
                for (level, other) in child.iter_mut().zip(other) {
                    if random.random_bool(0.5) {
                        *level = *other;
                    }
                }
            }
            for _ in 0..random.random_range(1..=3) {
                let setting = random.random_range(0..child.len());
                let levels = self.space.settings[setting].levels.len();
                child[setting] = random.random_range(0..levels);
            }
            let new = !known.contains(&child) && !children.contains(&child);
            if new && self.space.is_valid(&child) {
                children.push(child);
            }
        }
        children
    }

    /// Settings that nothing is lost without go back to their default. Why the others stay.
    fn prune(&mut self, mut point: Point) -> anyhow::Result<(Point, Vec<Reason>)> {
        let default = self.space.default_point();
        loop {
            let written: Vec<usize> = self
                .space
                .written(&point)
                .map(|(number, ..)| number)
                .collect();
            let without = |number: usize| {
                let mut point = point.clone();
                point[number] = default[number];
                point
            };
            let valid = written.iter().copied();
            let valid: Vec<usize> = valid
                .filter(|number| self.space.is_valid(&without(*number)))
                .collect();
            let points: Vec<Point> = valid.iter().map(|number| without(*number)).collect();
            self.play(&points, PLAYS)?;
            let stands = self.tried(&point).score;
            let left = valid.iter().zip(&points);
            let left = left.map(|(number, point)| (*number, self.tried(point)));
            let left: Vec<(usize, Tried)> = left.collect();
            let idle = left
                .iter()
                .filter(|(_, without)| without.score >= stands - WORTH)
                .max_by(|(_, one), (_, other)| one.score.total_cmp(&other.score));
            match idle {
                Some((_, without)) => point = without.point.clone(),
                None => {
                    let reasons = left.into_iter().map(|(setting, tried)| Reason {
                        setting,
                        without: tried.values,
                    });
                    return Ok((point, reasons.collect()));
                }
            }
        }
    }
}

/// Plays jobs on so many threads; what they gave, in their order.
fn played(
    jobs: &[(Point, usize)],
    player: &dyn Play,
    threads: usize,
) -> anyhow::Result<Vec<(Point, Figures)>> {
    let play = |number: usize| {
        let job = &jobs[number];
        player
            .play(&job.0, job.1)
            .map(|figures| (job.0.clone(), figures))
    };
    let found = parallel::each(jobs.len(), threads, play);
    found
        .context("a policy could not be played")?
        .into_iter()
        .collect()
}

/// A Halton sequence, each dimension of which is shifted by chance.
struct Halton {
    number: u64,
    shifts: Vec<f64>,
}

impl Halton {
    fn new(seed: u64, dimensions: usize) -> Self {
        let mut random = chance(seed, "tune start");
        Self {
            number: 0,
            shifts: (0..dimensions)
                .map(|_| random.random_range(0.0..1.0))
                .collect(),
        }
    }

    /// The next point, each coordinate from 0 to 1.
    fn next(&mut self) -> Vec<f64> {
        self.number += 1;
        let primes =
            (2_u64..).filter(|number| (2..*number).all(|part| !number.is_multiple_of(part)));
        let shifted = self.shifts.iter().zip(primes);
        shifted
            .map(|(shift, base)| (radical_inverse(self.number, base) + shift).fract())
            .collect()
    }
}

/// The digits of a number behind the point, the other way round.
fn radical_inverse(mut number: u64, base: u64) -> f64 {
    let (mut inverse, mut part) = (0.0, 1.0 / base as f64);
    while number > 0 {
        inverse += (number % base) as f64 * part;
        number /= base;
        part /= base as f64;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measure;
    use crate::report::Figure;

    /// A trace of which the goodput is a sum over settings, with a few that bound each other.
    struct Sum<'a>(&'a Space);

    impl Play for Sum<'_> {
        fn play(&self, point: &Point, number: usize) -> anyhow::Result<Figures> {
            let mut figures = Measure::default().figures("", None);
            let default = self.0.default_point();
            let gain = |number: usize, good: usize| match point[number] {
                level if level == default[number] => 0.0,
                level if level == good => 10.0,
                _ => -10.0,
            };
            // Chance is worth less than any setting.
            figures.goodput_per_s = 100.0 + gain(8, 1) + gain(12, 0) + gain(2, 4) + number as f64;
            figures.amplification = 1.0;
            Ok(figures)
        }
    }

    fn found(seed: u64, plays: usize, threads: usize) -> (Space, Found) {
        let space = Space::of(&[]);
        let objectives = [
            Objective::Aim(Figure::Goodput, 1.0),
            Objective::Aim(Figure::Amplification, 1.0),
        ];
        let budget = Budget {
            plays,
            threads,
            seed,
        };
        let found = search(&space, &objectives, budget, &Sum(&space)).unwrap();
        (space, found)
    }

    #[test]
    fn it_finds_the_settings_that_matter_and_leaves_out_all_others() {
        for seed in 1..=5 {
            let (space, found) = found(seed, 300, 2);
            let written = space.written(&found.best.point);
            let written: Vec<_> = written
                .map(|(number, _, value)| (number, value.to_string()))
                .collect();
            let expected = [
                (2, "80".to_owned()),
                (8, "\"1s\"".to_owned()),
                (12, "\"0s\"".to_owned()),
            ];
            assert_eq!(written, expected, "seed {seed}");
            assert_eq!(found.reasons.len(), 3);
            assert!(found.is_better() && found.best.plays == PLAYS);
            for reason in &found.reasons {
                let (without, with) = (reason.without[0].unwrap(), found.best.values[0].unwrap());
                assert!((with - without - 10.0).abs() < 1e-9, "{without} {with}");
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let one = found(7, 120, 1).1;
        for threads in [2, 4, 16] {
            assert_eq!(
                format!("{:?}", found(7, 120, threads).1),
                format!("{one:?}")
            );
        }
        assert_ne!(
            format!("{:?}", found(8, 120, 1).1.tried),
            format!("{:?}", one.tried)
        );
    }

    #[test]
    fn where_nothing_is_better_the_default_is_proposed() {
        struct Flat;
        impl Play for Flat {
            fn play(&self, _: &Point, _: usize) -> anyhow::Result<Figures> {
                Ok(Measure::default().figures("", None))
            }
        }
        let space = Space::of(&[]);
        let budget = Budget {
            plays: 60,
            threads: 2,
            seed: 1,
        };
        let found = search(&space, &super::super::objective::DEFAULTS, budget, &Flat).unwrap();
        assert!(!found.is_better() && found.reasons.is_empty());
    }

    #[test]
    fn halton_points_fill_every_dimension_evenly() {
        let mut halton = Halton::new(3, 16);
        let points: Vec<Vec<f64>> = (0..2_000).map(|_| halton.next()).collect();
        for dimension in 0..16 {
            let low = points.iter().filter(|point| point[dimension] < 0.5).count();
            assert!((900..=1_100).contains(&low), "{dimension}: {low} of 2000");
        }
        assert_eq!(
            [1, 2, 3, 4].map(|number| radical_inverse(number, 2)),
            [0.5, 0.25, 0.75, 0.125]
        );
    }
}
