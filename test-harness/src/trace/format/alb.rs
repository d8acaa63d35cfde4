//! The access log of AWS Application Load Balancers.
//!
//! `type time elb client target request_time target_time response_time status target_status in out "request" "agent" cipher
//! protocol target_group "trace" "domain" "certificate" rule creation_time ...` The time is that of the answer; the
//! creation time is that of the request. A target's time of -1 says that there was no answer of the target's.

use super::Reader;
use super::words::words;
use crate::trace::fields;
use crate::trace::record::{Found, Length, Line, Moment};
use crate::trace::time::{Unit, instant, micros};

pub(super) struct Alb;

const TYPES: [&str; 6] = ["http", "https", "h2", "grpcs", "ws", "wss"];
/// Where the request's own words stand.
const REQUEST: usize = 12;
const TARGET_GROUP: usize = 16;
const CREATION: usize = 21;

/// Whether a line is one of these.
pub(super) fn looks(line: &str) -> bool {
    let words = words(line);
    let kind = words.first().is_some_and(|word| TYPES.contains(&word.text));
    kind && words
        .get(1)
        .is_some_and(|word| instant(word.text).is_some())
        && words.get(REQUEST).is_some_and(|word| word.quoted)
}

impl Reader for Alb {
    fn line(&mut self, text: &str) -> Result<Option<Line>, String> {
        let words = words(text);
        let word = |place: usize| words.get(place).map(|word| word.text);
        let whole = || "expected a line of an Application Load Balancer, with 13 words or more";
        if !looks(text) {
            return Err(whole().to_owned());
        }
        let kind = word(0).unwrap_or_default();
        let (method, target) = word(REQUEST).and_then(fields::line).unwrap_or(("-", "-"));
        let parts = [5, 6, 7].map(|place| {
            let length = word(place).unwrap_or_default();
            micros(length, Unit::Seconds)
        });
        let answered = word(1).and_then(instant).unwrap_or(0);
        let created = word(CREATION).filter(|text| instant(text).is_some());
        // Without an answer of the target's, all that is known is from the request's creation to the answer.
        let sum: u64 = parts.iter().flatten().sum();
        let elapsed = created
            .and_then(instant)
            .map(|created| answered.saturating_sub(created) / 1_000);
        let duration = format!("{}", if sum > 0 { sum } else { elapsed.unwrap_or(0) });
        let group = word(TARGET_GROUP).map(|arn| {
            let name = arn
                .split_once(":targetgroup/")
                .map_or(arn, |(_, name)| name);
            name.split('/').next().unwrap_or(name)
        });
        let found = Found {
            moment: Some(Moment {
                name: "the time",
                text: created.or(word(1)).unwrap_or_default(),
                end: created.is_none(),
            }),
            duration: Some(Length {
                name: "the time",
                text: &duration,
                unit: Unit::Micros,
            }),
            upstream: word(6).map(|text| Length {
                name: "target_processing_time",
                text,
                unit: Unit::Seconds,
            }),
            method: Some(method),
            target: Some(target),
            protocol: Some("HTTP"),
            status: word(8),
            cluster: group,
            upgrade: kind.starts_with("ws").then_some("websocket"),
            ..Found::default()
        };
        found.line().map(Some)
    }
}
