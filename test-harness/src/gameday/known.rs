//! What of the filter a team can look at, by its name. The tests hold this against the documentation.

/// Its metrics.
pub(super) const METRICS: [&str; 33] = [
    "seawall_control_headers_removed",
    "seawall_decisions",
    "seawall_failovers_misrouted",
    "seawall_fallbacks",
    "seawall_force_refused",
    "seawall_forced",
    "seawall_half_open_starved",
    "seawall_hedges_not_allowed",
    "seawall_host_errors",
    "seawall_ignored",
    "seawall_in_flight",
    "seawall_instances_expired",
    "seawall_limit",
    "seawall_outcomes",
    "seawall_probes",
    "seawall_record_changes",
    "seawall_records_replaced",
    "seawall_requests_over_limit",
    "seawall_retries",
    "seawall_retry_accounting",
    "seawall_retry_budget",
    "seawall_settlements_dropped",
    "seawall_shadow_outcomes",
    "seawall_slots_round_ms",
    "seawall_slots_uncounted",
    "seawall_slots_watched",
    "seawall_stale",
    "seawall_stale_age_seconds",
    "seawall_state",
    "seawall_transitions",
    "seawall_undecided",
    "seawall_unknown_policy",
    "seawall_upstreams",
];

/// Fields of the state page.
pub(super) const STATE_PAGE: [&str; 25] = [
    "by",
    "calls",
    "closed_for_ms",
    "failures",
    "failures_in_a_row",
    "forced",
    "generation",
    "in_flight",
    "key",
    "limit",
    "mode",
    "ms_left",
    "open_ms_left",
    "policy",
    "position",
    "probes_in_flight",
    "reported_ms_ago",
    "retries_left",
    "shed_bp",
    "slow",
    "state",
    "to",
    "trips",
    "upstream",
    "utilisation_bp",
];

/// Changes of a breaker's state, as the log has them.
pub(super) const CHANGES: [&str; 5] = [
    "closed -> open",
    "open -> half_open",
    "half_open -> open",
    "half_open -> closed",
    "open -> closed",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");
    const UPSTREAMS: &str = include_str!("../../../docs/upstreams.md");

    #[test]
    fn the_names_are_those_of_the_documentation() {
        let rows = CONFIGURATION
            .lines()
            .filter(|line| line.starts_with("| `seawall_"));
        let named = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
        let named: BTreeSet<&str> = named.filter(|name| name.starts_with("seawall_")).collect();
        assert_eq!(named, BTreeSet::from(METRICS));
        for field in STATE_PAGE {
            let written = [format!("\"{field}\""), format!("`{field}`")];
            assert!(
                written.iter().any(|text| UPSTREAMS.contains(text)),
                "{field}"
            );
        }
    }
}
