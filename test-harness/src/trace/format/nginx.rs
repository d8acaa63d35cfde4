//! nginx's combined format (and Apache's), with times behind it or without.
//!
//! `log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer"
//! "$http_user_agent" $request_time $upstream_response_time';` Where times have names (`rt=0.025 uct="0.001" urt="0.024"`), the
//! names say which is which. Of a list (an upstream was tried again) the last one counts. ingress-nginx's format is one of these.

use super::words::{Word, words};
use super::{Reader, envoy};
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
    if envoy::looks(line) {
        return None;
    }
    let mut places = line.match_indices(" [");
    places.find_map(|(place, _)| behind(&line[place + 1..]))
}

/// From the time on.
fn behind(line: &str) -> Option<Found<'_>> {
    let words = words(line);
    let [time, request, status, _bytes, rest @ ..] = words.as_slice() else {
        return None;
    };
    instant(time.text)?;
    let number = status.text.len() == 3 && status.text.bytes().all(|byte| byte.is_ascii_digit());
    if !request.quoted || !number {
        return None;
    }
    let split = fields::line(request.text);
    let (duration, upstream) = times(rest);
    let length = |name, text| Length {
        name,
        text,
        unit: Unit::Seconds,
    };
    let duration = duration.map(|text| length("the request's time", text));
    let upstream = upstream.map(|text| length("the upstream's time", text));
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

/// Names that configurations give `$request_time` and `$upstream_response_time`. Other times (of the connection, of the header)
/// have other names, and say nothing here.
const REQUEST: [&str; 3] = ["rt", "request_time", "req_time"];
const UPSTREAM: [&str; 4] = ["urt", "upstream_response_time", "upstream_time", "ut"];

/// The request's time and the upstream's, among the words behind the line: by their names, or the first two without one.
fn times<'a>(rest: &[Word<'a>]) -> (Option<&'a str>, Option<&'a str>) {
    let mut named = [None, None];
    let mut others = Vec::new();
    let begun = |word: &&Word<'_>| word.quoted && !word.text.contains('=');
    let words: Vec<_> = rest.iter().skip_while(begun).collect();
    for (at, word) in words.iter().enumerate() {
        let goes_on = words.get(at + 1).is_some_and(|next| next.text == ":");
        if !word.quoted && (word.text.ends_with(',') || goes_on) {
            continue;
        }
        let (name, text) = match word.text.split_once('=') {
            Some((name, text)) => (Some(name), text.trim_matches('"')),
            None => (None, word.text),
        };
        if !is_time(text, word.quoted) {
            continue;
        }
        match name {
            Some(name) if REQUEST.contains(&name) => named[0] = Some(text),
            Some(name) if UPSTREAM.contains(&name) => named[1] = Some(text),
            Some(_) => {}
            None => others.push(text),
        }
    }
    let mut others = others.into_iter();
    let request = named[0].or_else(|| others.next());
    (request, named[1].or_else(|| others.next()))
}

/// Whether a word is a time in seconds, or several.
fn is_time(text: &str, quoted: bool) -> bool {
    let time = |part: &str| {
        let part = part.trim();
        part == "-" || part.contains('.') && part.parse::<f64>().is_ok()
    };
    let mut parts = text
        .split([',', ':'])
        .filter(|part| !part.trim().is_empty());
    let some = parts.clone().next().is_some();
    some && parts.all(time) && (said(text).is_some() || !quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_one_of_several_times_is_the_upstreams() {
        const HEAD: &str =
            r#"10.0.0.1 - - [05/Apr/2026:08:00:02 +0200] "GET /a HTTP/1.1" 200 6 "-" "curl""#;
        for (rest, request, upstream) in [
            ("", None, None),
            ("0.500", Some("0.500"), None),
            ("0.500 0.300", Some("0.500"), Some("0.300")),
            (r#""-" 0.500 0.300"#, Some("0.500"), Some("0.300")),
            ("0.500 0.100, 0.300", Some("0.500"), Some("0.300")),
            ("0.500 0.100 : 0.300", Some("0.500"), Some("0.300")),
            (
                "0.500 0.100, 0.200 : 0.250, 0.300",
                Some("0.500"),
                Some("0.300"),
            ),
            (
                r#"0.500 "0.100, 0.300""#,
                Some("0.500"),
                Some("0.100, 0.300"),
            ),
            (
                r#"rt=1.234 uct="0.001" uht="1.100" urt="1.200""#,
                Some("1.234"),
                Some("1.200"),
            ),
            ("urt=1.200 rt=1.234", Some("1.234"), Some("1.200")),
            (
                "request_time=1.234 upstream_response_time=1.200",
                Some("1.234"),
                Some("1.200"),
            ),
            ("uct=0.001 uht=1.100", None, None),
            ("rt=1.000 urt=-", Some("1.000"), Some("-")),
            // ingress-nginx: lengths, names, addresses, statuses stand between the times.
            (
                "345 0.503 [a-80] [] 10.1.2.3:8080 12 0.502 200 id",
                Some("0.503"),
                Some("0.502"),
            ),
            (
                "345 0.503 [a-80] [] 10.1.2.3:8080, 10.1.2.4:8080 0, 12 0.300, 0.202 502, 502 id",
                Some("0.503"),
                Some("0.202"),
            ),
            ("345 0.000 [a-80] [] - - - - id", Some("0.000"), Some("-")),
        ] {
            let line = format!("{HEAD} {rest}");
            let found = parts(&line).expect(rest);
            let text = |length: Option<Length<'_>>| length.map(|length| length.text.to_owned());
            let got = (text(found.duration), text(found.upstream));
            let expected = (request.map(str::to_owned), upstream.map(str::to_owned));
            assert_eq!(got, expected, "{rest}");
        }
    }
}
