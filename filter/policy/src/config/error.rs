//! What is wrong with a configuration: where it is, what stood there, what would be right.

/// One thing that is wrong. Boxed, since every function that reads or checks hands it on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{}", .0.path, if .0.path.is_empty() { "" } else { ": " }, .0.problem)]
pub struct Error(Box<Wrong>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    path: String,
    problem: String,
}

impl Error {
    pub(super) fn new(path: String, problem: String) -> Self {
        Self(Box::new(Wrong { path, problem }))
    }

    /// Where it is, such as `policies.payments.breaker.open.for`; empty for the whole.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What is wrong, and what would be right.
    pub fn problem(&self) -> &str {
        &self.0.problem
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
