//! `seawall trace`: makes traces from logs, or from nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use seawall_policy::priority::Priority;

use super::output::Output;
use super::reading::{Reading, shown};
use crate::report::words::counted;
use crate::trace::{
    self, Like, Percentiles, REQUESTS_MAX, Request, Shape, Summary, TraceError, Work,
};

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

/// Makes a trace: arrivals of a shape, service times, priorities; or one that is like a log.
#[derive(Debug, Args)]
#[command(
    after_help = "Shapes: poisson; bursty[,factor=10][,for=1s][,every=10s] (bursts of so many times the rate between them); diurnal[,period=24h][,low=20] (a
wave that begins at its lowest, in percent of its highest); spike,at=TIME,for=TIME[,factor=5]; ramp,to=RATE. --rate is the mean, but
the rate outside of a spike, and that at the beginning of a ramp.

Examples:
  seawall trace generate --rate 100 --for 120s -o trace.jsonl
  seawall trace generate --rate 400 --for 60s --service 100ms --priorities critical=1,sheddable=3 -o overload.jsonl
  seawall trace generate --rate 200 --for 5m --shape spike,at=60s,for=30s,factor=4 --service-times p50=10ms,p90=40ms,p99=300ms -o spike.jsonl
  seawall trace generate --like access.log --rate 500 --for 10m -o more.jsonl"
)]
pub(super) struct Generate {
    /// Requests a second. [with --like, default: as many as the log]
    #[arg(long, required_unless_present = "like")]
    rate: Option<f64>,
    /// The trace's length, such as 120s. [with --like, default: the log's]
    #[arg(long = "for", value_parser = super::nanos, value_name = "TIME", required_unless_present = "like")]
    length: Option<u64>,
    /// How requests are spread over time.
    #[arg(long, default_value = "poisson", value_name = "SHAPE")]
    shape: Shape,
    /// The median of the upstream's work.
    #[arg(long, value_parser = super::nanos, default_value = "20ms", value_name = "TIME")]
    service: u64,
    /// The spread of the upstream's work: sigma of the log-normal.
    #[arg(long, default_value_t = 0.5)]
    sigma: f64,
    /// Percentiles of the upstream's work, in the place of --service and --sigma: p50=10ms,p90=30ms,p99=200ms.
    #[arg(long, value_name = "PERCENTILES", conflicts_with_all = ["service", "sigma"])]
    service_times: Option<Percentiles>,
    /// A log or a trace: its rate over time, stretched to the trace's length, and its requests, drawn at random. What became of them is not
    /// taken.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["shape", "service", "sigma", "service_times"])]
    like: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
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
        let like = self.like()?;
        let of_log = |of: fn(&Like) -> f64| like.as_ref().map_or(0.0, of);
        let rate = self.rate.unwrap_or_else(|| of_log(Like::rate));
        let seconds = self.length.map(|nanos| nanos as f64 / 1e9);
        let seconds = seconds.unwrap_or_else(|| of_log(Like::seconds));
        let shape = match &like {
            Some(like) => like.shape(),
            None => self.shape.clone(),
        };
        let work = match (like, self.service_times.clone()) {
            (Some(like), _) => Work::Like(Box::new(like)),
            (None, Some(asked)) => Work::Percentiles(asked),
            (None, None) => Work::LogNormal {
                median_us: self.service as f64 / 1e3,
                sigma: self.sigma,
            },
        };
        let expected = shape.expected(rate, seconds);
        let requests = trace::generate(&shape, rate, seconds, work, self.seed)
            .context("a rate is above 0, and a sigma is 0 or above")?;
        ensure!(
            expected <= REQUESTS_MAX as f64,
            "--rate {rate} for {seconds} s is about {expected:.3e} requests: a trace has at most {REQUESTS_MAX} requests, so take a \
             smaller --rate or --for"
        );
        let mut requests = requests.peekable();
        ensure!(
            requests.peek().is_some(),
            "--rate {rate} for {seconds} s is about {expected} requests, and by chance none came: take a larger --rate or --for"
        );
        if self.priorities.is_empty() {
            return write(requests, &self.output);
        }
        let requests = trace::with_priorities(requests, &self.priorities, self.seed)
            .context("a priority's weight is 0 or above, and one is above 0")?;
        write(requests, &self.output)
    }
}

impl Generate {
    /// What the log is like that the trace shall be like.
    fn like(&self) -> anyhow::Result<Option<Like>> {
        let Some(file) = &self.like else {
            return Ok(None);
        };
        let mut like = Like::new(self.seed);
        let summary = self.reading.each(file, &mut |request| {
            like.add(request);
            Ok(())
        })?;
        eprint!("{summary}");
        Ok(Some(like))
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
