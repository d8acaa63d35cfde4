//! `seawall bench`: what a request costs the filter, held against a stored baseline.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde_json::json;

use super::filter::Filter;
use super::stdout::say;
use super::{FAILED, progress};
use crate::bench::baseline::Baseline;
use crate::bench::cost::{Cost, Measured, Modules, REQUESTS};
use crate::bench::document;
use crate::bench::rows::{self, Row};

const HEADER: [&str; 6] = [
    "row",
    "fuel",
    "host calls",
    "that hand over bytes",
    "ticks' fuel",
    "time",
];

/// Counts what a request costs the filter in fuel and host calls, row by row, and says how long it takes in this host.
///
/// Fuel and host calls are the same wherever the same module runs, and are held against the baseline. Time is told as a
/// multiple of what the first row takes, whose filter does nothing, and held against nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  seawall bench
  seawall bench --row breaker --row 'retries, both positions'
  seawall bench --baseline test-harness/benches/baseline.json
  seawall bench --baseline test-harness/benches/baseline.json --update --docs docs/performance.md

Exit codes: 0 well, 1 other than the baseline, 2 bad usage or input.")]
pub(super) struct Bench {
    /// Only this row, by its name; may be given several times.
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// Lists the rows.
    #[arg(long)]
    list: bool,
    /// How often each row is measured, for its time: the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000), value_name = "COUNT")]
    rounds: u32,
    /// The stored costs that these are held against.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Stores these costs in the baseline instead.
    #[arg(long, requires = "baseline", conflicts_with = "rows")]
    update: bool,
    /// Writes the table into this document too, between its marks.
    #[arg(long, value_name = "FILE", conflicts_with = "rows")]
    docs: Option<PathBuf>,
    #[command(flatten)]
    filter: Filter,
    /// Prints the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// A row's cost, and the median of its times.
struct Figure {
    name: String,
    cost: Cost,
    time: Duration,
}

impl Bench {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let all = rows::rows()?;
        if self.list {
            for row in &all {
                say!("{}", row.name);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let figures = self.figures(&self.chosen(all)?)?;
        self.show(&figures)?;
        if let Some(file) = &self.docs {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let table = document::markdown(&HEADER, &cells(&figures));
            let text = document::replaced(&text, "make bench", &table);
            let text = text.map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))?;
            std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        self.held(&figures)
    }

    fn chosen(&self, all: Vec<Row>) -> anyhow::Result<Vec<Row>> {
        for name in &self.rows {
            ensure!(
                all.iter().any(|row| row.name == *name),
                "there is no row \"{name}\": see --list"
            );
        }
        // The first one is what times are multiples of.
        let named = |row: &Row| self.rows.is_empty() || self.rows.contains(&row.name);
        let chosen = all.into_iter().enumerate();
        let chosen = chosen.filter(|(at, row)| *at == 0 || named(row));
        Ok(chosen.map(|(_, row)| row).collect())
    }

    fn figures(&self, rows: &[Row]) -> anyhow::Result<Vec<Figure>> {
        let modules = Modules::new(self.filter.module()?)?;
        let bar = progress::rows(rows.len() as u64 * u64::from(self.rounds));
        let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); rows.len()];
        for _ in 0..self.rounds {
            for (row, of_row) in rows.iter().zip(&mut measured) {
                of_row.push(modules.measure(row)?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let mut figures = Vec::new();
        for (row, mut of_row) in rows.iter().zip(measured) {
            ensure!(
                of_row.iter().all(|one| one.cost == of_row[0].cost),
                "row \"{}\" costs something else each time",
                row.name
            );
            of_row.sort_by_key(|one| one.time);
            let middle = of_row.swap_remove(of_row.len() / 2);
            figures.push(Figure {
                name: row.name.clone(),
                cost: middle.cost,
                time: middle.time,
            });
        }
        Ok(figures)
    }

    fn show(&self, figures: &[Figure]) -> anyhow::Result<()> {
        if self.json {
            let each = figures.iter().map(|figure| {
                json!({
                    "row": figure.name, "requests": REQUESTS, "cost": figure.cost,
                    "time_us": figure.time.as_secs_f64() * 1e6 / REQUESTS as f64
                })
            });
            say!(
                "{}",
                serde_json::to_string_pretty(&each.collect::<Vec<_>>())?
            );
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(HEADER);
        for row in cells(figures) {
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        say!("{table}");
        say!("a request; time as a multiple of \"{}\"", figures[0].name);
        Ok(())
    }

    /// Against the baseline, or into it.
    fn held(&self, figures: &[Figure]) -> anyhow::Result<ExitCode> {
        let Some(file) = &self.baseline else {
            return Ok(ExitCode::SUCCESS);
        };
        let named = || format!("the baseline {}", file.display());
        let rows = figures.iter();
        let rows = rows.map(|figure| (figure.name.clone(), figure.cost.clone()));
        let now: BTreeMap<String, Cost> = rows.collect();
        if self.update {
            Baseline::new(now).write(file).with_context(named)?;
            eprintln!("stored: {}", file.display());
            return Ok(ExitCode::SUCCESS);
        }
        let stored = Baseline::read(file).with_context(named)?;
        let changes = stored.changes(&now, self.rows.is_empty());
        if changes.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("other than the baseline {}:", file.display());
        for change in &changes {
            eprintln!("  {change}");
        }
        eprintln!("if that is meant: make bench UPDATE=1 stores it");
        Ok(ExitCode::from(FAILED))
    }
}

/// The table's cells.
fn cells(figures: &[Figure]) -> Vec<Vec<String>> {
    let least = figures
        .first()
        .map_or(1.0, |first| first.time.as_secs_f64());
    let cells = |figure: &Figure| {
        let cost = &figure.cost;
        vec![
            figure.name.clone(),
            cost.fuel_each().to_string(),
            format!("{:.2}", cost.calls_each()),
            format!("{:.2}", cost.byte_calls_each()),
            (cost.tick_fuel / REQUESTS).to_string(),
            format!("{:.1}", figure.time.as_secs_f64() / least),
        ]
    };
    figures.iter().map(cells).collect()
}
