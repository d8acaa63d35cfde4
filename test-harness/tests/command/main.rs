//! The program, run as users run it.
#![allow(missing_docs, reason = "tests")]

mod around;
mod bench;
mod check;
mod compare;
mod expectations;
mod host;
mod printing;
mod report;
mod tune;

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in a directory, with the filter that was built last.
fn seawall(place: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(arguments)
        .current_dir(place)
        .env(
            "SEAWALL_WASM",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm"),
        )
        .output()
        .expect("seawall runs")
}
