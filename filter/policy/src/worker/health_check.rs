//! What a worker does for own probes of open upstreams: it asks for its turn at the tick, and takes the answer in.

use crate::breaker::Phase;
use crate::health_check;

use super::step_reports::note;
use super::{Worker, upstream_of};
use crate::environment::Environment;
use crate::telemetry::Event;

/// A probe whose answer has not come. There is at most one for each upstream: a claim outlasts the probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProbeInFlight {
    call: u32,
    upstream: usize,
    /// Of the state that it is about.
    generation: u64,
}

impl<E: Environment> Worker<E> {
    /// Asks an upstream that was not closed when last seen, if it is this worker's turn.
    pub(super) fn probe(&mut self, upstream: usize) {
        let (_, moment) = self.moment();
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        let policy = self.routing.policies.get(entry.policy);
        let Some(policy) = policy.filter(|_| entry.phase != Phase::Closed) else {
            return;
        };
        let Some(settings) = &policy.probe else {
            return;
        };
        let place = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            self.liveness.view.dead(),
        );
        let instance = entry.holding.instance;
        let Some(generation) = health_check::claim(&self.env, &place, settings, instance, moment)
        else {
            return;
        };
        let host = settings.host(&entry.cluster, entry.authority());
        let call = self
            .env
            .get(&entry.cluster, host, &settings.path, settings.timeout);
        if call.is_none() {
            entry.series.count(Event::Probe(false));
        }
        self.probes.retain(|probe| probe.upstream != upstream);
        self.probes.extend(call.map(|call| ProbeInFlight {
            call,
            upstream,
            generation,
        }));
    }

    /// The response to a request of Seawall's own is there, with its status if it has any.
    pub fn called(&mut self, call: u32, status: Option<u16>) {
        let mut ours = self.probes.iter();
        let Some(at) = ours.position(|probe| probe.call == call) else {
            return;
        };
        let ProbeInFlight {
            upstream,
            generation,
            ..
        } = self.probes.swap_remove(at);
        let (_, moment) = self.moment();
        let good = status.is_some_and(health_check::is_good);
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        entry.series.count(Event::Probe(good));
        let Some(policy) = self.routing.policies.get(entry.policy) else {
            return;
        };
        let place = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            self.liveness.view.dead(),
        );
        let notes = health_check::settle(&self.env, &place, generation, good, moment);
        note(&self.env, entry, &mut self.own, &notes);
    }
}
