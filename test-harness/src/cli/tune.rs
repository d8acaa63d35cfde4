//! `seawall tune`: values of a policy for a trace and its outage, searched with the core natively, confirmed with the `.wasm`.

mod halves;

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::ProgressBar;

use super::FAILED;
use super::outputs::{Outputs, store};
use super::playing::{Playing, Prepared};
use super::policy::shipped;
use super::progress;
use super::stdout::text;
use super::threads::Threads;
use crate::fault::Fault;
use crate::measure::{Figures, Measure};
use crate::parallel;
use crate::report::words::quoted;
use crate::report::{Aim, Role, TradeOff, TradeOffPoint};
use crate::sim::{Core, Lane, START, Scenario, play};
use crate::trace::Request;
use crate::tune::objective::{Change, DEFAULTS, Objective, Values, aims, beats, values};
use crate::tune::policy::{compared, flow, yaml};
use crate::tune::search::{Budget, PLAYS, Play};
use crate::tune::space::Point;
use crate::tune::{Found, Space, search};
use halves::{Part, halves, second};

/// Points of the curve that are shown.
const SHOWN: usize = 12;
/// A fault is so many times as long in the plays of a policy, and is of another kind in some: a policy shall fit more than the one outage.
const VARIANTS: [(f64, bool); PLAYS] = [(1.0, false), (0.6, false), (1.5, true)];

/// Proposes values of a policy for a trace and what goes wrong in it: it plays many policies with the core natively, and confirms what it
/// proposes with the .wasm, beside the shipped default.
#[derive(Debug, Args)]
#[command(
    after_help = "Objectives are figures of a report: without --objective they are success, p99, sick_load and false_refusals, each as
important as the others. A policy is proposed only if it is no worse than the shipped default in any of them, on the mean of three
plays: with three seeds; with faults as they were given, 0.6 times as long, and 1.5 times as long and of another kind.

Examples:
  seawall tune --trace trace.jsonl --fault errors,at=30s,for=60s --out tuned
  seawall tune --trace trace.jsonl --fault errors,at=30s,for=60s --holdout
  seawall tune --trace trace.jsonl --world world.yaml --objective success=2 --objective p99 --objective 'failed<1%'
  seawall tune --access-log yesterday.json --budget 1000 -o policy.yaml

Exit codes: 0 a better policy was found, and confirmed; 1 nothing better than the shipped default was found, what was found is worse in
some objective where it was confirmed, or a criterion was missed; 2 bad usage or input."
)]
pub(super) struct Tune {
    #[command(flatten)]
    playing: Playing,
    /// What to be good at: a figure, FIGURE=WEIGHT, or a bound such as 'failed<1%'; may be given several times.
    #[arg(long, value_name = "OBJECTIVE")]
    objective: Vec<Objective>,
    /// How often the trace is played in the search, but for what it takes to say why each value was chosen.
    #[arg(long, value_name = "PLAYS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(30..=1_000_000))]
    budget: u32,
    /// The search sees the first half of the trace alone, and its proposal is judged on the second half, with a kind of outage that it did not
    /// see, at the same time of that half: the fault that is named, or latency for what fails or hangs, and hang for what is late.
    #[arg(long, value_name = "FAULT", num_args = 0..=1, require_equals = true)]
    holdout: Option<Option<Fault>>,
    /// Where the policy goes. [default: policy.yaml in the directory of --out, else standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    outputs: Outputs,
}

/// Plays a part of the trace with the core natively.
struct Natively<'a> {
    prepared: &'a Prepared,
    part: &'a Part,
    space: &'a Space,
    bar: ProgressBar,
}

impl Play for Natively<'_> {
    fn play(&self, point: &Point, number: usize) -> anyhow::Result<Figures> {
        let configuration = self.space.configuration(point).to_string();
        let mut scenario = self.part.scenario.clone();
        scenario.seed = scenario.seed.wrapping_add(number as u64);
        let (length, is_other) = VARIANTS[number % VARIANTS.len()];
        for fault in &mut scenario.faults {
            if is_other {
                *fault = second(fault);
            }
            fault.length = (fault.length as f64 * length) as u64;
        }
        let figures = natively(self.prepared, &scenario, &self.part.trace, &configuration)?;
        if self.bar.length() <= Some(self.bar.position()) {
            self.bar.inc_length(1);
        }
        self.bar.inc(1);
        Ok(figures)
    }
}

/// The figures of a policy, with the core natively.
fn natively<R: Into<Rc<Request>>>(
    prepared: &Prepared,
    scenario: &Scenario,
    trace: impl IntoIterator<Item = R>,
    configuration: &str,
) -> anyhow::Result<Figures> {
    let (world, seed) = (&prepared.world, scenario.seed);
    let start = |number: usize| {
        let seed = seed.wrapping_add(number as u64);
        Core::start(configuration, world.edge.workers, seed, START)
    };
    let envoys: Vec<Core> = (0..world.filters())
        .map(start)
        .collect::<Result<_, _>>()
        .context("the policy")?;
    let measure = play(
        scenario,
        trace,
        &prepared.setting().filtered(&envoys),
        || (),
    );
    Ok(measure.figures("tuned", scenario.faulty()))
}

impl Tune {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut prepared = self.playing.prepare(false)?;
        let mut faults = prepared.scenario.faults.iter();
        if let Some(fault) = faults.find(|fault| fault.kind.is_of_envoys()) {
            anyhow::bail!(
                "{fault}: the search plays the core without a VM: take a fault of an upstream, and this one in seawall chaos"
            );
        }
        let objectives = match self.objective.is_empty() {
            true => DEFAULTS.to_vec(),
            false => self.objective.clone(),
        };
        ensure!(
            !aims(&objectives).is_empty(),
            "--objective: a bound alone says nothing of what is better: name a figure to aim at too, such as --objective success"
        );
        let whole = Part::whole(&prepared);
        let (seen, judged) = match &self.holdout {
            None => (whole.clone(), whole),
            Some(fault) => halves(whole, fault.as_ref())?,
        };
        let space = Space::of(&seen.trace);
        let found = self.search(&prepared, &seen, &space, &objectives)?;
        let line = self.again(&prepared);
        let policy = yaml(
            &space,
            &objectives,
            &found,
            &about(&line, &objectives, &found, &seen),
        );
        prepared.warnings.extend(judged.warnings.iter().cloned());
        judged.take_the_place(&mut prepared);
        let (default, _) = shipped()?;
        let proposal = space.configuration(&found.best.point).to_string();
        let measured = self.confirm(&prepared, &default, proposal.as_bytes())?;
        let same = natively(
            &prepared,
            &prepared.scenario,
            prepared.trace.requests(),
            &proposal,
        )?;
        prepared
            .assumptions
            .extend(assumptions(self.holdout.is_some()));
        let names = ["no protection", "shipped default", "tuned"];
        let mut report = prepared.report(line, names.into_iter().zip(measured).collect())?;
        report.trade_off = Some(trade_off(&space, &objectives, &found));
        let [_, default, tuned] = report.lanes.as_slice() else {
            anyhow::bail!("three lanes were played");
        };
        if values(&objectives, &same) != values(&objectives, tuned) {
            let warning = "the core natively and the .wasm have other figures: the filter is of another version than this program";
            report.warnings.push(warning.to_owned());
        }
        let before = values(&objectives, default);
        let now = values(&objectives, tuned);
        let verdict = verdict(&objectives, &before, &now, self.holdout.is_some());
        for warning in &report.warnings {
            eprintln!("seawall: warning: {warning}");
        }
        if !self.outputs.is_json() {
            text(
                &report
                    .trade_off
                    .iter()
                    .map(TradeOff::table)
                    .collect::<String>(),
            );
            text(&verdict.0);
        }
        let code = self.outputs.write(&report)?;
        self.write(&policy)?;
        Ok(match found.is_better() && verdict.1 {
            true => code,
            false => ExitCode::from(FAILED),
        })
    }

    fn search(
        &self,
        prepared: &Prepared,
        seen: &Part,
        space: &Space,
        objectives: &[Objective],
    ) -> anyhow::Result<Found> {
        let player = Natively {
            prepared,
            part: seen,
            space,
            bar: progress::plays(u64::from(self.budget)),
        };
        let budget = Budget {
            plays: self.budget as usize,
            threads: self.threads.count(),
            seed: seen.scenario.seed,
        };
        let found = search(space, objectives, budget, &player)?;
        player.bar.finish_and_clear();
        let requests = found.plays * seen.trace.len();
        let seconds = player.bar.elapsed().as_secs_f64();
        eprintln!(
            "seawall: {} plays of {} requests with the core natively on {} threads: {seconds:.1} s, {:.0} requests/s",
            found.plays,
            seen.trace.len(),
            budget.threads,
            requests as f64 / seconds.max(1e-9)
        );
        Ok(found)
    }

    /// Plays the lanes with the `.wasm`.
    fn confirm(
        &self,
        prepared: &Prepared,
        default: &[u8],
        proposal: &[u8],
    ) -> anyhow::Result<Vec<Measure>> {
        let lanes = [None, Some(default), Some(proposal)];
        let bar = progress::requests((lanes.len() * prepared.trace.len()) as u64);
        let (scenario, trace) = (&prepared.scenario, &prepared.trace);
        let found = parallel::each(lanes.len(), self.threads.count(), |number| {
            let played = |lane: &Lane<'_>| play(scenario, trace.requests(), lane, || bar.inc(1));
            anyhow::Ok(match lanes[number] {
                None => played(&prepared.setting().bare()),
                Some(configuration) => {
                    let envoys = prepared.setting().processes(configuration)?;
                    played(&prepared.setting().filtered(&envoys))
                }
            })
        });
        bar.finish_and_clear();
        let found = found.context("a lane could not be played")?;
        found.into_iter().collect()
    }

    fn write(&self, policy: &str) -> anyhow::Result<()> {
        let inside = self.outputs.directory().map(|out| out.join("policy.yaml"));
        match self.output.clone().or(inside) {
            Some(file) => {
                store(&file, policy)?;
                eprintln!("seawall: the policy is in {}", file.display());
            }
            None if self.outputs.is_json() => {}
            None => text(policy),
        }
        Ok(())
    }

    /// The command that does the same again.
    fn again(&self, prepared: &Prepared) -> String {
        let mut line = format!("seawall tune{}", self.playing.arguments(prepared.format));
        for objective in &self.objective {
            line.push_str(&format!(" --objective {}", quoted(&objective.to_string())));
        }
        line.push_str(&format!(" --budget {}", self.budget));
        match &self.holdout {
            None => {}
            Some(None) => line.push_str(" --holdout"),
            Some(Some(fault)) => line.push_str(&format!(" --holdout={fault}")),
        }
        line.push_str(&self.outputs.arguments());
        line
    }
}

/// What stands on top of the policy.
fn about(line: &str, objectives: &[Objective], found: &Found, seen: &Part) -> Vec<String> {
    let mut about = vec![
        "Proposed by seawall tune. The same again:".to_owned(),
        line.to_owned(),
        format!(
            "Searched over {} requests in {} plays. The shipped default, and this policy:",
            seen.trace.len(),
            found.plays
        ),
    ];
    for (figure, (default, now), _) in
        compared(objectives, &found.default.values, &found.best.values)
    {
        about.push(format!("  {}: {default}, {now}", figure.name()));
    }
    if !found.is_better() {
        about.push("Nothing better than the shipped default was found.".to_owned());
    }
    about
}

fn assumptions(holdout: bool) -> Vec<String> {
    let searched =
        "searched with the core natively; all figures of these lanes are the .wasm's".to_owned();
    let halves = "the search saw the first half of the trace alone; this is the second half, with another kind of outage";
    let halves = holdout.then(|| halves.to_owned());
    [Some(searched), halves].into_iter().flatten().collect()
}

/// How the proposal does beside the default, in words, and whether it is worse in nothing.
fn verdict(
    objectives: &[Objective],
    before: &Values,
    now: &Values,
    holdout: bool,
) -> (String, bool) {
    let place = match holdout {
        true => "on the half that the search did not see",
        false => "with the .wasm",
    };
    let mut text = format!("tuned beside the shipped default, {place}:\n");
    let compared = compared(objectives, before, now);
    for (figure, (default, now), change) in &compared {
        let word = match change {
            Change::Better => "better",
            Change::Same => "same",
            Change::Worse => "WORSE",
        };
        text.push_str(&format!(
            "{word:<6}  {}: {now}, default {default}\n",
            figure.name()
        ));
    }
    let well = compared.iter().all(|(.., change)| *change != Change::Worse);
    (text, well)
}

/// The curve: what nothing beats, the default and the proposal, by the first aim.
fn trade_off(space: &Space, objectives: &[Objective], found: &Found) -> TradeOff {
    let mut points: Vec<TradeOffPoint> = Vec::new();
    for tried in &found.tried {
        let role = match &tried.point {
            point if *point == found.best.point => Role::Proposal,
            point if *point == found.default.point => Role::Default,
            _ => Role::Front,
        };
        let beaten_by = |other: &&crate::tune::Tried| {
            other.missed == 0.0
                && other.plays >= PLAYS
                && beats(objectives, &other.values, &tried.values)
        };
        let beaten = tried.missed > 0.0
            || tried.plays < PLAYS
            || found.tried.iter().any(|other| beaten_by(&other));
        let twice = points.iter().any(|point| point.values == tried.values);
        if role == Role::Front && (beaten || twice) {
            continue;
        }
        let written = space.written(&tried.point);
        points.push(TradeOffPoint {
            settings: written
                .map(|(_, setting, value)| format!("{}: {}", setting.path, flow(value)))
                .collect(),
            values: tried.values.clone(),
            role,
        });
    }
    points.sort_by(|one, other| {
        let first = |point: &TradeOffPoint| point.values.first().copied().flatten();
        let order = |point: &TradeOffPoint| first(point).unwrap_or(f64::INFINITY);
        order(one).total_cmp(&order(other))
    });
    // As many as can be read, spread over the curve.
    let step = points.len().div_ceil(SHOWN).max(1);
    let mut number = 0;
    points.retain(|point| {
        number += 1;
        point.role != Role::Front || (number - 1) % step == 0
    });
    let aims = aims(objectives).into_iter();
    TradeOff {
        aims: aims
            .map(|(figure, weight)| Aim {
                figure,
                unit: figure.unit(),
                weight,
            })
            .collect(),
        plays: found.plays,
        others: found.tried.len() - points.len(),
        points,
    }
}
