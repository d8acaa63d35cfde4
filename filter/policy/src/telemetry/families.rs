//! Every family of metrics: a constant table. A body that has to declare its metrics before the first request declares these.
//!
//! In Envoy a series is a stat whose name carries its labels, `seawall_decisions..policy=P..upstream=C..decision=D..reason=R`,
//! which the stats tags of the shipped bootstrap take apart.

use crate::environment::{MetricFamily, MetricKind};

const fn family(
    kind: MetricKind,
    name: &'static str,
    labels: &'static [&'static str],
) -> MetricFamily {
    MetricFamily { kind, name, labels }
}

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*];)*) => {
        $(pub(super) static $constant: MetricFamily =
            family(MetricKind::$kind, concat!("seawall_", $name), &[$($label),*]);)*

        /// Every family.
        pub static ALL: &[&MetricFamily] = &[$(&$constant),*];
    };
}

families! {
    // Of one policy at one upstream.
    DECISIONS: Counter "decisions" ["policy", "upstream", "decision", "reason"];
    OUTCOMES: Counter "outcomes" ["policy", "upstream", "outcome"];
    IGNORED: Counter "ignored" ["policy", "upstream", "reason"];
    SHADOW_OUTCOMES: Counter "shadow_outcomes" ["policy", "upstream", "outcome"];
    FALLBACKS: Counter "fallbacks" ["policy", "upstream", "rung", "reason"];
    TRANSITIONS: Counter "transitions" ["policy", "upstream", "from", "to"];
    RECORD_CHANGES: Counter "record_changes" ["policy", "upstream"];
    FORCED: Counter "forced" ["policy", "upstream", "to"];
    HALF_OPEN_STARVED: Counter "half_open_starved" ["policy", "upstream"];
    PROBES: Counter "probes" ["policy", "upstream", "outcome"];
    RETRIES: Counter "retries" ["policy", "upstream", "decision", "reason"];
    STATE: Gauge "state" ["policy", "upstream"];
    RETRY_BUDGET: Gauge "retry_budget" ["policy", "upstream"];
    RETRY_ACCOUNTING: Gauge "retry_accounting" ["policy", "upstream"];
    IN_FLIGHT: Gauge "in_flight" ["policy", "upstream"];
    LIMIT: Gauge "limit" ["policy", "upstream"];
    STALE_AGE_SECONDS: Histogram "stale_age_seconds" ["policy", "upstream"];
    // Of the filter itself.
    UNDECIDED: Counter "undecided" ["reason"];
    RECORDS_REPLACED: Counter "records_replaced" [];
    REQUESTS_OVER_LIMIT: Counter "requests_over_limit" [];
    UNKNOWN_POLICY: Counter "unknown_policy" [];
    SETTLEMENTS_DROPPED: Counter "settlements_dropped" [];
    INSTANCES_EXPIRED: Counter "instances_expired" [];
    CONTROL_HEADERS_REMOVED: Counter "control_headers_removed" [];
    HEDGES_NOT_ALLOWED: Counter "hedges_not_allowed" [];
    SLOTS_UNCOUNTED: Counter "slots_uncounted" [];
    FAILOVERS_MISROUTED: Counter "failovers_misrouted" [];
    STALE: Counter "stale" ["outcome"];
    FORCE_REFUSED: Counter "force_refused" ["reason"];
    HOST_ERRORS: Counter "host_errors" ["call"];
    UPSTREAMS: Gauge "upstreams" [];
    SLOTS_WATCHED: Gauge "slots_watched" [];
    SLOTS_ROUND_MS: Gauge "slots_round_ms" [];
}
