//! Answers, with the headers that keep them from caches, frames and other sites.

use crate::problem::Problem;
use crate::row::Row;
use crate::{html, json};

/// What HTML may load: nothing but its own style. A form may be sent here alone, and no other page may hold this one.
const POLICY: &str = "default-src 'none'; style-src 'sha256-VrAcAThT+ecDFIJ7mf+u0TfEAv1VV3KiAmcwH7rhXK0='; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    pub(crate) fn new(status: u16, body: String, is_html: bool) -> Self {
        let media_type = match is_html {
            true => "text/html; charset=utf-8",
            false => "application/json",
        };
        let headers = [
            ("content-type", media_type),
            ("cache-control", "no-store"),
            ("vary", "accept"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
            // Not no-referrer: a browser would then not say which page sent a form.
            ("referrer-policy", "same-origin"),
            ("content-security-policy", POLICY),
            ("x-frame-options", "DENY"),
        ];
        Self {
            status,
            headers: headers.map(|(name, value)| (name, value.to_owned())).into(),
            body,
        }
    }
}

/// What was asked is done. A browser is sent back to the page at `path`, so that to load it again does nothing again.
#[inline(never)]
pub fn forced(path: &str) -> Answer {
    let mut answer = Answer::new(303, String::new(), true);
    answer.headers.push(("location", path.to_owned()));
    answer
}

/// What was asked is not done. A browser is shown the way back to the page at `path`.
#[inline(never)]
pub fn refused(problem: Problem, is_html: bool, path: &str) -> Answer {
    let mut body = String::new();
    if is_html {
        html::refused(&mut body, problem.sentence(), path);
    } else {
        let mut row = Row::default();
        row.text("error", problem.name());
        row.text("message", problem.sentence());
        json::object(&mut body, &row);
        body.push('\n');
    }
    Answer::new(problem.status(), body, is_html)
}
