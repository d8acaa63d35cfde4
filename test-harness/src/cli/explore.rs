//! `seawall explore`: every interleaving of several workers, and what must hold in each.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::filter::Filter;
use super::stdout::say;
use super::{BAD_INPUT, BROKEN, FAILED};
use crate::explore::{
    Bounds, HostFault, Progress, Report, Scenario, Schedule, all, explore, named, replay,
};
use crate::module::Module;

/// Statuses that a host is made to answer by --faults: not found, bad argument, lost race, internal failure, unimplemented.
const STATUSES: [u32; 5] = [1, 2, 8, 10, 12];

/// Runs every interleaving of several workers' reads and writes of shared data, and checks what must hold in each.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  seawall explore
  seawall explore permits six-workers --preemptions 2
  seawall explore permits --replay 1*2.2*3.1
  seawall explore votes --faults

A schedule names who goes on to the next read or write: 1*3.2.k1.t lets worker 1 make three steps and worker 2 one, kills
worker 1 and moves the clock; then workers run to their ends one after the other.

Exit codes: 0 all holds, 1 given up at --states, 2 bad usage or input, 3 an invariant is broken.")]
pub(super) struct Explore {
    /// Scenarios; all of them where none is named.
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Lists the scenarios.
    #[arg(long)]
    list: bool,
    /// How many preemptions, or "all"; by default the scenario's own bound, which mostly is all.
    #[arg(long, value_name = "COUNT", value_parser = count)]
    preemptions: Option<u32>,
    /// How many VMs may be killed, each wherever it stands; by default as the scenario says.
    #[arg(long, value_name = "COUNT")]
    kills: Option<u8>,
    /// Stops at the first scenario in which something does not hold.
    #[arg(long)]
    first: bool,
    /// Gives up after so many states.
    #[arg(long, default_value_t = Bounds::default().states, value_name = "COUNT")]
    states: usize,
    /// Runs one schedule of one scenario and says what happens.
    #[arg(long, value_name = "SCHEDULE")]
    replay: Option<Schedule>,
    /// The host answers this status at this call: WORKER:CALL:NTH=STATUS.
    #[arg(long, value_name = "FAULT")]
    fault: Option<HostFault>,
    /// One after the other, every status at every call of each worker, without preemptions.
    #[arg(long, conflicts_with_all = ["fault", "replay"])]
    faults: bool,
    /// Seed of the VMs' randomness.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    filter: Filter,
    /// Prints the reports as JSON.
    #[arg(long)]
    json: bool,
}

/// A report with the way to see it again.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    report: Report,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reproduce: Option<String>,
}

impl Explore {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if self.list {
            for scenario in all() {
                say!("{:17} {}", scenario.name, scenario.about);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let scenarios = self.chosen()?;
        let module = self.filter.module()?;
        if let Some(schedule) = &self.replay {
            return self.play(&module, &scenarios, schedule);
        }
        let bar = bar();
        let mut told = Vec::new();
        for scenario in &scenarios {
            self.explored(&module, scenario, &bar, &mut told)?;
            let broken = told.iter().any(|told| told.report.broken.is_some());
            if self.first && broken {
                break;
            }
        }
        bar.finish_and_clear();
        if self.json {
            say!("{}", serde_json::to_string_pretty(&told)?);
        }
        let broken = told.iter().any(|told| told.report.broken.is_some());
        let complete = told.iter().all(|told| told.report.complete);
        Ok(match (broken, complete) {
            (true, _) => ExitCode::from(BROKEN),
            (false, false) => ExitCode::from(FAILED),
            (false, true) => ExitCode::SUCCESS,
        })
    }

    fn chosen(&self) -> anyhow::Result<Vec<Scenario>> {
        let mut chosen = match self.scenarios.is_empty() {
            true => all(),
            false => {
                let find = |name: &String| {
                    let unknown = || format!("there is no scenario \"{name}\": see --list");
                    named(name).with_context(unknown)
                };
                self.scenarios.iter().map(find).collect::<Result<_, _>>()?
            }
        };
        if let Some(kills) = self.kills {
            chosen
                .iter_mut()
                .for_each(|scenario| scenario.kills = kills);
        }
        Ok(chosen)
    }

    fn play(
        &self,
        module: &Module,
        scenarios: &[Scenario],
        schedule: &Schedule,
    ) -> anyhow::Result<ExitCode> {
        let [scenario] = scenarios else {
            eprintln!("seawall: --replay needs one scenario");
            return Ok(ExitCode::from(BAD_INPUT));
        };
        let (steps, broken) = replay(module, scenario, self.seed, self.fault.as_ref(), schedule)?;
        if self.json {
            let json = serde_json::json!({"scenario": scenario.name, "seed": self.seed,
                "schedule": schedule.to_string(), "steps": steps, "broken": broken});
            say!("{}", serde_json::to_string_pretty(&json)?);
        } else {
            steps.iter().for_each(|step| say!("{step}"));
            say!("{}", broken.as_deref().unwrap_or("all holds"));
        }
        Ok(match broken {
            Some(_) => ExitCode::from(BROKEN),
            None => ExitCode::SUCCESS,
        })
    }

    /// One scenario, and with --faults all its faults.
    fn explored(
        &self,
        module: &Module,
        scenario: &Scenario,
        bar: &ProgressBar,
        told: &mut Vec<Told>,
    ) -> anyhow::Result<()> {
        let first = self.one(module, scenario, self.fault.as_ref(), bar)?;
        let calls = first.report.calls.clone();
        self.say(&first);
        told.push(first);
        if !self.faults {
            return Ok(());
        }
        let mut tried = 0;
        for (call, count) in calls {
            for worker in 0..scenario.workers() {
                for (nth, status) in (1..=count).flat_map(|nth| STATUSES.map(|s| (nth, s))) {
                    let fault = HostFault {
                        worker,
                        call: call.to_owned(),
                        nth,
                        status,
                    };
                    let one = self.one(module, scenario, Some(&fault), bar)?;
                    tried += 1;
                    if one.report.broken.is_some() {
                        self.say(&one);
                        told.push(one);
                    }
                }
            }
        }
        if !self.json {
            say!("{:12} {tried} faults of the host", scenario.name);
        }
        Ok(())
    }

    fn one(
        &self,
        module: &Module,
        scenario: &Scenario,
        fault: Option<&HostFault>,
        bar: &ProgressBar,
    ) -> anyhow::Result<Told> {
        let swept = self.faults && fault.is_some();
        let bounds = Bounds {
            preemptions: if swept { Some(0) } else { self.preemptions },
            states: self.states,
        };
        bar.set_prefix(scenario.name);
        let mut progress = |progress: Progress| {
            bar.set_message(format!(
                "{} states, {} wait, {} runs",
                progress.states, progress.waiting, progress.runs
            ));
            bar.tick();
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "how long it takes is of interest, and changes nothing"
        )]
        let since = std::time::Instant::now();
        let report = explore(module, scenario, bounds, self.seed, fault, &mut progress)?;
        let seconds = since.elapsed().as_secs_f64();
        let fault = fault.map(HostFault::to_string);
        let reproduce = report.broken.as_ref().map(|broken| {
            let mut line = format!(
                "seawall explore {}{} --seed {} --kills {} --replay {}",
                scenario.name,
                self.filter.argument(),
                self.seed,
                scenario.kills,
                broken.schedule
            );
            if let Some(fault) = &fault {
                line.push_str(&format!(" --fault {fault}"));
            }
            line
        });
        Ok(Told {
            report,
            seconds,
            fault,
            reproduce,
        })
    }

    fn say(&self, told: &Told) {
        if self.json {
            return;
        }
        let report = &told.report;
        let bound = match report.preemptions {
            Some(count) => format!("{count} preemptions"),
            None => "all".to_owned(),
        };
        let end = match (&report.broken, report.complete) {
            (Some(_), _) => "BROKEN",
            (None, true) => "holds",
            (None, false) => "given up",
        };
        say!(
            "{:12} {end:8} {bound:14} {:>8} states {:>8} choices {:>6} ends {:>6} runs {:>7.2} s",
            report.scenario,
            report.states,
            report.choices,
            report.ends,
            report.runs,
            told.seconds
        );
        if let Some(broken) = &report.broken {
            say!("  {}", broken.invariant);
            say!("  schedule {}", broken.schedule);
            for step in broken.steps.iter().flat_map(|step| step.lines()) {
                say!("    {step}");
            }
        }
        if let Some(line) = &told.reproduce {
            say!("  again: {line}");
        }
    }
}

/// A count, or all.
fn count(text: &str) -> Result<u32, String> {
    match text {
        "all" => Ok(u32::MAX),
        _ => text
            .parse()
            .map_err(|_| format!("\"{text}\" is neither a count nor \"all\"")),
    }
}

/// A line that moves on a terminal, nothing elsewhere.
fn bar() -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{spinner} {prefix}: {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, target).with_style(style)
}
