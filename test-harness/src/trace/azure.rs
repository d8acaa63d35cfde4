//! Azure's LLM inference traces (<https://github.com/Azure/AzurePublicDataset>, CC-BY-4.0): arrival and sizes.
//!
//! The trace has no duration. The work is taken as 1 ms for each generated token, a fast model's pace.

use std::io::Read;

use super::{Raw, TraceError, nanos, number, rows};

const MICROS_PER_TOKEN: u64 = 1_000;

pub(super) fn read(input: impl Read) -> Result<Vec<Raw>, TraceError> {
    rows(input, ["TIMESTAMP", "GeneratedTokens"], |[at, tokens]| {
        let tokens: u64 = number("GeneratedTokens", tokens)?;
        Ok(Raw {
            at: nanos(at).ok_or_else(|| {
                format!("TIMESTAMP is \"{at}\": expected a time such as 2023-11-16 18:15:46.68")
            })?,
            service_us: tokens.saturating_mul(MICROS_PER_TOKEN),
            path: "/".to_owned(),
        })
    })
}
