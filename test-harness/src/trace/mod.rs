//! Traces: when requests came, how long the upstream worked on each, and what became of it.
//!
//! The format is Seawall's own ([`Writer`]). Logs become traces in three steps, none of which keeps more than a bounded piece
//! of the log: what is around the lines is taken off (`input`), a line says what it says (`format`, `fields`, `record`), and
//! requests, which are logged when they end, come into the order of their start (`reorder`). Where times are whole seconds,
//! requests are spread over theirs before (`spread`).

mod facts;
mod fields;
mod format;
mod generate;
mod grpc;
mod import;
mod input;
mod names;
mod outage;
mod own;
mod priority;
mod record;
mod reorder;
mod roles;
mod source;
mod spread;
mod summary;
mod time;

pub use facts::Facts;
pub use fields::Fields;
pub use format::Format;
pub use generate::{Like, Percentiles, Shape, Work, arrivals, generate, poisson, with_priorities};
pub use import::{Options, Sink, import};
pub use input::Input;
pub use outage::{Failures, Outage, outages};
pub use own::{VERSION, Writer};
pub use record::Left;
pub use source::{Adjust, HELD_MAX, Source, TraceFile};
pub use summary::Summary;

use std::io::{Read, Write};
use std::rc::Rc;

use seawall_policy::outcome::blame::{Class, ROWS, class_of};
use seawall_policy::priority::{Priority, Settings};
use serde::{Deserialize, Serialize};

/// The header in which a request says how important it is.
pub const PRIORITY: &str = Settings::HEADER;
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
    /// Its method; none is GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The status of its answer; none if the log says none, or there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Envoy's response flags, such as `UF,URX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// The upstream cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

impl Default for Request {
    /// The first, of which nothing more is known.
    fn default() -> Self {
        Self {
            at_us: 0,
            service_us: 0,
            path: root(),
            priority: None,
            method: None,
            status: None,
            flags: None,
            cluster: None,
        }
    }
}

impl Request {
    /// Its response flags as Envoy's bits.
    pub fn flag_bits(&self) -> u64 {
        let names = self.flags.iter().flat_map(|flags| flags.split([',', ' ']));
        let bits = names.filter_map(|name| ROWS.iter().find(|row| row.name == name));
        bits.fold(0, |all, row| all | row.bit)
    }

    /// Whether the log says that it failed: by a status of 500 or more, or, where there is no status, by a flag of a limit, a
    /// connection or a broken answer. What its client ended did not fail.
    pub fn failed(&self) -> bool {
        match (class_of(self.flag_bits()), self.status) {
            (Some(Class::Client), _) => false,
            (_, Some(status)) => status >= 500,
            (class, None) => matches!(class, Some(Class::Limit | Class::Connect | Class::Broken)),
        }
    }
}

impl From<&Request> for Rc<Request> {
    fn from(request: &Request) -> Self {
        Self::new(request.clone())
    }
}

fn root() -> String {
    "/".to_owned()
}

fn is_root(path: &str) -> bool {
    path == "/"
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The format cannot be told.
    #[error("{0}")]
    Format(String),
    /// A line does not fit the format.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// What was read cannot be written, and whoever writes knows why.
    #[error("it was read, and cannot be written")]
    Unwritten,
    /// Nothing is in it, and why.
    #[error("there is no request in it{0}")]
    Empty(String),
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

/// Reads a trace of this format; requests come in the order of their time. Bad lines are passed by, but in Seawall's own
/// format, where the first one ends it.
///
/// # Errors
/// If there is no request in it, or what it has is beyond the bounds.
pub fn read(format: Format, input: impl Read) -> Result<Vec<Request>, TraceError> {
    let options = Options {
        format: Some(format),
        ..Options::default()
    };
    collect(Input::of(input)?, &options).map(|(requests, _)| requests)
}

/// Reads all of a log, in the order of time, and says what was found in it.
///
/// # Errors
/// As [`mod@import`], and if what it has is beyond the bounds.
pub fn collect(input: Input<'_>, options: &Options) -> Result<(Vec<Request>, Summary), TraceError> {
    let mut requests = Vec::new();
    let summary = import(input, options, &mut |request| {
        requests.push(request);
        Ok(())
    })?;
    Ok((bounded(requests)?, summary))
}

/// Writes a trace in Seawall's own format.
///
/// # Errors
/// If the output cannot be written.
pub fn write(requests: &[Request], output: impl Write) -> std::io::Result<()> {
    let mut writer = Writer::new(output)?;
    for request in requests {
        writer.write(request)?;
    }
    writer.finish().map(drop)
}

/// A trace that a run can take: in the order of time, and within all bounds.
///
/// # Errors
/// With the first request that is not.
pub fn bounded(mut requests: Vec<Request>) -> Result<Vec<Request>, TraceError> {
    if requests.is_empty() {
        return Err(TraceError::Empty(String::new()));
    }
    if requests.len() > REQUESTS_MAX {
        return Err(TraceError::TooLong);
    }
    for (index, request) in requests.iter().enumerate() {
        reachable(index + 1, request)?;
    }
    requests.sort_by_key(|request| request.at_us);
    Ok(requests)
}

/// A request, counted from 1, that a run can reach.
///
/// # Errors
/// If it comes too late, or takes too long.
pub fn reachable(number: usize, request: &Request) -> Result<(), TraceError> {
    match request.at_us.max(request.service_us) > SPAN_MAX_US {
        true => Err(TraceError::TooFar { number }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod formats_tests;
#[cfg(test)]
mod remarks_tests;
#[cfg(test)]
mod tests;
