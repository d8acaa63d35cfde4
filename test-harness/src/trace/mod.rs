//! Traces: when requests came, and how long the upstream worked on each.
//!
//! The format is one JSON object a line. Readers make it from other formats: see [`read`].

mod azure;
mod envoy;
mod generate;
mod nezha;
mod priority;

pub use generate::{poisson, with_priorities};

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use seawall_policy::priority::Priority;
use serde::{Deserialize, Serialize};

/// No trace may have more requests.
pub const REQUESTS_MAX: usize = 10_000_000;
/// No request may come later after the first, or take longer, in microseconds: a year, as for every length of time.
pub const SPAN_MAX_US: u64 = 365 * 24 * 3_600 * 1_000_000;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// When it came, in microseconds since the first one.
    pub at_us: u64,
    /// How long the upstream worked on it, in microseconds.
    pub service_us: u64,
    /// Its path.
    #[serde(default = "root", skip_serializing_if = "is_root")]
    pub path: String,
    /// How important it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "priority")]
    pub priority: Option<Priority>,
}

fn root() -> String {
    "/".to_owned()
}

fn is_root(path: &str) -> bool {
    path == "/"
}

/// A format that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Seawall's own: one JSON object a line.
    Jsonl,
    /// CSV of Azure's LLM inference traces: TIMESTAMP,ContextTokens,GeneratedTokens; 1 ms of work a generated token.
    Azure,
    /// CSV of Nezha's root spans: start_unix_ns,operation,duration_us,pod.
    Nezha,
    /// Envoy's JSON access log with start_time, duration (ms) and path.
    EnvoyJson,
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A line does not fit the format.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Nothing is in it.
    #[error("there is no request in it")]
    Empty,
    /// Too much is in it.
    #[error("more than {REQUESTS_MAX} requests")]
    TooLong,
    /// A time that no run could reach.
    #[error(
        "request {number} comes or takes more than a year: at_us and service_us are at most {SPAN_MAX_US}"
    )]
    TooFar {
        /// Counted from 1.
        number: usize,
    },
}

impl TraceError {
    fn line(line: usize, problem: impl std::fmt::Display) -> Self {
        Self::Line {
            line,
            problem: problem.to_string(),
        }
    }
}

/// A request with its time since 1970 in nanoseconds, as the readers give it.
struct Raw {
    at: i128,
    service_us: u64,
    path: String,
}

/// Reads a trace; requests come in the order of their time, the first at 0.
///
/// # Errors
/// With the line that does not fit, and what would.
pub fn read(format: Format, input: impl Read) -> Result<Vec<Request>, TraceError> {
    let raw = match format {
        Format::Jsonl => return own(input),
        Format::Azure => azure::read(input)?,
        Format::Nezha => nezha::read(input)?,
        Format::EnvoyJson => envoy::read(input)?,
    };
    let first = raw
        .iter()
        .map(|request| request.at)
        .min()
        .ok_or(TraceError::Empty)?;
    let request = |raw: Raw| Request {
        at_us: u64::try_from((raw.at - first) / 1_000).unwrap_or(u64::MAX),
        service_us: raw.service_us,
        path: raw.path,
        priority: None,
    };
    bounded(raw.into_iter().map(request).collect())
}

/// Reads a trace from a file.
///
/// # Errors
/// As [`read`].
pub fn read_file(format: Format, path: &Path) -> Result<Vec<Request>, TraceError> {
    read(format, std::fs::File::open(path)?)
}

/// Writes a trace in Seawall's own format.
///
/// # Errors
/// If the output cannot be written.
pub fn write(requests: &[Request], mut output: impl Write) -> std::io::Result<()> {
    for request in requests {
        serde_json::to_writer(&mut output, request)?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

fn own(input: impl Read) -> Result<Vec<Request>, TraceError> {
    let mut requests = Vec::new();
    for (index, line) in BufReader::new(input).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let request =
            serde_json::from_str(&line).map_err(|error| TraceError::line(index + 1, error))?;
        requests.push(request);
    }
    bounded(requests)
}

/// A trace that a run can take: in the order of time, and within all bounds.
///
/// # Errors
/// With the first request that is not.
pub fn bounded(mut requests: Vec<Request>) -> Result<Vec<Request>, TraceError> {
    if requests.is_empty() {
        return Err(TraceError::Empty);
    }
    if requests.len() > REQUESTS_MAX {
        return Err(TraceError::TooLong);
    }
    let beyond = |request: &Request| request.at_us.max(request.service_us) > SPAN_MAX_US;
    if let Some(index) = requests.iter().position(beyond) {
        return Err(TraceError::TooFar { number: index + 1 });
    }
    requests.sort_by_key(|request| request.at_us);
    Ok(requests)
}

/// A time as logs write it, with a zone or without one (then UTC), in nanoseconds since 1970.
fn nanos(text: &str) -> Option<i128> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_nanosecond());
    }
    let at = text
        .parse::<DateTime>()
        .ok()?
        .to_zoned(TimeZone::UTC)
        .ok()?;
    Some(at.timestamp().as_nanosecond())
}

/// Rows of a CSV whose header names these columns.
fn rows<const N: usize>(
    input: impl Read,
    columns: [&str; N],
    mut row: impl FnMut([&str; N]) -> Result<Raw, String>,
) -> Result<Vec<Raw>, TraceError> {
    let mut reader = csv::Reader::from_reader(input);
    let header = reader
        .headers()
        .map_err(|error| TraceError::line(1, error))?
        .clone();
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(columns) {
        let found = header.iter().position(|column| column.trim() == name);
        *place = found.ok_or_else(|| {
            let problem = format!(
                "there is no column \"{name}\": expected {}",
                columns.join(",")
            );
            TraceError::line(1, problem)
        })?;
    }
    let mut requests = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let line = index + 2;
        let record = record.map_err(|error| TraceError::line(line, error))?;
        let values = places.map(|place| record.get(place).unwrap_or_default());
        requests.push(row(values).map_err(|problem| TraceError::line(line, problem))?);
    }
    Ok(requests)
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    let problem = || format!("{name} is \"{text}\": expected a whole number");
    text.trim().parse().map_err(|_| problem())
}

#[cfg(test)]
mod tests;
