//! The configuration as it is written: every key that exists, and nothing else.
//!
//! The JSON Schema for editors is made from these types, so that it cannot say anything else than the parser does.
//! Everything is optional here; defaults and limits belong to the step from these types to the valid ones.

pub mod breaker;
pub mod concurrency;
pub mod fallback;
pub mod retries;

use std::collections::BTreeMap;

use serde::Deserialize;

use super::units::{Decimal, Duration, GrpcStatus, HttpStatus, Percent, Whole};
use breaker::RawBreaker;
use concurrency::{RawBulkhead, RawShedding};
use fallback::RawRung;
use retries::RawRetries;

/// A whole configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct File<'a> {
    /// The version of this format: 1.
    pub version: Option<Whole>,
    /// Policies by name. The one named "default" is for every upstream that no entry names.
    #[serde(borrow)]
    pub policies: Option<BTreeMap<&'a str, RawPolicy<'a>>>,
    /// Which policy is for which cluster; the first entry that fits wins.
    #[serde(borrow)]
    pub upstreams: Option<Vec<RawUpstream<'a>>>,
    /// Bounds of the whole process.
    pub limits: Option<RawLimits>,
    /// Whose marks are believed: deadlines, priorities and retries across an application (nobody's).
    #[serde(borrow)]
    pub trust: Option<RawTrust<'a>>,
    /// The state page (none).
    #[serde(borrow)]
    pub page: Option<RawPage<'a>>,
}

/// The state page: what this process knows of every upstream, as JSON or HTML.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawPage<'a> {
    /// Its path, exactly, such as `/seawall`.
    #[serde(borrow)]
    pub path: Option<&'a str>,
    /// Who may read it; for everybody else it does not exist.
    #[serde(borrow)]
    pub trust: Option<RawTrust<'a>>,
    /// Who may also force upstreams open or closed, or reset them: by identity, or by address and the page's token (nobody).
    #[serde(borrow)]
    pub force: Option<RawTrust<'a>>,
}

/// Whose marks are believed.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawTrust<'a> {
    /// URIs in the peer's certificate, such as `spiffe://cluster.local/ns/edge/sa/gateway`; `*` stands for any run of characters.
    #[serde(borrow)]
    pub identities: Option<Vec<&'a str>>,
    /// Addresses and networks, such as `10.0.0.0/8`.
    #[serde(borrow)]
    pub addresses: Option<Vec<&'a str>>,
}

/// Bounds of the whole process.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    /// How many upstreams get a state of their own, 1 to 10,000 (2,000).
    pub upstreams: Option<Whole>,
}

/// Which policy is for which cluster.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawUpstream<'a> {
    /// The cluster's name; `*` stands for any run of characters.
    #[serde(borrow)]
    pub cluster: Option<&'a str>,
    /// A policy's name.
    #[serde(borrow)]
    pub policy: Option<&'a str>,
    /// What has a state of its own: the cluster, or each authority asked for (cluster).
    pub key: Option<RawKey>,
    /// With `key: authority`: for how many authorities, 1 to 1,000 (100).
    pub max_keys: Option<Whole>,
}

/// What has a state of its own within a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawKey {
    /// The cluster as a whole.
    Cluster,
    /// Each authority asked for.
    Authority,
}

/// One policy. What is not said is as in the policy it extends, or the default.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawPolicy<'a> {
    /// A policy whose keys hold where this one is silent.
    #[serde(borrow)]
    pub extends: Option<&'a str>,
    /// What shares one state: a cluster, or a route to it (cluster).
    pub scope: Option<RawScope>,
    /// Time limits.
    #[serde(borrow)]
    pub timeout: Option<RawTimeout<'a>>,
    /// What counts as a failure.
    #[serde(borrow)]
    pub outcomes: Option<RawOutcomes<'a>>,
    /// The circuit breaker.
    #[serde(borrow)]
    pub breaker: Option<RawBreaker<'a>>,
    /// Retries; without them the route's own stay as they are.
    #[serde(borrow)]
    pub retries: Option<RawRetries<'a>>,
    /// How many requests there may be at the same time (as many as come).
    #[serde(borrow)]
    pub bulkhead: Option<RawBulkhead<'a>>,
    /// What is refused when there is too much to do, the least important first (nothing).
    #[serde(borrow)]
    pub shedding: Option<RawShedding<'a>>,
    /// Which requests bulkhead and shedding never refuse and never count, at most 10 per second for each upstream and worker (none).
    #[serde(borrow)]
    pub exempt: Option<Vec<RawExempt<'a>>>,
    /// What is answered instead, first to last.
    #[serde(borrow)]
    pub fallback: Option<Vec<RawRung<'a>>>,
    /// Whether answers of our own say so in `x-seawall-*` headers (true); at an edge they are nobody's business.
    pub answer_headers: Option<bool>,
}

/// Requests that are exempt, such as checks of health.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawExempt<'a> {
    /// Their path without the query; with `*` at its end all that begin so.
    #[serde(borrow)]
    pub path: Option<&'a str>,
}

/// What shares one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawScope {
    /// All requests to a cluster.
    Cluster,
    /// All requests of a route to a cluster.
    Route,
}

/// Time limits.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawTimeout<'a> {
    /// For the whole request, retries included; takes the place of the route's own (none: the route's own holds).
    pub total: Option<Duration>,
    /// For each attempt, until its headers (none: the route's own holds).
    pub per_try: Option<Duration>,
    /// Headers in which a deadline comes and goes; those other than the two known ones carry milliseconds
    /// (grpc-timeout, x-envoy-expected-rq-timeout-ms).
    #[serde(borrow)]
    pub propagate: Option<Vec<&'a str>>,
    /// A request whose caller leaves it less time is refused at once (0s: only one without any).
    pub doomed_under: Option<Duration>,
    /// A limit that follows the observed latency.
    pub adaptive: Option<RawAdaptive>,
}

/// A limit that follows the observed latency.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawAdaptive {
    /// Which percentile of the last minute's latencies, in percent (99).
    pub percentile: Option<Percent>,
    /// Times so much, 1 to 100 (2).
    pub factor: Option<Decimal>,
    /// Never less (breaker.slow_call.over, or `max` where that is less).
    pub min: Option<Duration>,
    /// Never more (15s, or `min` where that is more).
    pub max: Option<Duration>,
    /// There is no such limit before so many samples (100).
    pub minimum_samples: Option<Whole>,
}

/// What counts as a failure, and what as "too much to do". A list that is given takes the place of the default one.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawOutcomes<'a> {
    /// Failures: status 500 502 503 504 520-527 530, grpc 2 4 13 14 15, flags UT UR UF UC UPE.
    #[serde(borrow)]
    pub failure: Option<RawFailure<'a>>,
    /// Neither failure nor success: status 429 529, grpc 8. What is written in both lists is overload.
    pub overloaded: Option<RawOverloaded>,
}

/// Marks of a response that is a failure.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawFailure<'a> {
    /// HTTP statuses, 100 to 599: such as 503, "5xx", "520-527".
    pub status: Option<Vec<HttpStatus>>,
    /// gRPC statuses: 1 to 16, or names such as `unavailable`.
    pub grpc: Option<Vec<GrpcStatus>>,
    /// Envoy's response flags: UT, UR, UF, UC, UPE.
    #[serde(borrow)]
    pub flags: Option<Vec<&'a str>>,
}

/// Marks of a response that says "too much to do".
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawOverloaded {
    /// HTTP statuses, 100 to 599: such as 429, "520-527".
    pub status: Option<Vec<HttpStatus>>,
    /// gRPC statuses: 1 to 16, or names such as `resource-exhausted`.
    pub grpc: Option<Vec<GrpcStatus>>,
    /// What it is for the breaker (ignore).
    pub breaker: Option<RawVerdict>,
}

/// What overload is for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawVerdict {
    /// Neither a failure nor a success: a probe of a half-open breaker gives its permit back.
    Ignore,
    /// A failure.
    Failure,
}
