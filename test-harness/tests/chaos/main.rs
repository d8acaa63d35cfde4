//! Chaos experiments: those that ship hold with Seawall and fail without it; steps, journals, storms, game days.
#![allow(missing_docs, reason = "tests")]

mod document;
mod gameday_command;
mod gamedays;
mod interrupts;
#[path = "../shipped/mod.rs"]
mod shipped;
mod shipped_experiments;
mod steps;
mod storms;
mod suite_report;
mod targets;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use seawall_harness::chaos::{Experiment, Suite};

/// Plays experiments in the simulation to their end.
fn simulated(experiments: &[Experiment]) -> Suite {
    Suite::run(experiments, shipped::module(), || {}, on).expect("all can be played")
}

/// Nobody stops it.
fn on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Somebody has stopped it.
fn stopped() -> ControlFlow<()> {
    ControlFlow::Break(())
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/experiments")
}

/// All experiments that ship, by their names.
fn all() -> Vec<Experiment> {
    let files = std::fs::read_dir(directory()).expect("the experiments are there");
    let files = files.map(|file| file.expect("a file").path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    let read = |file: &PathBuf| {
        Experiment::from_file(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    files.iter().map(read).collect()
}
