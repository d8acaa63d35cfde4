//! The phases of a scenario: what goes wrong in them, what should be seen, what is asked.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chaos::{Ask, Step};
use crate::document::{DocumentError, part, wrong};
use crate::world::Time;

/// What goes wrong does so until it is healed: longer than any scenario.
const UNTIL_HEALED: &str = "24h";
/// The longest scenario, in nanoseconds.
const LENGTH_MAX: u64 = 4 * 3_600_000_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPhase {
    name: String,
    at: Time,
    told: String,
    #[serde(default)]
    inject: Vec<Value>,
    escalation: Option<String>,
    #[serde(default)]
    holds: Vec<String>,
    see: Value,
    #[serde(default)]
    questions: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInject {
    what: String,
    after: Option<Time>,
    fault: Option<String>,
    load: Option<f64>,
    #[serde(default)]
    heal: bool,
}

/// What goes wrong, or no longer does.
#[derive(Clone, Debug)]
pub struct Inject {
    /// In words.
    pub what: String,
    /// When, in nanoseconds since the beginning.
    pub at: u64,
    pub(super) step: Vec<String>,
}

/// What responders should see in a phase.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct See {
    /// Expressions over metrics.
    pub metrics: Vec<String>,
    /// What lines of the filter's log say.
    pub logs: Vec<String>,
    /// Names of alerts.
    pub alerts: Vec<String>,
    /// Fields of the state page.
    pub state_page: Vec<String>,
}

/// Where something is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// In a metric.
    Metric,
    /// In the log.
    Log,
    /// By an alert.
    Alert,
    /// On the state page.
    StatePage,
}

/// A question to the team.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its name, for answers that are written beforehand.
    pub id: String,
    /// What is asked.
    pub ask: String,
    /// What can be answered; empty is anything.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Which of the choices is right.
    pub right: Option<String>,
    /// Of each group one word must be in the answer.
    #[serde(default)]
    pub keywords: Vec<Vec<String>>,
    /// Points for the right answer.
    #[serde(default = "one")]
    pub points: f64,
    /// A hint, which costs half of the points.
    pub hint: Option<String>,
    /// The answer, for the team to read afterwards.
    pub why: String,
}

/// A phase.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// When it begins, in nanoseconds since the beginning.
    pub at: u64,
    /// When it ends.
    pub to: u64,
    /// What the team is told.
    pub told: String,
    /// What goes wrong.
    pub inject: Vec<Inject>,
    /// Who is to be called now.
    pub escalation: Option<String>,
    /// What must hold of the phase as it is played.
    pub holds: Vec<Ask>,
    /// What responders should see.
    pub see: See,
    /// What they are asked.
    pub questions: Vec<Question>,
}

fn one() -> f64 {
    1.0
}

impl See {
    /// All of it, in order.
    pub fn all(&self) -> impl Iterator<Item = (Sign, &str)> {
        let alerts = self.alerts.iter().map(|one| (Sign::Alert, one.as_str()));
        let metrics = self.metrics.iter().map(|one| (Sign::Metric, one.as_str()));
        let logs = self.logs.iter().map(|one| (Sign::Log, one.as_str()));
        let page = self.state_page.iter();
        let page = page.map(|one| (Sign::StatePage, one.as_str()));
        alerts.chain(metrics).chain(logs).chain(page)
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metric => "metric",
            Self::Log => "log line",
            Self::Alert => "alert",
            Self::StatePage => "state page",
        })
    }
}

/// Reads all phases of a scenario that ends at this time.
pub(super) fn read(all: Vec<Value>, ends: u64) -> Result<Vec<Phase>, DocumentError> {
    if all.is_empty() {
        return Err(wrong("phases", "expected one or more"));
    }
    if ends > LENGTH_MAX {
        return Err(wrong("ends", "expected 4h at most"));
    }
    let mut phases: Vec<Phase> = Vec::new();
    for (number, value) in all.into_iter().enumerate() {
        let path = format!("phases[{number}]");
        let phase = phase(&path, value)?;
        match phases.last_mut() {
            None if phase.at > 0 => {
                return Err(wrong(format!("{path}.at"), "the first phase is at 0s"));
            }
            Some(last) if phase.at <= last.at => {
                let problem = "expected a later time than that of the phase before it";
                return Err(wrong(format!("{path}.at"), problem));
            }
            Some(last) => last.to = phase.at,
            None => {}
        }
        phases.push(phase);
    }
    if let Some(last) = phases.last_mut() {
        if ends <= last.at {
            let problem = "expected a later time than that of the last phase";
            return Err(wrong("ends", problem));
        }
        last.to = ends;
    }
    for (number, phase) in phases.iter().enumerate() {
        let late = phase.inject.iter().position(|inject| inject.at >= phase.to);
        if let Some(late) = late {
            let path = format!("phases[{number}].inject[{late}].after");
            return Err(wrong(path, "expected a time within the phase"));
        }
    }
    let mut injects = phases.iter().flat_map(|phase| &phase.inject);
    if !injects.any(|inject| inject.step.first().is_some_and(|word| word == "heal")) {
        let problem = "expected an inject with `heal: true`, after which the system recovers";
        return Err(wrong("phases", problem));
    }
    Ok(phases)
}

fn phase(path: &str, value: Value) -> Result<Phase, DocumentError> {
    let raw: RawPhase = part(path, value)?;
    let at = raw.at.0;
    let mut inject = Vec::new();
    for (number, value) in raw.inject.into_iter().enumerate() {
        inject.push(self::inject(
            &format!("{path}.inject[{number}]"),
            at,
            value,
        )?);
    }
    inject.sort_by_key(|inject: &Inject| inject.at);
    let mut questions = Vec::new();
    for (number, value) in raw.questions.into_iter().enumerate() {
        let path = format!("{path}.questions[{number}]");
        let question: Question = part(&path, value)?;
        question.check().map_err(|problem| wrong(path, problem))?;
        questions.push(question);
    }
    let mut holds = Vec::new();
    for (number, text) in raw.holds.iter().enumerate() {
        let path = format!("{path}.holds[{number}]");
        let ask: Ask = text.parse().map_err(|error: String| wrong(&path, error))?;
        if matches!(ask, Ask::Figure(_) | Ask::State) {
            let problem =
                format!("\"{text}\" cannot hold: expected such as success>99% or state=open");
            return Err(wrong(path, problem));
        }
        holds.push(ask);
    }
    Ok(Phase {
        see: part(&format!("{path}.see"), raw.see)?,
        name: raw.name,
        at,
        to: at,
        told: raw.told,
        inject,
        escalation: raw.escalation,
        holds,
        questions,
    })
}

fn inject(path: &str, at: u64, value: Value) -> Result<Inject, DocumentError> {
    let raw: RawInject = part(path, value)?;
    let word = str::to_owned;
    let step = match (&raw.fault, raw.load, raw.heal) {
        (Some(fault), None, false) => {
            let long = fault.split(',').any(|word| word.starts_with("for="));
            let until = if long {
                ""
            } else {
                &format!(",for={UNTIL_HEALED}")
            };
            vec![word("fault"), word("x"), format!("{fault}{until}")]
        }
        (None, Some(load), false) => {
            let times = load.to_string();
            vec![
                word("load"),
                word("x"),
                times,
                word("--for"),
                word(UNTIL_HEALED),
            ]
        }
        (None, None, true) => vec![word("heal"), word("x"), word("0s")],
        _ => {
            return Err(wrong(
                path,
                "expected one of `fault`, `load` and `heal: true`",
            ));
        }
    };
    Step::read(&step).map_err(|error| wrong(path, error.trim_end()))?;
    Ok(Inject {
        what: raw.what,
        at: at.saturating_add(raw.after.map_or(0, |after| after.0)),
        step,
    })
}
