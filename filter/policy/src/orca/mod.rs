//! An upstream's own word about its load: the report of ORCA (Open Request Cost Aggregation) in an answer's headers or
//! trailers.
//!
//! The forms are those that Envoy 1.40 reads (`source/common/orca/orca_parser.cc`) and gRPC sends: [`HEADER_BINARY`] with
//! the message `xds.data.orca.v3.OrcaLoadReport` in base64; else [`HEADER`] with `BIN ` and the same, `JSON ` and the
//! message as JSON, or `TEXT ` and a list of `name=value` (or `name:value`). What Envoy refuses is no report here either,
//! except what stands inside of maps in JSON and in the message, which is not looked at.
//!
//! A report is worth one number: what the application calls its utilisation, else that of its processor, as Envoy's load
//! balancers take it where no other names are configured. Named metrics must be well-formed and mean nothing more. Zero is
//! no report, since the message cannot tell it from a field that was left out.
//!
//! **Invariant:** the bytes are somebody else's: whatever they are, there is a number within [`POINTS_MAX`] or nothing.

mod message;

use serde_json::Value;

use crate::decimal;
use crate::json;
use crate::text as texts;

/// The header, or trailer, in one of three forms.
pub const HEADER: &str = "endpoint-load-metrics";
/// The header, or trailer, in base64; where it is there, the other one is not looked at.
pub const HEADER_BINARY: &str = "endpoint-load-metrics-bin";
/// The longest value that is read, in bytes.
pub const BYTES_MAX: usize = 4_096;
/// The most that is believed, in basis points: an application may call itself used more than wholly.
pub const POINTS_MAX: u32 = 100_000;

/// What a list may hold besides the two that count.
const OTHERS: [&str; 3] = ["mem_utilization", "rps_fractional", "eps"];
/// ... and metrics by names of the upstream's own.
const NAMED: [&str; 2] = ["named_metrics.", "utilization."];
/// What JSON may hold besides the two that count.
const OTHERS_JSON: [&str; 11] = [
    "mem_utilization",
    "memUtilization",
    "rps",
    "request_cost",
    "requestCost",
    "utilization",
    "rps_fractional",
    "rpsFractional",
    "eps",
    "named_metrics",
    "namedMetrics",
];

/// The utilisation that a report states, in basis points; nothing if there is no report, or none that can be read.
///
/// `binary` is the value of [`HEADER_BINARY`], `tagged` that of [`HEADER`].
pub fn utilisation(binary: Option<&[u8]>, tagged: Option<&[u8]>) -> Option<u32> {
    let value = binary.or(tagged)?;
    if value.len() > BYTES_MAX {
        return None;
    }
    let report = if binary.is_some() {
        message::report(value)
    } else if let Some(encoded) = value.strip_prefix(b"BIN ") {
        message::report(encoded)
    } else if let Some(list) = value.strip_prefix(b"TEXT ") {
        text(list)
    } else {
        json(value.strip_prefix(b"JSON ")?)
    };
    report?.utilisation()
}

/// The two numbers of a report that count, in basis points; 0 is "not said".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Report {
    application: u32,
    processor: u32,
}

impl Report {
    fn utilisation(self) -> Option<u32> {
        match (self.application, self.processor) {
            (0, 0) => None,
            (0, processor) => Some(processor),
            (application, _) => Some(application),
        }
    }

    /// The place of a metric that counts.
    fn place(&mut self, name: &[u8]) -> Option<&mut u32> {
        match name {
            b"application_utilization" => Some(&mut self.application),
            b"cpu_utilization" => Some(&mut self.processor),
            _ => None,
        }
    }
}

/// `cpu_utilization=0.3, named_metrics.queue=12`
fn text(list: &[u8]) -> Option<Report> {
    let mut report = Report::default();
    // As Envoy has it, nothing may be named twice; only what counts is remembered.
    let mut told = Report::default();
    for item in list.split(|byte| *byte == b',') {
        let item = texts::trimmed(item);
        if item.is_empty() {
            continue;
        }
        let end = item.iter().position(|byte| matches!(byte, b'=' | b':'))?;
        let (name, value) = item.split_at_checked(end)?;
        let points = points(decimal::billionths(texts::trimmed(value.get(1..)?))?);
        match report.place(name).zip(told.place(name)) {
            Some((_, told)) if *told > 0 => return None,
            Some((place, told)) => (*place, *told) = (points, 1),
            None if is_known(name) => {}
            None => return None,
        }
    }
    Some(report)
}

/// Whether it is one of the metrics that the list may hold besides those that count.
fn is_known(name: &[u8]) -> bool {
    let starts = |prefix: &&str| {
        let rest = name.strip_prefix(prefix.as_bytes());
        rest.is_some_and(|rest| !rest.is_empty())
    };
    OTHERS.iter().any(|known| known.as_bytes() == name) || NAMED.iter().any(starts)
}

/// `{"cpu_utilization": 0.3, "named_metrics": {"queue": 12}}`
fn json(object: &[u8]) -> Option<Report> {
    let Ok(Value::Object(fields)) = json::parse_last(object) else {
        return None;
    };
    let mut report = Report::default();
    for (name, value) in &fields {
        let name = match name.as_str() {
            "applicationUtilization" => "application_utilization",
            "cpuUtilization" => "cpu_utilization",
            name => name,
        };
        match (report.place(name.as_bytes()), value) {
            (None, _) if !OTHERS_JSON.contains(&name) => return None,
            (None, _) | (Some(_), Value::Null) => {}
            (Some(place), Value::String(text)) => {
                *place = points(decimal::billionths(text.as_bytes())?);
            }
            (Some(place), Value::Number(number)) => *place = points(json::billionths(number)?),
            (Some(_), _) => return None,
        }
    }
    Some(report)
}

/// Billionths as basis points, rounded to the nearest; what is above nothing is at least one.
fn points(billionths: u64) -> u32 {
    const POINT: u64 = decimal::ONE / 10_000;
    let rounded = billionths.saturating_add(POINT / 2) / POINT;
    rounded.clamp(u64::from(billionths > 0), u64::from(POINTS_MAX)) as u32
}

#[cfg(test)]
mod tests;
