//! What is wrong with a configuration: where it is, what stood there, what would be right.

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", prefix(path))]
pub struct Error {
    path: String,
    problem: String,
}

fn prefix(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!("{path}: "),
    }
}

impl Error {
    pub(super) fn new(path: &str, problem: &str) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.to_owned(),
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

/// `, did you mean "x"?`, where one of the known names is near.
pub(super) fn suggestion(unknown: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::osa_distance(unknown, name), name))
        .filter(|(distance, name)| distance.saturating_mul(2) <= name.len())
        .min();
    near.map_or_else(String::new, |(_, name)| {
        format!(", did you mean \"{name}\"?")
    })
}
