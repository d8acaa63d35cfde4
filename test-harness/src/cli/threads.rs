//! On how many threads a command plays: the outcome is the same on any number.

use clap::Args;

use crate::parallel::cores;

/// On how many threads it plays.
#[derive(Debug, Args)]
pub(super) struct Threads {
    /// Threads that play; they change nothing but the time that it takes. [default: one for each core]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

impl Threads {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.threads.map_or_else(cores, usize::from)
    }
}
