//! The keys of what keeps load away: bulkhead and shedding.

use serde::Deserialize;

use super::super::units::{Duration, Percent, Whole};

/// What is done with a request that a policy would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawEnforcement {
    /// It is refused.
    Enforce,
    /// It is marked.
    Shadow,
    /// Nobody looks.
    Off,
}

/// Until when a request counts as in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawUntil {
    /// Until the headers of its answer: for streams that stay open.
    Headers,
    /// Until its end.
    End,
}

/// How many requests there may be at an upstream at the same time, over all workers.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawBulkhead<'a> {
    /// What is done with those beyond (enforce).
    pub mode: Option<RawEnforcement>,
    /// With `mode: enforce`: on which share of the requests, by request id (100 %).
    pub enforce: Option<Percent>,
    /// So many, 1 to 1,000,000.
    pub max_concurrent: Option<Whole>,
    /// Not for the whole upstream, but for each value of a header.
    #[serde(borrow)]
    pub per: Option<RawPer<'a>>,
    /// Until when a request holds its slot (end).
    pub until: Option<RawUntil>,
    /// Which share of the slots requests may hold whose body is not complete, 1 to 100 percent (50).
    pub unfinished: Option<Percent>,
}

/// What parts a bulkhead.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawPer<'a> {
    /// The header's name, such as `x-tenant`; requests without it share one part.
    #[serde(borrow)]
    pub header: Option<&'a str>,
    /// How many values have slots of their own at the same time, 1 to 1,000 (100); those beyond share one part.
    pub max_keys: Option<Whole>,
}

/// What is refused when there is too much to do.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawShedding<'a> {
    /// What is done with those that are too many (enforce).
    pub mode: Option<RawEnforcement>,
    /// With `mode: enforce`: on which share of the requests, by request id (100 %).
    pub enforce: Option<Percent>,
    /// How the limit on requests in flight is found (adaptive).
    pub limit: Option<RawLimit>,
    /// An adaptive limit is never less, 1 to 100,000 (20, or less where `max` or `initial` is).
    pub min: Option<Whole>,
    /// An adaptive limit is never more, 1 to 100,000 (200, or more where `min` or `initial` is); a fixed one is this.
    pub max: Option<Whole>,
    /// What an adaptive limit starts with (min).
    pub initial: Option<Whole>,
    /// Which share of the limit each priority may fill.
    pub shares: Option<RawShares>,
    /// Where a request's priority is read.
    #[serde(borrow)]
    pub priorities: Option<RawPriorities<'a>>,
    /// Above this utilisation in the upstream's own reports (ORCA) the least important are shed, in percent; 0 is off (80).
    pub load_over: Option<Percent>,
    /// `retry-after` of what was shed is spread from 1s to this, 1s to 1h (4s).
    pub retry_after: Option<Duration>,
    /// Until when a request counts as in flight (end).
    pub until: Option<RawUntil>,
    /// Which share of the limit requests may fill whose body is not complete, 1 to 100 percent (50).
    pub unfinished: Option<Percent>,
}

/// How the limit on requests in flight is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawLimit {
    /// It follows latency.
    Adaptive,
    /// It is `max`.
    Fixed,
    /// There is none: only the upstream's reports count.
    None,
}

/// Which share of the limit each priority may fill, in percent; none more than one that is more important. A default
/// follows those that are given.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawShares {
    /// (100)
    pub critical_plus: Option<Percent>,
    /// (90)
    pub critical: Option<Percent>,
    /// (70)
    pub sheddable_plus: Option<Percent>,
    /// (50)
    pub sheddable: Option<Percent>,
}

/// Where a request's priority is read. Who is not trusted (`trust`) may lower it, never raise it.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawPriorities<'a> {
    /// The header (x-seawall-priority).
    #[serde(borrow)]
    pub header: Option<&'a str>,
    /// Of requests that say nothing, where the route's metadata (`filter_metadata.seawall.priority`) is silent (critical).
    pub default: Option<RawPriority>,
}

/// How important a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawPriority {
    /// What must work even when hardly anything does.
    CriticalPlus,
    /// What users see.
    Critical,
    /// What may be late.
    SheddablePlus,
    /// What may be left out.
    Sheddable,
}
