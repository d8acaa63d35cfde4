//! What is shown: a block that is redrawn on a terminal, a line a second elsewhere, and the table at the end.

use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use seawall_harness::stdout::{bytes, put};

use super::Figures;
use super::pages::Pages;
use crate::envoy::Envoy;

/// The live view.
pub(super) struct View {
    silent: bool,
    terminal: bool,
    drawn: bool,
}

impl View {
    /// Nothing is shown where JSON is wanted.
    pub(super) fn new(silent: bool) -> Self {
        Self {
            silent,
            terminal: std::io::stdout().is_terminal(),
            drawn: false,
        }
    }

    /// One second is over. What cannot be written ends the demo, and what it started ends with it.
    pub(super) async fn second(
        &mut self,
        envoy: &Envoy,
        phase: &str,
        load: &[Pages],
        now: Duration,
    ) -> std::io::Result<()> {
        if self.silent {
            return Ok(());
        }
        let since = now.saturating_sub(Duration::from_secs(1));
        let state = breaker(envoy).await;
        let lanes = load.iter().map(|pages| (pages.lane(), pages.counts(since)));
        if !self.terminal {
            let lanes: Vec<String> = lanes
                .map(|(lane, (good, degraded, failed))| {
                    format!("{lane} {good}/{degraded}/{failed}")
                })
                .collect();
            return put(format_args!(
                "{:>3} s  {phase}  breaker {state}  good/degraded/failed: {}",
                now.as_secs(),
                lanes.join("  ")
            ));
        }
        if self.drawn {
            // Up over the block, to draw it again.
            bytes(b"\x1b[5A")?;
        }
        self.drawn = true;
        put(format_args!(
            "\x1b[2K{:>3} s  \x1b[1m{phase}\x1b[0m",
            now.as_secs()
        ))?;
        put(format_args!("\x1b[2K       breaker: {state}"))?;
        for (lane, (good, degraded, failed)) in lanes {
            let bar = |count: usize, colour: u8| {
                format!("\x1b[{colour}m{}\x1b[0m", "#".repeat(count.min(40)))
            };
            let bars = [bar(good, 32), bar(degraded, 33), bar(failed, 31)].concat();
            put(format_args!(
                "\x1b[2K{lane:>8} {good:>3} good {degraded:>3} degraded {failed:>3} failed  {bars}"
            ))?;
        }
        Ok(())
    }
}

/// The state of the breaker before the recommendations.
async fn breaker(envoy: &Envoy) -> &'static str {
    match envoy
        .sum(&[
            "wasmcustom.seawall_state",
            "upstream=seawall-recommendations",
        ])
        .await
    {
        Ok(0) => "closed",
        Ok(1) => "half-open",
        Ok(2) => "open",
        Ok(_) | Err(_) => "?",
    }
}

/// The lanes side by side.
pub fn table(figures: &[Figures]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut header = vec!["page views".to_owned()];
    header.extend(figures.iter().map(|lane| lane.lane.to_owned()));
    table.set_header(header);
    let mut row = |name: &str, of: &dyn Fn(&Figures) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(figures.iter().map(of));
        table.add_row(cells);
    };
    row("good", &|lane| lane.good.to_string());
    row("degraded", &|lane| lane.degraded.to_string());
    row("failed", &|lane| lane.failed.to_string());
    row("p50 / p99", &|lane| {
        format!("{} / {} ms", lane.p50_ms, lane.p99_ms)
    });
    row("took over 0.5 s", &|lane| lane.slow.to_string());
    row("reached the sick upstream", &|lane| {
        lane.reached_while_sick.to_string()
    });
    row("time to recover", &|lane| {
        format!("{:.1} s", lane.time_to_recover_ms as f64 / 1_000.0)
    });
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
