//! Answers that are written beforehand, for a run without anybody at the terminal.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::check::unknown;
use super::phases::{Phase, Question, Sign};
use super::play::Happened;
use super::scenario::Scenario;
use super::walk::{Reply, Team};
use crate::document::{DocumentError, parse, part, wrong};

/// Names of the roles.
const ROLES: [&str; 4] = ["incident_commander", "responders", "observers", "scribe"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    roles: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    phases: Vec<Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPhase {
    name: String,
    #[serde(default)]
    saw: BTreeMap<String, String>,
    #[serde(default)]
    answers: BTreeMap<String, String>,
}

/// Answers to a scenario.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Who does what.
    pub roles: BTreeMap<String, Vec<String>>,
    phases: Vec<OfPhase>,
}

impl Answers {
    /// Reads answers to a scenario.
    ///
    /// # Errors
    /// If they cannot be read, or are to something that is not in the scenario.
    pub fn from_file(file: &Path, scenario: &Scenario) -> Result<Self, DocumentError> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(DocumentError::form)?;
        let raw: Raw = part("", parse(&text)?)?;
        for role in raw.roles.keys() {
            Self::role(role).map_err(|problem| wrong("roles", problem))?;
        }
        let mut phases = Vec::new();
        for (number, value) in raw.phases.into_iter().enumerate() {
            let path = format!("phases[{number}]");
            let of: OfPhase = part(&path, value)?;
            of.check(&path, scenario)?;
            phases.push(of);
        }
        Ok(Self {
            roles: raw.roles,
            phases,
        })
    }

    /// Whether there is such a role.
    ///
    /// # Errors
    /// If there is none.
    pub fn role(name: &str) -> Result<(), String> {
        match ROLES.contains(&name) {
            true => Ok(()),
            false => Err(unknown(name, "role", ROLES)),
        }
    }
}

impl OfPhase {
    fn check(&self, path: &str, scenario: &Scenario) -> Result<(), DocumentError> {
        let mut phases = scenario.phases.iter();
        let Some(phase) = phases.find(|phase| phase.name == self.name) else {
            let known = scenario.phases.iter().map(|phase| phase.name.as_str());
            let problem = unknown(&self.name, "phase of the scenario", known);
            return Err(wrong(format!("{path}.name"), problem));
        };
        let signs: Vec<&str> = phase.see.all().map(|(_, what)| what).collect();
        if let Some(name) = self.saw.keys().find(|name| !signs.contains(&name.as_str())) {
            let problem = unknown(name, "thing to be seen in this phase", signs);
            return Err(wrong(format!("{path}.saw"), problem));
        }
        let ids: Vec<&str> = phase.questions.iter().map(|one| one.id.as_str()).collect();
        if let Some(id) = self.answers.keys().find(|id| !ids.contains(&id.as_str())) {
            let problem = unknown(id, "question of this phase", ids);
            return Err(wrong(format!("{path}.answers"), problem));
        }
        Ok(())
    }
}

/// A team that answers what was written beforehand.
pub struct Scripted<B> {
    answers: Answers,
    begin: B,
}

impl<B: FnMut(usize, &Phase, &Happened) -> bool> Scripted<B> {
    /// `begin` is told of each phase, and says whether to go on.
    pub fn new(answers: Answers, begin: B) -> Self {
        Self { answers, begin }
    }

    fn of(&self, phase: &Phase) -> Option<&OfPhase> {
        let mut phases = self.answers.phases.iter();
        phases.find(|of| of.name == phase.name)
    }
}

impl<B: FnMut(usize, &Phase, &Happened) -> bool> Team for Scripted<B> {
    fn begin(&mut self, number: usize, phase: &Phase, happened: &Happened) -> bool {
        (self.begin)(number, phase, happened)
    }

    fn saw(&mut self, phase: &Phase, _: Sign, what: &str) -> Reply {
        said(self.of(phase).and_then(|of| of.saw.get(what)))
    }

    fn answer(&mut self, phase: &Phase, question: &Question) -> Reply {
        said(self.of(phase).and_then(|of| of.answers.get(&question.id)))
    }
}

fn said(text: Option<&String>) -> Reply {
    let text = text.map(|text| text.trim()).filter(|text| !text.is_empty());
    text.map_or(Reply::Nothing, |text| Reply::Said {
        text: text.to_owned(),
        hinted: false,
    })
}
