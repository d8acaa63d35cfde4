//! A suite as one page: its goals first, then experiment by experiment, then the trend over earlier runs.

use serde::Serialize;

use super::suite::Suite;
use super::summary::Summary;
use crate::report::page::{Page, cut};

/// Runs of the trend that the page shows, this one included; the history has more.
const RUNS_MAX: usize = 200;

const SUITE: Page = Page {
    title: "Seawall chaos suite",
    body: include_str!("../../assets/report/suite.html"),
    scripts: &[
        include_str!("../../assets/report/suite.js"),
        include_str!("../../assets/report/trend.js"),
        include_str!("../../assets/report/charts.js"),
        include_str!("../../assets/report/suite-main.js"),
    ],
};

/// What the page is made of.
#[derive(Serialize)]
struct Shown<'a> {
    /// The command that gives the same again.
    reproduce: String,
    /// Whether the page of each experiment stands beside this one.
    pages: bool,
    suite: &'a Suite,
    now: &'a Summary,
    /// Whether there is a history.
    history: bool,
    /// Runs of before, the earliest first.
    earlier: &'a [Summary],
    /// Runs before these.
    earlier_left_out: usize,
}

/// The page of a suite. `earlier` are the runs of its history, where it has one. `beside` says that the page of each experiment
/// stands beside this one.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn page(
    suite: &Suite,
    now: &Summary,
    earlier: Option<&[Summary]>,
    reproduce: &str,
    beside: bool,
) -> serde_json::Result<String> {
    let runs = earlier.unwrap_or_default();
    let left_out = (runs.len() + 1).saturating_sub(RUNS_MAX);
    let mut reproduce = reproduce.to_owned();
    cut(&mut reproduce);
    SUITE.with(&Shown {
        reproduce,
        pages: beside,
        suite,
        now,
        history: earlier.is_some(),
        earlier: runs.get(left_out..).unwrap_or_default(),
        earlier_left_out: left_out,
    })
}
