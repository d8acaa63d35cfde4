//! Where a report goes, and what it must say: the same arguments for every command that makes one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::FAILED;
use super::stdout::say;
use crate::report::words::quoted;
use crate::report::{Criterion, Report, compared, earlier, html, junit, table};

/// Where a report goes, and what it must say.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct Outputs {
    /// Writes report.json and report.html there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the report as a page: one file that needs no network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the criteria as tests, in JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// What the last lane must reach, such as 'p99<500ms' or 'failed<1%'; may be given several times. If one is missed, the exit code is 1.
    #[arg(long, value_name = "CRITERION")]
    criteria: Vec<Criterion>,
    /// The report.json of an earlier run: what changed since then is told.
    #[arg(long, value_name = "FILE", value_parser = read)]
    compare_with: Option<Box<Report>>,
}

impl Outputs {
    /// Judges a report and writes it wherever it shall go. The exit code says whether the criteria were met.
    pub(super) fn write(&self, report: &Report) -> anyhow::Result<ExitCode> {
        let mut report = report.clone().judged(&self.criteria);
        let before = self.compare_with.as_ref();
        if let Some(before) = before.filter(|before| before.seed != report.seed) {
            eprintln!(
                "seawall: warning: --compare-with: the earlier run had --seed {}, this one has --seed {}: a part of what changed is chance",
                before.seed, report.seed
            );
        }
        report.comparison = before.map(|before| compared(before, &report));
        let json = serde_json::to_string_pretty(&report)?;
        if let Some(out) = &self.out {
            std::fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
            store(&out.join("report.json"), &json)?;
            store(&out.join("report.html"), &html(&report)?)?;
        }
        if let Some(file) = &self.html {
            store(file, &html(&report)?)?;
        }
        if let Some(file) = &self.junit {
            store(file, &junit(&report)?)?;
        }
        if self.json {
            say!("{json}");
        } else {
            crate::stdout::text(&table(&report));
        }
        Ok(match report.passed() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(FAILED),
        })
    }

    /// Whether standard output is for the report as JSON alone.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Where files go.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.out.as_deref()
    }

    /// As arguments of a command that gives the same report again.
    pub(super) fn arguments(&self) -> String {
        let criteria = self.criteria.iter().map(ToString::to_string);
        criteria
            .map(|criterion| format!(" --criteria {}", quoted(&criterion)))
            .collect()
    }
}

/// Files, and those that are YAML or JSON in directories, in order.
pub(super) fn documents(files: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in files {
        if !file.is_dir() {
            found.push(file.clone());
            continue;
        }
        let entries = std::fs::read_dir(file).with_context(|| file.display().to_string())?;
        let entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
        found.extend(entries.filter(|file| {
            let ending = file.extension().and_then(|ending| ending.to_str());
            matches!(ending, Some("yaml" | "yml" | "json"))
        }));
    }
    found.sort();
    Ok(found)
}

/// Writes a file.
pub(super) fn store(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

/// An earlier report.
fn read(file: &str) -> Result<Box<Report>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    earlier(&text).map(Box::new)
}
