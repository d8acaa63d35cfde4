//! What goes wrong, and when: `errors,at=60s,for=60s,share=50`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use seawall_policy::time::{Span, parse_duration};
use serde::{Deserialize, Serialize};

/// What an upstream does while it is sick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Work that starts has only a part of the speed, `left`.
    Slow,
    /// What is in work is lost, and connections are refused. The hosts are new afterwards.
    Crash,
    /// Packets to the hosts are lost: connections time out after `by`.
    Blackhole,
    /// Answers are no HTTP.
    Garbage,
    /// Each worker's VM of the filter dies, in all Envoys.
    KillVm,
    /// Nonsense takes the place of all that the filter shares, in all Envoys.
    CorruptState,
    /// The wall clocks of all Envoys are ahead by `by`; at the end they jump back.
    Clock,
}

impl Kind {
    /// Whether it hits whole hosts of an upstream, and no single attempt.
    pub fn is_of_hosts(self) -> bool {
        matches!(self, Self::Slow | Self::Crash)
    }

    /// Whether it hits Envoys, and no upstream.
    pub fn is_of_envoys(self) -> bool {
        matches!(self, Self::KillVm | Self::CorruptState | Self::Clock)
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// From when, in nanoseconds since the trace began.
    pub at: u64,
    /// For how long, in nanoseconds.
    pub length: u64,
    /// On which share of the requests, in percent.
    pub share: f64,
    /// With latency: how much later; with blackhole: the time limit of a connection; with clock: how much ahead; in nanoseconds.
    pub by: u64,
    /// With latency: so much more or less, in nanoseconds, any time as likely as another.
    #[serde(default, skip_serializing_if = "is_0")]
    pub jitter: u64,
    /// With slow: so much of the speed is left, in percent.
    #[serde(default = "all", skip_serializing_if = "is_100")]
    pub left: u32,
    /// At this service alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// At these hosts alone, from the first to the last; they count from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<(usize, usize)>,
    /// On the first so many attempts of a request alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

const HOW: &str = "write KIND,at=TIME,for=TIME[,share=PERCENT][,by=TIME][,jitter=TIME][,left=PERCENT][,attempts=COUNT]\
                   [,service=NAME][,hosts=FIRST-LAST], where KIND is errors, refuse, hang, reset, refuse_stream, reset_stream, latency, \
                   not_found, slow, crash, blackhole, garbage, kill_vm, corrupt_state or clock";

const KINDS: [(&str, Kind); 15] = [
    ("errors", Kind::Errors),
    ("refuse", Kind::Refuse),
    ("hang", Kind::Hang),
    ("reset", Kind::Reset),
    ("refuse_stream", Kind::RefuseStream),
    ("reset_stream", Kind::ResetStream),
    ("latency", Kind::Latency),
    ("not_found", Kind::NotFound),
    ("slow", Kind::Slow),
    ("crash", Kind::Crash),
    ("blackhole", Kind::Blackhole),
    ("garbage", Kind::Garbage),
    ("kill_vm", Kind::KillVm),
    ("corrupt_state", Kind::CorruptState),
    ("clock", Kind::Clock),
];

fn is_0(value: &u64) -> bool {
    *value == 0
}

fn all() -> u32 {
    100
}

fn is_100(value: &u32) -> bool {
    *value == 100
}

impl Fault {
    /// Whether it holds at this time.
    pub fn holds(&self, now: u64) -> bool {
        (self.at..self.end()).contains(&now)
    }

    /// Whether it is at this host of this service.
    pub fn hits(&self, service: &str, host: usize) -> bool {
        self.service.as_ref().is_none_or(|name| name == service)
            && self
                .hosts
                .is_none_or(|(first, last)| (first..=last).contains(&host))
    }

    /// When it ends.
    pub fn end(&self) -> u64 {
        self.at.saturating_add(self.length)
    }
}

impl fmt::Display for Fault {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |(_, kind): &&(&str, Kind)| *kind == self.kind;
        let kind = KINDS.iter().find(name).map_or("", |(name, _)| name);
        let (at, length, by) = (exact(self.at), exact(self.length), exact(self.by));
        write!(
            f,
            "{kind},at={at},for={length},share={},by={by}",
            self.share
        )?;
        if self.jitter > 0 {
            write!(f, ",jitter={}", exact(self.jitter))?;
        }
        if self.left < 100 {
            write!(f, ",left={}", self.left)?;
        }
        if let Some(attempts) = self.attempts {
            write!(f, ",attempts={attempts}")?;
        }
        if let Some(service) = &self.service {
            write!(f, ",service={service}")?;
        }
        match self.hosts {
            Some((first, last)) => write!(f, ",hosts={first}-{last}"),
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
        let name = parts.next().unwrap_or_default();
        let kind = KINDS.iter().find(|(known, _)| *known == name);
        let (_, kind) = *kind.ok_or_else(|| format!("\"{name}\" is no kind of fault: {HOW}"))?;
        let (mut at, mut length, mut share, mut by) = (None, None, 100.0, Span::secs(1));
        let (mut jitter, mut left) = (Span::ZERO, None);
        let (mut attempts, mut service, mut hosts) = (None, None, None);
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
                "jitter" => jitter = span()?,
                "service" => service = Some(value.to_owned()),
                "hosts" => hosts = Some(range(value)?),
                "left" => {
                    let percent = value.trim_end_matches('%').parse().ok();
                    let percent = percent.filter(|percent| (1..=100).contains(percent));
                    let problem = || format!("left={value} is no percentage from 1 to 100");
                    left = Some(percent.ok_or_else(problem)?);
                }
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
        let needs_time = matches!(kind, Kind::Latency | Kind::Blackhole | Kind::Clock);
        if needs_time && by.as_nanos() == 0 {
            return Err("by=0s delays nothing: expected a time above 0".to_owned());
        }
        if jitter > Span::ZERO && kind != Kind::Latency {
            return Err(format!("jitter= belongs to latency: {HOW}"));
        }
        if kind.is_of_envoys()
            && (share < 100.0 || attempts.is_some() || service.is_some() || hosts.is_some())
        {
            return Err(format!(
                "{name} is of all Envoys: share=, attempts=, service= and hosts= do not belong to it"
            ));
        }
        if kind.is_of_hosts() && (share < 100.0 || attempts.is_some()) {
            return Err(format!(
                "{name} is of whole hosts: hosts= says which, and share= and attempts= do not belong to it"
            ));
        }
        if jitter > by {
            return Err(format!("jitter={jitter} is more than by={by}"));
        }
        if left.is_some() != (kind == Kind::Slow) {
            return Err(format!("left= belongs to slow, and slow needs it: {HOW}"));
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
            jitter: jitter.as_nanos(),
            left: left.unwrap_or(100),
            service,
            hosts,
            attempts,
        })
    }
}

/// `0-2`, or `1` for one alone.
fn range(text: &str) -> Result<(usize, usize), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.parse().ok().zip(last.parse().ok());
    let range = range.filter(|(first, last)| first <= last);
    range.ok_or_else(|| format!("hosts={text} is no range, such as 0-2: hosts count from 0"))
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
        for text in [
            "latency,at=1s,for=1s,share=100,by=2s,jitter=500ms,service=db,hosts=0-2",
            "slow,at=1s,for=1s,share=100,by=1s,left=20",
            "crash,at=1s,for=1s,share=100,by=1s,hosts=1-1",
            "blackhole,at=1s,for=1s,share=50,by=250ms",
            "clock,at=1s,for=1s,share=100,by=1h",
        ] {
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
        }
        for (text, why) in [
            ("slow,at=1s,for=1s", "slow needs it"),
            ("errors,at=1s,for=1s,jitter=5ms", "belongs to latency"),
            ("crash,at=1s,for=1s,share=50", "of whole hosts"),
            ("slow,at=1s,for=1s,left=5,attempts=1", "of whole hosts"),
            ("errors,at=1s,for=1s,left=5", "belongs to slow"),
            ("kill_vm,at=1s,for=1s,share=50", "of all Envoys"),
            ("clock,at=1s,for=1s,service=db", "of all Envoys"),
            ("latency,at=1s,for=1s,by=1s,jitter=2s", "is more than by"),
            ("crash,at=1s,for=1s,hosts=2-1", "count from 0"),
            ("slow,at=1s,for=1s,left=0", "from 1 to 100"),
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
