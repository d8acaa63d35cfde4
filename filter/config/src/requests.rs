//! Which requests a policy means: by a path, or by a route.

use seawall_policy::exempt::{Exempt, PATTERNS_MAX};
use seawall_policy::long_poll::LongPolls;
use seawall_policy::path_pattern::Pattern;

use super::at::{At, at};
use super::raw::RawExempt;
use super::raw::breaker::RawLongPoll;
use super::values::{location, name};

/// Requests whose silence says nothing.
pub(super) fn long_polls(raw: &At<'_, Vec<RawLongPoll<'_>>>) -> LongPolls {
    raw.at_most(raw.len(), LongPolls::MOST);
    let mut polls = LongPolls::default();
    for item in raw.items() {
        let (path, route) = (at!(item.path), at!(item.route));
        match (path.given(), route.given()) {
            (Some(at), None) => polls.paths.push(path_pattern(at)),
            (None, Some(at)) => polls.routes.push(name(at, "a route's name")),
            _ => item.refuse("write either \"path\" or \"route\""),
        }
    }
    polls
}

/// Which requests neither bulkhead nor shedding has to do with.
pub(super) fn exempt(raw: &At<'_, Vec<RawExempt<'_>>>) -> Exempt {
    raw.at_most(raw.len(), PATTERNS_MAX);
    Exempt {
        paths: raw
            .items()
            .map(|item| path_pattern(&at!(item.path)))
            .collect(),
    }
}

/// A path, or the beginning of one.
fn path_pattern(raw: &At<'_, &str>) -> Pattern {
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
