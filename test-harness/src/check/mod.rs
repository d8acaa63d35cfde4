//! Whether a file that holds Seawall's configuration is right, and whether what stands around it lets it work.
//!
//! A text goes through three stages. [`layers`] takes off what it is wrapped in, and gives bare policy files, whole
//! Envoys, and Kubernetes' resources. [`spelling`] makes one spelling of protobuf's two where Envoy's messages begin.
//! Then each filter is judged where it stands, by one set of rules.
//!
//! Errors make the filter, or Envoy, refuse its configuration; warnings say what would work otherwise than its owner
//! expects. What was met and not understood is named too: a file is valid only if all of it was read.

mod body;
mod bootstrap;
mod dynamic_module;
mod envoy_yaml;
mod fields;
mod filter;
mod gateway;
mod idle;
mod istio;
mod layers;
mod manifest;
mod manifests;
mod read;
mod rules;
mod shape;
mod silence;
mod spelling;
mod wasm;

use serde::Serialize;
use serde_json::Value;

use seawall_policy::route::Routing;

pub use self::read::{BYTES_MAX, Unreadable, parse};

/// Which keys of a DestinationRule's spec are no key of Istio's: errors where another one was meant, else what is not read.
pub(crate) fn unknown_keys_of_destination_rule(spec: &Value) -> Findings {
    istio::unknown_keys_of_destination_rule(spec)
}

/// What was found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// How many configurations of the filter were found.
    pub configurations: usize,
    /// What is wrong.
    pub errors: Vec<Finding>,
    /// What is surprising.
    pub warnings: Vec<Finding>,
    /// What was met and not read, and why.
    pub unread: Vec<Finding>,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where, such as `static_resources.listeners[0]...configuration: policies.default.breaker`.
    pub path: String,
    /// What, and what would be right.
    pub problem: String,
}

/// What can be said of a file as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All of it was read, and nothing in it is wrong.
    Valid,
    /// Nothing in what was read is wrong, but something was not read.
    Incomplete,
    /// Something is wrong, or there is no configuration of Seawall.
    Invalid,
}

impl Findings {
    /// What can be said of the file as a whole.
    pub fn verdict(&self) -> Verdict {
        if !self.errors.is_empty() {
            Verdict::Invalid
        } else if !self.unread.is_empty() {
            Verdict::Incomplete
        } else if self.configurations == 0 {
            Verdict::Invalid
        } else {
            Verdict::Valid
        }
    }

    fn error(&mut self, path: &str, problem: impl ToString) {
        self.errors.push(finding(path, &problem));
    }

    fn warning(&mut self, path: &str, problem: impl ToString) {
        self.warnings.push(finding(path, &problem));
    }

    fn unread(&mut self, path: &str, problem: impl ToString) {
        self.unread.push(finding(path, &problem));
    }

    /// Checks one configuration that stands at `path`, and hands it on if it is right. Of a template nothing is said but
    /// that it is one.
    fn configuration(
        &mut self,
        path: &str,
        read: Result<Routing, Vec<seawall_config::Error>>,
        is_template: bool,
    ) -> Option<Routing> {
        self.configurations += 1;
        let at = |inner: &str| match (path, inner) {
            (outer, inner) if is_open(outer) => format!("{outer}{inner}"),
            (outer, "") => outer.to_owned(),
            (outer, inner) => format!("{outer}: {inner}"),
        };
        match read {
            Ok(routing) => {
                silence::check(self, &at, &routing);
                idle::check(self, &at, &routing);
                Some(routing)
            }
            Err(errors) if is_template => {
                self.configurations -= 1;
                if let Some(error) = errors.first() {
                    let problem = format!(
                        "is a template: check what is rendered from it (as it stands: {}: {})",
                        error.path(),
                        error.problem()
                    );
                    self.unread(path, problem);
                }
                None
            }
            Err(errors) => {
                for error in errors {
                    self.error(&at(error.path()), read::in_plain_words(error.problem()));
                }
                None
            }
        }
    }
}

fn finding(path: &str, problem: &dyn ToString) -> Finding {
    Finding {
        path: path.trim_end_matches(": ").to_owned(),
        problem: problem.to_string(),
    }
}

/// Checks a text.
///
/// # Errors
/// If it is neither YAML nor JSON.
pub fn check(text: &str) -> Result<Findings, Unreadable> {
    Ok(together(vec![(String::new(), parse(text)?)]))
}

/// Checks the documents of several files as if they stood in one. Paths begin with the names of the files.
pub fn together(files: Vec<(String, Vec<Value>)>) -> Findings {
    let mut findings = Findings::default();
    let opened = layers::open(&mut findings, files);
    for (at, policy) in &opened.policies {
        let read = seawall_config::check_value(policy);
        findings.configuration(at, read, read::is_template(policy));
    }
    for envoy in &opened.envoys {
        bootstrap::check(&mut findings, envoy);
    }
    manifests::check(&mut findings, &opened.manifests);
    if findings.configurations == 0 && findings.errors.is_empty() && findings.unread.is_empty() {
        let problem = "no configuration of Seawall: expected a policy file (\"policies\"), an Envoy with the filter (a \
                       bootstrap, a file of \"resources\", what its /config_dump says), Istio's WasmPlugin, \
                       TrafficExtension or EnvoyFilter, Envoy Gateway's EnvoyExtensionPolicy or EnvoyPatchPolicy with \
                       the filter, or a ConfigMap with one of these";
        findings.error("", problem);
    }
    findings
}

/// Whether a path is no place yet: nothing, or the name of a file alone.
fn is_open(path: &str) -> bool {
    path.is_empty() || path.ends_with(": ")
}

/// `a.b`, or one of them where the other is empty.
fn joined(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        (outer, inner) if is_open(outer) => format!("{outer}{inner}"),
        (outer, "") => outer.to_owned(),
        (outer, inner) => format!("{outer}.{inner}"),
    }
}

/// The items of a list; none of what is no list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text that stands here; nothing for what is no text.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// The JSON Schema of a policy file, made from the types that read it.
pub fn schema() -> String {
    let schema = schemars::schema_for!(seawall_config::raw::File);
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}

#[cfg(test)]
mod tests;
