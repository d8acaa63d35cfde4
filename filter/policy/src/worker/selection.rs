//! Which policy a request gets, and which upstream it is for: found once, then remembered, within bounds.

use super::upstreams::{AUTHORITY, LONG};
use crate::admission;
use crate::authority;
use crate::breaker::{Mode, Moment};
use crate::environment::facts::{RequestPhase, RouteFact};
use crate::environment::headers::HeaderMap;
use crate::environment::{Environment, Metrics};
use crate::policy::{Policy, Scope};
use crate::route::Key;
use crate::shared::keys;
use crate::shared::registry::{recount, register, registered};

use super::local_leases::LocalHoldings;
use super::step_reports::note;
use super::upstreams::{Name, OTHERS, Upstreams, others};
use super::{AdmissionInput, PolicyMatch, Worker, upstream_of};
use crate::telemetry::InternalEvent;

/// The most clusters whose policy is remembered; for others the patterns are matched again.
const SELECTIONS_MAX: usize = 4_096;
/// Where nothing is governed, the first so many requests are looked at,
const UNGOVERNED_FIRST: u32 = 256;
/// and one in so many later.
const UNGOVERNED_SAMPLE: u32 = 16;
/// After so many ticks the records that this VM knows are entered again where they are missing.
const RECOUNT: u32 = 32;

impl<E: Environment> Worker<E> {
    /// Whether anything is governed at all.
    pub(crate) const fn governs(&self) -> bool {
        self.governs
    }

    /// Where nothing is governed, requests are looked at all the same: the first ones, and some later, drawn at random.
    pub(crate) fn looks_at_ungoverned(&mut self) -> bool {
        let first = self.ungoverned < UNGOVERNED_FIRST;
        self.ungoverned = self.ungoverned.saturating_add(1);
        first || self.draws.next_u32().is_multiple_of(UNGOVERNED_SAMPLE)
    }

    /// A request whose policy has no say in anything. What an earlier configuration left of its upstream's state is given up, once.
    #[cold]
    #[inline(never)]
    pub(crate) fn stand_down(
        &mut self,
        selected: PolicyMatch,
        cluster: String,
        part: impl FnOnce() -> Option<(&'static str, String)>,
    ) {
        if selected.upstream.is_none() {
            let asking = AdmissionInput::naming(selected, cluster, part());
            self.find(&asking);
        }
    }

    /// The policy for a request to this cluster as it was found before, where the policy that a route names decides nothing. It is asked
    /// for at the first request to a cluster, so that an unknown name shows.
    pub(crate) fn selected_before(&mut self, cluster: &str) -> Option<Option<PolicyMatch>> {
        match self.routing.heeds_names() {
            true => None,
            false => self.selections.get_mut(cluster).copied(),
        }
    }

    /// The policy for a request to this cluster.
    pub(crate) fn select(&mut self, cluster: &str, named: Option<&str>) -> Option<PolicyMatch> {
        if named.is_none()
            && let Some(known) = self.selections.get_mut(cluster)
        {
            return *known;
        }
        let (selected, unknown) = self.selected(cluster, named);
        if unknown {
            self.own.count(InternalEvent::UnknownPolicy);
        }
        if named.is_none() && self.selections.len() < SELECTIONS_MAX {
            self.selections.insert(cluster.to_owned(), selected);
        }
        selected
    }

    /// The same without remembering it, and whether no policy has the name.
    pub(super) fn selected(
        &self,
        cluster: &str,
        named: Option<&str>,
    ) -> (Option<PolicyMatch>, bool) {
        let (selected, unknown) = self.routing.select(cluster, named);
        let selected = selected.and_then(|(policy, key)| {
            let (index, _) = self.routing.named(&policy.name)?;
            Some(PolicyMatch {
                policy: index,
                governs: self.routing.governs(policy),
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
    pub(crate) fn find(&mut self, asking: &AdmissionInput) -> Option<usize> {
        let known = asking.selected.upstream.filter(|_| asking.part.is_none());
        let number = known.or_else(|| self.upstream(asking))?;
        if self.upstreams.entry(number)?.key.is_none() {
            self.own.count(InternalEvent::OverLimit);
        }
        Some(number)
    }

    /// The number of the upstream, which is made known if it is not.
    pub(super) fn upstream(&mut self, asking: &AdmissionInput) -> Option<usize> {
        self.enter_shape(asking.selected.policy);
        let policy = self.routing.policies.get(asking.selected.policy)?;
        let name = Name {
            policy: asking.selected.policy,
            scope: &policy.name,
            cluster: &asking.cluster,
            part: asking.part(),
        };
        let key = name.key();
        if let Some(number) = key
            .as_ref()
            .and_then(|key| self.upstreams.find(key.as_str()))
        {
            self.remember(asking, number);
            return Some(number);
        }
        let instance = self.liveness.view.vm();
        let (now, draw) = (self.env.now(), self.draws.next_u32());
        let moment = Moment { now, draw };
        let place = upstream_of(
            policy,
            key.as_ref(),
            self.shapes.standing(asking.selected.policy),
            self.liveness.view.dead(),
        );
        let counting = place.claim().counting;
        let stateless = !has_state(policy);
        let max = self.routing.upstreams_max;
        let of_authority = asking.selected.by_authority.zip(name.authority());
        if let (Some((keys_max, _)), Some(index)) = (of_authority, &key) {
            let scope = policy.name.clone();
            let name = Name {
                policy: asking.selected.policy,
                scope: &scope,
                cluster: &asking.cluster,
                part: asking.part(),
            };
            let owned = self.slot(&name, index.clone(), keys_max, moment);
            return Some(
                owned.unwrap_or_else(|| other(&self.env, &mut self.upstreams, &name, instance)),
            );
        }
        let kept = key.as_ref().filter(|key| {
            if self.upstreams.ordinary() as u32 >= max {
                return false;
            }
            if stateless {
                return true;
            }
            // A host that does not answer is counted when the state is asked for.
            register(&self.env, &keys::REGISTRY, key, max, place.claim()).unwrap_or(true)
        });
        if let Some(key) = kept {
            let notes = (!counting).then(|| admission::claim(&self.env, &place, moment));
            let key = key.clone();
            let holdings = LocalHoldings::of(policy, Some(&key), instance);
            let deposits = self.vm.handover.deposits(key.as_str());
            let number = self.upstreams.add(&self.env, &name, Some(key), instance);
            if let Some(entry) = self.upstreams.entry(number) {
                entry.holdings = holdings;
                entry.deposits = deposits;
                if let Some(notes) = notes {
                    note(&self.env, entry, &mut self.own, &notes);
                }
            }
            return Some(number);
        }
        Some(other(&self.env, &mut self.upstreams, &name, instance))
    }

    /// An upstream is known: its number is found by its cluster the next time, where that alone names it.
    fn remember(&mut self, asking: &AdmissionInput, number: usize) {
        if asking.part.is_none()
            && let Some(Some(known)) = self.selections.get_mut(&asking.cluster)
            && known.policy == asking.selected.policy
        {
            known.upstream = Some(number);
        }
        self.touch_authority(number);
    }

    /// Shows how many states the process has, once there are more of them here.
    /// They are counted anew from time to time, since somebody else may have damaged the list.
    pub(super) fn show_upstreams(&mut self) {
        let known = self.upstreams.len();
        self.ticks = self.ticks.wrapping_add(1);
        let due = self.ticks.is_multiple_of(RECOUNT);
        if due {
            let policies = &self.routing.policies;
            let records = self.upstreams.records();
            let records =
                records.filter(|(policy, _)| policies.get(*policy).is_some_and(has_state));
            if recount(&self.env, &keys::REGISTRY, records.map(|(_, key)| key)).is_err() {
                self.own.count(InternalEvent::UndecidedHost);
            }
        }
        if (due || self.upstreams_shown != known)
            && let Ok(count) = registered(&self.env, &keys::REGISTRY)
        {
            self.upstreams_shown = known;
            self.own.upstreams(&self.env, count);
        }
    }
}

/// Whether upstreams with this policy have anything to remember.
const fn has_state(policy: &Policy) -> bool {
    let breaker = !matches!(policy.breaker.mode, Mode::Off);
    breaker || policy.retries.is_some() || policy.counts_slots()
}

/// What stands for all upstreams of a policy beyond a bound.
fn other(env: &impl Metrics, upstreams: &mut Upstreams, name: &Name<'_>, instance: u64) -> usize {
    if let Some(number) = upstreams.find(&others(name.scope)) {
        return number;
    }
    let name = Name {
        cluster: OTHERS,
        part: None,
        ..*name
    };
    upstreams.add(env, &name, None, instance)
}

/// What parts the state of a request to a cluster with this policy from that of others to it.
pub(crate) fn key_part(
    selected: PolicyMatch,
    pairs: &impl HeaderMap,
    facts: &impl RequestPhase,
) -> Option<(&'static str, String)> {
    if selected.by_authority.is_some() {
        let name = authority::canonical(pairs.value(":authority").unwrap_or_default());
        return Some((AUTHORITY, name.unwrap_or_else(|| LONG.to_owned())));
    }
    let route = selected.by_route.then(|| facts.text(RouteFact::Route));
    route.flatten().map(|route| ("route", route))
}
