//! Chaos experiments on real Envoys: what `seawall chaos run --on envoy` starts.

use std::process::ExitCode;

use seawall_harness::cli::chaos_on;
use seawall_live::chaos::Envoys;

fn main() -> ExitCode {
    chaos_on(Envoys::new)
}
