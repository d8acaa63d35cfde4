//! `seawall gameday`: a team meets an outage that is played in the simulation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::day::Day;
use super::filter::Filter;
use super::gameday_events::Events;
use super::gameday_team::{Pace, Terminal, show};
use super::outputs::{documents, store};
use super::stdout::say;
use super::{FAILED, INTERRUPTED, progress};
use crate::gameday::{Answers, Head, Record, Scenario, Scripted, Status, Team, play, verify, walk};
use crate::report::words::quoted;

/// Game days: a team meets an outage that is played in the simulation.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  seawall gameday list
  seawall gameday check examples/gamedays/*.yaml
  seawall gameday run examples/gamedays/database-down.yaml --role incident_commander=dana --role responders=lee
  seawall gameday run examples/gamedays/database-down.yaml --pace paced --speed 10
  seawall gameday run examples/gamedays/database-down.yaml --answers examples/gamedays/answers/database-down.yaml

docs/gamedays.md says how a scenario is written.")]
pub(super) enum Gameday {
    Run(Run),
    List(Listing),
    Check(Checking),
}

/// When phases begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pacing {
    /// Each once the one before it is done.
    AtOnce,
    /// Each at its time.
    Paced,
}

/// Leads a team through a scenario, and writes the record.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the team passed; 1 it did not, or the simulation was not as the scenario says; 2 bad usage or input; \
130 it was interrupted. The record is written in each case but bad usage or input.

An answer is a line. An empty line is no answer, ? asks for the hint."
)]
pub(super) struct Run {
    /// The scenario.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// When phases begin.
    #[arg(long, value_enum, default_value = "at-once")]
    pace: Pacing,
    /// With --pace paced: how many times as fast as the clock.
    #[arg(long, default_value = "1", value_parser = speed)]
    speed: f64,
    /// Answers that are written beforehand, in the place of those at the terminal.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Who does what: incident_commander, responders, observers or scribe, and a name. May be given often.
    #[arg(long = "role", alias = "roles", value_name = "ROLE=NAME", value_parser = role)]
    roles: Vec<(String, String)>,
    /// Where the record is written: NAME.record.md and NAME.record.json.
    #[arg(long, value_name = "DIR", default_value = "out/gamedays")]
    out: PathBuf,
    /// Prints the record as JSON in the end. What the team is told and asked goes to standard error.
    #[arg(long)]
    json: bool,
    /// Writes into the runbook that it was verified, if the team passes.
    #[arg(long)]
    verified: bool,
    #[command(flatten)]
    day: Day,
    /// Seed of all chance, in the place of the scenario's own.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    filter: Filter,
}

/// Lists scenarios: what happens, what the team shall learn, and the runbook.
#[derive(Debug, Args)]
pub(super) struct Listing {
    /// Scenarios, or directories of them.
    #[arg(default_value = "examples/gamedays", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Prints them as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks scenarios: their keys, and whether the runbooks, alerts, metrics and experiments that they name are there.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 all are right; 2 one is not.")]
pub(super) struct Checking {
    /// Scenarios, or directories of them.
    #[arg(default_value = "examples/gamedays", value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Listed {
    file: String,
    title: String,
    goal: String,
    runbook: String,
    last_verified: String,
    phases: Vec<String>,
    minutes: f64,
}

impl Gameday {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(run) => run.run(),
            Self::List(list) => list.run(),
            Self::Check(check) => check.run(),
        }
    }
}

impl Run {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let scenario = read(&self.file)?;
        let scenario = match self.seed {
            Some(seed) => scenario.with_seed(seed),
            None => scenario,
        };
        let answers = self.answers.as_deref().map(|file| {
            let answers = Answers::from_file(file, &scenario);
            answers.with_context(|| file.display().to_string())
        });
        let answers = answers.transpose()?;
        let module = self.filter.module()?;
        let mut events = Events::new(answers.is_none())?;
        let bar = progress::lanes(1);
        let happened = play(&scenario, &module, || events.goes_on())?;
        bar.finish_and_clear();
        let head = self.head(&scenario, answers.as_ref());
        let paced = self.pace == Pacing::Paced;
        show(self.json, &intro(&scenario, &head));
        let mut pace = Pace::new(events, paced.then_some(self.speed), self.json);
        let mut scripted;
        let mut terminal;
        let team: &mut dyn Team = match answers {
            Some(answers) => {
                scripted = Scripted::new(answers, move |number, phase, happened| {
                    pace.begin(number, phase, happened)
                });
                &mut scripted
            }
            None => {
                terminal = Terminal(pace);
                &mut terminal
            }
        };
        let record = walk(&scenario, happened, team, head);
        self.write(&scenario, &record)
    }

    fn head(&self, scenario: &Scenario, answers: Option<&Answers>) -> Head {
        let mut roles: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if let Some(answers) = answers {
            roles.clone_from(&answers.roles);
        }
        for (role, name) in &self.roles {
            roles.entry(role.clone()).or_default().push(name.clone());
        }
        let mut reproduce = format!(
            "seawall gameday run {} --seed {}",
            quoted(&self.file.to_string_lossy()),
            scenario.experiment.seed()
        );
        if let Some(file) = &self.answers {
            reproduce += &format!(" --answers {}", quoted(&file.to_string_lossy()));
        }
        Head {
            day: self.day.text(),
            roles,
            reproduce,
        }
    }

    fn write(&self, scenario: &Scenario, record: &Record) -> anyhow::Result<ExitCode> {
        let out = &self.out;
        std::fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
        let file = |ending: &str| out.join(format!("{}.record.{ending}", scenario.name()));
        let json = serde_json::to_string_pretty(record)?;
        store(&file("json"), &json)?;
        store(&file("md"), &record.markdown())?;
        if self.json {
            say!("{json}");
        }
        let score = record.score;
        show(
            self.json,
            &format!(
                "\nscore: {} of {} points, {:.0} % ({:.0} % pass), {}\nrecord: {}\nagain: {}",
                score.points,
                score.of,
                score.percent,
                score.pass_percent,
                crate::report::words::counted(record.gaps.len() as u64, "gap"),
                file("md").display(),
                record.reproduce
            ),
        );
        for phase in &record.phases {
            let missed = phase.happened.holds.iter().filter(|held| !held.met);
            for held in missed {
                let name = &phase.name;
                eprintln!(
                    "seawall: {name}: not as the scenario says: {} ({})",
                    held.what, held.found
                );
            }
        }
        if record.status == Status::Interrupted {
            eprintln!("seawall: interrupted: the record says how far it came");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        if !record.passed {
            return Ok(ExitCode::from(FAILED));
        }
        if self.verified {
            verify(&scenario.runbook, &record.day, &record.reproduce)
                .map_err(anyhow::Error::msg)
                .context("the runbook")?;
            show(
                self.json,
                &format!("verified: {}", scenario.runbook.display()),
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a team is told first.
fn intro(scenario: &Scenario, head: &Head) -> String {
    let roles = &scenario.roles;
    let who = |role: &str| match head.roles.get(role) {
        Some(names) => format!(" ({})", names.join(", ")),
        None => String::new(),
    };
    let mut text = format!("{}\n{}\n\nRoles:\n", scenario.title, scenario.goal);
    for (role, does) in [
        ("incident_commander", &roles.incident_commander),
        ("responders", &roles.responders),
        ("observers", &roles.observers),
        ("scribe", &roles.scribe),
    ] {
        text += &format!("  {}{}: {does}\n", role.replace('_', " "), who(role));
    }
    text + &format!("Runbook: {}", scenario.runbook.display())
}

impl Listing {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let list = |file: &PathBuf| {
            let scenario = read(file)?;
            let phases = scenario.phases.iter();
            let ends = scenario.phases.last().map_or(0, |phase| phase.to);
            let verified = crate::gameday::last_verified(&scenario.runbook);
            anyhow::Ok(Listed {
                file: file.display().to_string(),
                title: scenario.title.clone(),
                goal: scenario.goal.clone(),
                runbook: scenario.runbook.display().to_string(),
                last_verified: verified.map_err(anyhow::Error::msg)?,
                phases: phases.map(|phase| phase.name.clone()).collect(),
                minutes: ends as f64 / 60e9,
            })
        };
        let files = documents(&self.files)?;
        let listed = files.iter().map(list).collect::<anyhow::Result<Vec<_>>>()?;
        if self.json {
            say!("{}", serde_json::to_string_pretty(&listed)?);
            return Ok(ExitCode::SUCCESS);
        }
        for one in &listed {
            say!("{}", one.file);
            say!("    {}: {}", one.title, one.goal);
            say!(
                "    phases ({} min): {}",
                one.minutes,
                one.phases.join(", ")
            );
            say!(
                "    runbook: {}, verified: {}",
                one.runbook,
                one.last_verified
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Checking {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let files = documents(&self.files)?;
        let mut wrong = 0;
        for file in &files {
            match read(file) {
                Ok(scenario) => say!("{}: ok, {} phases", file.display(), scenario.phases.len()),
                Err(error) => {
                    eprintln!("seawall: {error:#}");
                    wrong += 1;
                }
            }
        }
        Ok(match wrong {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(super::BAD_INPUT),
        })
    }
}

fn read(file: &Path) -> anyhow::Result<Scenario> {
    Scenario::from_file(file).with_context(|| file.display().to_string())
}

fn speed(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|speed| (0.01..=1e6).contains(speed));
    number.ok_or_else(|| format!("\"{text}\": expected a number such as 10"))
}

fn role(text: &str) -> Result<(String, String), String> {
    let (role, name) = text
        .split_once('=')
        .filter(|(_, name)| !name.trim().is_empty())
        .ok_or_else(|| format!("\"{text}\": expected ROLE=NAME, such as scribe=sam"))?;
    Answers::role(role)?;
    Ok((role.to_owned(), name.trim().to_owned()))
}
