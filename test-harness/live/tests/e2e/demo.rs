//! The demo leaves nothing behind, however it ends.

use std::process::{Command, Stdio};

use crate::support::{beside_others, until};

/// The processes below this one.
fn below(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name in brackets: state, then the parent.
        let mut after = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let state = after.next().unwrap_or_default().to_owned();
        if after.next().and_then(|text| text.parse().ok()) == Some(parent) && state != "Z" {
            found.push(pid);
        }
    }
    found
}

/// A process's command line; empty when it is gone.
fn command(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

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
