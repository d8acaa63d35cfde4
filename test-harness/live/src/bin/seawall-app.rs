//! The app: makes a new request of its own for each that comes, and forgets all but `x-request-id`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use seawall_harness::stdout;
use seawall_live::app::App;

/// An app between two sidecars that copies nothing but x-request-id.
#[derive(Debug, Parser)]
#[command(after_help = "Example:
  seawall-app --listen 127.0.0.1:8080 --next 127.0.0.1:15001
  curl http://127.0.0.1:8080/   # the status that the next one gave; what it saw is printed when it ends")]
struct Arguments {
    /// Its name, in its answers.
    #[arg(long, default_value = "app")]
    name: String,
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where its own requests go: its sidecar's outbound listener.
    #[arg(long, value_name = "ADDRESS:PORT")]
    next: SocketAddr,
    /// How long it thinks before it asks, in milliseconds.
    #[arg(long, default_value_t = 0)]
    think_ms: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let app = App::start(&arguments.name, arguments.listen).await;
    let app = app.with_context(|| format!("listening on {}", arguments.listen))?;
    app.send_to(arguments.next);
    app.think(Duration::from_millis(arguments.think_ms));
    stdout::line(format_args!(
        "{} listens on {} and asks {}",
        arguments.name,
        app.address(),
        arguments.next
    ));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    stdout::line(format_args!("{}", serde_json::to_string(&app.counts())?));
    Ok(())
}
