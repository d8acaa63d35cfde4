//! Where `seawall chaos run` writes the page of a suite, and the history that its trend is drawn from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::day::Day;
use super::outputs::store;
use crate::chaos::{Suite, Summary, page};

/// The page of a suite, and its history.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct Reporting {
    /// Writes the suite as a page: goals, all experiments with Seawall, without it and with Envoy's own means, the trend. One file that needs
    /// no network. In the directory of --out it links the page of each experiment.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Runs so far, one a line, of which the page shows the trend. This run is appended. The file need not be there.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    #[command(flatten)]
    day: Day,
}

/// A history as it was before this run.
pub(super) struct History {
    runs: Vec<Summary>,
    /// Whether its last line has no end.
    unended: bool,
}

impl Reporting {
    /// # Errors
    /// If anything is asked for that experiments on a real Envoy do not have.
    pub(super) fn only_simulated(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.report.is_none() && self.history.is_none(),
            "--report and --history are of runs in the simulation: leave them out, or --on envoy"
        );
        Ok(())
    }

    /// The history so far. It is read before anything is played.
    ///
    /// # Errors
    /// If a line of it is no run.
    pub(super) fn history(&self) -> anyhow::Result<Option<History>> {
        let Some(file) = &self.history else {
            return Ok(None);
        };
        let named = || format!("--history {}", file.display());
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(named),
        };
        let runs = Summary::history(&text)
            .map_err(anyhow::Error::msg)
            .with_context(named)?;
        Ok(Some(History {
            runs,
            unended: !text.is_empty() && !text.ends_with('\n'),
        }))
    }

    /// Writes the page, and the run's line after those of before. `command` gives the same suite again, but for the day; `out` is
    /// where the pages of experiments are.
    pub(super) fn write(
        &self,
        suite: &Suite,
        history: Option<&History>,
        command: &str,
        out: Option<&Path>,
    ) -> anyhow::Result<()> {
        let day = self.day.text();
        let now = Summary::of(suite, &day);
        if let Some(file) = &self.report {
            let beside = out.is_some_and(|out| file.parent() == Some(out));
            let runs = history.map(|history| history.runs.as_slice());
            let command = format!("{command} --today {day}");
            store(file, &page(suite, &now, runs, &command, beside)?)?;
        }
        if let (Some(file), Some(history)) = (&self.history, history) {
            let end = if history.unended { "\n" } else { "" };
            let line = format!("{end}{}", now.line()?);
            let opened = OpenOptions::new().append(true).create(true).open(file);
            opened
                .and_then(|mut opened| opened.write_all(line.as_bytes()))
                .with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }
}
