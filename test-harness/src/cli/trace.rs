//! `seawall trace`: makes traces from logs, or from nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use seawall_policy::priority::Priority;

use super::output::Output;
use super::reading::{Reading, shown};
use crate::report::words::counted;
use crate::trace::{self, REQUESTS_MAX, Request, Summary, TraceError};

/// Makes traces from logs, or from nothing.
#[derive(Debug, Subcommand)]
pub(super) enum Trace {
    Import(Import),
    Generate(Generate),
}

/// Reads a log or a published trace and writes the trace format.
#[derive(Debug, Args)]
#[command(
    after_help = "The log may be packed (gzip), wrapped by docker (json-file) or Kubernetes (CRI), and may begin with a byte order mark. What
kubectl logs (--prefix, --timestamps), stern, docker compose, syslog and Ambassador write before a line is taken off.
Where all times are whole seconds, the requests of a second are spread evenly over it.

Examples:
  seawall trace import access.log -o trace.jsonl
  kubectl logs deploy/gateway | seawall trace import - -o trace.jsonl
  seawall trace import app.log.gz --fields start=ts,duration=took:us,status=code -o trace.jsonl
  seawall trace import results.csv --format k6-csv --strict -o trace.jsonl"
)]
pub(super) struct Import {
    /// The log; - is standard input.
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Where the trace goes; - is standard output.
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
            Self::Import(import) => import.run(),
            Self::Generate(generate) => generate.run(),
        }
    }
}

impl Generate {
    fn run(&self) -> anyhow::Result<()> {
        let seconds = self.length as f64 / 1e9;
        let median_us = self.service as f64 / 1e3;
        let requests = trace::arrivals(self.rate, seconds, median_us, self.sigma, self.seed)
            .context("a rate is above 0, and a sigma is 0 or above")?;
        let expected = self.rate * seconds;
        ensure!(
            expected <= REQUESTS_MAX as f64,
            "--rate {} for {seconds} s is about {expected:.3e} requests: a trace has at most {REQUESTS_MAX} requests, so take a \
             smaller --rate or --for",
            self.rate
        );
        let mut requests = requests.peekable();
        ensure!(
            requests.peek().is_some(),
            "--rate {} for {seconds} s is about {expected} requests, and by chance none came: take a larger --rate or --for",
            self.rate
        );
        if self.priorities.is_empty() {
            return write(requests, &self.output);
        }
        let requests = trace::with_priorities(requests, &self.priorities, self.seed)
            .context("a priority's weight is 0 or above, and one is above 0")?;
        write(requests, &self.output)
    }
}

impl Import {
    fn run(&self) -> anyhow::Result<()> {
        if let (Ok(log), Ok(trace)) = (self.file.canonicalize(), self.output.canonicalize()) {
            anyhow::ensure!(
                log != trace || self.file == Path::new("-"),
                "{}: the trace would take the log's place: name another file with --output",
                shown(&self.file)
            );
        }
        let mut output = Output::create(&self.output)?;
        let read = self
            .reading
            .each(&self.file, &mut |request| output.write(&request));
        output.check()?;
        let summary = read?;
        output.finish()?;
        let Summary {
            requests,
            length_us,
            format,
            ..
        } = summary;
        told(
            &self.output,
            requests,
            length_us,
            &format!(" from {} ({})", shown(&self.file), format.name()),
        );
        eprint!("{summary}");
        Ok(())
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

fn write(requests: impl Iterator<Item = Request>, path: &Path) -> anyhow::Result<()> {
    let mut output = Output::create(path)?;
    let (mut count, mut length) = (0, 0);
    for request in requests {
        ensure!(count < REQUESTS_MAX, TraceError::TooLong);
        if output.write(&request).is_err() {
            break;
        }
        count += 1;
        length = request.at_us;
    }
    output.finish()?;
    told(path, count as u64, length, "");
    Ok(())
}

fn told(output: &Path, requests: u64, length_us: u64, from: &str) {
    let output = match output == Path::new("-") {
        true => "standard output".to_owned(),
        false => output.display().to_string(),
    };
    let seconds = length_us as f64 / 1e6;
    let requests = counted(requests, "request");
    eprintln!("{output}: {requests} over {seconds:.1} s{from}");
}
