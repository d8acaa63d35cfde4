//! The demo: a profile page on three lanes of one Envoy, while its optional part gets sick.

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser;
use seawall_harness::stdout;
use seawall_live::demo;
use tokio::signal::unix::{SignalKind, signal};

/// A profile page on three lanes (bare Envoy, the best of Envoy itself, Seawall) while an optional part gets sick.
#[derive(Debug, Parser)]
#[command(
    after_help = "It takes 74 seconds and needs dist/seawall.wasm and .tools/envoy: make demo gets both.

Example:
  seawall-demo --json > figures.json"
)]
struct Arguments {
    /// Prints the figures as JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    // Listened to before anything starts: a shell's background job ignores interrupts until somebody does.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Whatever ends first: what the demo started belongs to it and is gone with it. A signal is the user's wish and no
    // error; the code is the one a shell gives for it.
    let figures = tokio::select! {
        figures = demo::run(arguments.json) => match figures {
            Ok(figures) => figures,
            Err(error) => match error.downcast::<std::io::Error>() {
                // All that was started is gone already.
                Ok(error) if error.kind() == ErrorKind::BrokenPipe => stdout::end(&error),
                Ok(error) => return Err(error.into()),
                Err(error) => return Err(error),
            },
        },
        _ = interrupt.recv() => return Ok(stopped(130)),
        _ = terminate.recv() => return Ok(stopped(143)),
    };
    if arguments.json {
        stdout::line(format_args!("{}", serde_json::to_string_pretty(&figures)?));
    } else {
        stdout::line(format_args!("\n{}", demo::table(&figures)));
    }
    Ok(ExitCode::SUCCESS)
}

fn stopped(code: u8) -> ExitCode {
    eprintln!("\nstopped; nothing was left running");
    ExitCode::from(code)
}
