//! Which policy a request gets, and which upstream it is for: found once, then remembered, within bounds.

use seawall_policy::admission;
use seawall_policy::breaker::Moment;
use seawall_policy::policy::Scope;
use seawall_policy::route::Key;
use seawall_policy::store::{Count, register, registered};

use super::{Asking, Selected, Worker, note, place};
use crate::host::clock;
use crate::host::shared::Shared;
use crate::seats::Seats;
use crate::telemetry::Concern;
use crate::upstreams::{Name, OTHERS, others};

/// The most clusters whose policy is remembered; for others the patterns are matched again.
const SELECTIONS_MAX: usize = 4_096;
/// Where the number of records in shared data stands.
const COUNT_KEY: &str = "seawall/v1";

impl Worker {
    /// The policy for a request to this cluster.
    pub(crate) fn select(&mut self, cluster: &str, named: Option<&str>) -> Option<Selected> {
        if named.is_none()
            && let Some(known) = self.selections.get(cluster)
        {
            return *known;
        }
        let (selected, unknown) = self.selected(cluster, named);
        if unknown {
            self.own.count(Concern::UnknownPolicy);
        }
        if named.is_none() && self.selections.len() < SELECTIONS_MAX {
            self.selections.insert(cluster.to_owned(), selected);
        }
        selected
    }

    /// The same without remembering it, and whether no policy has the name.
    pub(super) fn selected(&self, cluster: &str, named: Option<&str>) -> (Option<Selected>, bool) {
        let (selected, unknown) = self.routing.select(cluster, named);
        let selected = selected.and_then(|(policy, key)| {
            let (index, _) = self.routing.named(&policy.name)?;
            Some(Selected {
                policy: index,
                by_route: policy.scope == Scope::Route,
                by_authority: match key {
                    Key::Cluster => None,
                    Key::Authority { max_keys } => Some(max_keys),
                },
                upstream: None,
            })
        });
        (selected, unknown)
    }

    /// The number of the upstream that is meant by a request.
    pub(crate) fn find(&mut self, asking: &Asking<'_>) -> Option<usize> {
        let known = asking.selected.upstream.filter(|_| asking.part.is_none());
        let number = known.or_else(|| self.upstream(asking))?;
        if self.upstreams.entry(number)?.key.is_none() {
            self.own.count(Concern::OverLimit);
        }
        Some(number)
    }

    /// The number of the upstream, which is made known if it is not.
    pub(super) fn upstream(&mut self, asking: &Asking<'_>) -> Option<usize> {
        let policy = self.routing.policies.get(asking.selected.policy)?;
        let name = Name {
            policy: asking.selected.policy,
            scope: &policy.name,
            cluster: asking.cluster,
            part: asking.part,
        };
        let key = name.key();
        if let Some(number) = key.as_deref().and_then(|key| self.upstreams.find(key)) {
            if asking.part.is_none()
                && let Some(Some(known)) = self.selections.get_mut(asking.cluster)
                && known.policy == asking.selected.policy
            {
                known.upstream = Some(number);
            }
            return Some(number);
        }
        let instance = self.draws.next_u64();
        let (now, moment) = (clock::now(), instance as u32);
        let moment = Moment { now, draw: moment };
        let place = place(policy, key.as_deref(), self.configured_at);
        let counting = place.claim().counting;
        let keys_max = asking.selected.by_authority;
        let stateless = !counting
            && policy.retries.is_none()
            && policy.bulkhead.is_none()
            && policy.shedding.is_none()
            && keys_max.is_none();
        let max = self.routing.upstreams_max;
        let kept = key.as_deref().filter(|key| {
            if self.upstreams.len() as u32 >= max {
                return false;
            }
            if stateless {
                return true;
            }
            let authorities = name.authorities();
            let counts = [
                Count {
                    key: &authorities,
                    max: keys_max.unwrap_or(max),
                },
                Count {
                    key: COUNT_KEY,
                    max,
                },
            ];
            let counts = counts.get(usize::from(keys_max.is_none())..);
            // A host that does not answer is counted when the state is asked for. Which authorities there are clients say.
            register(&Shared, key, counts.unwrap_or_default(), place.claim())
                .unwrap_or(keys_max.is_none())
        });
        if let Some(key) = kept {
            let notes = (!counting).then(|| admission::claim(&Shared, &place, moment));
            let key = key.to_owned();
            let seats = Seats::of(policy, Some(&key), instance);
            let number = self.upstreams.add(&name, Some(key), instance);
            if let Some(entry) = self.upstreams.entry(number) {
                entry.seats = seats;
                if let Some(notes) = notes {
                    note(entry, &mut self.own, &notes);
                }
            }
            return Some(number);
        }
        if let Some(number) = self.upstreams.find(&others(name.scope)) {
            return Some(number);
        }
        let name = Name {
            cluster: OTHERS,
            part: None,
            ..name
        };
        Some(self.upstreams.add(&name, None, instance))
    }

    /// Shows how many states the process has, once there are more of them here.
    pub(super) fn show_upstreams(&mut self) {
        let known = self.upstreams.len();
        if self.upstreams_shown != known
            && let Ok(count) = registered(&Shared, COUNT_KEY)
        {
            self.upstreams_shown = known;
            self.own.upstreams(count);
        }
    }
}
