//! The demo: a profile page on three lanes of one Envoy, while its optional part gets sick.

use anyhow::bail;
use clap::Parser;
use seawall_live::demo;

/// A profile page on three lanes (bare Envoy, Envoy's own limits, Seawall) while an optional part gets sick.
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
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    // Whatever ends first: what the demo started belongs to it and is gone with it.
    let figures = tokio::select! {
        figures = demo::run(arguments.json) => figures?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("\n{}", demo::table(&figures));
    }
    Ok(())
}
