//! Whether a file that holds Seawall's configuration is right, and whether what stands around it lets it work.
//!
//! Three kinds are known by what is in them: a bare policy file (`policies`), an Envoy bootstrap (`static_resources`), a
//! manifest of Istio (`kind: WasmPlugin`, `kind: EnvoyFilter`). Errors make the filter, or Envoy, refuse its
//! configuration; warnings say what would work otherwise than its owner expects.

mod bootstrap;
mod istio;
mod silence;

use serde::Serialize;
use serde_json::Value;

use seawall_policy::config;
use seawall_policy::route::Routing;

/// What was found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// How many configurations of the filter were found.
    pub configurations: usize,
    /// What is wrong.
    pub errors: Vec<Finding>,
    /// What is surprising.
    pub warnings: Vec<Finding>,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where, such as `static_resources.listeners[0]...configuration: policies.default.breaker`.
    pub path: String,
    /// What, and what would be right.
    pub problem: String,
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("neither YAML nor JSON: {0}")]
pub struct Unreadable(String);

impl Findings {
    fn error(&mut self, path: &str, problem: impl ToString) {
        self.errors.push(Finding {
            path: path.to_owned(),
            problem: problem.to_string(),
        });
    }

    fn warning(&mut self, path: &str, problem: impl ToString) {
        self.warnings.push(Finding {
            path: path.to_owned(),
            problem: problem.to_string(),
        });
    }

    /// Checks one configuration that stands at `path`, and hands it on if it is right.
    fn configuration(
        &mut self,
        path: &str,
        read: Result<Routing, config::Error>,
    ) -> Option<Routing> {
        self.configurations += 1;
        let at = |inner: &str| match (path, inner) {
            ("", inner) => inner.to_owned(),
            (outer, "") => outer.to_owned(),
            (outer, inner) => format!("{outer}: {inner}"),
        };
        match read {
            Ok(routing) => {
                silence::check(self, &at, &routing);
                Some(routing)
            }
            Err(error) => {
                self.error(&at(error.path()), error.problem());
                None
            }
        }
    }
}

/// The documents of a YAML or JSON text. A key that stands twice is refused.
///
/// # Errors
/// If the text is neither.
pub fn parse(text: &str) -> Result<Vec<Value>, Unreadable> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| Unreadable(error.to_string()))?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}

/// Where a JSON text has a key that stands twice: JSON's readers, the filter's among them, take the last one.
fn key_twice(json: &str) -> Option<String> {
    let error = serde_saphyr::from_str::<Value>(json).err()?;
    let error = error.without_snippet();
    matches!(error, serde_saphyr::Error::DuplicateMappingKey { .. }).then(|| {
        let at = error.location().map_or_else(String::new, |at| {
            format!(" (line {}, column {})", at.line(), at.column())
        });
        format!("a key stands twice{at}")
    })
}

/// Checks a text.
///
/// # Errors
/// If it is neither YAML nor JSON.
pub fn check(text: &str) -> Result<Findings, Unreadable> {
    let mut findings = Findings::default();
    let documents = parse(text)?;
    for (index, document) in documents.iter().enumerate() {
        let at = match documents.len() {
            1 => String::new(),
            _ => format!("document {}", index + 1),
        };
        document_of(&mut findings, &at, document);
    }
    if findings.configurations == 0 && findings.errors.is_empty() {
        let problem = "no configuration of Seawall: expected a policy file (\"policies\"), an Envoy bootstrap \
                       (\"static_resources\") with the filter, a WasmPlugin, or an EnvoyFilter with the filter";
        findings.error("", problem);
    }
    Ok(findings)
}

fn document_of(findings: &mut Findings, at: &str, document: &Value) {
    if document.get("policies").is_some() || document.get("version").is_some() {
        findings.configuration(at, config::from_value(document));
    } else if document.get("static_resources").is_some() {
        bootstrap::check(findings, at, document);
    } else {
        istio::check(findings, at, document);
    }
}

/// `a.b`, or one of them where the other is empty.
fn joined(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", inner) => inner.to_owned(),
        (outer, "") => outer.to_owned(),
        (outer, inner) => format!("{outer}.{inner}"),
    }
}

/// The JSON Schema of a policy file, made from the types that read it.
pub fn schema() -> String {
    let schema = schemars::schema_for!(config::raw::File);
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}

#[cfg(test)]
mod tests;
