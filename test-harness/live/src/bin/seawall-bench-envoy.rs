//! What a request costs a real Envoy with Seawall, beside other filters and none.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use seawall_harness::bench::document::replaced;
use seawall_harness::stdout;
use seawall_live::bench::{self, OTHERS_MAX, Options, rows, show};

/// A row did not decide what it is there for, or the machine had too much else to do for figures that are written down.
const FAILED: u8 = 1;
/// Bad usage, or something did not start.
const BAD_INPUT: u8 = 2;

/// Measures what a request costs a real Envoy in CPU time: without a filter, with one that does nothing, with a breaker in
/// Lua, with Envoy's own means, and with Seawall's policies.
#[derive(Debug, Parser)]
#[command(
    after_help = "It takes about 8 minutes, or 2 with --quick, and needs dist/seawall.wasm, dist/libseawall.so and .tools/envoy: make setup module gets them.
Let nothing else run on the machine.

Examples:
  seawall-bench-envoy --quick
  seawall-bench-envoy --row breaker --row 'everything, both positions' --rounds 20
  seawall-bench-envoy --docs docs/performance.md

Exit codes: 0 well, 1 a row did not decide what it is there for, or --docs while the machine was busy with something else, 2 bad usage or something did not start."
)]
struct Arguments {
    /// Only this row and those that it is compared with; may be given several times.
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// Lists the rows.
    #[arg(long)]
    list: bool,
    /// A short run: 10 rounds of 0.2 s in one start, latencies for a second. For a look, not for figures.
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "starts", "half_load"])]
    quick: bool,
    /// Slices of each row.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "COUNT")]
    rounds: u32,
    /// How long a slice is.
    #[arg(long, default_value_t = 0.3, value_parser = seconds, value_name = "SECONDS")]
    seconds: f64,
    /// How often each row's Envoy is started.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "COUNT")]
    starts: u32,
    /// How long each row with one route, upstream and worker is under half load, for its latencies; 0 leaves that out.
    #[arg(long, default_value_t = 4.5, value_parser = seconds_or_none, value_name = "SECONDS")]
    half_load: f64,
    /// Requests in flight at the same time while CPU time is counted.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=90), value_name = "COUNT")]
    in_flight: u32,
    /// The order of the rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the table into this document too, between its marks.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rows", "quick"])]
    docs: Option<PathBuf>,
    /// Prints the figures as JSON.
    #[arg(long)]
    json: bool,
}

fn seconds_or_none(text: &str) -> Result<f64, String> {
    let seconds: Result<f64, _> = text.parse();
    let fits = seconds
        .ok()
        .filter(|seconds| (0.0..=3_600.0).contains(seconds));
    fits.ok_or_else(|| "expected seconds up to 3600, such as 1.5".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = seconds_or_none(text)?;
    match seconds < 0.1 {
        true => Err("expected at least 0.1 s: less is no measure".to_owned()),
        false => Ok(seconds),
    }
}

impl Arguments {
    fn options(&self) -> Options {
        let (rounds, seconds, starts, half_load) = match self.quick {
            true => (10, 0.2, 1, 1.0),
            false => (self.rounds, self.seconds, self.starts, self.half_load),
        };
        Options {
            rounds: rounds as usize,
            slice: Duration::from_secs_f64(seconds),
            // One that has no round tells nothing.
            starts: starts.min(rounds) as usize,
            half_load: Duration::from_secs_f64(half_load),
            in_flight: self.in_flight as usize,
            seed: self.seed,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut terminate =
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(error) => return failed(&error.into()),
        };
    // Whatever ends first: what the run started belongs to it and is gone with it.
    let result = tokio::select! {
        result = measured(&arguments) => result,
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
        _ = terminate.recv() => return ExitCode::from(143),
    };
    result.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("seawall-bench-envoy: {error:#}");
    ExitCode::from(BAD_INPUT)
}

async fn measured(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let all = rows::rows()?;
    if arguments.list {
        for row in &all {
            stdout::line(format_args!("{}", row.name));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rows = rows::chosen(all, &arguments.rows).map_err(anyhow::Error::msg)?;
    let options = arguments.options();
    // Eight minutes are a long time to find out that it has no such marks.
    if let Some(file) = &arguments.docs {
        written(file, "")?;
    }
    let bar = bar(bench::steps(&rows, &options));
    eprintln!("seed {}", options.seed);
    let step = |row: &str| {
        bar.set_message(row.to_owned());
        bar.inc(1);
    };
    let run = bench::run(&rows, &options, &step).await;
    bar.finish_and_clear();
    let run = run?;
    match arguments.json {
        true => stdout::line(format_args!("{}", serde_json::to_string_pretty(&run)?)),
        false => stdout::line(format_args!("{}", show::table(&run))),
    }
    for why in &run.void {
        eprintln!("seawall-bench-envoy: {why}");
    }
    if !run.void.is_empty() {
        return Ok(ExitCode::from(FAILED));
    }
    if run.others > OTHERS_MAX {
        eprintln!(
            "seawall-bench-envoy: these figures are no measure: other programs took {:.2} processors meanwhile, and {OTHERS_MAX} may be; \
             run it again when the machine has nothing else to do",
            run.others
        );
        return Ok(match arguments.docs {
            Some(_) => ExitCode::from(FAILED),
            None => ExitCode::SUCCESS,
        });
    }
    if let Some(file) = &arguments.docs {
        let text = written(file, &show::document(&run))?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The document with this table in the place of the last one.
fn written(file: &Path, table: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("reading {}", file.display()))?;
    let text = replaced(&text, "make bench-envoy", table);
    text.map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))
}

/// On a terminal; nothing elsewhere.
fn bar(length: u64) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left: {msg}");
    ProgressBar::with_draw_target(Some(length), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
