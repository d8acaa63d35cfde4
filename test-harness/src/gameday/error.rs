//! Why a scenario cannot be used.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a scenario, or the answers to one, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GamedayError {
    /// The file cannot be read.
    #[error("{0}")]
    Form(String),
    /// What it says cannot be.
    #[error("{path}: {problem}")]
    Value {
        /// Where, such as `phases[2].see.alerts[0]`.
        path: String,
        /// What, and what would be right.
        problem: String,
    },
}

pub(super) fn wrong(path: impl Into<String>, problem: impl ToString) -> GamedayError {
    GamedayError::Value {
        path: path.into(),
        problem: problem.to_string(),
    }
}

/// A part of a document that stands at this path.
pub(super) fn part<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, GamedayError> {
    serde_json::from_value(value).map_err(|error| match path {
        "" => GamedayError::Form(error.to_string()),
        path => wrong(path, error),
    })
}

/// What is said of a name that is none of those that are known.
pub(super) fn unknown<'a>(
    name: &str,
    kind: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let near = known
        .into_iter()
        .map(|one| (strsim::jaro_winkler(name, one), one))
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match near {
        Some((_, near)) => format!("\"{name}\" is no {kind}: is it \"{near}\"?"),
        None => format!("\"{name}\" is no {kind}: there is none"),
    }
}
