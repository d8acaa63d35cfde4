//! A report as one page: a file that needs no network and no other file.
//!
//! The page's script draws everything from the report as JSON, which stands in the page. Whatever a trace, a policy or a path
//! has for a name is text there: in the JSON nothing can end the element it stands in, and the script makes text of it alone.

use super::Report;

const PAGE: &str = include_str!("../../assets/report/page.html");
/// What takes the place of what; none of them has a place of its own in it but the page.
const PARTS: [(&str, &[&str]); 4] = [
    (
        "{{uplot.css}}",
        &[include_str!("../../assets/uplot/uPlot.min.css")],
    ),
    (
        "{{page.css}}",
        &[include_str!("../../assets/report/page.css")],
    ),
    (
        "{{uplot.js}}",
        &[include_str!("../../assets/uplot/uPlot.iife.min.js")],
    ),
    (
        "{{page.js}}",
        &[
            include_str!("../../assets/report/dom.js"),
            include_str!("../../assets/report/tables.js"),
            include_str!("../../assets/report/trade-off.js"),
            include_str!("../../assets/report/charts.js"),
            include_str!("../../assets/report/main.js"),
        ],
    ),
];
const DATA: &str = "{{report.json}}";
/// Transitions of all lanes together that the page shows; report.json has more.
const TRANSITIONS_MAX: usize = 400;
/// Warnings, faults and outages that the page shows of each.
const LISTED_MAX: usize = 200;
/// Longer texts are cut, in characters.
const TEXT_MAX: usize = 2_000;

/// The page.
///
/// # Errors
/// If the report cannot be written as JSON.
pub fn html(report: &Report) -> serde_json::Result<String> {
    let json = embedded(&serde_json::to_string(&shortened(report))?);
    let (before, after) = PAGE.split_once(DATA).unwrap_or((PAGE, ""));
    // What stands in the report is never looked at for parts.
    Ok([&filled(before), json.as_str(), &filled(after)].concat())
}

fn filled(page: &str) -> String {
    PARTS.iter().fold(page.to_owned(), |page, (name, parts)| {
        page.replace(name, &parts.join("\n"))
    })
}

/// JSON that cannot end the element it stands in, nor begin another one.
fn embedded(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            '\u{2028}' => safe.push_str("\\u2028"),
            '\u{2029}' => safe.push_str("\\u2029"),
            letter => safe.push(letter),
        }
    }
    safe
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

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(at);
        text.push_str(" ...");
    }
}
