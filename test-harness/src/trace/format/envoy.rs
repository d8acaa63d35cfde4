//! Envoy's default text format, and what Istio made of it over the years.
//!
//! ```text
//! [start] "METHOD path protocol" status flags               in out duration upstream "xff" "agent" "id" "authority" "host"
//! [start] "..." status flags "mixer"                        in out duration upstream "xff" ... "host" cluster local ...
//! [start] "..." status flags "mixer" "transport"            in out duration upstream ...
//! [start] "..." status flags details close "transport"      in out duration upstream ...
//! ```
//!
//! Four bare words in a row that are numbers or `-`, with a quoted one behind them, stand in all of them; the cluster is the
//! first word behind the last quote.

use super::Reader;
use super::words::{Word, words};
use crate::trace::record::{Found, Left, Length, Line, Moment};
use crate::trace::time::Unit;

pub(super) struct Envoy;

/// Whether a line is one of these.
pub(super) fn looks(line: &str) -> bool {
    parts(line).is_some()
}

impl Reader for Envoy {
    fn line(&mut self, text: &str) -> Result<Option<Line>, String> {
        if proxy_log(text) {
            return Ok(Some(Line::Left(Left::ProxyLog)));
        }
        let Some(found) = parts(text) else {
            return Err("expected [START_TIME] \"METHOD PATH PROTOCOL\" STATUS FLAGS ... BYTES BYTES DURATION UPSTREAM_TIME \"...\"".to_owned());
        };
        found.line().map(Some)
    }
}

/// The line, also behind something that a collector wrote before it: then its time is in the form that Envoy has.
fn parts(line: &str) -> Option<Found<'_>> {
    let line = line.trim();
    if line.starts_with('[')
        && let Some(found) = whole(line)
    {
        return Some(found);
    }
    let dated = |line: &&str| line.as_bytes().get(5) == Some(&b'-') && line.contains('T');
    let places = line
        .match_indices(" [")
        .map(|(place, _)| &line[place + 1..]);
    places.filter(dated).find_map(whole)
}

fn whole(line: &str) -> Option<Found<'_>> {
    let (start, rest) = line.strip_prefix('[')?.split_once("] \"")?;
    // A path may hold quotes: the request ends at one before a status.
    let (end, status) = rest.match_indices("\" ").find_map(|(place, _)| {
        let status = rest[place + 2..].split(' ').next()?;
        let digits = status.len() <= 3 && status.bytes().all(|byte| byte.is_ascii_digit());
        (digits && !status.is_empty()).then_some((place, status))
    })?;
    let (request, rest) = (&rest[..end], rest[end + 2..].strip_prefix(status)?);
    let words = words(rest);
    let (flags, words) = words.split_first()?;
    let bare = |word: &Word<'_>| {
        let number = word.text == "-" || word.text.bytes().all(|byte| byte.is_ascii_digit());
        !word.quoted && number
    };
    let window = words.windows(5).find(|window| {
        let (numbers, next) = window.split_at(4);
        numbers.iter().all(bare) && next[0].quoted
    })?;
    let (method, rest_of_request) = request.split_once(' ')?;
    let (target, protocol) = rest_of_request.rsplit_once(' ')?;
    let behind = line.rsplit_once('"').map_or("", |(_, behind)| behind);
    Some(Found {
        moment: Some(Moment {
            name: "the start",
            text: start,
            end: false,
        }),
        duration: Some(millis("the duration", window[2].text)),
        upstream: Some(millis("the upstream's time", window[3].text)),
        method: Some(method),
        target: Some(target),
        protocol: Some(protocol),
        status: Some(status),
        flags: Some(flags.text),
        cluster: behind.split_whitespace().next(),
        ..Found::default()
    })
}

fn millis<'a>(name: &'static str, text: &'a str) -> Length<'a> {
    Length {
        name,
        text,
        unit: Unit::Millis,
    }
}

/// Whether a line is of Envoy's or Istio's own log, which goes to the same place.
pub(super) fn proxy_log(line: &str) -> bool {
    const LEVELS: [&str; 8] = [
        "trace", "debug", "info", "warning", "warn", "error", "critical", "fatal",
    ];
    if let Some((_, rest)) = line.split_once('\t')
        && line.as_bytes().first().is_some_and(u8::is_ascii_digit)
    {
        let level = rest.split('\t').next().unwrap_or_default();
        return LEVELS.contains(&level);
    }
    // [2026-03-01 10:00:00.000][1][info][main] ...
    let mut parts = line.strip_prefix('[').unwrap_or_default().splitn(4, "][");
    let level = parts.nth(2).unwrap_or_default();
    LEVELS.contains(&level.split(']').next().unwrap_or_default())
}
