//! What is wrong with a configuration: where it is, what stood there, what would be right.

use std::cell::RefCell;
use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

use seawall_policy::json::{Path, Unreadable};

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

    /// What was not read: because of this, unless it is JSON.
    pub(super) fn unreadable(error: Unreadable, no_json: &str) -> Self {
        let Unreadable {
            path,
            problem,
            is_json,
        } = error;
        let problem = match is_json {
            true => problem,
            false => format!("{no_json}: {problem}"),
        };
        Self { path, problem }
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

/// An error of the derived code, whose place follows ([`Self::at`]). In a box, since it is handed up at every key.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Wrong(Box<Error>);

impl Wrong {
    #[cold]
    #[inline(never)]
    pub(super) fn new(path: &Path<'_>, problem: fmt::Arguments<'_>) -> Self {
        Self(Box::new(Error::new(path, problem)))
    }

    /// Expected was one thing, and there is another.
    #[cold]
    #[inline(never)]
    pub(super) fn expected(expected: &dyn Display, got: &dyn Display) -> Self {
        Self::told(format_args!("expected {expected}, got {got}"))
    }

    /// The same error at this place, unless its place is known already.
    #[cold]
    #[inline(never)]
    pub(super) fn at(mut self, path: &Path<'_>) -> Self {
        if self.0.path.is_empty() {
            self.0.path = path.to_string();
        }
        self
    }

    #[cold]
    #[inline(never)]
    fn told(problem: fmt::Arguments<'_>) -> Self {
        Self::new(&Path::Root, problem)
    }
}

impl From<Wrong> for Error {
    fn from(Wrong(error): Wrong) -> Self {
        *error
    }
}

impl de::Error for Wrong {
    fn custom<T: Display>(problem: T) -> Self {
        Self::told(format_args!("{problem}"))
    }

    fn invalid_type(_got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::told(format_args!("expected {expected}"))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        let (near, known) = (suggestion(key, known), known.join(", "));
        Self::told(format_args!("unknown key{near}; known: {known}"))
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        let (near, known) = (suggestion(word, known), known.join(", "));
        Self::told(format_args!(
            "unknown value \"{word}\"{near}; known: {known}"
        ))
    }
}

/// What is wrong so far. Whoever finds something notes it and goes on with a plain value, so that a check can tell of all
/// that is wrong; the filter keeps the first.
#[derive(Debug)]
pub(super) struct Problems {
    found: RefCell<Vec<Error>>,
    most: usize,
}

impl Problems {
    /// Keeps at most so many.
    pub(super) const fn new(most: usize) -> Self {
        let found = RefCell::new(Vec::new());
        Self { found, most }
    }

    /// How many are kept at most.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// Notes one; `false` once there is no room for another.
    #[cold]
    #[inline(never)]
    pub(super) fn add(&self, error: Error) -> bool {
        let mut found = self.found.borrow_mut();
        if found.len() < self.most && !found.contains(&error) {
            found.push(error);
        }
        found.len() < self.most
    }

    /// Notes what is wrong at a place.
    #[cold]
    #[inline(never)]
    pub(super) fn note(&self, path: &Path<'_>, problem: fmt::Arguments<'_>) {
        if self.found.borrow().len() < self.most {
            self.add(Error::new(path, problem));
        }
    }

    /// All that was noted, in this order.
    pub(super) fn into_all(self) -> Vec<Error> {
        self.found.into_inner()
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
