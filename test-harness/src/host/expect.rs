//! What a request of a file is expected to lead to: the answer, log lines, metrics, what the upstream got.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is expected of one request. What is left out is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The status; 0 if the stream is cut off before there is one.
    pub status: Option<u32>,
    /// Whether the stream is cut off.
    pub reset: Option<bool>,
    /// Headers of the answer.
    pub headers: BTreeMap<String, Wanted>,
    /// The answer's body.
    pub body: Option<Wanted>,
    /// Lines of the log.
    pub log: Vec<Wanted>,
    /// Values of metrics once the request is over.
    pub metrics: BTreeMap<String, u64>,
    /// What the upstream got.
    pub upstream: Option<AtUpstream>,
}

/// A text: exactly this one, or one that a rule finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// This text.
    Exact(String),
    /// What a rule says.
    Rule(WantedRule),
}

/// A rule on a text. With neither `exact` nor `regex` it is any text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WantedRule {
    /// This text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// A regular expression that is found in it, as JSON Schema has them (ECMA 262).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Whether there must be none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// What the upstream got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AtUpstream {
    /// Something (`true`), or nothing (`false`).
    Came(bool),
    /// A request like this.
    Request(Box<UpstreamRequest>),
}

/// A request as the upstream should get it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamRequest {
    /// The method.
    pub method: Option<Wanted>,
    /// The path, with the query.
    pub path: Option<Wanted>,
    /// Headers.
    pub headers: BTreeMap<String, Wanted>,
    /// The body.
    pub body: Option<Wanted>,
}

impl Wanted {
    pub(super) fn rule(&self) -> WantedRule {
        match self {
            Self::Exact(text) => WantedRule {
                exact: Some(text.clone()),
                ..WantedRule::default()
            },
            Self::Rule(rule) => rule.clone(),
        }
    }
}

/// A regular expression. The crate of JSON Schema is here already, and brings the rules of ECMA 262.
pub(super) fn finds(regex: &str) -> Result<jsonschema::Validator, String> {
    let schema = json!({"type": "string", "pattern": regex});
    jsonschema::validator_for(&schema).map_err(|error| error.to_string())
}

impl Expect {
    /// Whether it can be looked for at all.
    ///
    /// # Errors
    /// If a regular expression is none.
    pub fn check(&self) -> Result<(), String> {
        let upstream = match &self.upstream {
            Some(AtUpstream::Request(request)) => Some(request),
            _ => None,
        };
        let headers = upstream
            .into_iter()
            .flat_map(|request| request.headers.values());
        let texts = upstream
            .into_iter()
            .flat_map(|request| [&request.method, &request.path, &request.body])
            .flatten();
        let own = self.headers.values().chain(&self.body).chain(&self.log);
        for wanted in own.chain(headers).chain(texts) {
            if let Some(regex) = wanted.rule().regex {
                finds(&regex).map_err(|error| format!("\"regex\": \"{regex}\": {error}"))?;
            }
        }
        Ok(())
    }
}
