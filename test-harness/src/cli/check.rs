//! `seawall check`: is this configuration right, and will it work where it stands?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::check::{self, Finding, Findings};

/// Checks policy files, whole Envoy bootstraps and Istio's WasmPlugins.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 valid, 1 not valid, 2 bad usage or unreadable.

Examples:
  seawall check examples/policies/start.yaml envoy/seawall.yaml
  kubectl get wasmplugin seawall -o yaml | seawall check -"
)]
pub(super) struct Check {
    /// Files; - is standard input.
    #[arg(required_unless_present = "schema")]
    files: Vec<PathBuf>,
    /// Prints the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Prints the JSON Schema of a policy file, for editors, and ends.
    #[arg(long)]
    schema: bool,
}

impl Check {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if self.schema {
            println!("{}", check::schema());
            return Ok(ExitCode::SUCCESS);
        }
        let mut valid = true;
        let mut all = Vec::new();
        for file in &self.files {
            let findings =
                check::check(&super::text(file)?).with_context(|| file.display().to_string())?;
            valid &= findings.errors.is_empty();
            if self.json {
                all.push(json!({"file": file, "findings": findings}));
            } else {
                print(file, &findings);
            }
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&all)?);
        }
        Ok(ExitCode::from(if valid { 0 } else { super::FAILED }))
    }
}

fn print(file: &Path, findings: &Findings) {
    let say = |kind: &str, finding: &Finding| match finding.path.as_str() {
        "" => println!("{}: {kind}: {}", file.display(), finding.problem),
        path => println!("{}: {kind}: {path}: {}", file.display(), finding.problem),
    };
    findings.errors.iter().for_each(|error| say("error", error));
    findings
        .warnings
        .iter()
        .for_each(|warning| say("warning", warning));
    if findings.errors.is_empty() {
        let count = findings.configurations;
        println!(
            "{}: valid, {count} configuration{}",
            file.display(),
            if count == 1 { "" } else { "s" }
        );
    }
}
