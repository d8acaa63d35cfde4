//! A fault as a line of text: how it is read, what is refused, and how it is written again.

use std::fmt;
use std::str::FromStr;

use seawall_policy::time::{Span, parse_duration};

use super::{Direction, Fault, Kind, Toxic};

const HOW: &str = "write KIND,at=TIME,for=TIME[,share=PERCENT][,by=TIME][,jitter=TIME][,left=PERCENT][,attempts=COUNT]\
                   [,service=NAME][,hosts=FIRST-LAST][,zone=NAME][,from=ZONE] \
                   (toxicity= from 0 to 1 is a share too, latency= and delay= are by), where KIND is errors, refuse, hang (or timeout), reset (or reset_peer), refuse_stream, reset_stream, latency, \
                   not_found, slow, crash, blackhole, garbage, kill_vm, corrupt_state, clock or, with zone=NAME, partition; or bandwidth with rate=KB/S, slow_close, \
                   slicer with average_size=BYTES[,size_variation=BYTES], or limit_data with bytes=BYTES, each with [,stream=upstream]";

const KINDS: [(&str, Kind); 20] = [
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
    ("partition", Kind::Partition),
    ("bandwidth", Kind::Bandwidth),
    ("slow_close", Kind::SlowClose),
    ("slicer", Kind::Slicer),
    ("limit_data", Kind::LimitData),
];

/// The attributes that Toxiproxy has for what has another name here.
const ALSO: [(&str, &str); 3] = [("delay", "by"), ("latency", "by"), ("toxicity", "share")];
/// The same of kinds. Toxiproxy's `timeout` closes a connection in the end where its own attribute says so; here it is never closed.
const ALSO_KINDS: [(&str, Kind); 2] = [("timeout", Kind::Hang), ("reset_peer", Kind::Reset)];

impl fmt::Display for Fault {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = name(self.kind);
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
        if let Some(toxic) = &self.toxic {
            toxic.written(self.kind, f)?;
        }
        if let Some(attempts) = self.attempts {
            write!(f, ",attempts={attempts}")?;
        }
        if let Some(service) = &self.service {
            write!(f, ",service={service}")?;
        }
        if let Some((first, last)) = self.hosts {
            write!(f, ",hosts={first}-{last}")?;
        }
        if let Some(zone) = &self.zone {
            write!(f, ",zone={zone}")?;
        }
        match &self.from {
            Some(zone) => write!(f, ",from={zone}"),
            None => Ok(()),
        }
    }
}

impl Toxic {
    fn written(&self, kind: Kind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind {
            Kind::Bandwidth => write!(f, ",rate={}", self.rate)?,
            Kind::Slicer => write!(
                f,
                ",average_size={},size_variation={}",
                self.average_size, self.size_variation
            )?,
            Kind::LimitData => write!(f, ",bytes={}", self.bytes)?,
            _ => {}
        }
        match self.stream {
            Direction::Downstream => Ok(()),
            stream @ Direction::Upstream => write!(f, ",stream={}", stream.name()),
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

/// What a line says, before anyone asks whether it belongs together.
#[derive(Default)]
struct Line {
    at: Option<Span>,
    length: Option<Span>,
    share: Option<f64>,
    by: Option<Span>,
    jitter: Span,
    left: Option<u32>,
    attempts: Option<u32>,
    service: Option<String>,
    hosts: Option<(usize, usize)>,
    zone: Option<String>,
    from: Option<String>,
    stream: Option<Direction>,
    rate: Option<u64>,
    average_size: Option<u64>,
    size_variation: Option<u64>,
    bytes: Option<u64>,
}

impl Line {
    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let span = || parse_duration(value).map_err(|error| format!("{key}: {error}"));
        match key {
            "at" => self.at = Some(span()?),
            "for" => self.length = Some(span()?),
            "by" => self.by = Some(span()?),
            "jitter" => self.jitter = span()?,
            "service" => self.service = Some(value.to_owned()),
            "zone" => self.zone = Some(value.to_owned()),
            "from" => self.from = Some(value.to_owned()),
            "hosts" => self.hosts = Some(range(value)?),
            "left" => {
                let percent = value.trim_end_matches('%').parse().ok();
                let percent = percent.filter(|percent| (1..=100).contains(percent));
                let problem = || format!("left={value} is no percentage from 1 to 100");
                self.left = Some(percent.ok_or_else(problem)?);
            }
            "share" => {
                let percent = value.trim_end_matches('%').parse().ok();
                let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
                let problem = || format!("share={value} is no percentage");
                self.share = Some(percent.ok_or_else(problem)?);
            }
            "attempts" => {
                let count = value.parse().ok().filter(|count| *count > 0);
                let problem = || format!("attempts={value} is no count of attempts");
                self.attempts = Some(count.ok_or_else(problem)?);
            }
            "stream" => {
                let stream = Direction::ALL.iter().find(|(name, _)| *name == value);
                let problem = || format!("stream={value}: expected upstream or downstream");
                self.stream = Some(stream.ok_or_else(problem)?.1);
            }
            "rate" => self.rate = Some(count(key, value, 1)?),
            "average_size" => self.average_size = Some(count(key, value, 1)?),
            "size_variation" => self.size_variation = Some(count(key, value, 0)?),
            "bytes" => self.bytes = Some(count(key, value, 0)?),
            other => return Err(format!("\"{other}\" is unknown: {HOW}")),
        }
        Ok(())
    }

    /// What a fault of a connection's bytes does to them.
    fn toxic(&self, kind: Kind) -> Result<Option<Toxic>, String> {
        for (key, given, of) in [
            ("rate", self.rate, Kind::Bandwidth),
            ("average_size", self.average_size, Kind::Slicer),
            ("bytes", self.bytes, Kind::LimitData),
        ] {
            if given.is_some() != (kind == of) {
                let of = name(of);
                return Err(format!("{key}= belongs to {of}, and {of} needs it: {HOW}"));
            }
        }
        let size_variation = self.size_variation.unwrap_or(0);
        if self.size_variation.is_some() && kind != Kind::Slicer {
            return Err(format!("size_variation= belongs to slicer: {HOW}"));
        }
        if let Some(average) = self.average_size
            && size_variation >= average
        {
            return Err(format!(
                "size_variation={size_variation} is not less than average_size={average}"
            ));
        }
        if !kind.is_of_bytes() {
            return match self.stream {
                Some(_) => Err(format!(
                    "stream= belongs to bandwidth, slow_close, slicer and limit_data: {HOW}"
                )),
                None => Ok(None),
            };
        }
        Ok(Some(Toxic {
            stream: self.stream.unwrap_or_default(),
            rate: self.rate.unwrap_or(0),
            average_size: self.average_size.unwrap_or(0),
            size_variation,
            bytes: self.bytes.unwrap_or(0),
        }))
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let mut kinds = KINDS.iter().chain(&ALSO_KINDS);
        let kind = kinds.find(|(known, _)| *known == name);
        let (_, kind) = *kind.ok_or_else(|| format!("\"{name}\" is no kind of fault: {HOW}"))?;
        let mut line = Line::default();
        let mut given = Vec::new();
        for part in parts {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("\"{part}\": {HOW}"))?;
            let also = ALSO.iter().find(|(theirs, _)| *theirs == key);
            let (key, written) = (also.map_or(key, |(_, ours)| ours), key);
            if given.contains(&key) {
                return Err(format!("{key}= is given twice: {HOW}"));
            }
            given.push(key);
            match written {
                "toxicity" => line.share = Some(toxicity(value)?),
                _ => line.take(key, value)?,
            }
        }
        if line.length.is_some_and(|length| length.as_nanos() == 0) {
            return Err("for=0s hits nothing: expected a time above 0".to_owned());
        }
        let share = line.share.unwrap_or(100.0);
        if share <= 0.0 {
            return Err("share=0 hits nothing: expected a percentage above 0".to_owned());
        }
        // Pieces may come one right after the other.
        let by = line.by.unwrap_or(match kind {
            Kind::Slicer => Span::ZERO,
            _ => Span::secs(1),
        });
        let needs_time = matches!(
            kind,
            Kind::Latency | Kind::Blackhole | Kind::Partition | Kind::Clock | Kind::SlowClose
        );
        if needs_time && by.as_nanos() == 0 {
            return Err("by=0s delays nothing: expected a time above 0".to_owned());
        }
        if line.jitter > Span::ZERO && kind != Kind::Latency {
            return Err(format!("jitter= belongs to latency: {HOW}"));
        }
        let is_part = share < 100.0 || line.attempts.is_some();
        let is_somewhere = line.service.is_some() || line.hosts.is_some() || line.zone.is_some();
        if kind.is_of_envoys() && (is_part || is_somewhere || line.from.is_some()) {
            return Err(format!(
                "{name} is of all Envoys: share=, attempts=, service=, hosts=, zone= and from= do not belong to it"
            ));
        }
        if kind.is_of_hosts() && (is_part || line.from.is_some()) {
            return Err(format!(
                "{name} is of whole hosts: hosts= and zone= say which, and share=, attempts= and from= do not belong to it"
            ));
        }
        if kind == Kind::Partition && line.zone.is_none() {
            return Err(format!(
                "partition needs zone=, the zone that is cut off: {HOW}"
            ));
        }
        if kind == Kind::Partition && line.zone == line.from {
            return Err(
                "from= is the zone itself: expected the other side, or nothing for all others"
                    .to_owned(),
            );
        }
        if line.jitter > by {
            return Err(format!("jitter={} is more than by={by}", line.jitter));
        }
        if line.left.is_some() != (kind == Kind::Slow) {
            return Err(format!("left= belongs to slow, and slow needs it: {HOW}"));
        }
        let missing = |key: &str| format!("{key}= is missing: {HOW}");
        Ok(Self {
            kind,
            at: line.at.ok_or_else(|| missing("at"))?.as_nanos(),
            length: line.length.ok_or_else(|| missing("for"))?.as_nanos(),
            share,
            by: by.as_nanos(),
            jitter: line.jitter.as_nanos(),
            left: line.left.unwrap_or(100),
            toxic: line.toxic(kind)?,
            service: line.service,
            hosts: line.hosts,
            zone: line.zone,
            from: line.from,
            attempts: line.attempts,
        })
    }
}

/// How a kind is written.
fn name(kind: Kind) -> &'static str {
    let mut all = KINDS.iter();
    all.find(|(_, known)| *known == kind)
        .map_or("", |(name, _)| name)
}

/// A share as Toxiproxy writes it, in percent.
fn toxicity(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    let share: f64 =
        share.ok_or_else(|| format!("toxicity={text}: expected a number from 0 to 1"))?;
    Ok(100.0 * share)
}

/// A whole number of at least so much.
fn count(key: &str, text: &str, least: u64) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count >= least);
    count.ok_or_else(|| format!("{key}={text}: expected a whole number of {least} or more"))
}

/// `0-2`, or `1` for one alone.
fn range(text: &str) -> Result<(usize, usize), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.parse().ok().zip(last.parse().ok());
    let range = range.filter(|(first, last)| first <= last);
    range.ok_or_else(|| format!("hosts={text} is no range, such as 0-2: hosts count from 0"))
}
