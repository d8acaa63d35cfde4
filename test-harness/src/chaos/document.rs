//! An experiment as its file says it: Chaos Toolkit's format, as far as a simulation can play it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::extension::{self, Extension};
use super::step::Step;
use super::tolerance::Tolerance;
use crate::document::{DocumentError, parse, wrong};
use crate::world::World;

/// The program that steps call.
const PROGRAM: &str = "seawall";
/// Its command.
const COMMAND: &str = "chaos";

/// The parts of a file that are read here. What else Chaos Toolkit knows may stand beside them.
#[derive(Debug, Deserialize)]
struct Raw {
    title: String,
    description: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    configuration: BTreeMap<String, Value>,
    #[serde(rename = "steady-state-hypothesis")]
    hypothesis: RawHypothesis,
    method: Vec<Value>,
    #[serde(default)]
    rollbacks: Vec<Value>,
    #[serde(default)]
    extensions: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct RawHypothesis {
    title: String,
    probes: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct RawActivity {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    provider: RawProvider,
    tolerance: Option<Value>,
    #[serde(default)]
    pauses: Pauses,
    #[serde(default)]
    background: bool,
}

#[derive(Debug, Deserialize)]
struct RawProvider {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    arguments: Value,
}

/// Time that passes around an activity, in seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Pauses {
    #[serde(default)]
    pub(super) before: f64,
    #[serde(default)]
    pub(super) after: f64,
}

/// One activity.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Its name.
    pub name: String,
    /// What it does.
    pub step: Step,
    /// What a probe may answer; none is not judged.
    pub tolerance: Option<Tolerance>,
    pub(super) pauses: Pauses,
    /// Whether what follows does not wait for it.
    pub(super) background: bool,
    /// As it is written.
    pub(super) raw: Value,
}

/// An experiment.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Its file.
    pub file: PathBuf,
    /// What it is about.
    pub title: String,
    /// Why.
    pub description: String,
    /// What it belongs to.
    pub tags: Vec<String>,
    /// What the hypothesis says.
    pub hypothesis: String,
    /// What is asked before and after the method.
    pub probes: Vec<Activity>,
    /// What is done.
    pub method: Vec<Activity>,
    /// What is done in the end, whatever happened.
    pub rollbacks: Vec<Activity>,
    pub(super) extension: Extension,
    /// As it is written.
    pub(super) raw: Value,
}

impl Experiment {
    /// Reads an experiment.
    ///
    /// # Errors
    /// If it cannot be read, or not be played in a simulation.
    pub fn from_file(file: &Path) -> Result<Self, DocumentError> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(DocumentError::form)?;
        Self::read(&text, file)
    }

    /// Reads an experiment that stands in this file.
    ///
    /// # Errors
    /// If it cannot be read, or not be played in a simulation.
    pub fn read(text: &str, file: &Path) -> Result<Self, DocumentError> {
        Self::of(parse(text)?, file)
    }

    /// Reads an experiment that was made, as if it stood in this file.
    ///
    /// # Errors
    /// If it cannot be played in a simulation.
    pub fn of(value: Value, file: &Path) -> Result<Self, DocumentError> {
        let raw: Raw = serde_json::from_value(value.clone()).map_err(DocumentError::form)?;
        let all = |path: &str, values: &[Value]| {
            let read = |(number, value): (usize, &Value)| {
                activity(value, &raw.configuration)
                    .map_err(|problem| wrong(format!("{path}[{number}]"), problem))
            };
            let read = values.iter().enumerate().map(read);
            read.collect::<Result<Vec<Activity>, _>>()
        };
        let ours = raw
            .extensions
            .iter()
            .find(|one| one["name"] == extension::NAME);
        let Some(ours) = ours else {
            let problem = "expected one with `name: seawall`, which has the policy";
            return Err(wrong("extensions", problem));
        };
        let place = file.parent().unwrap_or(Path::new(""));
        let read = Self {
            file: file.to_owned(),
            probes: all("steady-state-hypothesis.probes", &raw.hypothesis.probes)?,
            method: all("method", &raw.method)?,
            rollbacks: all("rollbacks", &raw.rollbacks)?,
            extension: Extension::read(ours, place)?,
            title: raw.title,
            description: raw.description,
            tags: raw.tags,
            hypothesis: raw.hypothesis.title,
            raw: value,
        };
        read.checked()
    }

    fn checked(self) -> Result<Self, DocumentError> {
        for (number, probe) in self.probes.iter().enumerate() {
            let path = format!("steady-state-hypothesis.probes[{number}]");
            if !matches!(probe.step, Step::Probe { .. }) {
                return Err(wrong(
                    path,
                    "a hypothesis has probes alone: expected `chaos probe`",
                ));
            }
            if probe.tolerance.is_none() {
                return Err(wrong(path, "expected a `tolerance`"));
            }
        }
        let heals = |activity: &Activity| matches!(activity.step, Step::Heal { .. });
        if !self.method.iter().any(heals) {
            let problem = "expected a step `chaos heal`, after which the system must recover";
            return Err(wrong("method", problem));
        }
        for control in &self.extension.control {
            let known = |name: &String| {
                let mut all = self.probes.iter().chain(&self.method);
                all.any(|activity| activity.name == *name && activity.tolerance.is_some())
            };
            if let Some(unknown) = control.fails.iter().find(|name| !known(name)) {
                let problem = format!("\"{unknown}\" is no probe with a tolerance");
                return Err(wrong("extensions.seawall.control.fails", problem));
            }
        }
        Ok(self)
    }

    /// Its name: that of its file.
    pub fn name(&self) -> String {
        let stem = self.file.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// Seed of all chance.
    pub fn seed(&self) -> u64 {
        self.extension.seed
    }

    /// How long it runs before the hypothesis is asked first, in nanoseconds.
    pub fn warm_up(&self) -> u64 {
        self.extension.warm_up
    }

    /// The route's limit of a request, in nanoseconds.
    pub fn route_timeout(&self) -> u64 {
        self.extension.route_timeout
    }

    /// Where it is played.
    pub fn world(&self) -> &World {
        &self.extension.world
    }

    /// The same with another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.extension.seed = seed;
        self
    }

    /// The runs in which the hypothesis must fail.
    pub fn controls(&self) -> &[extension::Control] {
        &self.extension.control
    }
}

fn activity(value: &Value, configuration: &BTreeMap<String, Value>) -> Result<Activity, String> {
    let read: RawActivity =
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let program = Path::new(&read.provider.path).file_name();
    let ours = program.is_some_and(|name| name == PROGRAM);
    let named = |problem: String| format!("{}: {problem}", read.name);
    if read.provider.kind != "process" || !ours {
        return Err(named(format!(
            "a simulation plays steps of the provider {{type: process, path: {PROGRAM}}} alone"
        )));
    }
    let words = words(&read.provider.arguments, configuration).map_err(named)?;
    let Some((COMMAND, rest)) = words
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    else {
        return Err(named(format!("arguments: expected {COMMAND} and a step")));
    };
    let step = Step::read(rest).map_err(named)?;
    if (read.kind == "probe") != matches!(step, Step::Probe { .. }) {
        return Err(named(format!(
            "type: {}: a probe asks, an action does",
            read.kind
        )));
    }
    let tolerance = read.tolerance.as_ref().map(Tolerance::read).transpose();
    Ok(Activity {
        tolerance: tolerance.map_err(|error| named(format!("tolerance: {error}")))?,
        name: read.name,
        step,
        pauses: read.pauses,
        background: read.background,
        raw: value.clone(),
    })
}

/// The arguments of a provider, as Chaos Toolkit hands them over.
fn words(
    arguments: &Value,
    configuration: &BTreeMap<String, Value>,
) -> Result<Vec<String>, String> {
    let plain = |value: &Value| match value {
        Value::String(text) => substituted(text, configuration),
        other => Ok(other.to_string()),
    };
    match arguments {
        Value::Array(all) => all.iter().map(plain).collect(),
        Value::String(text) => text
            .split_whitespace()
            .map(|word| substituted(word, configuration))
            .collect(),
        _ => Err("arguments: expected a list".to_owned()),
    }
}

/// A word with `${name}` replaced by what the configuration says.
fn substituted(word: &str, configuration: &BTreeMap<String, Value>) -> Result<String, String> {
    let mut text = word.to_owned();
    while let Some((before, rest)) = text.split_once("${") {
        let Some((name, after)) = rest.split_once('}') else {
            return Err(format!("{word}: expected a }}"));
        };
        let value = configuration
            .get(name)
            .ok_or_else(|| format!("{word}: the configuration has no {name}"))?;
        let value = match (value.as_str(), value["key"].as_str()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(key)) if value["type"] == "env" => {
                let default = value["default"].as_str().unwrap_or_default();
                std::env::var(key).unwrap_or_else(|_| default.to_owned())
            }
            _ => value.to_string(),
        };
        text = format!("{before}{value}{after}");
    }
    Ok(text)
}
