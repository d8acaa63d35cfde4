//! The `seawall` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    seawall_harness::cli::run()
}
