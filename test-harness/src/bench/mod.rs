//! What a request costs the filter, in this host: fuel and host calls, which are the same wherever the same module runs, and
//! time, which is not.
//!
//! Policies and rows are files of the repository, under `test-harness/benches/`. Each row is a process of its own: it is
//! warmed, brought into the state that the row names, and then so many requests are counted. What they cost is held against
//! a stored baseline ([`baseline`]).

pub mod baseline;
pub mod cost;
pub mod document;
mod exchange;
pub mod rows;

use crate::module::HostError;

/// The filter that does nothing, as WebAssembly's text.
const NOTHING: &str = include_str!("../../benches/nothing.wat");

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file under `test-harness/benches/` cannot be read.
    #[error("{file}: {why}")]
    Table {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// A module does not load, or refuses its configuration.
    #[error("row \"{row}\": {why}")]
    Host {
        /// The row.
        row: String,
        /// Why.
        why: HostError,
    },
    /// The requests of a row did not meet what the row is about.
    #[error("row \"{row}\" measured something else than it says: {why}")]
    Void {
        /// The row.
        row: String,
        /// What happened.
        why: String,
    },
}

/// The filter that does nothing, as a module's bytes.
///
/// # Errors
/// If `nothing.wat` is none.
pub fn nothing() -> Result<Vec<u8>, BenchError> {
    wat::parse_str(NOTHING).map_err(|error| BenchError::Table {
        file: "nothing.wat".to_owned(),
        why: error.to_string(),
    })
}
