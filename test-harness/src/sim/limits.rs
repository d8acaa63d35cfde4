//! How many requests may be in flight by the filter's word: limits that follow latency or are set, and bulkheads.
//!
//! The filter shows how many hold slots and which limit is in force as gauges, one for each policy and upstream. A bulkhead is
//! no gauge: it stands in the configuration.

use std::collections::BTreeMap;

use super::Filter;

/// The gauge of slots that requests hold.
const HELD: &str = "seawall_in_flight";
/// The gauge of the limit in force.
const LIMIT: &str = "seawall_limit";

/// The bulkheads of a configuration, by policy.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// Those that are not parted by a header; none is a policy that has a limit alone.
    policies: BTreeMap<String, Option<u64>>,
    /// What each Envoy said last.
    said: Vec<Option<u64>>,
}

impl Limits {
    /// What the configuration of these Envoys has.
    pub(super) fn of(envoys: &[&dyn Filter]) -> Self {
        let configuration = envoys.first().map(|filter| filter.configuration());
        let routing = configuration.and_then(|text| seawall_config::parse(&text).ok());
        let policies = routing.map(|routing| routing.policies).unwrap_or_default();
        let limited = policies.into_iter().filter(|policy| {
            let bulkhead = policy.bulkhead.as_ref();
            bulkhead.is_some_and(|one| one.per.is_none()) || policy.shedding.is_some()
        });
        let slots = limited.map(|policy| {
            let bulkhead = policy.bulkhead.filter(|one| one.per.is_none());
            let most = bulkhead.map(|one| u64::from(one.max_concurrent));
            (policy.name, most)
        });
        Self {
            policies: slots.collect(),
            said: vec![None; envoys.len()],
        }
    }

    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        !self.policies.is_empty()
    }

    /// An Envoy has shown its gauges: how many may be in flight in all of them now, over all upstreams that have slots.
    pub(super) fn told(&mut self, envoy: usize, filter: &dyn Filter) -> Option<u64> {
        let gauges = filter.gauges("seawall_");
        if let Some(said) = self.said.get_mut(envoy) {
            *said = of_gauges(&self.policies, &gauges);
        }
        let all = self.said.iter().flatten();
        all.copied().reduce(u64::saturating_add)
    }
}

fn of_gauges(
    policies: &BTreeMap<String, Option<u64>>,
    gauges: &BTreeMap<String, u64>,
) -> Option<u64> {
    let held = gauges.keys().filter_map(|name| {
        let labels = name.strip_prefix(HELD)?;
        let (policy, _) = labels.strip_prefix("..policy=")?.split_once("..")?;
        let bulkhead = policies.get(policy)?;
        let limit = gauges.get(&format!("{}{labels}", LIMIT));
        let both = bulkhead.iter().chain(limit);
        both.copied().min()
    });
    held.reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_bulkhead_and_limit_holds_and_upstreams_are_added_up() {
        let policies = BTreeMap::from([("a".to_owned(), Some(50)), ("b".to_owned(), None)]);
        let name = |family: &str, policy: &str, upstream: &str| {
            format!("{family}..policy={policy}..upstream={upstream}")
        };
        let (held, limit) = (HELD, LIMIT);
        for (gauges, expected) in [
            (&[(held, "a", "x", 3)][..], Some(50)),
            (&[(held, "a", "x", 3), (limit, "a", "x", 20)], Some(20)),
            (&[(held, "a", "x", 3), (limit, "a", "x", 90)], Some(50)),
            (&[(held, "b", "x", 3), (limit, "b", "x", 90)], Some(90)),
            (&[(held, "b", "x", 3)], None),
            (
                &[
                    (held, "a", "x", 3),
                    (held, "a", "y", 0),
                    (limit, "a", "y", 7),
                ],
                Some(57),
            ),
            (&[(held, "other", "x", 3), (limit, "other", "x", 3)], None),
            (&[], None),
        ] {
            let gauges = gauges
                .iter()
                .map(|(family, policy, upstream, value)| (name(family, policy, upstream), *value));
            let gauges: BTreeMap<String, u64> = gauges.collect();
            assert_eq!(of_gauges(&policies, &gauges), expected, "{gauges:?}");
        }
    }
}
