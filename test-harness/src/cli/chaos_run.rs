//! `seawall chaos run`: whole experiments, in the simulation and on a real Envoy.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::{Args, Parser, ValueEnum};

use super::chaos_report::Reporting;
use super::filter::Filter;
use super::outputs::{documents, store};
use super::stdout::say;
use super::{FAILED, INTERRUPTED, ended, progress};
use crate::chaos::{Experiment, Journal, Row, Suite, Target, junit, lane_seconds, play_on, table};
use crate::report::html;
use crate::report::words::quoted;

/// The program that plays on a real Envoy. It stands beside this one.
const ON_ENVOY: &str = "seawall-chaos-envoy";
/// How many arguments of `seawall chaos run` stand before those of `run`.
const BEFORE: usize = 3;

/// Plays experiments: their policy, their controls, and Envoy's own means beside them.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 every experiment passed, and every control failed as it should; 1 one did not, or its verdict on Envoy is another \
than in the simulation; 2 bad usage or input; 130 it was interrupted."
)]
pub(super) struct Run {
    /// Experiments, YAML or JSON, or directories of them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where they are played. On envoy: in the simulation first, then in real time on real Envoys, and the verdicts are compared.
    #[arg(long, value_name = "TARGET", default_value = "sim")]
    on: Where,
    /// How many lanes are played side by side on real Envoys, at most.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    lanes: u8,
    /// Seed of all chance, in the place of the experiments' own.
    #[arg(long)]
    seed: Option<u64>,
    /// Writes there: suite.json, and of each experiment its journal as Chaos Toolkit writes it, and its report as JSON and as a page.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Prints the suite as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the journal of an only experiment.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Writes each experiment as a test, in JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    reporting: Reporting,
    #[command(flatten)]
    filter: Filter,
}

/// Where experiments are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    /// In the simulation, on a virtual clock.
    Sim,
    /// On real Envoys, in real time.
    Envoy,
}

/// The arguments of the program that plays on real Envoys: those of `seawall chaos run`.
#[derive(Debug, Parser)]
#[command(name = ON_ENVOY, version, about = "What `seawall chaos run --on envoy` starts.")]
struct OnEnvoy {
    #[command(flatten)]
    run: Run,
}

/// What a target is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The filter.
    pub wasm: Vec<u8>,
    /// How many lanes side by side, at most.
    pub lanes: usize,
    /// It is true once somebody wants all to stop.
    pub stop: Arc<AtomicBool>,
}

/// The program that plays experiments on a target, with the arguments of `seawall chaos run`.
pub fn chaos_on<T: Target>(target: impl FnOnce(Settings) -> anyhow::Result<T>) -> ExitCode {
    ended(OnEnvoy::parse().run.play_on(target))
}

impl Run {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match self.on {
            Where::Sim => self.simulate(),
            Where::Envoy => {
                self.reporting.only_simulated()?;
                let beside = std::env::current_exe().context("where this program is")?;
                let arguments = std::env::args_os().skip(BEFORE);
                Err(start(&beside.with_file_name(ON_ENVOY), arguments))
            }
        }
    }

    fn experiments(&self) -> anyhow::Result<Vec<Experiment>> {
        let files = documents(&self.files)?;
        anyhow::ensure!(
            self.journal.is_none() || files.len() == 1,
            "--journal is of one experiment, and there are {}: --out DIR writes that of each",
            files.len()
        );
        anyhow::ensure!(
            !files.is_empty(),
            "{}: there is no experiment in it: expected files that end with .yaml, .yml or .json",
            self.files
                .iter()
                .map(|file| file.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        );
        let read = |file: &PathBuf| {
            let experiment = read(file)?;
            Ok(match self.seed {
                Some(seed) => experiment.with_seed(seed),
                None => experiment,
            })
        };
        files.iter().map(read).collect()
    }

    fn simulate(&self) -> anyhow::Result<ExitCode> {
        let experiments = self.experiments()?;
        let history = self.reporting.history()?;
        let module = self.filter.module()?;
        let stop = interrupted()?;
        let suite = simulated(&experiments, &module, &stop)?;
        self.write(suite.rows.iter(), &suite.interrupted, &suite, || {
            junit(&suite)
        })?;
        // Of a part of the experiments there is no verdict, and nothing that another run can be held against.
        if suite.interrupted.is_empty() {
            let out = self.out.as_deref();
            self.reporting
                .write(&suite, history.as_ref(), &self.command(), out)?;
        }
        if !self.json {
            crate::stdout::text(&table(&suite));
        }
        Ok(verdict(
            &suite.interrupted,
            experiments.len(),
            suite.passed(),
        ))
    }

    fn play_on<T: Target>(
        &self,
        target: impl FnOnce(Settings) -> anyhow::Result<T>,
    ) -> anyhow::Result<ExitCode> {
        self.reporting.only_simulated()?;
        let experiments = self.experiments()?;
        let (module, wasm) = self.filter.module_and_bytes()?;
        let stop = interrupted()?;
        let target = target(Settings {
            wasm,
            lanes: self.lanes.into(),
            stop: Arc::clone(&stop),
        })?;
        let simulation = simulated(&experiments, &module, &stop)?;
        let bar = progress::seconds(lane_seconds(&experiments, &module, &target));
        let pairs = play_on(&experiments, &module, simulation, &target, || {
            bar.inc(1);
            goes_on(&stop)
        });
        bar.finish_and_clear();
        let pairs = pairs?;
        let rows = pairs.experiments.iter().filter_map(|one| one.real.as_ref());
        self.write(rows, &pairs.interrupted, &pairs, || pairs.junit())?;
        if !self.json {
            crate::stdout::text(&pairs.table());
        }
        Ok(verdict(
            &pairs.interrupted,
            experiments.len(),
            pairs.passed(),
        ))
    }

    /// The command that plays the same again.
    fn command(&self) -> String {
        let files = self.files.iter();
        let files: Vec<String> = files
            .map(|file| quoted(&file.to_string_lossy()).into_owned())
            .collect();
        let seed = self.seed.map(|seed| format!(" --seed {seed}"));
        format!(
            "seawall chaos run {}{}",
            files.join(" "),
            seed.unwrap_or_default()
        )
    }

    fn write<'a>(
        &self,
        rows: impl Iterator<Item = &'a Row>,
        interrupted: &[(String, Journal)],
        suite: &impl serde::Serialize,
        junit: impl FnOnce() -> Result<String, quick_junit::SerializeError>,
    ) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(suite)?;
        let mut journals: Vec<(&str, &Journal)> = interrupted
            .iter()
            .map(|(name, journal)| (name.as_str(), journal))
            .collect();
        if let Some(out) = &self.out {
            std::fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
            store(&out.join("suite.json"), &json)?;
        }
        for row in rows {
            journals.push((&row.experiment, &row.journal));
            if let Some(out) = &self.out {
                let file = |ending: &str| out.join(format!("{}.{ending}", row.experiment));
                store(
                    &file("report.json"),
                    &serde_json::to_string_pretty(&row.report)?,
                )?;
                store(&file("html"), &html(&row.report)?)?;
            }
        }
        for (name, journal) in &journals {
            let text = serde_json::to_string_pretty(journal)?;
            if let Some(out) = &self.out {
                store(&out.join(format!("{name}.journal.json")), &text)?;
            }
            if let Some(file) = &self.journal {
                store(file, &text)?;
            }
        }
        if let Some(file) = &self.junit {
            store(file, &junit()?)?;
        }
        if self.json {
            say!("{json}");
        }
        Ok(())
    }
}

/// An experiment of a file.
pub(super) fn read(file: &Path) -> anyhow::Result<Experiment> {
    Experiment::from_file(file).with_context(|| file.display().to_string())
}

/// Becomes another program. What comes back is why that cannot be done.
fn start(program: &Path, arguments: impl Iterator<Item = OsString>) -> anyhow::Error {
    let error = Command::new(program).args(arguments).exec();
    let named = program.display();
    match error.kind() {
        std::io::ErrorKind::NotFound => anyhow::anyhow!(
            "--on envoy: there is no {named}, which plays on a real Envoy: `make harness` builds it beside this program"
        ),
        _ => anyhow::Error::new(error).context(format!("--on envoy: starting {named}")),
    }
}

/// It gets true with Ctrl-C, or when the program is told to end.
fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Until somebody stops it.
fn goes_on(stop: &AtomicBool) -> ControlFlow<()> {
    match stop.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

fn simulated(
    experiments: &[Experiment],
    module: &crate::module::Module,
    stop: &AtomicBool,
) -> anyhow::Result<Suite> {
    let lanes = experiments.iter().map(|one| one.controls().len() + 2);
    let bar = progress::lanes(lanes.sum::<usize>() as u64);
    let suite = Suite::run(experiments, module, || bar.inc(1), || goes_on(stop))?;
    bar.finish_and_clear();
    Ok(suite)
}

fn verdict(interrupted: &[(String, Journal)], all: usize, passed: bool) -> ExitCode {
    if !interrupted.is_empty() {
        let played = all.saturating_sub(interrupted.len());
        eprintln!("seawall: interrupted: {played} of {all} experiments were played");
        return ExitCode::from(INTERRUPTED);
    }
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    }
}
