//! nginx's combined format (and Apache's), with times behind it or without.
//!
//! `log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer"
//! "$http_user_agent" $request_time $upstream_response_time';` Names before the times (`rt=0.025 urt="0.024"`) are taken too.

use super::Reader;
use super::words::{Word, words};
use crate::trace::fields;
use crate::trace::record::{Found, Left, Length, Line, Moment, said};
use crate::trace::time::{Unit, instant};

pub(super) struct Nginx;

/// Whether a line is one of these.
pub(super) fn looks(line: &str) -> bool {
    parts(line).is_some()
}

impl Reader for Nginx {
    fn line(&mut self, text: &str) -> Result<Option<Line>, String> {
        let Some(found) = parts(text) else {
            return Err("expected ADDRESS - USER [TIME] \"REQUEST\" STATUS BYTES \"REFERRER\" \"AGENT\", and perhaps times behind".to_owned());
        };
        if found.method.is_none() {
            // What is no request at all was answered with 400, or with nothing.
            return Ok(Some(Line::Left(Left::Unreadable)));
        }
        found.line().map(Some)
    }
}

fn parts(line: &str) -> Option<Found<'_>> {
    let bracket = line.find(" [")?;
    let words = words(&line[bracket + 1..]);
    let [time, request, status, _bytes, rest @ ..] = words.as_slice() else {
        return None;
    };
    instant(time.text)?;
    let number = status.text.len() == 3 && status.text.bytes().all(|byte| byte.is_ascii_digit());
    if !request.quoted || !number {
        return None;
    }
    let split = fields::line(request.text);
    let mut times = rest
        .iter()
        .skip_while(|word| word.quoted && !word.text.contains('='))
        .filter_map(value);
    let length = |name, text| Length {
        name,
        text,
        unit: Unit::Seconds,
    };
    let duration = times.next().map(|text| length("the request's time", text));
    let upstream = times.next().map(|text| length("the upstream's time", text));
    Some(Found {
        moment: Some(Moment {
            name: "the time",
            text: time.text,
            end: true,
        }),
        duration,
        upstream,
        method: split.map(|(method, _)| method),
        target: split.map(|(_, target)| target),
        status: Some(status.text),
        ..Found::default()
    })
}

/// A time behind the line, without its name.
fn value<'a>(word: &Word<'a>) -> Option<&'a str> {
    let text = word
        .text
        .rsplit_once('=')
        .map_or(word.text, |(_, value)| value);
    let text = text.trim_matches('"');
    let time = |part: &str| {
        let part = part.trim();
        part == "-" || part.contains('.') && part.parse::<f64>().is_ok()
    };
    let all = text
        .split([',', ':'])
        .filter(|part| !part.trim().is_empty());
    (all.clone().next().is_some()
        && all.clone().all(time)
        && (said(text).is_some() || !word.quoted))
        .then_some(text)
}
