//! `seawall chaos`: experiments in the simulation, in one go or step by step.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::filter::Filter;
use super::outputs::{documents, store};
use super::stdout::say;
use super::storms::{Random, Shrink};
use super::{FAILED, INTERRUPTED, progress};
use crate::chaos::{Experiment, Session, Stage, Step, Suite, junit, table};
use crate::report::html;

/// Chaos experiments in the format of Chaos Toolkit, on a virtual clock.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  seawall chaos run examples/experiments/*.yaml
  seawall chaos run examples/experiments/kill-all.yaml --out out --junit junit.xml
  seawall chaos list examples/experiments
  seawall chaos random --seed 1 --storms 1000
  chaos run examples/experiments/kill-all.yaml

The last one is Chaos Toolkit's own program, which calls probe, fault, load, wait, heal and end for each step.
docs/chaos.md says how an experiment is written.")]
pub(super) enum Chaos {
    Run(Run),
    List(List),
    Random(Random),
    Shrink(Shrink),
    #[command(flatten)]
    Step(Step),
}

/// Plays experiments: their policy, their controls, and Envoy's own means beside them.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 every experiment passed, and every control failed as it should; 1 one did not; 2 bad usage or input; \
130 it was interrupted."
)]
pub(super) struct Run {
    /// Experiments, YAML or JSON.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
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
    filter: Filter,
}

/// Lists experiments: what they are about, what they do, what they fail against.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Experiments, or directories of them.
    #[arg(default_value = "examples/experiments", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Prints them as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed {
    file: String,
    title: String,
    tags: Vec<String>,
    hypothesis: String,
    controls: Vec<String>,
}

impl Chaos {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(run) => run.run(),
            Self::List(list) => list.run(),
            Self::Random(random) => random.run(),
            Self::Shrink(shrink) => shrink.run(),
            Self::Step(step) => take(step),
        }
    }
}

impl Run {
    fn run(&self) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(
            self.journal.is_none() || self.files.len() == 1,
            "--journal is of one experiment, and there are {}: --out DIR writes that of each",
            self.files.len()
        );
        let read = |file: &PathBuf| {
            let experiment = read(file)?;
            Ok(match self.seed {
                Some(seed) => experiment.with_seed(seed),
                None => experiment,
            })
        };
        let experiments = self
            .files
            .iter()
            .map(read)
            .collect::<anyhow::Result<Vec<_>>>()?;
        let module = self.filter.module()?;
        let stop = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&stop))?;
        let lanes = experiments
            .iter()
            .map(|one| one.controls().len() + 2)
            .sum::<usize>();
        let bar = progress::lanes(lanes as u64);
        let suite = Suite::run(&experiments, &module, || {
            bar.inc(1);
            !stop.load(Ordering::Relaxed)
        })?;
        bar.finish_and_clear();
        self.write(&suite)?;
        if suite.rows.len() < experiments.len() {
            eprintln!(
                "seawall: interrupted: {} of {} experiments were played",
                suite.rows.len(),
                experiments.len()
            );
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Ok(match suite.passed() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(FAILED),
        })
    }

    fn write(&self, suite: &Suite) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(suite)?;
        if let Some(out) = &self.out {
            std::fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
            store(&out.join("suite.json"), &json)?;
            for row in &suite.rows {
                let file = |ending: &str| out.join(format!("{}.{ending}", row.experiment));
                store(
                    &file("journal.json"),
                    &serde_json::to_string_pretty(&row.journal)?,
                )?;
                store(
                    &file("report.json"),
                    &serde_json::to_string_pretty(&row.report)?,
                )?;
                store(&file("html"), &html(&row.report)?)?;
            }
        }
        if let (Some(file), [row]) = (&self.journal, suite.rows.as_slice()) {
            store(file, &serde_json::to_string_pretty(&row.journal)?)?;
        }
        if let Some(file) = &self.junit {
            store(file, &junit(suite)?)?;
        }
        match self.json {
            true => say!("{json}"),
            false => crate::stdout::text(&table(suite)),
        }
        Ok(())
    }
}

impl List {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let files = documents(&self.files)?;
        let list = |file: &PathBuf| {
            let experiment = read(file)?;
            let controls = experiment
                .controls()
                .iter()
                .map(|control| control.name.clone());
            anyhow::Ok(Listed {
                file: file.display().to_string(),
                title: experiment.title.clone(),
                tags: experiment.tags.clone(),
                hypothesis: experiment.hypothesis.clone(),
                controls: controls.collect(),
            })
        };
        let listed = files.iter().map(list).collect::<anyhow::Result<Vec<_>>>()?;
        if self.json {
            say!("{}", serde_json::to_string_pretty(&listed)?);
            return Ok(ExitCode::SUCCESS);
        }
        for one in &listed {
            say!("{}", one.file);
            say!("    {}", one.title);
            say!("    hypothesis: {}", one.hypothesis);
            say!("    fails against: {}", one.controls.join(", "));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read(file: &Path) -> anyhow::Result<Experiment> {
    Experiment::from_file(file).with_context(|| file.display().to_string())
}

/// One step of a session.
fn take(step: &Step) -> anyhow::Result<ExitCode> {
    let file = step.file();
    let experiment = read(file)?;
    let named = std::env::var_os("SEAWALL_CHAOS_SESSION").map(PathBuf::from);
    let session = Session::open(named.as_deref(), file, experiment.warm_up());
    let mut session = session.context("the session (SEAWALL_CHAOS_SESSION names its file)")?;
    step.apply(&mut session.timeline);
    if let Step::Probe { control, .. } = step {
        let module = Filter::of_environment().module()?;
        let against = match (control, experiment.controls().first()) {
            (false, _) => experiment.seawall(),
            (true, Some(control)) => control.against.clone(),
            (true, None) => anyhow::bail!("{}: it has no control", file.display()),
        };
        let stage = Stage::so_far(&experiment, &module, session.timeline)?;
        let measure = stage.play(&against, || {})?;
        let Some(answer) = stage.probe(&measure, step) else {
            return Ok(ExitCode::SUCCESS);
        };
        crate::stdout::text(&answer.stdout);
        return Ok(match answer.status {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(FAILED),
        });
    }
    crate::stdout::text(&step.said());
    let kept = match step {
        Step::End { .. } => session.end(),
        _ => session.keep(),
    };
    kept.context("keeping the session")?;
    Ok(ExitCode::SUCCESS)
}
