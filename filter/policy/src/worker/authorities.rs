//! What a worker does for clusters that have a state for each authority: it gets slots for them, says at the tick which it
//! used, and learns which it no longer has.

use crate::admission;
use crate::breaker::Moment;
use crate::concurrency::InFlightSlots;
use crate::environment::Environment;
use crate::shared::authorities::{Directory, Remembered, claim, empty, inherit, renew};
use crate::shared::keys::{self, Part};
use crate::shared::record::Record;
use crate::shared::state::{Change, HostError, Key, SharedRecord, SharedState, unless_later};
use crate::time::Span;

use super::by_name::ByName;
use super::local_leases::LocalHoldings;
use super::step_reports::note;
use super::upstreams::Name;
use super::{Worker, upstream_of};
use crate::telemetry::InternalEvent;

impl<E: Environment> Worker<E> {
    /// The number of the slot of an authority, which gets one if it has none. Nothing if there is none, or if that cannot be
    /// found out.
    pub(super) fn slot(
        &mut self,
        name: &Name<'_>,
        index: Key<Record>,
        max: u32,
        moment: Moment,
    ) -> Option<usize> {
        let policy = self.routing.policies.get(name.policy)?;
        // Without a hash that nobody can compute clients could aim at the slots of others.
        let id = self
            .vm
            .process_key(&self.env)?
            .hash64("authority", &[name.authority()?.as_bytes()]);
        let directory = keys::authorities(name.scope, name.cluster);
        let key = |slot| keys::record(name.scope, name.cluster, Part::Slot(slot));
        let shape = upstream_of(policy, None, self.shapes.standing(name.policy), &[]).claim();
        let env = &self.env;
        let mut cleared = |slot, idle: Span| {
            let key = key(slot);
            let cleared =
                is_unused(env, &keys::places(&key))? && empty(env, &key, shape, idle, moment.now)?;
            if cleared {
                clear(env, &keys::places(&key))?;
                clear(env, &keys::latency(&key))?;
                clear(env, &keys::probe(&key))?;
            }
            Ok(cleared)
        };
        let found = claim(&self.env, &directory, id, max, moment.now, &mut cleared);
        let found = match found {
            Ok(found) => found?,
            Err(_) => {
                self.own.count(InternalEvent::UndecidedHost);
                return None;
            }
        };
        let key = key(found.slot);
        if found.new && inherit(&self.env, &key, &index).is_err() {
            self.own.count(InternalEvent::UndecidedHost);
        }
        let view = &self.liveness.view;
        let instance = view.vm();
        let holdings = LocalHoldings::of(policy, Some(&key), instance);
        let standing = self.shapes.standing(name.policy);
        let upstream = upstream_of(policy, Some(&key), standing, view.dead());
        let counting = policy.breaker.mode.counts();
        let notes = (!counting).then(|| admission::claim(&self.env, &upstream, moment));
        let number = self.upstreams.own(
            &self.env,
            name,
            (key, index, directory),
            (found, id),
            instance,
        );
        let entry = self.upstreams.entry(number)?;
        entry.holdings = holdings;
        if let Some(notes) = notes {
            note(&self.env, entry, &mut self.own, &notes);
        }
        Some(number)
    }

    /// An upstream was asked for: if it is an authority, its slot is not idle.
    pub(super) fn touch_authority(&mut self, number: usize) {
        let entry = self.upstreams.entry(number);
        if let Some(owned) = entry.and_then(|entry| entry.owned.as_mut()) {
            owned.remembered.used = true;
        }
    }

    /// Says which slots were used, and forgets those that are no longer their authorities'.
    pub(super) fn maintain_authorities(&mut self, moment: Moment) {
        if !self.upstreams.has_slots() {
            return;
        }
        let mut all: ByName<(Key<Directory>, Vec<usize>, Vec<Remembered>)> = ByName::default();
        for number in 0..self.upstreams.len() {
            let owned = self
                .upstreams
                .entry(number)
                .and_then(|entry| entry.owned.as_mut());
            if let Some(owned) = owned.filter(|owned| !owned.index.is_empty()) {
                let remembered = owned.remembered;
                owned.remembered.used = false;
                match all.get_mut(owned.directory.as_str()) {
                    Some((_, numbers, known)) => {
                        numbers.push(number);
                        known.push(remembered);
                    }
                    None => {
                        let directory = owned.directory.clone();
                        let name = directory.as_str().to_owned();
                        all.insert(name, (directory, vec![number], vec![remembered]));
                    }
                }
            }
        }
        for (directory, numbers, known) in all.iter() {
            match renew(&self.env, directory, known, moment.now) {
                Ok(lost) => {
                    for number in lost.iter().filter_map(|place| numbers.get(*place)) {
                        self.upstreams.disown(*number);
                    }
                }
                Err(_) => self.own.count(InternalEvent::UndecidedHost),
            }
        }
    }
}

/// Whether nothing is in flight that holds a slot under this key.
fn is_unused(env: &impl SharedState, key: &Key<InFlightSlots>) -> Result<bool, HostError> {
    let places = unless_later(env.view(key).map(|stored| stored.record), None)?;
    Ok(places.is_none_or(|places| places.in_flight() == 0))
}

/// Leaves nothing under a key, if there was something: a key itself stays.
fn clear<R: SharedRecord>(env: &impl SharedState, key: &Key<R>) -> Result<(), HostError> {
    let cleared = env.update(key, |stored| {
        let change = Change::stored_if(!stored.is_absent());
        stored.record = None;
        change
    });
    unless_later(cleared, true)?;
    Ok(())
}
