//! `seawall replay`: the same trace and the same outage, without the filter and with it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::outputs::Outputs;
use super::playing::Playing;
use super::policy::configuration;
use super::progress;
use crate::report::Report;
use crate::report::words::quoted;
use crate::sim::play;

/// Replays a trace without the filter and with it, on a virtual clock, while something goes wrong.
#[derive(Debug, Args)]
#[command(
    after_help = "A log holds an outage where, for a second or as long as twenty requests of a cluster take to come, five of them or more
failed and they were a fifth or more. A request failed if its status is 500 or more or its flags say so, and its client did not end it.

Examples:
  seawall replay --trace trace.jsonl --policy examples/policies/start.yaml --fault errors,at=30s,for=60s --workers 4
  seawall replay --trace access.log.gz --policy examples/policies/start.yaml --recorded-outcomes
  seawall replay --trace access.log --policy policy.yaml --route-timeout 5s --fault hang,at=30s,for=60s
  seawall replay --trace access.log --policy policy.yaml --fault errors,at=30s,for=60s --criteria 'p99<500ms' --criteria 'failed<1%'
  seawall replay --trace nginx.log --cluster 'outbound|80||cart.shop.svc.cluster.local' --policy policy.yaml --fault hang,at=30s,for=60s

Exit codes: 0 the trace was replayed, and every criterion was met; 1 a criterion was missed; 2 bad usage or input (with --strict, also one bad line)."
)]
pub(super) struct Replay {
    #[command(flatten)]
    playing: Playing,
    /// The policy file, YAML or JSON; its policies apply by the cluster that each request of the trace names. - is standard
    /// input.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    outputs: Outputs,
}

impl Replay {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let report = self.report()?;
        for warning in &report.warnings {
            eprintln!("seawall: warning: {warning}");
        }
        self.outputs.write(&report)
    }

    fn report(&self) -> anyhow::Result<Report> {
        let mut prepared = self.playing.prepare(self.policy == Path::new("-"))?;
        let (configuration, routing) = configuration(&self.policy)?;
        prepared.warn_unmatched([&routing].into_iter());
        let setting = prepared.setting();
        let envoys = setting.processes(&configuration)?;
        let bar = progress::requests(2 * prepared.trace.len() as u64);
        let (scenario, trace) = (&prepared.scenario, &prepared.trace);
        let without = play(scenario, trace.requests(), &setting.bare(), || bar.inc(1));
        let with = play(
            scenario,
            trace.requests(),
            &setting.filtered(&envoys),
            || bar.inc(1),
        );
        bar.finish_and_clear();
        let reproduce = format!(
            "seawall replay{} --policy {}{}",
            self.playing.arguments(prepared.format),
            quoted(&self.policy.to_string_lossy()),
            self.outputs.arguments()
        );
        prepared.report(
            reproduce,
            vec![("without", without), ("with Seawall", with)],
        )
    }
}
