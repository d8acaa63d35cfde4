//! Requests, answers and the rules by which the upstream answers, as a test or a file says them.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::bytes::Bytes;
use super::expect::Expect;
use crate::abi::stream::HeaderMap;

/// Names and values, in order.
pub type Headers = Vec<(String, String)>;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its method.
    #[serde(default = "get")]
    pub method: String,
    /// Its path, with the query.
    #[serde(default = "root")]
    pub path: String,
    /// Its headers. `host` is what the filter sees as `:authority`.
    #[serde(default)]
    pub headers: Headers,
    /// Its body.
    #[serde(default)]
    pub body: String,
    /// Its body where it is no text; then `body` does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<Bytes>,
    /// More headers, whose values are no text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers_base64: Vec<(String, Bytes)>,
    /// Its trailers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trailers: Headers,
    /// When it comes, in milliseconds since the first could; without it, when all before it have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// The worker that it comes to, counted from 0; without it, they take turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
    /// What it should lead to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

fn get() -> String {
    "GET".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

impl Request {
    /// A request by its method and path.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Headers::new(),
            body: String::new(),
            body_base64: None,
            headers_base64: Vec::new(),
            trailers: Headers::new(),
            at_ms: None,
            worker: None,
            expect: None,
        }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST with a body.
    pub fn post(path: &str, body: &str) -> Self {
        Self {
            body: body.to_owned(),
            ..Self::new("POST", path)
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a body of any bytes.
    #[must_use]
    pub fn bytes(mut self, body: &[u8]) -> Self {
        self.body_base64 = Some(Bytes(body.to_vec()));
        self
    }

    /// The same with one more header, whose value is any bytes.
    #[must_use]
    pub fn header_bytes(mut self, name: &str, value: &[u8]) -> Self {
        let value = Bytes(value.to_vec());
        self.headers_base64.push((name.to_owned(), value));
        self
    }

    /// Its body.
    pub fn payload(&self) -> &[u8] {
        let bytes = self.body_base64.as_ref().map(|bytes| &*bytes.0);
        bytes.unwrap_or(self.body.as_bytes())
    }

    /// The same with one more trailer.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same at a time, in milliseconds since the first request could come.
    #[must_use]
    pub fn at_ms(mut self, at: u64) -> Self {
        self.at_ms = Some(at);
        self
    }
}

/// What a client got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Response {
    /// The status; 0 if the stream was cut off before there was one.
    pub status: u32,
    /// Headers, without `:status`.
    pub headers: Headers,
    /// The body.
    pub body: String,
    /// The body where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<Bytes>,
    /// Those headers again whose values are no text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_base64: Vec<(String, Bytes)>,
    /// The trailers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trailers: Headers,
    /// Whether the stream was cut off.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// Virtual time from the request to here, in milliseconds.
    pub took_ms: u64,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }
}

/// A request as the upstream got it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its headers; `host` is the first.
    pub headers: Headers,
    /// Its body.
    pub body: String,
    /// Its body where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<Bytes>,
    /// Those headers again whose values are no text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_base64: Vec<(String, Bytes)>,
    /// Its trailers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trailers: Headers,
}

impl Seen {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }
}

fn first<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let found = headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// How the upstream answers requests whose path begins so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// The beginning of the path; all if empty.
    pub path_prefix: String,
    /// The status, 100 to 599.
    #[serde(deserialize_with = "status")]
    pub status: u32,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: String,
    /// The body where it is no text; then `body` does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<Bytes>,
    /// More headers, whose values are no text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_base64: Vec<(String, Bytes)>,
    /// The trailers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trailers: Headers,
    /// How long it takes.
    pub delay_ms: u64,
    /// Whether the connection breaks instead.
    pub reset: bool,
}

/// A status as upstreams have it.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let given = u64::deserialize(deserializer)?;
    let status = u32::try_from(given).ok();
    let status = status.filter(|status| (100..=599).contains(status));
    status.ok_or_else(|| D::Error::custom(format!("the status is {given}: expected 100 to 599")))
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            path_prefix: String::new(),
            status: 200,
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: String::new(),
            body_base64: None,
            headers_base64: Vec::new(),
            trailers: Headers::new(),
            delay_ms: 0,
            reset: false,
        }
    }
}

impl Rule {
    /// The body.
    pub fn payload(&self) -> &[u8] {
        let bytes = self.body_base64.as_ref().map(|bytes| &*bytes.0);
        bytes.unwrap_or(self.body.as_bytes())
    }

    /// No body any more.
    pub(super) fn clear_body(&mut self) {
        self.body.clear();
        self.body_base64 = None;
    }

    /// A status and a body for every path.
    pub fn answer(status: u32, body: &str) -> Self {
        Self {
            status,
            body: body.to_owned(),
            ..Self::default()
        }
    }

    /// The same for paths that begin so.
    #[must_use]
    pub fn at(mut self, path_prefix: &str) -> Self {
        path_prefix.clone_into(&mut self.path_prefix);
        self
    }
}

/// Pairs as the guest sees them: lower-case names.
pub(super) fn map(headers: &Headers) -> HeaderMap {
    let pair = |(name, value): &(String, String)| {
        (
            name.to_ascii_lowercase().into_bytes(),
            value.clone().into_bytes(),
        )
    };
    headers.iter().map(pair).collect()
}

/// The same with more headers, whose values are bytes.
pub(super) fn map_all(headers: &Headers, more: &[(String, Bytes)]) -> HeaderMap {
    let mut all = map(headers);
    all.extend(more.iter().map(|(name, value)| {
        let name = name.to_ascii_lowercase().into_bytes();
        (name, value.0.clone())
    }));
    all
}

/// Those pairs whose values are no text.
pub(super) fn odd(map: &HeaderMap) -> Vec<(String, Bytes)> {
    let pairs = map
        .iter()
        .filter(|(_, value)| std::str::from_utf8(value).is_err());
    pairs
        .map(|(name, value)| {
            let name = String::from_utf8_lossy(name).into_owned();
            (name, Bytes(value.clone()))
        })
        .collect()
}

/// Text for pairs; pseudo-headers are left out.
pub(super) fn shown(map: &HeaderMap) -> Headers {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = map.iter().filter(|(name, _)| !name.starts_with(b":"));
    pairs
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}
