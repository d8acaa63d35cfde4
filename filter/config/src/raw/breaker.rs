//! The keys of the circuit breaker.

use serde::Deserialize;

use super::super::units::{Duration, Percent, Whole};

/// The circuit breaker.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawBreaker<'a> {
    /// What it does with its verdict (enforce).
    pub mode: Option<RawMode>,
    /// With `mode: enforce`: on which share of the requests, by request id (100 %).
    pub enforce: Option<Percent>,
    /// Whether it also works on inbound listeners (false).
    pub inbound: Option<bool>,
    /// Opens at this share of failures, in percent; 0 is off (50).
    pub failure_rate: Option<Percent>,
    /// Opens when too many calls are slow.
    #[serde(borrow)]
    pub slow_call: Option<RawSlowCall<'a>>,
    /// Opens at so many failures in a row; 0 is off (7).
    pub consecutive: Option<Whole>,
    /// Over what rates are taken (10 s).
    pub window: Option<RawWindow>,
    /// Calls in the window before a rate is judged (20).
    pub minimum_calls: Option<Whole>,
    /// How long it stays open.
    pub open: Option<RawOpen>,
    /// How it probes.
    pub half_open: Option<RawHalfOpen>,
    /// After closing, the admitted share grows from 10 % to all over this time (10s); "0s" is off.
    pub ramp: Option<Duration>,
    /// The hosts behind the upstream.
    pub hosts: Option<RawHosts>,
    /// Asks an open upstream whether it is well again; a good answer leads to half-open (none).
    #[serde(borrow)]
    pub probe: Option<RawProbe<'a>>,
}

/// Seawall's own health probe.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawProbe<'a> {
    /// The path, such as `/healthz`.
    #[serde(borrow)]
    pub path: Option<&'a str>,
    /// The authority (the cluster's name).
    #[serde(borrow)]
    pub host: Option<&'a str>,
    /// The time between two probes, by one worker at a time, 100ms to 1h (2s).
    pub every: Option<Duration>,
    /// How long an answer may take, 1ms to a minute (1s).
    pub timeout: Option<Duration>,
}

/// What a breaker does with its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawMode {
    /// Refuses.
    Enforce,
    /// Marks what it would refuse.
    Shadow,
    /// Does nothing.
    Off,
    /// Refuses everything.
    ForcedOpen,
}

/// When a call is slow, and how many may be.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawSlowCall<'a> {
    /// A success whose headers took longer is slow (2s; with a `half_open.wait` under 3s a second less than that).
    pub over: Option<Duration>,
    /// Opens at this share of slow calls, in percent; 0 is off (80).
    pub rate: Option<Percent>,
    /// Which requests wait for something to happen, so that they are never slow and no samples of latency (none).
    #[serde(borrow)]
    pub long_poll: Option<Vec<RawLongPoll<'a>>>,
}

/// Long polls: all requests to a path, or all of a route.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawLongPoll<'a> {
    /// Their path without the query; with `*` at its end all that begin so.
    #[serde(borrow)]
    pub path: Option<&'a str>,
    /// Their route's name.
    #[serde(borrow)]
    pub route: Option<&'a str>,
}

/// The window: a time or a number of calls.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawWindow {
    /// The last so much time, 100ms to 1h.
    pub over: Option<Duration>,
    /// The last so many calls, 1 to 1,024.
    pub calls: Option<Whole>,
}

/// How long an open breaker stays open.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawOpen {
    /// After the first trip; doubled at each further one in a row (5s, or `up_to` where that is shorter).
    pub r#for: Option<Duration>,
    /// Never longer, but for the jitter (60s, or `for` where that is longer).
    pub up_to: Option<Duration>,
    /// Up to this share is added at random, in percent (100).
    pub jitter: Option<Percent>,
}

/// How a half-open breaker probes.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawHalfOpen {
    /// Probes in flight plus verdicts, over all workers, 1 to 1,000 (2).
    pub permits: Option<Whole>,
    /// Permits held for so long without a verdict are taken back from VMs that died; at least `timeout.total`, and a
    /// second more than `slow_call.over` (20s, or as long as those ask for).
    pub wait: Option<Duration>,
}

/// The hosts behind an upstream.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawHosts {
    /// While a minority of them fails, a trip is withheld for so long (10s); "0s" is off.
    pub grace: Option<Duration>,
}
