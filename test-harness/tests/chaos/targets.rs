//! Other targets than the simulation: verdicts are compared, what cannot be played is told, and what somebody stopped has a journal.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use seawall_harness::chaos::{
    Against, Course, Experiment, Pairs, Stage, Status, Suite, Target, play_on,
};
use seawall_harness::measure::Measure;

use crate::{all, on, shipped, simulated, stopped};

const SECOND: u64 = 1_000_000_000;

/// Plays in the simulation, but for what it is told.
#[derive(Default)]
struct Mirror {
    /// An experiment that cannot be played.
    cannot: &'static str,
    /// In how many lanes Seawall is not there, the first ones.
    without: usize,
    /// How late a request is sent.
    late_ms: Option<u64>,
    /// Lanes that were played.
    played: AtomicUsize,
    /// When somebody stops it.
    stopped: Option<u64>,
    /// How many lanes were played to their end by then.
    before: usize,
}

impl Target for Mirror {
    fn name(&self) -> String {
        "a mirror".to_owned()
    }

    fn applies(&self, stage: &Stage<'_>) -> Result<(), String> {
        match stage.experiment().name() == self.cannot {
            true => Err("the mirror is blind there".to_owned()),
            false => Ok(()),
        }
    }

    fn at_once(&self) -> usize {
        2
    }

    fn play(
        &self,
        stage: &Stage<'_>,
        against: &Against,
        progress: &dyn Fn() -> ControlFlow<()>,
    ) -> anyhow::Result<Option<(Measure, Course)>> {
        let bare = stage.experiment().controls().first();
        let number = self.played.fetch_add(1, Ordering::Relaxed);
        let against = match bare.filter(|_| number < self.without) {
            Some(control) => &control.against,
            None => against,
        };
        let (measure, course) = stage.play(against, progress)?;
        let stopped = self.stopped.filter(|_| number >= self.before);
        let course = Course {
            platform: self.name(),
            interrupted: stopped.or(course.interrupted),
            late_ms: self.late_ms,
            ..course
        };
        Ok(Some((measure, course)))
    }
}

fn some() -> Vec<Experiment> {
    let mut some = all();
    some.retain(|one| ["error-burst", "kill-instance"].contains(&one.name().as_str()));
    some
}

fn pairs(target: &Mirror) -> Pairs {
    let experiments = some();
    let simulation = simulated(&experiments);
    play_on(&experiments, shipped::module(), simulation, target, on).unwrap()
}

#[test]
fn the_same_verdicts_are_the_same_and_what_cannot_be_played_says_why() {
    let mirror = Mirror {
        cannot: "kill-instance",
        ..Mirror::default()
    };
    let pairs = pairs(&mirror);
    assert!(pairs.passed(), "{}", pairs.table());
    let counts = [
        pairs.played,
        pairs.passed,
        pairs.not_applicable,
        pairs.different,
    ];
    assert_eq!(counts, [1, 1, 1, 0]);
    let text = pairs.table();
    assert!(
        text.contains("kill-instance: not applicable: the mirror is blind there"),
        "{text}"
    );
}

#[test]
fn another_verdict_than_the_simulations_fails_and_says_in_what() {
    let pairs = pairs(&Mirror {
        without: usize::MAX,
        ..Mirror::default()
    });
    assert!(!pairs.passed());
    assert_eq!((pairs.played, pairs.passed, pairs.different), (2, 0, 2));
    let text = pairs.table();
    let expected = "error-burst: deviated: false in the simulation, true here";
    assert!(text.contains(expected), "{text}");
    let junit = pairs.junit().unwrap();
    assert!(junit.contains("failures=\"2\""), "{junit}");
}

/// Both experiments have two controls.
const LANES: usize = 6;

#[test]
fn what_differs_on_a_busy_machine_is_played_once_more_and_that_counts() {
    let busy = |late_ms| Mirror {
        without: LANES,
        late_ms: Some(late_ms),
        ..Mirror::default()
    };
    let (late, in_time) = (busy(101), busy(100));
    let twice = pairs(&late);
    assert!(twice.passed(), "{}", twice.table());
    assert!(
        twice.table().contains("kill-instance: played twice"),
        "{}",
        twice.table()
    );
    assert_eq!(late.played.into_inner(), 2 * LANES);
    assert!(
        !pairs(&in_time).passed(),
        "a difference on a machine at rest is one"
    );
    assert_eq!(in_time.played.into_inner(), LANES);
}

#[test]
fn what_somebody_stopped_has_a_journal_as_far_as_it_came_and_was_rolled_back() {
    let stopped = 10 * SECOND + 15 * SECOND;
    let pairs = pairs(&Mirror {
        stopped: Some(stopped),
        ..Mirror::default()
    });
    assert_eq!((pairs.played, pairs.interrupted.len()), (0, 2));
    for (name, journal) in &pairs.interrupted {
        assert_eq!(journal.status, Status::Interrupted, "{name}");
        assert!(journal.steady_states.before.is_some() && journal.steady_states.after.is_none());
        assert!(
            !journal.run.is_empty() && journal.rollbacks.len() == 1,
            "{name}"
        );
        assert_eq!(journal.duration, 25.0, "{name}");
    }
}

#[test]
fn what_somebody_stopped_while_it_was_played_once_more_has_no_verdict() {
    let pairs = pairs(&Mirror {
        without: LANES,
        late_ms: Some(101),
        stopped: Some(20 * SECOND),
        before: LANES,
        ..Mirror::default()
    });
    assert_eq!((pairs.played, pairs.interrupted.len()), (0, 2));
}

#[test]
fn once_somebody_stops_it_no_other_lane_begins_also_of_those_that_are_played_once_more() {
    let mirror = Mirror {
        without: LANES,
        late_ms: Some(101),
        ..Mirror::default()
    };
    let experiments = some();
    let progress = || match mirror.played.load(Ordering::Relaxed) > LANES {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let simulation = simulated(&experiments);
    let module = shipped::module();
    let pairs = play_on(&experiments, module, simulation, &mirror, progress).unwrap();
    assert_eq!((pairs.played, pairs.interrupted.len()), (0, 2));
    let begun = mirror.played.load(Ordering::Relaxed) - LANES;
    let at_once = mirror.at_once();
    assert!((1..=at_once).contains(&begun), "{begun} lanes began");
}

#[test]
fn a_simulation_that_somebody_stopped_is_told_of_though_the_target_plays_none_of_it() {
    let mut experiments = some();
    experiments.retain(|one| one.name() == "kill-instance");
    let simulation = Suite::run(&experiments, shipped::module(), || {}, stopped).unwrap();
    let mirror = Mirror {
        cannot: "kill-instance",
        ..Mirror::default()
    };
    let pairs = play_on(&experiments, shipped::module(), simulation, &mirror, on).unwrap();
    let told: Vec<_> = pairs.interrupted.iter().map(|(name, _)| name).collect();
    assert_eq!(told, ["kill-instance"]);
}

#[test]
fn what_was_never_begun_has_a_journal_that_says_so() {
    let suite = Suite::run(&some(), shipped::module(), || {}, stopped).unwrap();
    assert!(suite.rows.is_empty());
    let status: Vec<_> = suite
        .interrupted
        .iter()
        .map(|(_, journal)| journal.status)
        .collect();
    assert_eq!(status, [Status::Interrupted; 2]);
    assert!(
        suite
            .interrupted
            .iter()
            .all(|(_, journal)| journal.run.is_empty())
    );
}
