//! Why an experiment cannot be read, or not be played.

/// Why an experiment cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The file cannot be read.
    #[error("{0}")]
    Form(String),
    /// What it says cannot be.
    #[error("{path}: {problem}")]
    Value {
        /// Where, such as `method[2]`.
        path: String,
        /// What, and what would be right.
        problem: String,
    },
}

pub(super) fn wrong(path: impl Into<String>, problem: impl Into<String>) -> ExperimentError {
    ExperimentError::Value {
        path: path.into(),
        problem: problem.into(),
    }
}
