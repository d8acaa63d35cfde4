//! The same guest in this repository's host and in a real Envoy: the same calls in the same order, the same log, the same
//! answers, the same at the upstream.
//!
//! Pointers are masked: a guest's allocator gives what the sizes before it make it give, and what Envoy adds of its own (ports,
//! times) has not always the same size. Everything else is compared as it stands.
#![allow(missing_docs, reason = "tests")]

mod cases;
mod group;
mod guest;
mod real;

use std::path::Path;

use seawall_harness::host::{Bytes, Headers, Host, Options, Request, Response, Rule, Seen};
use seawall_harness::process::FailurePolicy;

use real::Run;

/// A guest, and what is done to it on both sides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) root_id: &'static str,
    pub(crate) vm_configuration: &'static str,
    pub(crate) configuration: &'static str,
    pub(crate) requests: Vec<Request>,
    pub(crate) upstream: Vec<Rule>,
    /// So many ticks, of main thread and worker together, come before the requests.
    pub(crate) ticks_before: usize,
    /// A line of the trace that comes so many times before the end.
    pub(crate) ends_with: Option<(&'static str, usize)>,
    /// Whether the guest traps: then its streams have no end.
    pub(crate) dies: bool,
    /// Whether the process ends in the end, as it was told to.
    pub(crate) ends: bool,
    /// How long a stream may stand still, in milliseconds.
    pub(crate) idle_ms: Option<u64>,
}

/// Runs a case on both sides and compares.
pub(crate) async fn check(case: Case, module: &[u8]) -> anyhow::Result<()> {
    let files = tempfile::tempdir()?;
    let file = files.path().join("guest.wasm");
    std::fs::write(&file, module)?;
    check_file(case, &file).await
}

/// The same for a module that is a file.
pub(crate) async fn check_file(case: Case, module: &Path) -> anyhow::Result<()> {
    let ours = ours(&case, module)?;
    let theirs = real::run(&case, module).await?;
    let mut differences = String::new();
    differences += &differs("main thread", &masked(&theirs.main), &masked(&ours.main));
    differences += &differs("worker", &masked(&theirs.worker), &masked(&ours.worker));
    differences += &differs("log", &theirs.log, &ours.log);
    let (theirs_answers, ours_answers) = (answers(&theirs.responses), answers(&ours.responses));
    differences += &differs("answers", &theirs_answers, &ours_answers);
    differences += &differs("upstream", &arrivals(&theirs.seen), &arrivals(&ours.seen));
    assert!(differences.is_empty(), "{differences}");
    Ok(())
}

fn ours(case: &Case, module: &Path) -> anyhow::Result<Run> {
    let mut options = Options::configured(case.configuration).traced();
    options.process.vm_configuration = case.vm_configuration.as_bytes().to_vec();
    options.process.failure_policy = FailurePolicy::Closed;
    case.root_id.clone_into(&mut options.process.root_id);
    options.upstream.clone_from(&case.upstream);
    if let Some(idle) = case.idle_ms {
        options.idle_timeout = idle * 1_000_000;
    }
    let mut host = Host::start(module, options)?;
    if case.ticks_before > 0 {
        host.pass(1_000_000_000);
    }
    let mut run = Run {
        responses: host.run(case.requests.clone()),
        ..Run::default()
    };
    if case.ends_with.is_some() {
        host.pass(1_000_000_000);
    }
    if case.ends {
        host.stop();
    }
    run.seen = host.take_seen();
    for line in host.take_trace() {
        match line.vm {
            0 => run.main.push(line.text),
            _ => run.worker.push(line.text),
        }
    }
    let log = host.take_log().into_iter();
    run.log = log
        .filter(|line| line.vm == 1 && !line.text.starts_with("the VM trapped"))
        .filter(|line| !line.text.starts_with("host: "))
        .map(|line| line.text)
        .collect();
    Ok(run)
}

/// What differs, with the lines around the first difference.
fn differs(what: &str, theirs: &[String], ours: &[String]) -> String {
    let pairs = theirs.iter().zip(ours);
    let same = pairs.take_while(|(theirs, ours)| theirs == ours).count();
    if same == theirs.len() && same == ours.len() {
        return String::new();
    }
    let part = |lines: &[String]| {
        let from = same.saturating_sub(6);
        let lines = lines.iter().skip(from).take(12);
        lines
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
    };
    format!(
        "{what} differs after {same} lines ({} in Envoy, {} here)\n  Envoy:\n{}  here:\n{}",
        theirs.len(),
        ours.len(),
        part(theirs),
        part(ours)
    )
}

/// Calls without their pointers: every number above the guests' own.
fn masked(lines: &[String]) -> Vec<String> {
    let mask = |line: &String| {
        let Some((call, parameters)) = line.split_once('(') else {
            let (call, gave) = line.rsplit_once(' ').unwrap_or((line, ""));
            return format!("{call} {}", number(gave));
        };
        let parameters: Vec<String> = parameters
            .trim_end_matches(')')
            .split(", ")
            .map(number)
            .collect();
        format!("{call}({})", parameters.join(", "))
    };
    lines.iter().map(mask).collect()
}

fn number(text: &str) -> String {
    match text.parse::<u64>() {
        Ok(2_000..0xffff_0000) => "*".to_owned(),
        _ => text.to_owned(),
    }
}

/// Headers, but those that hold what differs from run to run; that they are there is compared.
fn headers(headers: &Headers) -> Vec<String> {
    let own = ["date", "server", "connection"];
    let vary = ["x-request-id", "x-envoy-upstream-service-time"];
    let shown = headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()));
    shown
        .map(|(name, value)| match vary.contains(&name.as_str()) {
            true => format!("{name}: *"),
            false => format!("{name}: {value}"),
        })
        .collect()
}

/// A body as text, or what its bytes are.
fn shown(text: &str, bytes: Option<&Bytes>) -> String {
    bytes.map_or(text.to_owned(), |bytes| format!("{:?}", bytes.0))
}

fn answers(responses: &[Response]) -> Vec<String> {
    let show = |response: &Response| {
        let status = response.status;
        if response.reset {
            return format!("{status}, cut off");
        }
        let body = shown(&response.body, response.body_base64.as_ref());
        let (headers, trailers) = (headers(&response.headers), &response.trailers);
        format!("{status} {headers:?} {body:?} {trailers:?}")
    };
    responses.iter().map(show).collect()
}

fn arrivals(seen: &[Seen]) -> Vec<String> {
    let show = |seen: &Seen| {
        let headers = headers(&seen.headers);
        let Seen {
            method,
            path,
            trailers,
            ..
        } = seen;
        let body = shown(&seen.body, seen.body_base64.as_ref());
        format!("{method} {path} {headers:?} {body:?} {trailers:?}")
    };
    seen.iter().map(show).collect()
}
