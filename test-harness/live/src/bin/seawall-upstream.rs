//! The upstream program: one or more upstreams whose sickness is set over an admin path while they run.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use seawall_harness::stdout;
use seawall_live::upstream::{self, Upstream};

/// Upstreams that can be made sick while they run.
#[derive(Debug, Parser)]
#[command(after_help = "Example:
  seawall-upstream --listen users=127.0.0.1:8081 --listen orders=127.0.0.1:8082 --admin 127.0.0.1:8090
  curl -d '{\"error_rate\": 0.5}' http://127.0.0.1:8090/users   # half of the answers are 503
  curl -d '{\"refuse\": true}' http://127.0.0.1:8090/users      # down
  curl http://127.0.0.1:8090/users                            # knobs and counts")]
struct Arguments {
    /// An upstream and where it listens, as NAME=ADDRESS:PORT; may be given several times.
    #[arg(long, required = true, value_name = "NAME=ADDRESS:PORT", value_parser = named)]
    listen: Vec<(String, SocketAddr)>,
    /// Where knobs are set and counts are read.
    #[arg(long, default_value = "127.0.0.1:8090")]
    admin: SocketAddr,
}

fn named(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("write NAME=ADDRESS:PORT")?;
    let address = address
        .parse()
        .map_err(|error| format!("{address}: {error}"))?;
    Ok((name.to_owned(), address))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut upstreams = Vec::new();
    for (name, address) in arguments.listen {
        let upstream = Upstream::start(&name, address).await;
        let upstream = upstream.with_context(|| format!("listening on {address} for {name}"))?;
        stdout::line(format_args!("{name} listens on {}", upstream.address()));
        upstreams.push(upstream);
    }
    let admin = upstream::admin(arguments.admin, &upstreams).await;
    let admin = admin.with_context(|| format!("listening on {} for admin", arguments.admin))?;
    stdout::line(format_args!("knobs and counts are on {admin}"));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
