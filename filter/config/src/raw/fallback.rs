//! The keys of the fallback ladder.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::units::{AnyGrpcStatus, Duration, Whole};

/// One rung of the fallback ladder: the causes, and one of cluster, stale, static.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawRung<'a> {
    /// The causes it stands for (all that it can: another cluster stands for open, shed and bulkhead).
    pub on: Option<Vec<RawCause>>,
    /// The same request to this cluster, by a route of its own (docs/fallback.md).
    #[serde(borrow)]
    pub cluster: Option<&'a str>,
    /// The last good answer to the same request.
    #[serde(borrow)]
    pub stale: Option<RawStale<'a>>,
    /// A fixed answer.
    #[serde(borrow)]
    pub r#static: Option<RawStatic<'a>>,
}

/// Why an answer of our own is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawCause {
    /// The breaker did not admit the request.
    Open,
    /// There was too much to do, and others were more important.
    Shed,
    /// All slots of the bulkhead were taken.
    Bulkhead,
    /// There was too little time left for it.
    Deadline,
    /// The upstream, or Envoy for it, failed.
    Failure,
}

/// The last good answer to the same request: GET and HEAD only, and never one that was for one user.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawStale<'a> {
    /// Never older, 1s to 24h (10m).
    pub max_age: Option<Duration>,
    /// Whether answers to requests with credentials are kept too, each for the same credentials alone (false).
    pub authorized: Option<bool>,
    /// Whether answers to requests with cookies are kept too, each for the same cookies alone (false).
    pub cookies: Option<bool>,
    /// Headers that shape no response, though they may differ from client to client; `*` at the end stands for all that
    /// begin so; at most 32 (none).
    #[serde(borrow)]
    pub ignore_headers: Option<Vec<&'a str>>,
}

/// A fixed answer.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawStatic<'a> {
    /// HTTP status, 200 to 599 (200).
    pub status: Option<Whole>,
    /// `content-type`.
    #[serde(borrow)]
    pub content_type: Option<&'a str>,
    /// Further headers; `{{policy}}`, `{{reason}}` and `{{retry_after}}` (seconds) are filled in.
    #[serde(borrow)]
    pub headers: Option<BTreeMap<&'a str, &'a str>>,
    /// The body, at most 64 KiB; `{{policy}}`, `{{reason}}` and `{{retry_after}}` (seconds) are filled in.
    #[serde(borrow)]
    pub body: Option<&'a str>,
    /// What a gRPC caller gets; without it the rung does not stand for gRPC.
    #[serde(borrow)]
    pub grpc: Option<RawGrpc<'a>>,
}

/// A gRPC answer.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawGrpc<'a> {
    /// gRPC status, 0 to 16, or its name.
    pub status: Option<AnyGrpcStatus>,
    /// gRPC status message; filled in like a body.
    #[serde(borrow)]
    pub message: Option<&'a str>,
}
