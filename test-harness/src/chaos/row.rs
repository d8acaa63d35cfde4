//! One experiment of a suite: what became of it with Seawall, in its controls and with Envoy's own means.

use serde::Serialize;

use super::extension::Against;
use super::healing::Healing;
use super::journal::{Journal, Status};
use super::play::{Played, Stage};
use crate::lanes::Other;
use crate::measure::{BlastRadius, Figures, Measure, lanes};
use crate::report::{Report, VERSION};

/// What became of the experiment in one lane.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The lane.
    pub name: String,
    /// Whether the hypothesis held all along, and it recovered in time.
    pub passed: bool,
    /// The probes that were out of their tolerance.
    pub missed: Vec<String>,
    /// Requests with a good or a degraded answer, in percent.
    pub success_percent: f64,
    /// From the last fault's end to the last request without a good answer; null where it did not recover.
    pub time_to_recover_ms: Option<u64>,
    /// From the first fault to the first request that was kept from the upstream; null where none was.
    pub time_to_detect_ms: Option<u64>,
    /// Attempts that reached the upstream for each request.
    pub amplification: f64,
    /// What was hit.
    pub blast_radius: BlastRadius,
    /// Degraded answers for each refusal or error; null where there was neither.
    pub degraded_to_failed: Option<f64>,
    /// Whether it was well at the end, by itself.
    pub recovered: bool,
}

/// One experiment.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name: that of its file.
    pub experiment: String,
    /// What it is about.
    pub title: String,
    /// How it ended.
    pub status: Status,
    /// Whether a probe was out of its tolerance.
    pub deviated: bool,
    /// With Seawall.
    pub seawall: Outcome,
    /// How it healed.
    pub healing: Healing,
    /// What its hypothesis must fail against.
    pub controls: Vec<Outcome>,
    /// Controls that did not fail as they should, and which probes did not find them.
    pub controls_held: Vec<String>,
    /// Which of the controls is one without a filter; null where none is.
    pub no_filter: Option<usize>,
    /// With Envoy's own means; null where that was not played.
    pub envoy: Option<Outcome>,
    /// How late the latest request was sent, in milliseconds. There is no such figure on a virtual clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_late_ms: Option<u64>,
    /// Seed of all chance.
    pub seed: u64,
    /// The command that plays it again.
    pub reproduce: String,
    /// The journal.
    #[serde(skip)]
    pub journal: Journal,
    /// The report of all its lanes.
    #[serde(skip)]
    pub report: Report,
}

impl Row {
    /// Whether it passed, and its controls failed as they should.
    pub fn passed(&self) -> bool {
        self.seawall.passed && self.controls_held.is_empty()
    }

    /// What became of it with Seawall, with the lane's figures.
    pub(super) fn with_seawall(&self) -> Option<(&Outcome, &Figures)> {
        Some((&self.seawall, self.report.lanes.last()?))
    }

    /// The same without a filter.
    pub(super) fn without_filter(&self) -> Option<(&Outcome, &Figures)> {
        let control = self.no_filter?;
        // The report's first lanes are the controls.
        Some((self.controls.get(control)?, self.report.lanes.get(control)?))
    }

    /// The same with Envoy's own means.
    pub(super) fn with_envoy(&self) -> Option<(&Outcome, &Figures)> {
        let lane = self.report.lanes.get(self.controls.len())?;
        Some((self.envoy.as_ref()?, lane))
    }
}

/// The row of an experiment whose lanes were played: Seawall's first, then the controls, then Envoy's where it was played.
pub(super) fn row(
    stage: &Stage<'_>,
    mut played: Vec<(String, Played)>,
    target: &str,
) -> Option<Row> {
    let experiment = stage.experiment();
    // Reports have the lane that is judged last.
    played.rotate_left(1);
    let verdicts: Vec<_> = played.iter().map(|(_, one)| one.verdict.clone()).collect();
    let names: Vec<_> = played.iter().map(|(name, _)| name.clone()).collect();
    let measured: Vec<(&str, Measure)> = names
        .iter()
        .map(String::as_str)
        .zip(played.into_iter().map(|(_, one)| one.measure))
        .collect();
    let figures = lanes(measured, stage.trouble());
    let reproduce = format!(
        "seawall chaos run {} --seed {}{target}",
        crate::report::words::quoted(&experiment.file.to_string_lossy()),
        experiment.seed()
    );
    let mut outcomes: Vec<Outcome> = figures
        .iter()
        .zip(&verdicts)
        .map(|(lane, verdict)| outcome(lane, verdict.passed, &verdict.missed))
        .collect();
    let seawall = outcomes.pop()?;
    let own = outcomes.len() > experiment.controls().len();
    let envoy = own.then(|| outcomes.pop()).flatten();
    let verdict = verdicts.into_iter().next_back()?;
    let mut held = Vec::new();
    for (control, outcome) in experiment.controls().iter().zip(&outcomes) {
        let missing: Vec<&str> = control
            .fails
            .iter()
            .filter(|name| !outcome.missed.contains(name))
            .map(String::as_str)
            .collect();
        if outcome.passed || !missing.is_empty() {
            held.push(format!("{}: {}", control.name, missing.join(", ")));
        }
    }
    let report = Report {
        version: VERSION,
        wasm_sha256: Some(stage.module().sha256().to_owned()),
        reproduce: reproduce.clone(),
        seed: experiment.seed(),
        requests: stage.trace.len(),
        length_ms: stage.timeline.clock / 1_000_000,
        workers: experiment.extension.world.edge.workers,
        route_timeout_ms: experiment.extension.route_timeout / 1_000_000,
        faults: stage.scenario().faults.clone(),
        criteria: verdict.criteria,
        lanes: figures,
        ..Report::default()
    };
    let mut controls = experiment.controls().iter();
    let no_filter =
        controls.position(|control| matches!(control.against, Against::Other(Other::None)));
    Some(Row {
        experiment: experiment.name(),
        title: experiment.title.clone(),
        status: verdict.journal.status,
        deviated: verdict.journal.deviated,
        seawall,
        healing: verdict.healing,
        controls: outcomes,
        controls_held: held,
        no_filter,
        envoy,
        sent_late_ms: verdict.late_ms,
        seed: experiment.seed(),
        reproduce,
        journal: verdict.journal,
        report,
    })
}

fn outcome(lane: &Figures, passed: bool, missed: &[String]) -> Outcome {
    let answers = &lane.answers;
    Outcome {
        name: lane.lane.clone(),
        passed,
        missed: missed.to_vec(),
        success_percent: 100.0 * answers.share(answers.good + answers.degraded),
        time_to_recover_ms: lane.time_to_recover_ms.filter(|_| lane.recovered),
        time_to_detect_ms: lane.time_to_detect_ms,
        amplification: lane.amplification,
        blast_radius: lane.blast_radius,
        degraded_to_failed: lane.degraded_to_failed,
        recovered: lane.recovered,
    }
}
