//! What is done with slots in shared data: one step each for a request that comes, one that ended, and the tick.

use super::bound::Bound;
use super::credits::Ahead;
use super::{HOLDERS_MAX, InFlightSlots, SlotId};
use crate::limiter::{self, Limiter, Sample};
use crate::priority::Priority;
use crate::shared::leases::{Lease, LocalLease};
use crate::shared::state::{Change, Key, SharedState, Undecided};
use crate::shedding::Limit;
use crate::shedding::reported_load;
use crate::time::{Span, Timestamp};

/// A request that asks for a slot.
#[derive(Clone, Copy, Debug)]
pub struct AcquireRequest<'a> {
    /// What this VM holds under the key.
    pub holding: LocalLease,
    /// How much the request matters.
    pub priority: Priority,
    /// What bounds it.
    pub bound: Bound,
    /// Where the upstream's reports are looked at: uniform over all of `u32`, and the same for the same request.
    pub load: Option<u32>,
    /// Whose slots these must be, where the key is one of many partitions. The slots of another are not taken, unless they
    /// are idle.
    pub tag: Option<u64>,
    /// So long the slots of another stay whose they were though they are idle.
    pub keep: Span,
    /// VMs that are marked as dead: what they hold is free.
    pub dead: &'a [u64],
    /// What this VM holds in advance.
    pub ahead: Ahead,
    /// The clock.
    pub now: Timestamp,
}

impl<'a> AcquireRequest<'a> {
    /// A request of this priority under this bound, of a VM that holds nothing.
    pub fn new(priority: Priority, bound: Bound, dead: &'a [u64], now: Timestamp) -> Self {
        Self {
            holding: LocalLease::default(),
            priority,
            bound,
            load: None,
            tag: None,
            keep: Span::ZERO,
            dead,
            ahead: Ahead::default(),
            now,
        }
    }
}

/// Whether a request has a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It has, and must give it back.
    Taken(SlotId),
    /// There is none for its priority.
    Full {
        /// How many are in flight.
        in_flight: u32,
        /// How many may be: the bulkhead's slots, or the whole limit of shedding.
        limit: u32,
        /// Whether the bulkhead refuses, and not the limit of shedding.
        bulkhead: bool,
    },
    /// The upstream reports too much load for its priority.
    Loaded,
    /// The partition belongs to somebody else by now.
    Elsewhere,
    /// It could not be found out: the request goes without a slot, and the caller counts it.
    Undecided,
}

/// A slot that is given back, and what was learned meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The slot.
    pub place: SlotId,
    /// What the request says about the limit, with the settings by which it is understood.
    pub sample: Option<(Sample, limiter::Settings)>,
}

/// What a VM tells the record of slots that it may hold in advance, and of what it learned.
#[derive(Clone, Copy, Debug)]
pub struct Settlement<'a> {
    /// What it holds, with what it now gives back.
    pub holding: LocalLease,
    /// How many requests give their slot back.
    pub returned: u32,
    /// What it holds in advance beside those.
    pub ahead: Ahead,
    /// How many of these it did not need.
    pub unneeded: u32,
    /// What bounds how many it may keep.
    pub bound: Bound,
    /// What was learned, and when.
    pub samples: &'a [(Sample, Timestamp)],
    /// By what that is understood.
    pub settings: Option<limiter::Settings>,
    /// The clock.
    pub now: Timestamp,
}

/// What was learned while a slot is held, or after it was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// As in [`Returned`].
    Sample(Sample, limiter::Settings),
    /// What the upstream reported.
    Report(reported_load::LoadReport),
}

/// What was seen and done on the way, for telemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotReport {
    /// How many are in flight afterwards; `None` where nothing was read.
    pub in_flight: Option<u32>,
    /// The adaptive limit afterwards, where there is one.
    pub limit: Option<u32>,
    /// How many slots this VM got by the step, or gave back.
    pub quantity: u32,
    /// How many idle ones it may keep.
    pub keeps: u32,
    /// Whether less is let through from now on: others have to look.
    pub moved: bool,
    /// How much is shed afterwards by what the upstream reports ([`reported_load::ReportedLoad::shed`]); `None` where nothing was read.
    pub shed: Option<u32>,
    /// Why the state could not be read or stored.
    pub undecided: Option<Undecided>,
    /// Whether too many races were lost.
    pub lost_races: bool,
    /// Whether there were too many holders for one more.
    pub crowded: bool,
    /// Whether a damaged record was replaced.
    pub healed: bool,
    /// Whether this VM was given up: what it held is void, and it goes on under the next instance number.
    pub expired: bool,
}

impl Acquired {
    /// The slot.
    pub const fn place(&self) -> Option<SlotId> {
        match self {
            Self::Taken(place) => Some(*place),
            _ => None,
        }
    }
}

impl SlotReport {
    /// Of two steps for one request.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            undecided: self.undecided.or(other.undecided),
            lost_races: self.lost_races || other.lost_races,
            crowded: self.crowded || other.crowded,
            healed: self.healed || other.healed,
            expired: self.expired || other.expired,
            ..*self
        }
    }

    /// Whether what was asked for stands in shared data.
    pub const fn stands(&self) -> bool {
        self.undecided.is_none() && !self.lost_races
    }
}

/// Takes a slot for a request, if there is one.
///
/// Where the notes say that this VM was given up, the slot is held under the next instance number, and nothing else is.
pub fn acquire(
    store: &impl SharedState,
    key: &Key<InFlightSlots>,
    asked: &AcquireRequest<'_>,
) -> (Acquired, SlotReport) {
    let (mut taking, vms) = (Acquired::Undecided, asked.ahead.vms);
    let mut seen = SlotReport::default();
    let notes = changed(store, key, asked.now, &mut |places| {
        seen = SlotReport::default();
        places.leases.expire(asked.dead);
        let in_flight = places.in_flight();
        if let Some(tag) = asked.tag.filter(|tag| *tag != places.tag) {
            if !places.is_anybodys(asked.keep, asked.now) {
                taking = Acquired::Elsewhere;
                return Change::Nothing;
            }
            places.tag = tag;
        }
        seen.expired = places.leases.has_lost(&asked.holding);
        let (bulkhead, limit, room) = places.room(asked);
        let idle = match seen.expired {
            true => 0,
            false => asked.ahead.idle,
        };
        // Its own idle slots are nobody's requests.
        let used = in_flight.saturating_sub(idle);
        if used >= room {
            taking = Acquired::Full {
                in_flight: used,
                limit,
                bulkhead,
            };
            return Change::Nothing;
        }
        let now = asked.now.max(places.last);
        let refused = |draw| places.load.refuses(asked.priority.rank(), draw, now);
        if asked.load.is_some_and(refused) {
            taking = Acquired::Loaded;
            return Change::Nothing;
        }
        let instance = match seen.expired {
            true => asked.holding.anew().instance,
            false => asked.holding.instance,
        };
        let learned = places.limiter.as_ref().map(Limiter::now);
        let dealt = match idle {
            0 => asked.bound.lot(learned, vms, in_flight),
            _ => 0,
        };
        if dealt > 0 && !places.leases.take(instance, dealt, HOLDERS_MAX) {
            seen.crowded = true;
            taking = Acquired::Undecided;
            return Change::Nothing;
        }
        let used = used.saturating_add(1);
        taking = Acquired::Taken(SlotId {
            instance,
            in_flight: used,
            pressed: used >= room.saturating_sub(room / 16),
        });
        seen.quantity = dealt;
        seen.keeps = asked.bound.kept(learned, vms, places.in_flight());
        Change::stored_if(dealt > 0)
    });
    let notes = SlotReport {
        expired: seen.expired && notes.undecided.is_none(),
        crowded: seen.crowded,
        quantity: seen.quantity,
        keeps: seen.keeps,
        ..notes
    };
    match notes.stands() {
        true => (taking, notes),
        false => (Acquired::Undecided, notes),
    }
}

/// Gives a slot back. What does not stand is to be tried again later, with the same `returned`: it is a debt.
pub fn release(
    store: &impl SharedState,
    key: &Key<InFlightSlots>,
    returned: &Returned,
    now: Timestamp,
) -> SlotReport {
    changed(store, key, now, &mut |places| {
        if !places.leases.give_back(returned.place.instance, 1) {
            // It was given up with its VM, and so were its lessons.
            return Change::Nothing;
        }
        places.enter(returned.sample, now.max(places.last));
        Change::Store
    })
}

/// Gives back the slots of requests that ended, and idle ones as far as this VM may not keep them, and takes in what was learned. Where the
/// notes say that this VM was given up, it holds nothing, and what it learned is void.
pub fn settle(
    store: &impl SharedState,
    key: &Key<InFlightSlots>,
    asked: &Settlement<'_>,
) -> SlotReport {
    let mut seen = SlotReport::default();
    let notes = changed(store, key, asked.now, &mut |places| {
        seen = SlotReport::default();
        seen.expired = places.leases.has_lost(&asked.holding);
        if seen.expired {
            return Change::Nothing;
        }
        let now = asked.now.max(places.last);
        for (sample, at) in asked.samples {
            // What came before the limit was last thought about says nothing about it.
            let late = |limiter: &Limiter| limiter.is_before_window(*at);
            if !places.limiter.as_ref().is_some_and(late) {
                places.enter(asked.settings.map(|settings| (*sample, settings)), now);
            }
        }
        let idle = asked.ahead.idle.saturating_add(asked.returned);
        let learned = places.limiter.as_ref().map(Limiter::now);
        let out = places.in_flight();
        let keeps = asked.bound.kept(learned, asked.ahead.vms, out);
        let surplus = match idle > keeps {
            true => idle.saturating_sub(keeps / 2),
            false => 0,
        };
        seen.quantity = surplus.max(asked.unneeded.min(idle));
        seen.keeps = keeps;
        let gives = seen.quantity > 0;
        if gives {
            places
                .leases
                .give_back(asked.holding.instance, seen.quantity);
        }
        Change::stored_if(gives || !asked.samples.is_empty())
    });
    SlotReport {
        expired: seen.expired && notes.undecided.is_none(),
        quantity: seen.quantity,
        keeps: seen.keeps,
        ..notes
    }
}

/// Takes in what was learned. What does not stand is lost: there is more to come.
pub fn record_feedback(
    store: &impl SharedState,
    key: &Key<InFlightSlots>,
    lesson: Feedback,
    now: Timestamp,
) -> SlotReport {
    changed(store, key, now, &mut |places| {
        let now = now.max(places.last);
        let changed = match lesson {
            Feedback::Sample(sample, settings) => places.enter(Some((sample, settings)), now),
            Feedback::Report(report) => places.load.report(&report, now),
        };
        Change::stored_if(changed)
    })
}

/// A tick's look: takes back what is `gone`, and what is this VM's and it does not know of ([`crate::shared::leases::Leases::sweep`]).
pub fn maintain(
    store: &impl SharedState,
    key: &Key<InFlightSlots>,
    (local, owes): (LocalLease, bool),
    gone: &mut dyn FnMut(&Lease) -> bool,
    now: Timestamp,
) -> SlotReport {
    let mut expired = false;
    let notes = changed(store, key, now, &mut |places| {
        expired = places.leases.has_lost(&local);
        Change::stored_if(places.leases.sweep(&local, owes, gone))
    });
    let expired = expired && notes.undecided.is_none();
    SlotReport { expired, ..notes }
}

/// Looks at the slots under a key and changes nothing; `None` where they cannot be read, or are of a later version.
pub fn peek(store: &impl SharedState, key: &Key<InFlightSlots>) -> Option<InFlightSlots> {
    let stored = store.view(key).ok()?;
    Some(stored.record.unwrap_or_default())
}

impl InFlightSlots {
    /// Shows a sample to the limiter, where there are both.
    fn enter(&mut self, sample: Option<(Sample, limiter::Settings)>, now: Timestamp) -> bool {
        let (Some((sample, settings)), Some(limiter)) = (sample, &mut self.limiter) else {
            return false;
        };
        limiter.enter(&settings, sample, now);
        true
    }

    /// The limit, and how much is shed by what the upstream reports.
    fn lets_through(&self) -> (u32, u32) {
        let limit = self.limiter.as_ref().map_or(0, Limiter::now);
        (limit, self.load.shed)
    }

    /// Whether the bulkhead is what bounds this request, the whole of what bounds it, and how full it may be for it.
    #[inline(never)]
    fn room(&mut self, asked: &AcquireRequest<'_>) -> (bool, u32, u32) {
        let shared = asked.bound.limit.and_then(|(limit, shares)| match limit {
            Limit::None => None,
            Limit::Fixed(limit) => Some((limit, shares.slots(asked.priority, limit))),
            Limit::Adaptive(settings) => {
                let known = self.limiter.get_or_insert_with(|| Limiter::new(&settings));
                let limit = known.limit(&settings);
                Some((limit, shares.soft_slots(asked.priority, limit)))
            }
        });
        let (limit, room) = shared.unwrap_or((u32::MAX, u32::MAX));
        match asked.bound.places_max {
            Some(places) if places <= room => (true, places, places),
            _ => (false, limit, room),
        }
    }
}

/// Takes a step on the slots under a key; a damaged record is as a new one.
fn changed(
    store: &impl SharedState,
    key: &Key<InFlightSlots>,
    now: Timestamp,
    step: &mut dyn FnMut(&mut InFlightSlots) -> Change,
) -> SlotReport {
    let mut notes = SlotReport::default();
    let stored = store.update(key, |stored| {
        notes = SlotReport {
            healed: stored.damaged,
            ..SlotReport::default()
        };
        let places = stored.or_empty();
        let before = places.lets_through();
        let change = step(places);
        let after = places.lets_through();
        notes.moved = change == Change::Store && (after.0 < before.0 || after.1 > before.1);
        // Others still believe to hold what is no longer in it.
        notes.moved |= notes.healed;
        notes.in_flight = Some(places.in_flight());
        notes.shed = Some(places.load.shed);
        notes.limit = places.limiter.as_ref().map(Limiter::now);
        if change == Change::Store || notes.healed {
            places.last = places.last.max(now);
            return Change::Store;
        }
        Change::Nothing
    });
    match stored {
        Ok(true) => {}
        Ok(false) => notes.lost_races = true,
        Err(undecided) => notes.undecided = Some(undecided),
    }
    notes
}
