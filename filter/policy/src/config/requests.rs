//! Which requests a policy means: by a path, or by a route.

use crate::exempt::{Exempt, PATTERNS_MAX};
use crate::long_poll::LongPolls;
use crate::path_pattern::Pattern;

use super::cursor::Cursor;
use super::raw::{RawExempt, RawLongPoll};
use super::values::{location, name};

/// Requests whose silence says nothing.
pub(super) fn long_polls(raw: &Cursor<'_, Vec<RawLongPoll>>) -> LongPolls {
    raw.at_most(raw.len(), LongPolls::MOST);
    let mut polls = LongPolls::default();
    for index in 0..raw.len() {
        let item = raw.item(index);
        let (path, route) = (item.path(), item.route());
        match (path.given(), route.given()) {
            (Some(at), None) => polls.paths.push(path_pattern(at)),
            (None, Some(at)) => polls.routes.push(name(at, "a route's name")),
            _ => item.refuse("write either \"path\" or \"route\""),
        }
    }
    polls
}

/// Which requests neither bulkhead nor shedding has to do with.
pub(super) fn exempt(raw: &Cursor<'_, Vec<RawExempt>>) -> Exempt {
    raw.at_most(raw.len(), PATTERNS_MAX);
    Exempt {
        paths: (0..raw.len())
            .map(|index| path_pattern(&raw.item(index).path()))
            .collect(),
    }
}

/// A path, or the beginning of one.
fn path_pattern(raw: &Cursor<'_, String>) -> Pattern {
    let text = location(raw);
    let (text, prefix) = match text.strip_suffix('*') {
        Some(text) => (text.to_owned(), true),
        None => (text, false),
    };
    if text.contains(['*', '?', '#']) {
        raw.refuse("a path without query; \"*\" may stand at its end");
    }
    Pattern { text, prefix }
}
