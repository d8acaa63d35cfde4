//! A page of figures: a file that needs no network and no other file.
//!
//! A page's script draws everything from its data as JSON, which stands in the page. Whatever a trace, a policy, an experiment or a path
//! has for a name is text there: in the JSON nothing can end the element it stands in, and the script makes text of it alone.

use serde::Serialize;

const SHELL: &str = include_str!("../../assets/report/page.html");
/// What all pages have, and what takes its place; none of them has a place of its own in it.
const SHARED: [(&str, &str); 3] = [
    (
        "{{uplot.css}}",
        include_str!("../../assets/uplot/uPlot.min.css"),
    ),
    ("{{page.css}}", include_str!("../../assets/report/page.css")),
    (
        "{{uplot.js}}",
        include_str!("../../assets/uplot/uPlot.iife.min.js"),
    ),
];
/// The script that all pages begin with.
const DOM: &str = include_str!("../../assets/report/dom.js");
const DATA: &str = "{{report.json}}";
/// Longer texts are cut, in characters.
const TEXT_MAX: usize = 2_000;

/// A kind of page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// What a browser calls it.
    pub(crate) title: &'static str,
    /// Its header and its sections.
    pub(crate) body: &'static str,
    /// The parts of its script, in order.
    pub(crate) scripts: &'static [&'static str],
}

impl Page {
    /// The page with this data.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub(crate) fn with(&self, data: &impl Serialize) -> serde_json::Result<String> {
        let json = embedded(&serde_json::to_string(data)?);
        let (before, after) = SHELL.split_once(DATA).unwrap_or((SHELL, ""));
        // What stands in the data is never looked at for parts.
        Ok([&self.filled(before), json.as_str(), &self.filled(after)].concat())
    }

    fn filled(&self, part: &str) -> String {
        let script = [&[DOM], self.scripts].concat().join("\n");
        let own = [
            ("{{title}}", self.title),
            ("{{body}}", self.body.trim_end()),
            ("{{page.js}}", &script),
        ];
        SHARED
            .into_iter()
            .chain(own)
            .fold(part.to_owned(), |part, (name, text)| {
                part.replace(name, text)
            })
    }
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

/// Cuts a text that is too long for a page.
pub(crate) fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(at);
        text.push_str(" ...");
    }
}
