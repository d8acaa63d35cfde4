//! The figures as tables: for people at a terminal, and for docs/performance.md.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use seawall_harness::bench::document::markdown;

use super::Run;
use super::figures::{Figures, Spread};

const HEADER: [&str; 7] = [
    "row",
    "CPU, us a request",
    "added, us",
    "quartiles",
    "of Lua's",
    "requests a second",
    "p50 / p99 at half load, ms",
];

/// For a terminal.
pub fn table(run: &Run) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(HEADER);
    for figures in &run.rows {
        table.add_row(cells(figures));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n{}", about(run))
}

/// For the document.
pub fn document(run: &Run) -> String {
    let rows: Vec<_> = run.rows.iter().map(cells).collect();
    format!("{}\n{}", markdown(&HEADER, &rows), about(run))
}

fn about(run: &Run) -> String {
    let Run {
        envoy,
        rounds,
        slice_seconds,
        starts,
        in_flight,
        seed,
        others,
        ..
    } = run;
    let half = match run.half_load_per_second {
        0.0 => String::new(),
        rate => format!(" Half load is {rate:.0} requests a second."),
    };
    format!(
        "Envoy {envoy}, {rounds} rounds of {slice_seconds} s for each row in {starts} starts, {in_flight} requests in flight, order by seed {seed}. Other programs took {others:.2} processors meanwhile.{half}"
    )
}

fn cells(figures: &Figures) -> Vec<String> {
    let none = || "-".to_owned();
    let added = figures.added_us;
    vec![
        figures.row.clone(),
        format!("{:.1}", figures.cpu_us.median),
        added.map_or_else(none, |added| format!("{:.1}", added.median)),
        added.map_or_else(none, |Spread { low, high, .. }| {
            format!("{low:.1} to {high:.1}")
        }),
        figures
            .to_lua
            .map_or_else(none, |ratio| format!("{ratio:.2}")),
        format!("{:.0}", figures.per_second),
        figures
            .half_load_ms
            .map_or_else(none, |(p50, p99)| format!("{p50:.2} / {p99:.2}")),
    ]
}
