//! What a worker does for places: it takes them, gives them back, and watches who holds any.

use std::collections::VecDeque;

use seawall_policy::admission::Reason;
use seawall_policy::limiter::Sample;
use seawall_policy::places::slots::{self, Slot};
use seawall_policy::places::{self, Asked, Bound, Notes, Returned, Taking};
use seawall_policy::policy::Policy;
use seawall_policy::share::{Enforcement, Share};
use seawall_policy::shedding::{Settings, spread};
use seawall_policy::time::{Span, Timestamp};

use super::{Asking, DEBTS_MAX, Worker};
use crate::host::clock;
use crate::host::shared::Shared;
use crate::seats::{Seat, Taken, adaptive};
use crate::telemetry::{Concern, OwnSeries};

/// A place that could not be given back.
#[derive(Clone, Copy, Debug)]
struct Unreturned {
    upstream: usize,
    slot: Option<Slot>,
    returned: Returned,
}

/// Places that could not be given back; bounded by [`DEBTS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Owed(VecDeque<Unreturned>);

/// Why a request has no place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full {
    /// The reason.
    pub(crate) reason: Reason,
    /// Whether it is refused, and not only marked.
    pub(crate) refused: bool,
    /// When to come again.
    pub(crate) retry_after: Span,
}

/// What a request learned about its upstream's load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lesson {
    /// What it says about the limit.
    pub(crate) sample: Option<Sample>,
    /// The utilisation that the upstream reported, in basis points.
    pub(crate) utilisation: Option<u32>,
}

impl Worker {
    /// Takes the places that a request needs; those it got before it was refused one are given back.
    pub(crate) fn sit(
        &mut self,
        upstream: usize,
        asking: &Asking<'_>,
        draw: u32,
    ) -> Result<Taken, Full> {
        let spare = self.draws.next_u64();
        let mut taken = Taken::default();
        let Some(entry) = self.upstreams.entry(upstream) else {
            return Ok(taken);
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(seats)) = (policy, entry.seats.as_mut()) else {
            return Ok(taken);
        };
        let (own_slot, bound, load) = bounds(policy);
        let asked = Asked {
            holding: seats.shared.holding,
            spare,
            priority: asking.priority,
            bound,
            load: load.then_some(draw),
            tag: None,
            now: clock::now(),
        };
        let mut refused = None;
        if let Some((count, places_max)) = own_slot {
            let asked = Asked {
                tag: asking.tag,
                bound: places_max,
                load: None,
                ..asked
            };
            let (slot, taking, notes) = slots::take(&Shared, &seats.key, count, &asked, &|slot| {
                seats.holding(slot)
            });
            note(&mut self.own, &notes);
            match taking {
                Taking::Taken(place) => {
                    if let Some(seat) = seats.slot(slot) {
                        seat.take(place);
                    }
                    taken.slot = Some((slot, place));
                }
                Taking::Full { .. } => refused = Some(Reason::BulkheadFull),
                Taking::Loaded | Taking::Elsewhere | Taking::Undecided => {}
            }
        }
        if refused.is_none() && (bound != Bound::default() || load) {
            let (taking, notes) = places::take(&Shared, &seats.key, &asked);
            note(&mut self.own, &notes);
            match taking {
                Taking::Taken(place) => {
                    seats.shared.take(place);
                    taken.shared = Some(place);
                }
                Taking::Full { bulkhead: true, .. } => refused = Some(Reason::BulkheadFull),
                Taking::Full { .. } => refused = Some(Reason::ShedLimit),
                Taking::Loaded => refused = Some(Reason::ShedLoad),
                Taking::Elsewhere | Taking::Undecided => {}
            }
        }
        let Some(reason) = refused else {
            return Ok(taken);
        };
        let full = full(policy, reason, draw);
        self.leave(upstream, taken, Lesson::default());
        Err(full)
    }

    /// Gives back what a request held.
    pub(crate) fn leave(&mut self, upstream: usize, taken: Taken, lesson: Lesson) {
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(seats)) = (policy, entry.seats.as_mut()) else {
            return;
        };
        let slot = taken.slot.map(|(slot, place)| {
            if let Some(seat) = seats.slot(slot) {
                seat.leave(place);
            }
            let returned = Returned {
                place,
                sample: None,
                load: None,
            };
            (Some(slot), returned)
        });
        let shared = taken.shared.map(|place| {
            seats.shared.leave(place);
            let wanted = policy
                .shedding
                .as_ref()
                .map_or(Share::NONE, |shedding| shedding.load_over);
            let wanted = u32::from(wanted.as_basis_points());
            let returned = Returned {
                place,
                sample: lesson.sample.zip(adaptive(policy)),
                load: lesson
                    .utilisation
                    .filter(|_| wanted > 0)
                    .map(|points| (points, wanted)),
            };
            (None, returned)
        });
        for (slot, returned) in slot.into_iter().chain(shared) {
            let unreturned = Unreturned {
                upstream,
                slot,
                returned,
            };
            if !self.return_place(unreturned) {
                self.owe_place(unreturned);
            }
        }
    }

    /// How many could not be given back yet.
    pub(super) fn places_owed(&self) -> usize {
        self.owed_places.0.len()
    }

    /// Tries again to give back what could not be.
    pub(super) fn return_owed(&mut self) {
        for _ in 0..self.owed_places.0.len() {
            let next = self.owed_places.0.pop_front();
            if let Some(unreturned) = next.filter(|next| !self.return_place(*next)) {
                self.owe_place(unreturned);
            }
        }
    }

    /// Gives signs of life, watches those of the others, and shows how many are in flight.
    pub(super) fn tend_places(&mut self, number: usize, on_time: bool) {
        let (spare, now) = (self.draws.next_u64(), clock::now());
        let Some(entry) = self.upstreams.entry(number) else {
            return;
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(seats)) = (policy, entry.seats.as_mut()) else {
            return;
        };
        let (own_slot, bound, load) = bounds(policy);
        let (mut in_flight, mut limit) = (0_u32, None);
        let mut tended = |key: &str, seat: &mut Seat| {
            let notes = tend(key, seat, spare, on_time, now);
            in_flight = in_flight.saturating_add(notes.in_flight.unwrap_or(0));
            limit = notes.limit.or(limit);
            note(&mut self.own, &notes);
        };
        if bound != Bound::default() || load {
            tended(&seats.key, &mut seats.shared);
        }
        let slots = own_slot
            .filter(|_| seats.has_slots())
            .map_or(0, |(count, _)| count);
        let rest = (slots > 0).then_some(Slot::Rest);
        for slot in (0..slots).map(Slot::Own).chain(rest) {
            let key = slot.key(&seats.key);
            if let Some(seat) = seats.slot(slot) {
                tended(&key, seat);
            }
        }
        entry.series.places(in_flight, limit);
    }

    fn return_place(&mut self, unreturned: Unreturned) -> bool {
        let Unreturned {
            upstream,
            slot,
            returned,
        } = unreturned;
        let Some(seats) = self
            .upstreams
            .entry(upstream)
            .and_then(|entry| entry.seats.as_ref())
        else {
            return true;
        };
        let notes = match slot {
            Some(slot) => {
                places::give_back(&Shared, &slot.key(&seats.key), &returned, clock::now())
            }
            None => places::give_back(&Shared, &seats.key, &returned, clock::now()),
        };
        note(&mut self.own, &notes);
        notes.stands()
    }

    /// Keeps a place for the next tick. Beyond the bound it is dropped; it then comes back as that of a dead VM does,
    /// because this one takes another instance number.
    fn owe_place(&mut self, unreturned: Unreturned) {
        if self.owed_places.0.len() < DEBTS_MAX {
            self.owed_places.0.push_back(unreturned);
            return;
        }
        self.own.count(Concern::DebtDropped);
        let spare = self.draws.next_u64();
        let entry = self.upstreams.entry(unreturned.upstream);
        if let Some(seats) = entry.and_then(|entry| entry.seats.as_mut()) {
            let seat = match unreturned.slot {
                Some(slot) => seats.slot(slot),
                None => Some(&mut seats.shared),
            };
            if let Some(seat) = seat {
                *seat = Seat::new(spare);
            }
        }
    }
}

/// What bounds a request: the slots of its header's values and their bound, the bound of what all share, and whether the
/// upstream's reports count.
fn bounds(policy: &Policy) -> (Option<(u32, Bound)>, Bound, bool) {
    let (bulkhead, shedding) = (policy.bulkhead.as_ref(), policy.shedding.as_ref());
    let places = bulkhead.map(|bulkhead| bulkhead.max_concurrent);
    let per = bulkhead.and_then(|bulkhead| bulkhead.per.as_ref());
    let of_slot = |count| {
        let bound = Bound {
            places_max: places,
            limit: None,
        };
        (count, bound)
    };
    let shared = Bound {
        places_max: places.filter(|_| per.is_none()),
        limit: shedding.map(|shedding| (shedding.limit, shedding.shares)),
    };
    let load = shedding.is_some_and(|shedding| shedding.load_over > Share::NONE);
    (per.map(|per| of_slot(per.max_keys)), shared, load)
}

fn full(policy: &Policy, reason: Reason, draw: u32) -> Full {
    let bulkhead = policy.bulkhead.as_ref().map(|bulkhead| bulkhead.mode);
    let shedding = policy.shedding.as_ref();
    let mode = match reason {
        Reason::BulkheadFull => bulkhead,
        _ => shedding.map(|shedding| shedding.mode),
    };
    let most = shedding.map_or(Settings::RETRY_AFTER, |shedding| shedding.retry_after);
    Full {
        reason,
        refused: mode.unwrap_or(Enforcement::Shadow).refuses(draw),
        retry_after: spread(most, draw),
    }
}

/// One tick under one key. Who showed no life for long enough is given up in the same tick.
fn tend(key: &str, seat: &mut Seat, spare: u64, on_time: bool, now: Timestamp) -> Notes {
    let (mut notes, mut signs) = places::tend(&Shared, key, seat.holding, &[], now);
    if notes.expired {
        *seat = Seat::new(spare);
    }
    seat.watch.observe(&signs, on_time);
    let dead = seat.watch.dead();
    if !dead.is_empty() {
        (notes, signs) = places::tend(&Shared, key, seat.holding, &dead, now);
        seat.watch.observe(&signs, false);
    }
    notes
}

fn note(own: &mut OwnSeries, notes: &Notes) {
    super::note_undecided(own, notes.undecided.as_ref());
    let concerns = [
        (notes.lost_races, Concern::LostRaces),
        (notes.healed, Concern::RecordReplaced),
        (notes.expired, Concern::Expired),
        (notes.crowded, Concern::Crowded),
    ];
    for (_, concern) in concerns.into_iter().filter(|(seen, _)| *seen) {
        own.count(concern);
    }
}
