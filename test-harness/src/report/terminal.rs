//! A report for people: lanes side by side, then what the breaker did.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::Report;
use super::words::counted;
use crate::measure::{Counts, Figures};

/// The report as text.
pub fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut header = vec![String::new()];
    header.extend(report.lanes.iter().map(|lane| lane.lane.clone()));
    table.set_header(header);
    let mut row = |name: &str, of: &dyn Fn(&Figures) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(report.lanes.iter().map(of));
        table.add_row(cells);
    };
    row("good", &|lane| lane.answers.good.to_string());
    row("degraded", &|lane| lane.answers.degraded.to_string());
    row("refused by Seawall", &|lane| {
        lane.answers.refused.to_string()
    });
    row("failed", &|lane| lane.answers.failed.to_string());
    if report.lanes.iter().any(|lane| lane.answers.refused > 0) {
        row("refused while all was well", &|lane| {
            let refused = lane.answers.refused - lane.answers_in_fault.refused;
            refused.to_string()
        });
    }
    for (what, parts) in [("", by_priority as Parts), ("zone ", by_zone)] {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in report.lanes.iter().flat_map(parts) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for name in names {
            row(&format!("good, {what}{name}"), &|lane| {
                share(&parts(lane), name)
            });
        }
    }
    row("good p50 / p99 ms", &|lane| {
        let good = lane.good_latency;
        good.map_or_else(
            || "-".to_owned(),
            |good| format!("{:.1} / {:.1}", good.p50_ms, good.p99_ms),
        )
    });
    row("all p50 / p99 ms", &|lane| {
        format!("{:.1} / {:.1}", lane.p50_ms, lane.p99_ms)
    });
    row("reached the upstream", &|lane| {
        lane.reached_upstream.to_string()
    });
    row("reached it while sick", &|lane| {
        lane.reached_upstream_in_fault.to_string()
    });
    row("time to detect", &|lane| span(lane.time_to_detect_ms));
    row("time to recover", &|lane| match lane.recovered {
        true => span(lane.time_to_recover_ms),
        false => "not recovered".to_owned(),
    });
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = verdict(report);
    let _ = write!(
        text,
        "{} over {:.1} s, {}, route limit {} s, seed {}\n{table}\n",
        counted(report.requests as u64, "request"),
        report.length_ms as f64 / 1_000.0,
        counted(report.workers as u64, "worker"),
        report.route_timeout_ms as f64 / 1_000.0,
        report.seed
    );
    for lane in &report.lanes {
        for made in &lane.transitions {
            let _ = writeln!(
                text,
                "{:>10.3} s  {}",
                made.at_ms as f64 / 1_000.0,
                made.line
            );
        }
    }
    text.push_str(&changes(report));
    if !report.faults.is_empty() || report.recorded_outcomes && !report.outages.is_empty() {
        let _ = writeln!(text, "{}", spared(report.reached_while_sick()));
    }
    for assumption in &report.assumptions {
        let _ = writeln!(text, "assumed: {assumption}");
    }
    let _ = writeln!(text, "again: {}", report.reproduce);
    text
}

/// What was asked for and what became of it, line by line; nothing where nothing was asked for.
fn verdict(report: &Report) -> String {
    let mut text = String::new();
    for judged in &report.criteria {
        let word = if judged.met { "met   " } else { "MISSED" };
        let _ = writeln!(
            text,
            "{word}  {}: {} ({})",
            judged.criterion,
            judged.shown(),
            judged.lane
        );
    }
    text
}

/// What is better or worse than in the earlier report.
fn changes(report: &Report) -> String {
    let mut text = String::new();
    let deltas = report.comparison.iter().flat_map(|with| &with.figures);
    for delta in deltas.filter(|delta| delta.before != delta.now) {
        let shown = |value: Option<f64>| {
            value.map_or_else(|| "none".to_owned(), |value| delta.unit.shown(value))
        };
        let word = match delta.better {
            Some(true) => "better",
            Some(false) => "worse",
            None => "other",
        };
        let (before, now) = (shown(delta.before), shown(delta.now));
        let name = delta.figure.name();
        let _ = writeln!(
            text,
            "{word:<6}  {name}: {now}, was {before} ({})",
            delta.lane
        );
    }
    text
}

/// What the sick upstream was spared, or had to bear beyond what it would have had without the filter.
fn spared((without, with): (u64, u64)) -> String {
    match with.checked_sub(without) {
        None => format!(
            "the sick upstream was spared {}",
            counted(without - with, "request")
        ),
        Some(0) => "the sick upstream was spared no request".to_owned(),
        Some(more) => format!(
            "the sick upstream got {} more than without Seawall ({with} and not {without}): \
             the policy's retries and hedges are more than what was kept from it",
            counted(more, "request")
        ),
    }
}

/// A lane's answers in parts, each with its name.
type Parts = for<'a> fn(&'a Figures) -> Vec<(&'a str, Counts)>;

fn by_priority(lane: &Figures) -> Vec<(&str, Counts)> {
    let all = lane.answers_by_priority.iter();
    all.map(|of| (of.priority.as_str(), of.answers)).collect()
}

fn by_zone(lane: &Figures) -> Vec<(&str, Counts)> {
    let all = lane.answers_by_zone.iter();
    all.map(|of| (of.zone.as_str(), of.answers)).collect()
}

/// How many of a part's requests were good.
fn share(parts: &[(&str, Counts)], name: &str) -> String {
    let of = parts.iter().find(|(known, _)| *known == name);
    of.map_or_else(
        || "-".to_owned(),
        |(_, answers)| {
            let (good, all) = (answers.good, answers.all());
            format!("{good} ({:.1} %)", 100.0 * good as f64 / all as f64)
        },
    )
}

fn span(millis: Option<u64>) -> String {
    millis.map_or_else(
        || "-".to_owned(),
        |millis| format!("{:.1} s", millis as f64 / 1_000.0),
    )
}
