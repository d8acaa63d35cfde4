//! What goes wrong, and when: `errors,at=60s,for=60s,share=50`.

use std::fmt;
use std::str::FromStr;

use seawall_policy::time::{Span, parse_duration};
use serde::Serialize;

/// What an upstream does while it is sick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answers with 503.
    Errors,
    /// Refuses connections.
    Refuse,
    /// Takes requests and never answers.
    Hang,
    /// Cuts connections.
    Reset,
    /// Refuses streams on a connection that stands: nothing was done for them.
    RefuseStream,
    /// Resets streams on a connection that stands.
    ResetStream,
    /// Answers later, by `by`.
    Latency,
    /// Answers 404.
    NotFound,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// From when, in nanoseconds since the trace began.
    pub at: u64,
    /// For how long, in nanoseconds.
    pub length: u64,
    /// On which share of the requests, in percent.
    pub share: f64,
    /// With latency: how much later, in nanoseconds.
    pub by: u64,
    /// On the first so many attempts of a request alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

const HOW: &str = "write KIND,at=TIME,for=TIME[,share=PERCENT][,by=TIME][,attempts=COUNT], where KIND is errors, refuse, \
                   hang, reset, refuse_stream, reset_stream, latency or not_found";

impl Fault {
    /// Whether it holds at this time.
    pub fn holds(&self, now: u64) -> bool {
        (self.at..self.end()).contains(&now)
    }

    /// When it ends.
    pub fn end(&self) -> u64 {
        self.at.saturating_add(self.length)
    }
}

impl fmt::Display for Fault {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Errors => "errors",
            Kind::Refuse => "refuse",
            Kind::Hang => "hang",
            Kind::Reset => "reset",
            Kind::RefuseStream => "refuse_stream",
            Kind::ResetStream => "reset_stream",
            Kind::Latency => "latency",
            Kind::NotFound => "not_found",
        };
        let (at, length, by) = (exact(self.at), exact(self.length), exact(self.by));
        write!(
            f,
            "{kind},at={at},for={length},share={},by={by}",
            self.share
        )?;
        match self.attempts {
            Some(attempts) => write!(f, ",attempts={attempts}"),
            None => Ok(()),
        }
    }
}

/// A time as it is read, in the largest unit that keeps every nanosecond.
fn exact(nanos: u64) -> String {
    let span = Span::nanos(nanos);
    let short = span.to_string();
    match parse_duration(&short) {
        Ok(read) if read == span => short,
        _ => format!("{nanos}ns"),
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let kind = match parts.next().unwrap_or_default() {
            "errors" => Kind::Errors,
            "refuse" => Kind::Refuse,
            "hang" => Kind::Hang,
            "reset" => Kind::Reset,
            "refuse_stream" => Kind::RefuseStream,
            "reset_stream" => Kind::ResetStream,
            "latency" => Kind::Latency,
            "not_found" => Kind::NotFound,
            other => return Err(format!("\"{other}\" is no kind of fault: {HOW}")),
        };
        let (mut at, mut length, mut share, mut by) = (None, None, 100.0, Span::secs(1));
        let mut attempts = None;
        let mut given = Vec::new();
        for part in parts {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("\"{part}\": {HOW}"))?;
            if given.contains(&key) {
                return Err(format!("{key}= is given twice: {HOW}"));
            }
            given.push(key);
            let span = || parse_duration(value).map_err(|error| format!("{key}: {error}"));
            match key {
                "at" => at = Some(span()?),
                "for" => length = Some(span()?),
                "by" => by = span()?,
                "share" => {
                    let percent = value.trim_end_matches('%').parse().ok();
                    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
                    share = percent.ok_or_else(|| format!("share={value} is no percentage"))?;
                }
                "attempts" => {
                    let count = value.parse().ok().filter(|count| *count > 0);
                    let problem = || format!("attempts={value} is no count of attempts");
                    attempts = Some(count.ok_or_else(problem)?);
                }
                other => return Err(format!("\"{other}\" is unknown: {HOW}")),
            }
        }
        if length.is_some_and(|length| length.as_nanos() == 0) {
            return Err("for=0s hits nothing: expected a time above 0".to_owned());
        }
        if share <= 0.0 {
            return Err("share=0 hits nothing: expected a percentage above 0".to_owned());
        }
        if kind == Kind::Latency && by.as_nanos() == 0 {
            return Err("by=0s delays nothing: expected a time above 0".to_owned());
        }
        Ok(Self {
            kind,
            at: at
                .ok_or_else(|| format!("at= is missing: {HOW}"))?
                .as_nanos(),
            length: length
                .ok_or_else(|| format!("for= is missing: {HOW}"))?
                .as_nanos(),
            share,
            by: by.as_nanos(),
            attempts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_and_a_wrong_one_says_how() {
        let fault: Fault = "errors,at=60s,for=1m,share=50%".parse().unwrap();
        assert_eq!(
            (fault.kind, fault.at, fault.end()),
            (Kind::Errors, 60_000_000_000, 120_000_000_000)
        );
        assert_eq!(fault.to_string(), "errors,at=60s,for=60s,share=50,by=1s");
        assert_eq!(fault.to_string().parse(), Ok(fault.clone()));
        assert!(fault.holds(60_000_000_000) && !fault.holds(120_000_000_000));
        let first: Fault = "errors,at=0s,for=1s,attempts=1".parse().unwrap();
        assert_eq!(first.attempts, Some(1));
        assert_eq!(first.to_string().parse(), Ok(first));
        for (text, why) in [
            ("errors,at=1s,for=1s,at=2s", "at= is given twice"),
            (
                "errors,at=1s,for=1s,share=5,share=6",
                "share= is given twice",
            ),
            ("errors,at=1s,for=0s", "hits nothing"),
            ("errors,at=1s,for=1s,share=0", "hits nothing"),
            ("latency,at=1s,for=1s,by=0s", "delays nothing"),
        ] {
            let told = text.parse::<Fault>().unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
        for text in [
            "",
            "errors,at=1s,for=1s,attempts=0",
            "errors",
            "errors,at=1",
            "flood,at=1s,for=1s",
            "errors,at=1s,for=1s,share=x",
            "errors,at",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
