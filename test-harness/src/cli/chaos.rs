//! `seawall chaos`: experiments in the simulation or on a real Envoy, in one go, or step by step.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::FAILED;
use super::chaos_run::{Run, read};
use super::filter::Filter;
use super::outputs::documents;
use super::stdout::say;
use super::storms::{Random, Shrink};
use crate::chaos::{Session, Stage, Step};

/// Chaos experiments in the format of Chaos Toolkit, on a virtual clock.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  seawall chaos run examples/experiments/*.yaml
  seawall chaos run examples/experiments/kill-all.yaml --out out --junit junit.xml
  seawall chaos run examples/experiments/*.yaml --report suite.html --history suite.jsonl
  seawall chaos run examples/experiments/error-burst.yaml --on envoy
  seawall chaos list examples/experiments
  seawall chaos random --seed 1 --storms 1000
  chaos run --rollback-strategy always examples/experiments/kill-all.yaml

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
        let (measure, _) = stage.play(&against, || ControlFlow::Continue(()))?;
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
