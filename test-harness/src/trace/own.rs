//! Seawall's own format: a line with the version, then one JSON object a request.
//!
//! Version 1 had no such line, and of a request its time, its work, its path and its priority alone. It is still read.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::Request;

/// The version that is written.
pub const VERSION: u32 = 2;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    seawall_trace: u32,
}

/// Whether a line looks like one of a trace.
pub(super) fn looks(line: &str) -> bool {
    line.starts_with('{') && (line.contains("\"seawall_trace\"") || line.contains("\"at_us\""))
}

/// A line: a request, or nothing if it is the header.
pub(super) fn parse(line: &str) -> Result<Option<Request>, String> {
    if line.contains("\"seawall_trace\"")
        && let Ok(Header { seawall_trace }) = serde_json::from_str(line)
    {
        return match seawall_trace {
            1..=VERSION => Ok(None),
            other => Err(format!(
                "this trace is of version {other}, and this program reads versions 1 to {VERSION}: use a newer one, or import the log again"
            )),
        };
    }
    let request: Request = serde_json::from_str(line).map_err(|error| error.to_string())?;
    match request.status {
        Some(status @ (0..100 | 1_000..)) => {
            Err(format!("the status is {status}: expected 100 to 999"))
        }
        _ => Ok(Some(request)),
    }
}

/// Writes a trace, request by request.
#[derive(Debug)]
pub struct Writer<W: Write> {
    output: W,
}

impl<W: Write> Writer<W> {
    /// Begins with the version.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn new(mut output: W) -> std::io::Result<Self> {
        let header = Header {
            seawall_trace: VERSION,
        };
        serde_json::to_writer(&mut output, &header)?;
        output.write_all(b"\n")?;
        Ok(Self { output })
    }

    /// One request.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn write(&mut self, request: &Request) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.output, request)?;
        self.output.write_all(b"\n")
    }

    /// The end: everything is written.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn finish(mut self) -> std::io::Result<W> {
        self.output.flush()?;
        Ok(self.output)
    }
}
