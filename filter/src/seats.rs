//! What this VM holds of the places of one upstream: in the record that all requests share, and in slots, where the
//! bulkhead has some for each value of a header.

use seawall_policy::keys;
use seawall_policy::limiter;
use seawall_policy::load::Observed;
use seawall_policy::places::slots::Slot;
use seawall_policy::places::{Holding, Place};
use seawall_policy::policy::Policy;
use seawall_policy::shedding::Limit;
use seawall_policy::watch::Watch;

/// What this VM holds under one key, and whom it watches there.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    /// What it holds.
    pub(crate) holding: Holding,
    /// The other VMs that hold places.
    pub(crate) watch: Watch,
}

impl Seat {
    /// A seat under this instance number.
    pub(crate) fn new(instance: u64) -> Self {
        Self {
            holding: Holding { instance, held: 0 },
            watch: Watch::default(),
        }
    }

    /// One place more, under whichever number it was taken.
    pub(crate) fn take(&mut self, place: Place) {
        if self.holding.instance != place.instance {
            self.holding = Holding {
                instance: place.instance,
                held: 0,
            };
        }
        self.holding.held = self.holding.held.saturating_add(1);
    }

    /// One place less, unless it was taken under another number.
    pub(crate) fn leave(&mut self, place: Place) {
        if self.holding.instance == place.instance {
            self.holding.held = self.holding.held.saturating_sub(1);
        }
    }
}

/// What this VM holds at one upstream.
#[derive(Debug)]
pub(crate) struct Seats {
    /// The key of what all requests share.
    pub(crate) key: String,
    /// There.
    pub(crate) shared: Seat,
    /// What the upstream's hosts report, as this VM hears it.
    pub(crate) observed: Observed,
    /// The rest, and the slots by their number, as far as they were used.
    slots: Vec<Seat>,
    /// What each further seat takes its number from.
    instance: u64,
    /// Whether anything was in flight in the slots when they were looked at last, or was since.
    in_use: bool,
}

impl Seats {
    /// The seats at the upstream with this key, where the policy counts any.
    pub(crate) fn of(policy: &Policy, key: Option<&str>, instance: u64) -> Option<Self> {
        let counted = policy.bulkhead.is_some() || policy.shedding.is_some();
        Some(Self {
            key: keys::places(key.filter(|_| counted)?),
            shared: Seat::new(instance),
            observed: Observed::default(),
            slots: Vec::new(),
            instance,
            in_use: false,
        })
    }

    /// What is held in a slot.
    pub(crate) fn holding(&self, slot: Slot) -> Holding {
        let unknown = Holding {
            instance: self.instance,
            held: 0,
        };
        let known = self.slots.get(place_of(slot));
        known.map_or(unknown, |seat| seat.holding)
    }

    /// The seat in a slot.
    pub(crate) fn slot(&mut self, slot: Slot) -> Option<&mut Seat> {
        let (place, instance) = (place_of(slot), self.instance);
        if self.slots.len() <= place {
            let wanted = place.saturating_add(1);
            self.slots.resize_with(wanted, || Seat::new(instance));
        }
        self.slots.get_mut(place)
    }

    /// Whether somebody has to look after the slots.
    pub(crate) const fn in_use(&self) -> bool {
        self.in_use
    }

    /// A place in a slot was asked for.
    pub(crate) const fn used(&mut self) {
        self.in_use = true;
    }

    /// Nothing is in flight in any slot.
    pub(crate) const fn unused(&mut self) {
        self.in_use = false;
    }
}

/// Where the seat of a slot stands.
const fn place_of(slot: Slot) -> usize {
    match slot {
        Slot::Rest => 0,
        Slot::Own(number) => (number as usize).saturating_add(1),
    }
}

/// The places of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// Of those that all share.
    pub(crate) shared: Option<Place>,
    /// Of those for its value of the header.
    pub(crate) slot: Option<(Slot, Place)>,
}

impl Taken {
    /// Whether it holds none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.shared.is_none() && self.slot.is_none()
    }
}

/// The limit that follows latency, where there is one.
pub(crate) fn adaptive(policy: &Policy) -> Option<limiter::Settings> {
    match policy.shedding.as_ref()?.limit {
        Limit::Adaptive(settings) => Some(settings),
        Limit::Fixed(_) | Limit::None => None,
    }
}
