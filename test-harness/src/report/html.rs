//! A report as one page.

use super::Report;
use super::page::{Page, cut};

const REPLAY: Page = Page {
    title: "Seawall report",
    body: include_str!("../../assets/report/replay.html"),
    scripts: &[
        include_str!("../../assets/report/tables.js"),
        include_str!("../../assets/report/trade-off.js"),
        include_str!("../../assets/report/over-time.js"),
        include_str!("../../assets/report/charts.js"),
        include_str!("../../assets/report/main.js"),
    ],
};
/// Transitions of all lanes together that the page shows; report.json has more.
const TRANSITIONS_MAX: usize = 400;
/// Warnings, faults and outages that the page shows of each.
const LISTED_MAX: usize = 200;

/// The page.
///
/// # Errors
/// If the report cannot be written as JSON.
pub fn html(report: &Report) -> serde_json::Result<String> {
    REPLAY.with(&shortened(report))
}

/// What the page shows of a report that is too long for it.
fn shortened(report: &Report) -> Report {
    let mut report = report.clone();
    let each = TRANSITIONS_MAX / report.lanes.len().max(1);
    report.faults.truncate(LISTED_MAX);
    report.outages.truncate(LISTED_MAX);
    report.warnings.truncate(LISTED_MAX);
    report.warnings.iter_mut().for_each(cut);
    cut(&mut report.reproduce);
    for lane in &mut report.lanes {
        let left_out = lane.transitions.len().saturating_sub(each);
        lane.transitions.truncate(each);
        lane.transitions_left_out += left_out as u64;
        lane.transitions
            .iter_mut()
            .for_each(|made| cut(&mut made.line));
    }
    report
}
