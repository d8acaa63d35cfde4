//! The page as HTML: a table of upstreams, and where the viewer may, buttons that force one. No script; one style, which the
//! content security policy knows by its hash.
//!
//! Each button is a POST of its own query, so that no body has to be read.

use crate::json::number;
use crate::row::{Field, Row};
use crate::url::encode;
use crate::viewer::Viewer;

/// The style. Its hash stands in the content security policy.
pub(crate) const STYLE: &str = "body{font:14px/1.4 sans-serif;margin:2em}table{border-collapse:collapse}\
th,td{border:1px solid #bbb;padding:.3em .6em;text-align:left;vertical-align:top}\
.open{background:#fbb}.half_open{background:#fe9}.closed{background:#bfb}small{color:#555}";
const HEAD: &str =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Seawall</title><style>";
/// The columns of their own; all others are figures.
const COLUMNS: [&str; 8] = [
    "upstream",
    "route",
    "authority",
    "policy",
    "mode",
    "state",
    "forced",
    "key",
];
/// What the buttons offer.
const BUTTONS: [(&str, &str); 8] = [
    ("open", "1m"),
    ("open", "10m"),
    ("open", "1h"),
    ("closed", "1m"),
    ("closed", "10m"),
    ("closed", "1h"),
    ("release", ""),
    ("reset", ""),
];

/// Writes a text that stays text.
fn text(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are no part of HTML.
            '\0'..='\x1f' | '\x7f' => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
}

fn head(out: &mut String) {
    out.push_str(HEAD);
    out.push_str(STYLE);
    out.push_str("</style><h1>Seawall</h1>");
}

/// The beginning, up to the first upstream.
pub(crate) fn begin(out: &mut String, worker: &Row<'_>) {
    head(out);
    out.push_str(
        "<p>What this Envoy process knows of its upstreams. What is forced here holds in this process only, over all its \
         workers, until its time is over or the process ends.</p><p><small>The worker that answers: ",
    );
    figures(out, worker, &[]);
    out.push_str("</small></p><table><tr><th>upstream<th>policy<th>mode<th>state<th>forced<th>figures<th>force</tr>");
}

/// The end.
pub(crate) fn end(out: &mut String, omitted: u64) {
    out.push_str("</table>");
    if omitted > 0 {
        out.push_str("<p>There was no room for ");
        number(out, omitted);
        out.push_str(" upstreams more.</p>");
    }
}

/// A page that says why a POST was not done.
pub(crate) fn refused(out: &mut String, sentence: &str, path: &str) {
    head(out);
    out.push_str("<p>Not done: ");
    text(out, sentence);
    out.push_str(".</p><p><a href=\"");
    text(out, path);
    out.push_str("\">Back</a></p>");
}

/// A row of the table.
pub(crate) fn upstream(out: &mut String, row: &Row<'_>, viewer: &Viewer) {
    out.push_str("<tr><td>");
    text(out, row.text_of("upstream"));
    for part in ["route", "authority"] {
        if row.find(part).is_some() {
            out.push_str("<br><small>");
            out.push_str(part);
            out.push_str("</small> ");
            text(out, row.text_of(part));
        }
    }
    for column in ["policy", "mode"] {
        out.push_str("<td>");
        text(out, row.text_of(column));
    }
    let state = row.text_of("state");
    out.push_str("<td class=\"");
    text(out, state);
    out.push_str("\">");
    text(out, state);
    out.push_str("<td>");
    if let Some(Field::Row(forced)) = row.find("forced") {
        text(out, forced.text_of("to"));
        out.push_str(" for ");
        number(out, forced.number_of("ms_left").div_ceil(1_000));
        out.push_str(" s more, by ");
        text(out, forced.text_of("by"));
    }
    out.push_str("<td><small>");
    figures(out, row, &COLUMNS);
    out.push_str("</small><td>");
    if viewer.forces {
        form(out, row, viewer.token.as_deref());
    }
    out.push_str("</tr>");
}

/// All names and values but those.
fn figures(out: &mut String, row: &Row<'_>, but: &[&str]) {
    for (name, field) in row.fields() {
        if but.contains(name) {
            continue;
        }
        text(out, name);
        out.push(' ');
        match field {
            Field::Text(value) => text(out, value),
            Field::Number(value) => number(out, *value),
            Field::Row(row) => figures(out, row, &[]),
        }
        out.push_str("; ");
    }
}

/// The buttons of an upstream.
fn form(out: &mut String, row: &Row<'_>, token: Option<&str>) {
    let mut query = String::new();
    for name in ["policy", "upstream", "route", "authority"] {
        if row.find(name).is_some() {
            query.push_str(name);
            query.push('=');
            encode(&mut query, row.text_of(name));
            query.push_str("&amp;");
        }
    }
    if let Some(token) = token {
        query.push_str("token=");
        encode(&mut query, token);
        query.push_str("&amp;");
    }
    out.push_str("<form method=\"post\">");
    for (action, lasts) in BUTTONS {
        out.push_str("<button formaction=\"?");
        out.push_str(&query);
        out.push_str("do=");
        out.push_str(action);
        if !lasts.is_empty() {
            out.push_str("&amp;for=");
            out.push_str(lasts);
        }
        out.push_str("\">");
        out.push_str(action);
        out.push(' ');
        out.push_str(lasts);
        out.push_str("</button> ");
    }
    out.push_str("</form>");
}
