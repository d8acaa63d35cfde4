//! What is wrong with a configuration: where it is, what stood there, what would be right.
//!
//! Whoever finds something wrong notes it in [`Errors`] and goes on as if it was not there; the first note refuses the whole.
//! So reading and checking give plain values, and no path through them turns back half-way.

use std::cell::OnceCell;
use std::fmt;

use super::path::Path;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}{}{problem}", if path.is_empty() { "" } else { ": " })]
pub struct Error {
    path: String,
    problem: String,
}

impl Error {
    #[cold]
    #[inline(never)]
    pub(super) fn new(path: &Path<'_>, problem: fmt::Arguments<'_>) -> Self {
        Self {
            path: path.to_string(),
            problem: problem.to_string(),
        }
    }

    /// Where it is, such as `policies.payments.breaker.open.for`; empty for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong, and what would be right.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// The first thing that is wrong, once something is.
#[derive(Default)]
pub(super) struct Errors(OnceCell<Error>);

impl Errors {
    /// Notes it.
    #[cold]
    #[inline(never)]
    pub(super) fn note(&self, path: &Path<'_>, problem: fmt::Arguments<'_>) {
        if !self.is_noted() {
            let _ = self.0.set(Error::new(path, problem));
        }
    }

    /// Whether something was noted.
    pub(super) fn is_noted(&self) -> bool {
        self.0.get().is_some()
    }

    /// What was noted first.
    pub(super) fn first(self) -> Option<Error> {
        self.0.into_inner()
    }
}

/// `, did you mean "x"?`, where one of the known names is near.
pub fn suggestion(unknown: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::osa_distance(unknown, name), name))
        .filter(|(distance, name)| distance.saturating_mul(2) <= name.len())
        .min();
    near.map_or_else(String::new, |(_, name)| {
        format!(", did you mean \"{name}\"?")
    })
}
