//! What this VM holds of the slots of one upstream: in the record that all requests share, and in partitions, where the
//! bulkhead has some for each value of a header.

use crate::concurrency::local::LocalSlots;
use crate::concurrency::partitions::Partition;
use crate::concurrency::rounds::Round;
use crate::concurrency::unfinished::Connections;
use crate::concurrency::{InFlightSlots, SlotId};
use crate::exempt::Allowance;
use crate::limiter;
use crate::policy::Policy;
use crate::shared::keys;
use crate::shared::leases::LocalLease;
use crate::shared::record::Record;
use crate::shared::state::Key;
use crate::shedding::Limit;
use crate::shedding::reported_load::Observed;
use crate::time::Timestamp;

/// What this VM holds at one upstream.
#[derive(Debug)]
pub(crate) struct LocalHoldings {
    /// The key of what all requests share.
    pub(crate) key: Key<InFlightSlots>,
    /// There.
    pub(crate) shared: LocalSlots,
    /// When others were last told that this VM found all slots taken.
    pub(crate) wanted_at: Timestamp,
    /// What the upstream's hosts report, as this VM hears it.
    pub(crate) observed: Observed,
    /// Those in partitions, in their order.
    slots: Vec<(Partition, LocalLease)>,
    /// What each further holding takes its number from.
    instance: u64,
    /// Whether the tick has to look at what all share.
    pub(crate) shared_used: bool,
    /// Whether it has to look at partitions.
    pub(crate) slots_used: bool,
    /// A round over the partitions that is under way, and what was seen before it where all share.
    pub(crate) round: Option<Round>,
    /// How many were in flight there, and the limit.
    pub(crate) seen: (u32, Option<u32>),
    /// Unfinished requests, by their connection.
    pub(crate) connections: Connections,
    /// How many exempt requests may still go.
    pub(crate) exempt: Allowance,
}

impl LocalHoldings {
    /// The holdings at the upstream with this key, where the policy counts any.
    pub(crate) fn of(policy: &Policy, key: Option<&Key<Record>>, instance: u64) -> Option<Self> {
        Some(Self {
            key: keys::places(key.filter(|_| policy.counts_slots())?),
            shared: LocalSlots::none(instance),
            wanted_at: Timestamp::ZERO,
            observed: Observed::default(),
            slots: Vec::new(),
            instance,
            shared_used: false,
            slots_used: false,
            round: None,
            seen: (0, None),
            connections: Connections::default(),
            exempt: Allowance::default(),
        })
    }

    /// What is held in a partition.
    pub(crate) fn holding(&self, slot: Partition) -> LocalLease {
        let known = self.find(slot).ok().and_then(|at| self.slots.get(at));
        known.map_or(LocalLease::none(self.instance), |(_, local)| *local)
    }

    /// The holding in a partition.
    pub(crate) fn slot(&mut self, slot: Partition) -> Option<&mut LocalLease> {
        let at = self.find(slot).unwrap_or_else(|at| {
            self.slots
                .insert(at, (slot, LocalLease::none(self.instance)));
            at
        });
        self.slots.get_mut(at).map(|(_, local)| local)
    }

    /// The partitions that this VM holds slots in.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Partition> {
        self.slots.iter().map(|(slot, _)| *slot)
    }

    /// Keeps nothing of a partition where there is nothing to keep.
    pub(crate) fn forget(&mut self, slot: Partition) {
        if let Ok(at) = self.find(slot)
            && let Some((_, local)) = self.slots.get(at)
            && *local == LocalLease::none(self.instance)
        {
            self.slots.remove(at);
        }
    }

    /// Whether the tick has to look at anything.
    pub(crate) const fn is_used(&self) -> bool {
        self.shared_used || self.slots_used
    }

    /// Whether this VM holds anything.
    pub(crate) fn holds_any(&self) -> bool {
        let slots = self.slots.iter().map(|(_, local)| local);
        slots
            .copied()
            .chain([self.shared.lease()])
            .any(|local| local.quantity > 0)
    }

    /// Somebody died: everything is looked at, from the start.
    pub(crate) fn restart_round(&mut self) {
        (self.shared_used, self.slots_used, self.round) = (true, true, None);
    }

    /// Begins anew under another number: what was held is void.
    pub(crate) fn reset_all(&mut self, instance: u64) {
        self.shared = LocalSlots::none(instance);
        self.slots.clear();
        self.instance = instance;
        self.restart_round();
    }

    fn find(&self, slot: Partition) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&slot, |(slot, _)| *slot)
    }
}

/// The slots of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeldSlots {
    /// Of those that all share.
    pub(crate) shared: Option<SlotId>,
    /// In partitions: of its value of the header, of its part of the rest, and as an unfinished request beside either.
    pub(crate) slots: [Option<(Partition, SlotId)>; 4],
    /// The connection that it is unfinished on.
    pub(crate) connection: Option<u64>,
}

impl HeldSlots {
    /// Whether it holds none.
    pub(crate) fn is_empty(&self) -> bool {
        self.shared.is_none() && self.slots.iter().all(Option::is_none)
    }

    /// Whether it holds any because it is unfinished.
    pub(crate) fn is_unfinished(&self) -> bool {
        let mut slots = self.slots.iter().flatten();
        slots.any(|(slot, _)| slot.is_unfinished())
    }

    /// One more in a partition.
    pub(crate) fn add(&mut self, slot: Partition, place: SlotId) {
        if let Some(free) = self.slots.iter_mut().find(|free| free.is_none()) {
            *free = Some((slot, place));
        }
    }

    /// The slots in those partitions, which are no longer among these.
    pub(crate) fn split(&mut self, wanted: impl Fn(Partition) -> bool) -> Self {
        let mut others = Self::default();
        for known in &mut self.slots {
            if known.is_some_and(|(slot, _)| wanted(slot)) {
                known
                    .take()
                    .into_iter()
                    .for_each(|(slot, place)| others.add(slot, place));
            }
        }
        others
    }

    /// What it holds because it is unfinished.
    pub(crate) fn split_unfinished(&mut self) -> Self {
        let connection = self.connection.take();
        let unfinished = self.split(Partition::is_unfinished);
        Self {
            connection,
            ..unfinished
        }
    }
}

/// The limit that follows latency, where there is one.
pub(crate) fn adaptive(policy: &Policy) -> Option<limiter::Settings> {
    match policy.shedding.as_ref()?.limit {
        Limit::Adaptive(settings) => Some(settings),
        Limit::Fixed(_) | Limit::None => None,
    }
}
