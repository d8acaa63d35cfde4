//! Whether all that a scenario names is there: its runbook, alerts, metrics, lines of the log, fields of the state page.

use std::collections::BTreeSet;
use std::path::Path;

use seawall_config::suggestion;
use serde_json::Value;

use super::known::{CHANGES, METRICS, STATE_PAGE};
use super::phases::{Phase, Question};
use super::runbook;
use crate::document::{DocumentError, of_file, wrong};

/// The filter's metrics begin so.
const PREFIX: &str = "seawall_";

/// What the rules of Prometheus have names for.
struct Rules {
    alerts: BTreeSet<String>,
    records: BTreeSet<String>,
}

pub(super) fn references(
    runbook: &Path,
    rules: &Path,
    phases: &[Phase],
) -> Result<(), DocumentError> {
    runbook::check(runbook).map_err(|problem| wrong("runbook", problem))?;
    let rules = Rules::read(rules).map_err(|problem| wrong("rules", problem))?;
    let mut names = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (number, phase) in phases.iter().enumerate() {
        let path = format!("phases[{number}]");
        if !names.insert(phase.name.as_str()) {
            return Err(wrong(format!("{path}.name"), "stands twice"));
        }
        seen(&path, phase, &rules)?;
        for (number, question) in phase.questions.iter().enumerate() {
            if !ids.insert(question.id.as_str()) {
                let path = format!("{path}.questions[{number}].id");
                return Err(wrong(path, format!("{} stands twice", question.id)));
            }
        }
    }
    Ok(())
}

fn seen(path: &str, phase: &Phase, rules: &Rules) -> Result<(), DocumentError> {
    let see = &phase.see;
    for (number, name) in see.alerts.iter().enumerate() {
        if !rules.alerts.contains(name) {
            let known = rules.alerts.iter().map(String::as_str);
            let problem = unknown(name, "alert of the rules", known);
            return Err(wrong(format!("{path}.see.alerts[{number}]"), problem));
        }
    }
    for (number, expression) in see.metrics.iter().enumerate() {
        let problem = metric(expression, rules);
        problem.map_err(|problem| wrong(format!("{path}.see.metrics[{number}]"), problem))?;
    }
    for (number, line) in see.logs.iter().enumerate() {
        if !CHANGES.iter().any(|change| line.ends_with(change)) {
            let problem = unknown(line, "change of a breaker's state", CHANGES);
            return Err(wrong(format!("{path}.see.logs[{number}]"), problem));
        }
    }
    for (number, field) in see.state_page.iter().enumerate() {
        if !STATE_PAGE.contains(&field.as_str()) {
            let problem = unknown(field, "field of the state page", STATE_PAGE);
            return Err(wrong(format!("{path}.see.state_page[{number}]"), problem));
        }
    }
    Ok(())
}

/// An expression must speak of the filter, and of nothing of it that is not there.
fn metric(expression: &str, rules: &Rules) -> Result<(), String> {
    let inside = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let words = expression.split(|letter| !inside(letter));
    let mut found = false;
    for word in words.filter(|word| word.contains(PREFIX)) {
        let bare = word.strip_suffix("_bucket").unwrap_or(word);
        if word.contains(':') {
            if !rules.records.contains(word) {
                let known = rules.records.iter().map(String::as_str);
                return Err(unknown(word, "recording rule", known));
            }
        } else if !METRICS.contains(&bare) {
            return Err(unknown(word, "metric of the filter", METRICS));
        }
        found = true;
    }
    match found {
        true => Ok(()),
        false => Err(format!(
            "\"{expression}\" has no metric of the filter: expected one such as seawall_decisions"
        )),
    }
}

impl Rules {
    /// Alerts of a file, and what the recording rules beside it record.
    fn read(file: &Path) -> Result<Self, String> {
        let recording = file.with_file_name("recording.rules.yaml");
        let mut rules = Self {
            alerts: names(file, "alert")?,
            records: names(file, "record")?,
        };
        if recording.is_file() {
            rules.records.extend(names(&recording, "record")?);
        }
        Ok(rules)
    }
}

/// What is said of a name that is none of those that are known.
pub(super) fn unknown<'a>(
    name: &str,
    kind: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    format!("\"{name}\" is no {kind}{}", suggestion(name, &known))
}

fn names(file: &Path, key: &str) -> Result<BTreeSet<String>, String> {
    let whole = of_file(file)?;
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let groups = list(&whole, "groups");
    let rules = groups.iter().flat_map(|group| list(group, "rules"));
    let named = rules.filter_map(|rule| rule[key].as_str().map(str::to_owned));
    Ok(named.collect())
}

impl Question {
    /// Whether it can be scored.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(self.points > 0.0 && self.points <= 100.0) {
            return Err(format!(
                "points: {}: expected above 0, at most 100",
                self.points
            ));
        }
        match (&self.right, self.keywords.is_empty()) {
            (Some(right), true) if self.choices.contains(right) => Ok(()),
            (Some(right), true) => Err(format!(
                "right: \"{right}\" is none of its choices: {}",
                self.choices.join(", ")
            )),
            (None, false) if !self.choices.is_empty() => {
                Err("choices: expected `right` with them, and no `keywords`".to_owned())
            }
            (None, false) if self.keywords.iter().any(Vec::is_empty) => {
                Err("keywords: expected a word or more in each group".to_owned())
            }
            (None, false) => Ok(()),
            _ => Err("expected one of them: `choices` and `right`, or `keywords`".to_owned()),
        }
    }
}
