//! `seawall trace`: makes traces from logs, or from nothing.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use seawall_policy::priority::Priority;

use crate::trace::{self, Format, Request};

/// Makes traces from logs, or from nothing.
#[derive(Debug, Subcommand)]
pub(super) enum Trace {
    Import(Import),
    Generate(Generate),
}

/// Reads a log or a published trace and writes the trace format.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  seawall trace import --format envoy-json access.log -o trace.jsonl")]
pub(super) struct Import {
    /// The log.
    file: PathBuf,
    /// What it is.
    #[arg(long, value_enum)]
    format: Format,
    /// Where the trace goes.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Makes a trace with Poisson arrivals and log-normal service times.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  seawall trace generate --rate 100 --for 120s -o trace.jsonl
  seawall trace generate --rate 400 --for 60s --service 100ms --priorities critical=1,sheddable=3 -o overload.jsonl")]
pub(super) struct Generate {
    /// Requests a second.
    #[arg(long)]
    rate: f64,
    /// The trace's length, such as 120s.
    #[arg(long = "for", value_parser = super::nanos, value_name = "TIME")]
    length: u64,
    /// The median of the upstream's work.
    #[arg(long, value_parser = super::nanos, default_value = "20ms", value_name = "TIME")]
    service: u64,
    /// The spread of the upstream's work: sigma of the log-normal.
    #[arg(long, default_value_t = 0.5)]
    sigma: f64,
    /// Priorities by weight, such as critical_plus=1,sheddable=3; they go as x-seawall-priority.
    #[arg(long, value_parser = weight, value_delimiter = ',', value_name = "PRIORITY=WEIGHT,...")]
    priorities: Vec<(Priority, f64)>,
    /// Seed of all chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the trace goes.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Trace {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Import(import) => {
                let requests = trace::read_file(import.format, &import.file);
                let requests = requests.with_context(|| import.file.display().to_string())?;
                write(&requests, &import.output)
            }
            Self::Generate(generate) => {
                let seconds = generate.length as f64 / 1e9;
                let median_us = generate.service as f64 / 1e3;
                let (rate, sigma, seed) = (generate.rate, generate.sigma, generate.seed);
                let requests = trace::poisson(rate, seconds, median_us, sigma, seed)
                    .context("a rate is above 0, and a sigma is 0 or above")?;
                let requests = match generate.priorities.as_slice() {
                    [] => requests,
                    weights => trace::with_priorities(requests, weights, seed)
                        .context("a priority's weight is 0 or above, and one is above 0")?,
                };
                write(&requests, &generate.output)
            }
        }
    }
}

/// A priority and its weight.
fn weight(text: &str) -> Result<(Priority, f64), String> {
    let (name, weight) = text
        .split_once('=')
        .ok_or_else(|| format!("\"{text}\": expected PRIORITY=WEIGHT"))?;
    let priority = Priority::named(name.as_bytes()).ok_or_else(|| {
        let known = Priority::ALL.map(Priority::name).join(", ");
        format!("\"{name}\": expected one of {known}")
    })?;
    let weight = weight
        .parse()
        .map_err(|error| format!("\"{weight}\": {error}"))?;
    Ok((priority, weight))
}

fn write(requests: &[Request], output: &Path) -> anyhow::Result<()> {
    let file = File::create(output).with_context(|| format!("writing {}", output.display()))?;
    trace::write(requests, BufWriter::new(file))?;
    let seconds = requests.last().map_or(0.0, |last| last.at_us as f64 / 1e6);
    eprintln!(
        "{}: {} requests over {seconds:.1} s",
        output.display(),
        requests.len()
    );
    Ok(())
}
