//! What this root says of the shape that it wants its records to have, and what it learns of others: see
//! [`crate::shared::configurations`].

use crate::admission;
use crate::environment::Environment;
use crate::shared::configurations::{Others, Standing, renew};
use crate::shared::keys;
use crate::time::Timestamp;

use super::step_reports::note;
use super::{Worker, upstream_of};
use crate::telemetry::InternalEvent;

/// How this root stands beside others, for each of its policies.
#[derive(Debug)]
pub(super) struct Shapes {
    /// Of a policy of which nothing is known.
    unknown: Standing,
    /// By policy, and whether it has records.
    of: Vec<(Standing, bool)>,
}

impl Shapes {
    pub(super) fn new(policies: usize, configured_at: Timestamp) -> Self {
        let unknown = Standing::since(configured_at);
        Self {
            unknown,
            of: vec![(unknown, false); policies],
        }
    }

    /// How this root stands with a policy.
    pub(super) fn standing(&self, policy: usize) -> &Standing {
        let known = self.of.get(policy);
        known.map_or(&self.unknown, |(standing, _)| standing)
    }
}

impl<E: Environment> Worker<E> {
    /// The first record of a policy is about to be used.
    pub(super) fn enter_shape(&mut self, policy: usize) {
        let Some((_, used)) = self.shapes.of.get_mut(policy) else {
            return;
        };
        if !std::mem::replace(used, true) {
            self.renew_shape(policy, false);
        }
    }

    /// Says at a tick which shapes are in use. A root that finds itself alone gives its records its own shape, or learns that
    /// they have it.
    pub(super) fn maintain_shapes(&mut self, on_time: bool) {
        for policy in 0..self.shapes.of.len() {
            let used = self.shapes.of.get(policy).is_some_and(|(_, used)| *used);
            if used && self.renew_shape(policy, on_time) {
                self.claim_all(policy);
            }
        }
    }

    /// Says whether this root is alone since now.
    fn renew_shape(&mut self, number: usize, on_time: bool) -> bool {
        let Some(policy) = self.routing.policies.get(number) else {
            return false;
        };
        let Some((standing, _)) = self.shapes.of.get_mut(number) else {
            return false;
        };
        let shape = upstream_of(policy, None, standing, &[]).claim().shape();
        let key = keys::shapes(&policy.name);
        let others = renew(&self.env, &key, shape, self.env.now());
        let others = others.unwrap_or_else(|_| {
            self.own.count(InternalEvent::UndecidedHost);
            Others::UNKNOWN
        });
        standing.observe(others, on_time)
    }

    fn claim_all(&mut self, policy: usize) {
        let (_, moment) = self.moment();
        for number in 0..self.upstreams.len() {
            let Some(entry) = self.upstreams.entry(number) else {
                continue;
            };
            let known = self.routing.policies.get(policy);
            let Some(known) = known.filter(|_| entry.policy == policy) else {
                continue;
            };
            let place = upstream_of(
                known,
                entry.key.as_ref(),
                self.shapes.standing(policy),
                self.liveness.view.dead(),
            );
            let notes = admission::claim(&self.env, &place, moment);
            note(&self.env, entry, &mut self.own, &notes);
        }
    }
}
