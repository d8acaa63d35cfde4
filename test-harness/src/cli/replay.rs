//! `seawall replay`: the same trace and the same outage, without the filter and with it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::check;
use crate::fault::Fault;
use crate::measure::Measure;
use crate::module::Module;
use crate::report::{Report, table};
use crate::trace::{self, Format, Request};
use crate::worker::{Process, ProcessOptions};
use crate::world::{self, START, World};

/// Replays a trace without the filter and with it, on a virtual clock, while something goes wrong.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  seawall replay --trace trace.jsonl --policy examples/policies/start.yaml --fault errors,at=30s,for=60s --workers 4")]
pub(super) struct Replay {
    /// The trace.
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// What the trace is.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// The policy file, YAML or JSON; the upstream's cluster is called "upstream".
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// What goes wrong: KIND,at=TIME,for=TIME[,share=PERCENT][,by=TIME][,attempts=COUNT]; may be given several times.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// Envoy's workers.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Servers of the upstream: so many requests are in work at the same time.
    #[arg(long, default_value_t = 256)]
    servers: usize,
    /// A user's patience, such as 2s; then the client goes away.
    #[arg(long, value_parser = super::nanos, value_name = "TIME")]
    patience: Option<u64>,
    /// The trace runs so many times as fast.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// The upstream's work takes so many times as long.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Seed of all chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The filter.
    #[arg(
        long,
        default_value = "dist/seawall.wasm",
        env = "SEAWALL_WASM",
        value_name = "FILE"
    )]
    wasm: PathBuf,
    /// Writes report.json there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let report = self.report()?;
        let json = serde_json::to_string_pretty(&report)?;
        if let Some(out) = &self.out {
            std::fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
            let file = out.join("report.json");
            std::fs::write(&file, &json).with_context(|| format!("writing {}", file.display()))?;
        }
        if self.json {
            println!("{json}");
        } else {
            print!("{}", table(&report));
        }
        Ok(())
    }

    fn report(&self) -> anyhow::Result<Report> {
        ensure!(
            self.speed > 0.0 && self.speed.is_finite(),
            "--speed is above 0"
        );
        ensure!(
            self.scale >= 0.0 && self.scale.is_finite(),
            "--scale is 0 or above"
        );
        let trace = trace::read_file(self.format, &self.trace);
        let trace = self.adjusted(trace.with_context(|| self.trace.display().to_string())?);
        let trace = trace::bounded(trace).context("with this --speed and --scale")?;
        let configuration = configuration(&self.policy)?;
        let module = Module::from_file(&self.wasm).context("the filter (make wasm builds it)")?;
        let options = ProcessOptions {
            workers: usize::from(self.workers),
            configuration,
            seed: self.seed,
            ..ProcessOptions::default()
        };
        let process = Process::start(&module, options, START)?;
        process.take_log();
        let world = World {
            servers: self.servers,
            queue: 100_000,
            faults: self.fault.clone(),
            patience: self.patience,
            seed: self.seed,
        };
        let fault = world::faulty(&world.faults);
        let lane = |name: &str, measure: Measure| measure.figures(name, fault);
        let bar = progress(2 * trace.len() as u64);
        let without = world::run(&world, &trace, None, || bar.inc(1));
        let with = world::run(&world, &trace, Some(&process), || bar.inc(1));
        bar.finish_and_clear();
        Ok(Report {
            version: 1,
            reproduce: self.reproduce(),
            seed: self.seed,
            requests: trace.len(),
            length_ms: trace.last().map_or(0, |last| last.at_us / 1_000),
            workers: usize::from(self.workers),
            faults: world.faults,
            lanes: vec![lane("without", without), lane("with Seawall", with)],
        })
    }

    fn adjusted(&self, mut trace: Vec<Request>) -> Vec<Request> {
        for request in &mut trace {
            request.at_us = (request.at_us as f64 / self.speed) as u64;
            request.service_us = (request.service_us as f64 * self.scale) as u64;
        }
        trace
    }

    fn reproduce(&self) -> String {
        let format = clap::ValueEnum::to_possible_value(&self.format);
        let format = format
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default();
        let mut line = format!(
            "seawall replay --trace {} --format {format} --policy {} --workers {} --servers {} --speed {} --scale {} --seed {}",
            self.trace.display(),
            self.policy.display(),
            self.workers,
            self.servers,
            self.speed,
            self.scale,
            self.seed
        );
        if let Some(patience) = self.patience {
            line.push_str(&format!(" --patience {patience}ns"));
        }
        for fault in &self.fault {
            line.push_str(&format!(" --fault {fault}"));
        }
        line
    }
}

/// The plugin's configuration from a policy file, checked before the filter sees it.
fn configuration(path: &Path) -> anyhow::Result<Vec<u8>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let value = check::parse(&text).with_context(|| path.display().to_string())?;
    let [value] = value.as_slice() else {
        anyhow::bail!("{}: more than one document", path.display());
    };
    seawall_policy::config::from_value(value).with_context(|| path.display().to_string())?;
    Ok(value.to_string().into_bytes())
}

/// A bar on a terminal, nothing elsewhere.
fn progress(length: u64) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} requests, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length), target).with_style(style)
}
