//! What came out of a run, as text and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::expectations::Expectations;

use crate::abi::LogLine;
use crate::abi::trace::TraceLine;
use crate::host::{Host, Refusal, Response, Seen};
use crate::module::HostError;
use crate::stdout::say;

/// What came out.
#[derive(Default)]
pub(super) struct Outcome {
    /// Why the module did not start.
    pub(super) refused: Option<String>,
    responses: Vec<Response>,
    seen: Vec<Seen>,
    log: Vec<LogLine>,
    metrics: BTreeMap<String, u64>,
    pub(super) expectations: Expectations,
    trace: Vec<TraceLine>,
}

impl Outcome {
    /// What came out of a host.
    pub(super) fn of(
        host: &mut Host,
        responses: Vec<Response>,
        mut expectations: Expectations,
    ) -> Self {
        let mut seen = std::mem::take(&mut expectations.seen);
        let mut log = std::mem::take(&mut expectations.log);
        seen.extend(host.take_seen());
        log.extend(host.take_log());
        Self {
            refused: None,
            responses,
            seen,
            log,
            expectations,
            metrics: host.metrics(),
            trace: host.take_trace(),
        }
    }

    /// What is left of a module that did not start.
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self {
            refused: Some(refusal.error.to_string()),
            log: refusal.log,
            metrics: refusal.metrics,
            trace: refusal.trace,
            ..Self::default()
        }
    }

    /// What is left of what is no module.
    pub(super) fn unreadable(error: &HostError) -> Self {
        Self {
            refused: Some(error.to_string()),
            ..Self::default()
        }
    }

    /// As JSON, with the trace if that was asked for.
    pub(super) fn json(&self, trace: bool) -> Value {
        let log = self.log.iter();
        let log: Vec<Value> = log
            .map(|line| json!({"level": level(line.level), "message": line.text, "vm": line.vm, "at_ms": line.at / 1_000_000}))
            .collect();
        let mut all = json!({
            "listener_up": self.refused.is_none(),
            "responses": self.responses,
            "upstream_seen": self.seen,
            "log": log,
            "metrics": self.metrics,
        });
        if trace {
            let lines = self.trace.iter().map(|line| line.text.as_str());
            all["trace"] = lines.collect();
        }
        if let Some(expectations) = self.expectations.json() {
            all["expectations"] = expectations;
        }
        if let Some(reason) = &self.refused {
            all["reason"] = json!(reason);
        }
        all
    }

    /// As text.
    pub(super) fn print(&self, trace: bool) {
        if trace {
            for line in &self.trace {
                say!("vm {} {}", line.vm, line.text);
            }
        }
        for line in &self.log {
            say!("vm {} {}: {}", line.vm, level(line.level), line.text);
        }
        for (number, response) in self.responses.iter().enumerate() {
            let cut = if response.reset { ", cut off" } else { "" };
            say!(
                "request {number}: {}{cut}, {} ms",
                response.status,
                response.took_ms
            );
            for (name, value) in &response.headers {
                say!("  {name}: {value}");
            }
            for line in response.body.lines() {
                say!("  | {line}");
            }
        }
        for (name, value) in &self.metrics {
            say!("{name} = {value}");
        }
        self.expectations.print();
    }
}

/// A level's name.
fn level(level: u32) -> &'static str {
    match level {
        0 => "trace",
        1 => "debug",
        2 => "info",
        3 => "warn",
        4 => "error",
        _ => "critical",
    }
}
