//! A scenario as its file says it.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::check;
use super::phases::{self, Phase};
use crate::chaos::Experiment;
use crate::document::{DocumentError, of_file, parse, part, wrong};
use crate::world::Time;

/// Alerts that a team can see, beside the scenario.
const RULES: &str = "../prometheus/alerts.rules.yaml";
/// A team passes with so many percent of the points.
const PASS: f64 = 70.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    title: String,
    goal: String,
    roles: Value,
    runbook: String,
    rules: Option<String>,
    experiment: Option<String>,
    seawall: Option<Map<String, Value>>,
    pass: Option<f64>,
    phases: Vec<Value>,
    ends: Time,
}

/// Who does what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Decides, and talks to everybody else.
    pub incident_commander: String,
    /// Look for the cause, and do the steps.
    pub responders: String,
    /// Watch how the team works, and say nothing.
    pub observers: String,
    /// Writes down who saw what, and when.
    pub scribe: String,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its file.
    pub file: PathBuf,
    /// What happens.
    pub title: String,
    /// What the team shall learn.
    pub goal: String,
    /// Who does what.
    pub roles: Roles,
    /// The runbook.
    pub runbook: PathBuf,
    /// A team passes with so many percent of the points.
    pub pass: f64,
    /// What happens, one after the other.
    pub phases: Vec<Phase>,
    /// What is played.
    pub experiment: Experiment,
}

impl Scenario {
    /// Reads a scenario, and looks whether all that it names is there.
    ///
    /// # Errors
    /// If it cannot be read, cannot be played, or names what is not there.
    pub fn from_file(file: &Path) -> Result<Self, DocumentError> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(DocumentError::form)?;
        Self::read(&text, file)
    }

    /// Reads a scenario that stands in this file.
    ///
    /// # Errors
    /// If it cannot be read, cannot be played, or names what is not there.
    pub fn read(text: &str, file: &Path) -> Result<Self, DocumentError> {
        let raw: Raw = part("", parse(text)?)?;
        let place = file.parent().unwrap_or(Path::new(""));
        let pass = raw.pass.unwrap_or(PASS);
        if !(0.0..=100.0).contains(&pass) {
            return Err(wrong("pass", format!("{pass}: expected 0 to 100")));
        }
        let phases = phases::read(raw.phases, raw.ends.0)?;
        let (extension, from) = extension(raw.experiment, raw.seawall, file)?;
        let document = document(&raw.title, &raw.goal, &phases, raw.ends.0, extension);
        let experiment = Experiment::of(document, &from)?;
        let scenario = Self {
            file: file.to_owned(),
            title: raw.title,
            goal: raw.goal,
            roles: part("roles", raw.roles)?,
            runbook: tidy(&place.join(&raw.runbook)),
            pass,
            phases,
            experiment,
        };
        let rules = place.join(raw.rules.as_deref().unwrap_or(RULES));
        check::references(&scenario.runbook, &rules, &scenario.phases)?;
        Ok(scenario)
    }

    /// Its name: that of its file.
    pub fn name(&self) -> String {
        let stem = self.file.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// The same with another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        let experiment = self.experiment.with_seed(seed);
        Self { experiment, ..self }
    }
}

/// A path without the steps back that undo a step before them.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match (part, tidy.components().next_back()) {
            (Component::ParentDir, Some(Component::Normal(_))) => {
                tidy.pop();
            }
            _ => tidy.push(part),
        }
    }
    tidy
}

/// What is Seawall's own in an experiment, and the file that it stands in.
fn extension(
    experiment: Option<String>,
    inline: Option<Map<String, Value>>,
    file: &Path,
) -> Result<(Value, PathBuf), DocumentError> {
    let (mut extension, from) = match (experiment, inline) {
        (None, Some(inline)) => (inline, file.to_owned()),
        (Some(name), None) => {
            let from = file.parent().unwrap_or(Path::new("")).join(name);
            let told = |error: &dyn fmt::Display| {
                wrong("experiment", format!("{}: {error}", from.display()))
            };
            let whole = of_file(&from).map_err(|error| wrong("experiment", error))?;
            // What stands in it is checked as an experiment's first.
            Experiment::of(whole.clone(), &from).map_err(|error| told(&error))?;
            let all = whole["extensions"].as_array().cloned().unwrap_or_default();
            let ours = all.into_iter().find(|one| one["name"] == "seawall");
            let ours = ours.and_then(|one| one.as_object().cloned());
            (ours.unwrap_or_default(), from)
        }
        _ => {
            let problem = "expected one of them: a file in `experiment`, or world, workload and policy in `seawall`";
            return Err(wrong("experiment, seawall", problem));
        }
    };
    for key in ["control", "abort"] {
        extension.remove(key);
    }
    extension.insert("name".to_owned(), json!("seawall"));
    extension.insert("warm_up".to_owned(), json!("0s"));
    Ok((Value::Object(extension), from))
}

/// The scenario as an experiment.
fn document(title: &str, goal: &str, phases: &[Phase], ends: u64, extension: Value) -> Value {
    let mut method = Vec::new();
    let mut step = |name: &str, words: &[String]| {
        let words: Vec<&str> = std::iter::once("chaos")
            .chain(words.iter().map(String::as_str))
            .collect();
        let provider = json!({"type": "process", "path": "seawall", "arguments": words});
        method.push(json!({"type": "action", "name": name, "provider": provider}));
    };
    let mut now = 0;
    let wait = |nanos: u64| ["wait".to_owned(), "x".to_owned(), format!("{nanos}ns")];
    for inject in phases.iter().flat_map(|phase| &phase.inject) {
        step("time passes", &wait(inject.at - now));
        step(&inject.what, &inject.step);
        now = inject.at;
    }
    step("time passes", &wait(ends - now));
    json!({
        "title": title,
        "description": goal,
        "steady-state-hypothesis": {"title": goal, "probes": []},
        "method": method,
        "extensions": [extension],
    })
}
