//! The keys of retries: when, which, who pays.

use serde::Deserialize;

use super::super::units::{Decimal, Duration, Percent, Ratio, Whole};

/// Retries: decided by Seawall, paid from one budget over all workers.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawRetries<'a> {
    /// What they do (enforce).
    pub mode: Option<RawRetryMode>,
    /// The most attempts of one request, the first included, 1 to 10 (2).
    pub attempts: Option<Whole>,
    /// When: 5xx, gateway-error, reset, connect-failure, refused-stream, timeout, a status such as "409", or a gRPC
    /// status by Envoy's name: cancelled, deadline-exceeded, resource-exhausted, internal, unavailable
    /// (5xx, reset, connect-failure, refused-stream, timeout, unavailable).
    #[serde(borrow)]
    pub on: Option<Vec<&'a str>>,
    /// Which methods are repeated; an Idempotency-Key makes every method safe, and what never reached the upstream
    /// is safe anyway (idempotent).
    pub methods: Option<RawMethods>,
    /// Who pays.
    pub budget: Option<RawBudget>,
    /// A second attempt beside one that takes long, for requests that are safe to repeat.
    pub hedge: Option<RawHedge>,
    /// How Envoy's router learns of them (headers). With "route" each route has the `retry_policy` that docs/configuration.md names, and a
    /// request that goes well has no header written.
    pub router: Option<RawRouter>,
}

/// How Envoy's router learns of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawRouter {
    /// By headers of each request.
    Headers,
    /// By the route's `retry_policy`; headers only take retries back.
    Route,
}

/// What retries do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawRetryMode {
    /// Seawall decides about every attempt.
    Enforce,
    /// The route decides, Seawall counts what it would have refused.
    Shadow,
    /// The route decides.
    Off,
}

/// Which methods are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawMethods {
    /// GET, HEAD, OPTIONS, TRACE, PUT, DELETE.
    Idempotent,
    /// All, POST and with it gRPC among them.
    Any,
}

/// The retry budget.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawBudget {
    /// What each first attempt pays in, in percent of a retry, 0 to 1,000 (20).
    pub ratio: Option<Ratio>,
    /// Retries that flow in each second besides, 0 to 1,000 (0.1).
    pub min_per_second: Option<Decimal>,
    /// For how long what was paid in lasts, 1s to 60s (10s).
    pub ttl: Option<Duration>,
}

/// When a second attempt is sent beside the first.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawHedge {
    /// After this time.
    pub after: Option<Duration>,
    /// Or after as long as this share of the answers takes, in percent.
    pub percentile: Option<Percent>,
    /// With a percentile: never sooner (10ms).
    pub min: Option<Duration>,
    /// With a percentile: never later (10s).
    pub max: Option<Duration>,
}
