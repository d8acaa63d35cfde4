//! The commands of `seawall`.
//!
//! Exit codes, for scripts: 0 well, 1 a verdict failed, 2 bad usage or input, 3 an invariant is broken.

mod bench;
mod chaos;
mod chaos_report;
mod chaos_run;
mod check;
mod compare;
mod day;
mod explore;
mod filter;
mod gameday;
mod gameday_events;
mod gameday_team;
mod host;
mod output;
mod outputs;
mod playing;
mod policy;
mod progress;
mod reading;
mod replay;
mod shadow;
mod storms;
mod threads;
mod trace;
mod tune;
mod unmatched;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use chaos_run::{Settings, chaos_on};

use crate::stdout;

/// A verdict failed.
const FAILED: u8 = 1;
/// Bad usage or input.
const BAD_INPUT: u8 = 2;
/// An invariant is broken.
const BROKEN: u8 = 3;
/// As a shell tells of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Says what a resilience policy would do, before an outage does.
#[derive(Debug, Parser)]
#[command(
    name = "seawall",
    version,
    after_help = "Examples:
  seawall check examples/policies/start.yaml
  seawall host run filter.wasm -c 'its configuration' --requests requests.json --json
  seawall trace generate --rate 100 --for 120s -o trace.jsonl
  seawall trace import access.log -o trace.jsonl
  seawall replay --trace trace.jsonl --policy examples/policies/start.yaml --fault errors,at=30s,for=60s
  seawall tune --trace trace.jsonl --fault errors,at=30s,for=60s --out tuned
  seawall chaos run examples/experiments/*.yaml
  seawall gameday run examples/gamedays/database-down.yaml
  seawall explore
  seawall bench"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Bench),
    #[command(subcommand)]
    Chaos(chaos::Chaos),
    Check(check::Check),
    Compare(compare::Compare),
    Explore(explore::Explore),
    #[command(subcommand)]
    Gameday(gameday::Gameday),
    #[command(subcommand)]
    Host(host::HostCommand),
    Replay(replay::Replay),
    #[command(subcommand)]
    Trace(trace::Trace),
    Tune(tune::Tune),
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(bench) => bench.run(),
        Command::Chaos(chaos) => chaos.run(),
        Command::Check(check) => check.run(),
        Command::Compare(compare) => compare.run(),
        Command::Explore(explore) => explore.run(),
        Command::Gameday(gameday) => gameday.run(),
        Command::Host(host) => host.run(),
        Command::Replay(replay) => replay.run(),
        Command::Trace(trace) => trace.run().map(|()| ExitCode::SUCCESS),
        Command::Tune(tune) => tune.run(),
    };
    ended(result)
}

/// How a program ends: an error is told.
fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("seawall: {error:#}");
        ExitCode::from(BAD_INPUT)
    })
}

/// A file's text; - is standard input. The caller names the file in the error.
fn text(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        return std::io::read_to_string(std::io::stdin());
    }
    std::fs::read_to_string(file)
}

/// A length of time with its unit that is above 0, as an argument, in nanoseconds.
fn nanos_above_0(text: &str) -> Result<u64, String> {
    match nanos(text)? {
        0 => Err("expected a time above 0, such as 2s".to_owned()),
        nanos => Ok(nanos),
    }
}

/// A length of time with its unit, as an argument, in nanoseconds.
fn nanos(text: &str) -> Result<u64, String> {
    let span = seawall_policy::time::parse_duration(text).map_err(|error| error.to_string())?;
    Ok(span.as_nanos())
}
