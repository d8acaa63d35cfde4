//! The demo leaves nothing behind, however it ends.

use std::process::{Command, Stdio};

use crate::support::processes::{below, command};
use crate::support::{beside_others, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_the_demo_ends_its_envoy() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    for signal in ["INT", "TERM", "KILL"] {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_seawall-demo"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut envoy = Vec::new();
        until("an Envoy", async || {
            envoy = below(demo.id());
            envoy.first().is_some_and(|pid| {
                command(*pid).contains("--use-dynamic-base-id")
                    && !command(*pid).contains("setpriv")
            })
        })
        .await?;
        Command::new("kill")
            .args(["-s", signal, &demo.id().to_string()])
            .status()?;
        until("the demo's end", async || {
            demo.try_wait().is_ok_and(|status| status.is_some())
        })
        .await?;
        until("Envoy's end", async || {
            envoy.iter().all(|pid| command(*pid).is_empty())
        })
        .await?;
    }
    Ok(())
}
