//! What a request's control headers and its route ask of the router, as Envoy reads them.

use super::{BackOff, RetryOn};
use crate::abi::stream::{HeaderMap, value};

/// The limit of a route that says nothing, in nanoseconds: 15 s, as in Envoy.
pub const ROUTE_TIMEOUT: u64 = 15_000_000_000;
/// Retries where conditions are given but no number.
pub const RETRIES: u32 = 1;

const TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";
const PER_TRY: &str = "x-envoy-upstream-rq-per-try-timeout-ms";
const RETRY_ON: &str = "x-envoy-retry-on";
const RETRY_GRPC_ON: &str = "x-envoy-retry-grpc-on";
const MAX_RETRIES: &str = "x-envoy-max-retries";
const CODES: &str = "x-envoy-retriable-status-codes";
const HEADER_NAMES: &str = "x-envoy-retriable-header-names";
const HEDGE: &str = "x-envoy-hedge-on-per-try-timeout";
const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";
const CONTROLS: [&str; 8] = [
    TIMEOUT,
    PER_TRY,
    RETRY_ON,
    RETRY_GRPC_ON,
    MAX_RETRIES,
    CODES,
    HEADER_NAMES,
    HEDGE,
];
const NANOS_PER_MILLI: u64 = 1_000_000;

/// A route's `retry_policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryPolicy {
    /// When to try again.
    pub on: RetryOn,
    /// How often.
    pub retries: u32,
    /// Statuses that may be tried again.
    pub codes: Vec<u16>,
    /// Headers of answers that may be tried again.
    pub headers: Vec<String>,
    /// The limit of one attempt, in nanoseconds.
    pub per_try: Option<u64>,
}

/// A route, as far as the router acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The limit of the request, in nanoseconds.
    pub timeout: Option<u64>,
    /// Its retries.
    pub retry: RetryPolicy,
    /// Whether an attempt that takes too long goes on beside the next one.
    pub hedge: bool,
    /// Waits before retries; none tries again at once, which Envoy itself never does.
    pub back_off: Option<BackOff>,
}

impl Default for Route {
    /// A route that says nothing.
    fn default() -> Self {
        let retry = RetryPolicy {
            retries: RETRIES,
            ..RetryPolicy::default()
        };
        Self {
            timeout: Some(ROUTE_TIMEOUT),
            retry,
            hedge: false,
            back_off: Some(BackOff::default()),
        }
    }
}

impl Route {
    /// A route that tries again so often, by itself.
    pub fn retrying(on: RetryOn, retries: u32) -> Self {
        let mut route = Self::default();
        route.retry.on = on;
        route.retry.retries = retries;
        route
    }
}

/// What holds for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// When to try again.
    pub on: RetryOn,
    /// How often.
    pub retries: u32,
    /// Statuses that may be tried again.
    pub codes: Vec<u16>,
    /// Headers of answers that may be tried again, in lower case.
    pub headers: Vec<String>,
    /// The limit of the request, in nanoseconds.
    pub total: Option<u64>,
    /// The limit of one attempt, in nanoseconds.
    pub per_try: Option<u64>,
    /// Whether an attempt that takes too long goes on beside the next one.
    pub hedge: bool,
    /// Waits before retries.
    pub back_off: Option<BackOff>,
}

impl Orders {
    /// Reads the control headers and removes them, as the router does before the upstream sees the request.
    pub fn take(route: &Route, request: &mut HeaderMap) -> Self {
        let text = |name: &str| value(request, name);
        let number = |name: &str| text(name).and_then(|text| text.trim().parse::<u64>().ok());
        let limit = |millis: u64| Some(millis.saturating_mul(NANOS_PER_MILLI)).filter(|at| *at > 0);
        let total = number(TIMEOUT).map_or(route.timeout, limit);
        let per_try = number(PER_TRY).map_or(route.retry.per_try, limit);
        let on = |name: &str, parse: fn(&str) -> RetryOn| text(name).map(|text| parse(&text));
        let asked = on(RETRY_ON, RetryOn::parse).unwrap_or_default()
            | on(RETRY_GRPC_ON, RetryOn::parse_grpc).unwrap_or_default();
        let retries = number(MAX_RETRIES).map_or(route.retry.retries, |retries| {
            u32::try_from(retries).unwrap_or(u32::MAX)
        });
        let codes = listed(text(CODES)).filter_map(|code| code.parse().ok());
        let names = listed(text(HEADER_NAMES)).map(|name| name.to_ascii_lowercase());
        let orders = Self {
            on: asked | route.retry.on,
            retries,
            codes: route.retry.codes.iter().copied().chain(codes).collect(),
            headers: route.retry.headers.iter().cloned().chain(names).collect(),
            total,
            per_try: per_try.filter(|limit| total.is_none_or(|total| *limit < total)),
            hedge: route.hedge || text(HEDGE).as_deref() == Some("true"),
            back_off: route.back_off,
        };
        request.retain(|(name, _)| !CONTROLS.iter().any(|control| name == control.as_bytes()));
        orders
    }

    /// Tells the upstream how long it has, some nanoseconds after the request began.
    pub fn tell_expected(&self, request: &mut HeaderMap, elapsed: u64) {
        let whole = self.total.map(|total| total.saturating_sub(elapsed));
        let one = self.per_try.filter(|_| !self.hedge);
        let expected = match (one, whole) {
            (Some(one), Some(whole)) => Some(one.min(whole)),
            (one, whole) => one.or(whole),
        };
        request.retain(|(name, _)| name != EXPECTED.as_bytes());
        if let Some(expected) = expected {
            // Less than a millisecond is still a limit, and 0 would be none.
            let millis = (expected / NANOS_PER_MILLI).max(1).to_string();
            request.push((EXPECTED.into(), millis.into_bytes()));
        }
    }

    /// Whether an answer with these headers may be tried again.
    pub fn covers(&self, status: u16, answer: &HeaderMap) -> bool {
        if value(answer, "x-envoy-ratelimited").is_some() {
            return self.on.has(RetryOn::RATE_LIMITED);
        }
        let on = |condition, holds: bool| holds && self.on.has(condition);
        let grpc = value(answer, "grpc-status").and_then(|text| text.parse::<u32>().ok());
        on(RetryOn::SERVER_ERROR, (500..600).contains(&status))
            || on(RetryOn::GATEWAY_ERROR, (502..=504).contains(&status))
            || on(RetryOn::RETRIABLE_4XX, status == 409)
            || on(RetryOn::RETRIABLE_CODES, self.codes.contains(&status))
            || on(RetryOn::RETRIABLE_HEADERS, self.has_header(answer))
            || grpc.is_some_and(|status| status < 17 && self.on.has(RetryOn::grpc(status)))
    }

    fn has_header(&self, answer: &HeaderMap) -> bool {
        self.headers
            .iter()
            .any(|name| value(answer, name).is_some())
    }
}

fn listed(text: Option<String>) -> impl Iterator<Item = String> {
    let words = text.unwrap_or_default();
    let words: Vec<String> = words
        .split(',')
        .map(|word| word.trim().to_owned())
        .collect();
    words.into_iter().filter(|word| !word.is_empty())
}
