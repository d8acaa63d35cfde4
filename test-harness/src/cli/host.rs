//! `seawall host run`: any Proxy-Wasm filter between requests and an upstream that come from files.

mod around;
mod expectations;
mod outcome;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde::de::DeserializeOwned;

use crate::host::{Bytes, Host, Options, Request, Rule};
use crate::module::Module;
use crate::process::{FailurePolicy, ProcessOptions};
use around::Around;
use expectations::Expectations;
use outcome::Outcome;

use super::stdout::say;

/// So long after a trap a reload begins, in nanoseconds: Envoy's default.
const RELOAD: u64 = 1_000_000_000;

/// Runs any Proxy-Wasm filter.
#[derive(Debug, Subcommand)]
pub(super) enum HostCommand {
    Run(Run),
}

/// Runs a Proxy-Wasm HTTP filter as Envoy does, on a virtual clock: requests in; answers, logs, metrics and calls out.
#[derive(Debug, Args)]
#[command(after_help = r#"Files:
  --requests  [{"method": "POST", "path": "/a", "headers": [["x-name", "value"]], "body": "text", "at_ms": 0}, ...]
              All but the path may be left out. One after the other, but where at_ms says when. What is no text:
              "body_base64": "/w==", "headers_base64": [["x-name", "/w=="]], in rules of the upstream too.
              "expect": {"status": 401, "headers": {"x-a": "1", "x-b": {"absent": true}}, "body": {"regex": "^no"},
              "log": ["a whole line"], "metrics": {"refused": 1}, "upstream": false} says what it must lead to.
  --upstream  [{"path_prefix": "/a", "status": 503, "headers": [["retry-after", "1"]], "body": "", "delay_ms": 20}, ...]
              The first that fits; {"reset": true} breaks the connection. Without one: 200, text/plain.

Exit codes: 0 the listener was up and the requests went through, as expected; 1 the module or its configuration was
refused, or something did not come as expected; 2 bad usage, unreadable files.

Example:
  echo '[{"path": "/"}, {"path": "/", "headers": [["x-api-key", "k"]]}]' > requests.json
  seawall host run filter.wasm -c 'k alice' --requests requests.json --trace
  seawall host run filter.wasm --requests requests.json --cluster auth --property source.address=10.0.0.1:80 \
      --route-metadata '{"filter_metadata": {"my.filter": {"tier": "gold"}}}' --json"#)]
pub(super) struct Run {
    /// The module.
    module: PathBuf,
    /// The plugin's configuration.
    #[arg(short = 'c', value_name = "TEXT", conflicts_with = "config")]
    text: Option<String>,
    /// The plugin's configuration from a file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The VM's configuration.
    #[arg(long, value_name = "TEXT", default_value = "")]
    vm_config: String,
    /// The plugin's root id.
    #[arg(long, value_name = "ID", default_value = "")]
    root_id: String,
    /// The requests, as JSON; - is standard input.
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,
    /// How the upstream answers, as JSON.
    #[arg(long, value_name = "FILE")]
    upstream: Option<PathBuf>,
    /// Envoy's workers; requests go to them in turn.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// What a trap leads to.
    #[arg(long, value_name = "POLICY", value_enum, default_value = "closed")]
    failure_policy: Policy,
    /// Shared data refuses a swap against 0 on a key that exists, as some hosts other than Envoy do.
    #[arg(long)]
    strict_cas: bool,
    /// Time goes on until then, such as 2s: for ticks.
    #[arg(long, value_parser = at_most_a_day, value_name = "TIME")]
    until: Option<u64>,
    /// Seed of all chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    around: Around,
    /// Prints every call between host and guest, in the words of Envoy's wasm:trace.
    #[arg(long)]
    trace: bool,
    /// Writes each request with expectations as a test, in JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Prints everything as JSON.
    #[arg(long)]
    json: bool,
}

/// No run lasts longer: each tick on the way is run.
const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn at_most_a_day(text: &str) -> Result<u64, String> {
    let nanos = super::nanos(text)?;
    match nanos <= DAY_MS * 1_000_000 {
        true => Ok(nanos),
        false => Err("longer than a day (24h), and each tick on the way is run".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// 503 from then on.
    #[value(alias = "fail_closed", alias = "FAIL_CLOSED")]
    Closed,
    /// Requests pass by the filter from then on.
    #[value(alias = "fail_open", alias = "FAIL_OPEN")]
    Open,
    /// A new VM, a second later.
    #[value(alias = "fail_reload", alias = "FAIL_RELOAD")]
    Reload,
}

impl HostCommand {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let Self::Run(run) = self;
        run.run()
    }
}

impl Run {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let bytes = std::fs::read(&self.module);
        let bytes = bytes.with_context(|| self.module.display().to_string())?;
        let requests: Vec<Request> = from_json(&self.requests)?;
        for (number, request) in requests.iter().enumerate() {
            anyhow::ensure!(
                request.at_ms.is_none_or(|at| at <= DAY_MS),
                "{}: [{number}].at_ms: longer than a day ({DAY_MS}), and each tick on the way is run",
                self.requests.display()
            );
            let workers = usize::from(self.workers);
            anyhow::ensure!(
                request.worker.is_none_or(|worker| worker < workers),
                "{}: [{number}].worker: expected 0 to {}, since --workers is {workers}",
                self.requests.display(),
                workers - 1
            );
            let bytes = request.body_base64.as_ref();
            one_body(&self.requests, number, &request.body, bytes)?;
            if let Some(expect) = &request.expect {
                let checked = expect.check().map_err(anyhow::Error::msg);
                checked
                    .with_context(|| format!("{}: [{number}].expect", self.requests.display()))?;
            }
        }
        let options = self.options()?;
        let outcome = match Module::from_bytes(&bytes) {
            Ok(module) => self.outcome(&module, options, requests),
            Err(error) => Outcome::unreadable(&error),
        };
        if self.json {
            say!(
                "{}",
                serde_json::to_string_pretty(&outcome.json(self.trace))?
            );
        } else {
            outcome.print(self.trace);
        }
        if let Some(reason) = &outcome.refused {
            eprintln!("seawall: {}: {reason}", self.module.display());
        }
        if let Some(file) = &self.junit {
            let name = self.module.display().to_string();
            let refused = outcome.refused.as_deref();
            let text = outcome.expectations.junit(&name, self.seed, refused)?;
            super::outputs::store(file, &text)?;
        }
        let failed = outcome.refused.is_some() || !outcome.expectations.are_met();
        Ok(ExitCode::from(if failed { super::FAILED } else { 0 }))
    }

    fn options(&self) -> anyhow::Result<Options> {
        let configuration = match (&self.text, &self.config) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(file)) => {
                std::fs::read(file).with_context(|| file.display().to_string())?
            }
            (None, None) => Vec::new(),
        };
        let mut upstream = Vec::new();
        if let Some(file) = &self.upstream {
            upstream = from_json::<Vec<Rule>>(file)?;
            for (number, rule) in upstream.iter().enumerate() {
                one_body(file, number, &rule.body, rule.body_base64.as_ref())?;
            }
        }
        let mut options = Options {
            process: ProcessOptions {
                workers: usize::from(self.workers),
                vm_configuration: self.vm_config.clone().into_bytes(),
                configuration,
                seed: self.seed,
                failure_policy: match self.failure_policy {
                    Policy::Closed => FailurePolicy::Closed,
                    Policy::Open => FailurePolicy::Open,
                    Policy::Reload => FailurePolicy::Reload(RELOAD),
                },
                strict_cas: self.strict_cas,
                trace: self.trace,
                root_id: self.root_id.clone(),
                ..ProcessOptions::default()
            },
            upstream,
            ..Options::default()
        };
        self.around.tell(&mut options)?;
        Ok(options)
    }

    fn outcome(&self, module: &Module, options: Options, requests: Vec<Request>) -> Outcome {
        let mut host = match Host::started(module, options) {
            Ok(host) => host,
            Err(refusal) => return Outcome::refused(*refusal),
        };
        let (expectations, responses) = Expectations::run(&mut host, requests);
        if let Some(until) = self.until {
            host.pass(until.saturating_sub(host.elapsed()));
        }
        host.stop();
        Outcome::of(&mut host, responses, expectations)
    }
}

/// A body is text or bytes, and not both.
fn one_body(file: &Path, number: usize, text: &str, bytes: Option<&Bytes>) -> anyhow::Result<()> {
    anyhow::ensure!(
        text.is_empty() || bytes.is_none(),
        "{}: [{number}]: \"body\" and \"body_base64\": only one of them can be the body",
        file.display()
    );
    Ok(())
}

/// A file's JSON; what is wrong in it stands in the error, with its line.
fn from_json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let name = || file.display().to_string();
    let text = super::text(file).with_context(name)?;
    serde_json::from_str(&text).with_context(name)
}
