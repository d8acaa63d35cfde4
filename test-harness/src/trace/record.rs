//! What a line of a log says, the same for every format, and whether it is a request at all.

use std::borrow::Cow;

use seawall_policy::priority::Priority;
use serde::Serialize;

use super::time::{Unit, instant, is_whole, micros};
use super::{Request, grpc};

/// Why a line is no request, though nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// A TCP connection.
    Tcp,
    /// 101, CONNECT, a WebSocket.
    Upgrade,
    /// An answer without an end, such as an event stream.
    Stream,
    /// Bytes in which the proxy found no request.
    Unreadable,
    /// What the client never sent, or had in its cache.
    Unsent,
    /// The proxy's own log.
    ProxyLog,
    /// Something else that the tool measures.
    OtherMetric,
}

impl Left {
    /// In words, for a count before it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Tcp => "of TCP connections",
            Self::Upgrade => "of upgrades (101, CONNECT, WebSocket)",
            Self::Stream => "of streams",
            Self::Unreadable => "in which the proxy found no HTTP request",
            Self::Unsent => "of requests that were not sent or had no answer from the network",
            Self::ProxyLog => "of the proxy's own log",
            Self::OtherMetric => "of other metrics",
        }
    }
}

/// A request with its time since 1970 in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) at: u64,
    /// The second that its line was written at, where the line has no part of one.
    pub(super) second: Option<u64>,
    /// How long the upstream worked; none if the format does not say.
    pub(super) service_us: Option<u64>,
    /// What stands where its priority should, and is none.
    pub(super) unknown_priority: Option<String>,
    /// All but the times.
    pub(super) request: Request,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Request(Record),
    Left(Left),
}

/// A length of time as it stands in a line.
#[derive(Clone, Debug)]
pub(super) struct Length<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) unit: Unit,
}

/// A time as it stands in a line.
#[derive(Clone, Debug)]
pub(super) struct Moment<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    /// Written when the request was over.
    pub(super) end: bool,
}

/// What was found in a line, as text; `-` is nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) moment: Option<Moment<'a>>,
    /// When it was over, where the line says both and no length of time.
    pub(super) over: Option<Moment<'a>>,
    /// From the first byte of the request to the last one of the answer.
    pub(super) duration: Option<Length<'a>>,
    /// The upstream's part of it.
    pub(super) upstream: Option<Length<'a>>,
    pub(super) method: Option<&'a str>,
    pub(super) target: Option<&'a str>,
    pub(super) protocol: Option<&'a str>,
    pub(super) status: Option<&'a str>,
    pub(super) grpc_status: Option<&'a str>,
    pub(super) flags: Option<&'a str>,
    pub(super) cluster: Option<&'a str>,
    pub(super) priority: Option<&'a str>,
    pub(super) upgrade: Option<&'a str>,
    pub(super) content_type: Option<&'a str>,
}

impl Moment<'_> {
    /// In nanoseconds since 1970.
    fn instant(&self) -> Result<u64, String> {
        instant(self.text).ok_or_else(|| {
            format!(
                "{} is \"{}\": expected a time after the year 2000, such as 2026-01-31T12:00:00.000Z or seconds since 1970",
                self.name,
                short(self.text)
            )
        })
    }

    /// So many microseconds after a time.
    fn since(&self, at: u64) -> Result<u64, String> {
        let over = self.instant()?;
        let nanos = over.checked_sub(at).ok_or_else(|| {
            format!(
                "{} is \"{}\", before the request's start",
                self.name,
                short(self.text)
            )
        })?;
        Ok(nanos / 1_000)
    }
}

/// A text that says something.
pub(super) fn said(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty() && *text != "-")
}

impl Found<'_> {
    /// The line that this is.
    pub(super) fn line(&self) -> Result<Line, String> {
        let status = self.status()?;
        if let Some(left) = self.left(status) {
            return Ok(Line::Left(left));
        }
        let moment = self.moment.as_ref().ok_or("there is no time in it")?;
        let at = moment.instant()?;
        let upstream = self.upstream.as_ref().and_then(|length| {
            // nginx lists every upstream that it tried; the last one answered.
            let mut each = length.text.rsplit([',', ':']).filter_map(said);
            micros(each.next()?, length.unit)
        });
        let whole = self
            .duration
            .as_ref()
            .and_then(|length| micros(length.text, length.unit));
        let wrong = self.duration.as_ref().or(self.upstream.as_ref());
        if let (None, None, Some(wrong)) = (upstream, whole, wrong) {
            return Err(format!(
                "{} is \"{}\": expected a length of time",
                wrong.name,
                short(wrong.text)
            ));
        }
        let whole = match (&self.over, wrong) {
            (Some(over), None) => Some(over.since(at)?),
            _ => whole,
        };
        let before = whole.or(upstream).filter(|_| moment.end).unwrap_or(0);
        let named = self.priority.and_then(said);
        let priority = named.and_then(|name| Priority::named(name.as_bytes()));
        Ok(Line::Request(Record {
            at: at.saturating_sub(before.saturating_mul(1_000)),
            second: is_whole(moment.text).then_some(at / 1_000_000_000),
            service_us: upstream.or(whole),
            unknown_priority: named
                .filter(|_| priority.is_none())
                .map(|name| short(name).into_owned()),
            request: Request {
                path: self
                    .target
                    .and_then(said)
                    .map_or_else(|| "/".to_owned(), path),
                method: self.method.and_then(said).map(str::to_owned),
                status,
                flags: self.flags.and_then(said).map(str::to_owned),
                cluster: self.cluster.and_then(said).map(cluster),
                priority,
                ..Request::default()
            },
        }))
    }

    /// The status: that of HTTP, or the one that says the same where gRPC's says that it failed.
    fn status(&self) -> Result<Option<u16>, String> {
        let http = self.http_status()?;
        let failed = self.grpc_status.and_then(said).and_then(grpc::status);
        Ok(match (http, failed) {
            (None | Some(200), Some(status)) => Some(status),
            _ => http,
        })
    }

    /// The status of HTTP; 0 is none.
    fn http_status(&self) -> Result<Option<u16>, String> {
        let Some(text) = self.status.and_then(said) else {
            return Ok(None);
        };
        // Some loggers write numbers as 200.0.
        let digits = text.strip_suffix(".0").unwrap_or(text);
        let status = digits.parse::<u16>().ok();
        match status.filter(|status| matches!(status, 0 | 100..=999)) {
            Some(0) => Ok(None),
            Some(status) => Ok(Some(status)),
            None => Err(format!(
                "the status is \"{}\": expected 100 to 999",
                short(text)
            )),
        }
    }

    fn left(&self, status: Option<u16>) -> Option<Left> {
        let fits = |text: Option<&str>, word: &str| {
            text.is_some_and(|text| text.to_ascii_lowercase().contains(word))
        };
        let nothing = |text: Option<&str>| text.is_some_and(|text| said(text).is_none());
        let raw = nothing(self.method) || nothing(self.protocol) && nothing(self.target);
        if raw || fits(self.protocol, "tcp") {
            let http = status.is_some() || fits(self.protocol, "http");
            return Some(if http { Left::Unreadable } else { Left::Tcp });
        }
        let connect = self.method.is_some_and(|method| method.trim() == "CONNECT");
        let socket = fits(self.upgrade, "websocket") && status.is_none_or(|status| status < 300);
        if status == Some(101) || connect || socket {
            return Some(Left::Upgrade);
        }
        fits(self.content_type, "text/event-stream").then_some(Left::Stream)
    }
}

/// The path of a request's target, which may be a whole URL.
fn path(target: &str) -> String {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    };
    let path = path.split('#').next().unwrap_or(path);
    if path.starts_with('/') || path == "*" {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

/// Istio shows a service's cluster with a semicolon at its end, which is no part of its name.
fn cluster(name: &str) -> String {
    name.trim_end_matches(';').to_owned()
}

/// A text that may stand in an error.
pub(super) fn short(text: &str) -> Cow<'_, str> {
    const MOST: usize = 80;
    let clean = |text: &str| -> String {
        let shown = text
            .chars()
            .map(|letter| if letter.is_control() { '.' } else { letter });
        shown.collect()
    };
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", clean(&text[..end])).into(),
        None => clean(text).into(),
    }
}
