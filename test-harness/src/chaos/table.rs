//! A suite as a table, and as JUnit's XML.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::healing::Healing;
use super::row::{Outcome, Row};
use super::suite::Suite;

/// The suite as a table.
pub fn table(suite: &Suite) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "experiment",
        "verdict",
        "MTTR",
        "closed, admitted (allowed)",
        "detected",
        "requests hit",
        "degraded : failed",
        "answered",
        "without it, or badly set",
        "Envoy's own",
    ]);
    for row in &suite.rows {
        let lane = &row.seawall;
        table.add_row([
            row.experiment.clone(),
            verdict(lane).to_owned(),
            seconds(lane.time_to_recover_ms),
            healed_in_short(&row.healing),
            seconds(lane.time_to_detect_ms),
            format!("{:.1} %", 100.0 * lane.blast_radius.requests),
            lane.degraded_to_failed
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1}")),
            format!("{:.1} %", lane.success_percent),
            controls(row).to_owned(),
            row.envoy.as_ref().map_or_else(|| "-".to_owned(), own_means),
        ]);
    }
    for column in [2, 3, 4, 5, 6, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{table}\n");
    for row in suite.rows.iter().filter(|row| !row.passed()) {
        for problem in problems(row) {
            let _ = writeln!(text, "{}: {problem}", row.experiment);
        }
        let _ = writeln!(text, "again: {}", row.reproduce);
    }
    for goal in &suite.goals {
        let _ = writeln!(text, "{}", goal.told());
    }
    let _ = writeln!(
        text,
        "with Envoy's own means {} of {} held",
        suite.passed_with_envoy, suite.experiments
    );
    text
}

fn own_means(envoy: &Outcome) -> String {
    let recovers = seconds(envoy.time_to_recover_ms);
    let word = if envoy.passed { "held" } else { "failed" };
    format!("{word}: {:.1} %, MTTR {recovers}", envoy.success_percent)
}

/// Whether the hypothesis held, in a word.
pub(super) fn verdict(lane: &Outcome) -> &'static str {
    if lane.passed { "passed" } else { "FAILED" }
}

/// Whether the controls failed as they should, in some words.
pub(super) fn controls(row: &Row) -> &'static str {
    match (row.controls.is_empty(), row.controls_held.is_empty()) {
        (true, _) => "-",
        (false, true) => "failed, as it should",
        (false, false) => "HELD",
    }
}

/// A time in seconds, where there is one.
pub(super) fn seconds(millis: Option<u64>) -> String {
    millis.map_or_else(
        || "-".to_owned(),
        |millis| format!("{:.1} s", millis as f64 / 1_000.0),
    )
}

/// What is wrong with a row, each in a line.
pub(super) fn problems(row: &Row) -> Vec<String> {
    let missed = row.seawall.missed.iter();
    let mut problems: Vec<String> = missed.map(|name| format!("missed: {name}")).collect();
    if !row.healing.met {
        problems.push(healed(&row.healing));
    }
    let held = row.controls_held.iter();
    problems
        .extend(held.map(|control| format!("its control did not fail as it should: {control}")));
    problems
}

/// When the last breaker was closed and when all were admitted, in seconds since the last fault, each with what is allowed.
fn healed_in_short(healing: &Healing) -> String {
    let part = |at: Option<u64>, allowed: u64| {
        let at = at.map_or_else(|| "never".to_owned(), tenths);
        format!("{at} ({})", tenths(allowed))
    };
    format!(
        "{}, {} s",
        part(healing.closed_ms, healing.closed_by_ms),
        part(healing.admitted_ms, healing.admitted_by_ms)
    )
}

/// Milliseconds in seconds, with one digit.
fn tenths(millis: u64) -> String {
    format!("{:.1}", millis as f64 / 1_000.0)
}

/// What was asked of the healing, and what became of it.
fn healed(healing: &Healing) -> String {
    let seconds = |millis: u64| millis as f64 / 1_000.0;
    let shown = |at: Option<u64>| {
        at.map_or_else(|| "never".to_owned(), |at| format!("{:.1} s", seconds(at)))
    };
    format!(
        "closed {} after the last fault ({:.1} s allowed), all admitted {} after it ({:.1} s allowed)",
        shown(healing.closed_ms),
        seconds(healing.closed_by_ms),
        shown(healing.admitted_ms),
        seconds(healing.admitted_by_ms)
    )
}

/// The suite as JUnit's XML: each experiment is a test.
///
/// # Errors
/// If it cannot be written.
pub fn junit(suite: &Suite) -> Result<String, quick_junit::SerializeError> {
    let cases = suite.rows.iter().map(|row| (row, problems(row)));
    xml(cases)
}

/// Experiments with what is wrong with each, as JUnit's XML.
pub(super) fn xml<'a>(
    rows: impl Iterator<Item = (&'a Row, Vec<String>)>,
) -> Result<String, quick_junit::SerializeError> {
    let mut tests = TestSuite::new("seawall chaos");
    for (row, problems) in rows {
        let status = if problems.is_empty() && row.passed() {
            TestCaseStatus::success()
        } else {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed
                .set_type("experiment")
                .set_message(problems.join("; "));
            failed
        };
        let mut case = TestCase::new(row.experiment.clone(), status);
        case.set_classname("seawall chaos")
            .set_system_out(format!("{}\n{}", row.title, row.reproduce));
        tests.add_test_case(case);
    }
    let mut all = quick_junit::Report::new("seawall chaos");
    all.add_test_suite(tests);
    all.to_string()
}
