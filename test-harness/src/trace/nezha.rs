//! Root spans of the Nezha dataset (<https://github.com/IntelligentDDS/Nezha>, MIT): arrival, operation and duration.

use std::io::Read;

use super::{Raw, TraceError, number, rows};

pub(super) fn read(input: impl Read) -> Result<Vec<Raw>, TraceError> {
    let columns = ["start_unix_ns", "operation", "duration_us"];
    rows(input, columns, |[at, operation, duration]| {
        Ok(Raw {
            at: number("start_unix_ns", at)?,
            service_us: number("duration_us", duration)?,
            path: format!("/{}", operation.trim_matches('/')),
        })
    })
}
