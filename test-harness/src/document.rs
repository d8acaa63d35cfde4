//! Documents that people write: worlds, experiments, game days. They are YAML or JSON, and an error says where.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It cannot be read, or has not this form.
    #[error("{0}")]
    Form(String),
    /// What it says cannot be.
    #[error("{path}: {problem}")]
    Value {
        /// Where, such as `services.shop.hosts` or `phases[2].see.alerts[0]`.
        path: String,
        /// What, and what would be right.
        problem: String,
    },
}

impl DocumentError {
    /// It has not the form that is expected.
    pub(crate) fn form(error: impl ToString) -> Self {
        Self::Form(error.to_string())
    }
}

/// What stands there cannot be.
pub(crate) fn wrong(path: impl Into<String>, problem: impl ToString) -> DocumentError {
    DocumentError::Value {
        path: path.into(),
        problem: problem.to_string(),
    }
}

/// The only document of a text.
pub(crate) fn parse(text: &str) -> Result<Value, DocumentError> {
    serde_saphyr::from_str(text).map_err(DocumentError::form)
}

/// The only document of a file; an error names the file.
pub(crate) fn of_file(file: &Path) -> Result<Value, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
    parse(&text).map_err(|error| told(&error))
}

/// A part of a document that stands at this path.
pub(crate) fn part<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, DocumentError> {
    serde_json::from_value(value).map_err(|error| match path {
        "" => DocumentError::form(error),
        path => wrong(path, error),
    })
}
