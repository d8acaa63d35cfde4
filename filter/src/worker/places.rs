//! What a worker does for places: it takes them, gives them back, and watches who holds any.

use std::collections::VecDeque;

use seawall_policy::admission::Reason;
use seawall_policy::bulkhead;
use seawall_policy::limiter::Sample;
use seawall_policy::places::slots::{self, Slot};
use seawall_policy::places::{self, Asked, Bound, Notes, Returned, Taking};
use seawall_policy::policy::Policy;
use seawall_policy::share::{self, Enforcement, Share};
use seawall_policy::shedding::{Limit, Settings, spread};
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
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lesson {
    /// What it says about the limit.
    Sample(Sample),
    /// The utilisation that a host of the upstream reported, in basis points.
    Report {
        /// Which host.
        host: u32,
        /// How much.
        utilisation: u32,
    },
}

impl Worker {
    /// Takes the places that a request needs, with why it would have been refused one if it were enforced. What it got
    /// before it was refused one is given back; what only marks it is not held, and takes nothing from the others.
    pub(crate) fn sit(
        &mut self,
        upstream: usize,
        asking: &Asking<'_>,
        draw: u32,
    ) -> Result<(Taken, Option<Reason>), Full> {
        let spare = self.draws.next_u64();
        // Seawalls in a row shed the same requests; a stranger may have chosen an id that is never shed.
        let by_load = match asking.trusted {
            true => share::mixed(draw, share::LOAD),
            false => self.draws.next_u32(),
        };
        let mut taken = Taken::default();
        let mut full = None;
        let Some(entry) = self.upstreams.entry(upstream) else {
            return Ok((taken, None));
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(seats)) = (policy, entry.seats.as_mut()) else {
            return Ok((taken, None));
        };
        let Bounds {
            apart,
            shared,
            load,
        } = bounds(policy);
        if load {
            seats.observed.traffic.came(asking.priority);
        }
        let asked = Asked {
            holding: seats.shared.holding,
            spare,
            priority: asking.priority,
            bound: shared,
            load: load.then_some(by_load),
            tag: None,
            now: clock::now(),
        };
        if let Some((count, places_max)) = apart {
            seats.used();
            let asked = Asked {
                tag: asking.tag.filter(|_| count > 0),
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
                Taking::Full { .. } => full = Some(found_full(policy, Reason::BulkheadFull, draw)),
                Taking::Loaded | Taking::Elsewhere | Taking::Undecided => {}
            }
        }
        let refused = full.is_some_and(|full| full.refused);
        if !refused && (shared != Bound::default() || load) {
            let (taking, notes) = places::take(&Shared, &seats.key, &asked);
            note(&mut self.own, &notes);
            let reason = match taking {
                Taking::Taken(place) => {
                    seats.shared.take(place);
                    taken.shared = Some(place);
                    None
                }
                Taking::Full { bulkhead: true, .. } => Some(Reason::BulkheadFull),
                Taking::Full { .. } => Some(Reason::ShedLimit),
                Taking::Loaded => Some(Reason::ShedLoad),
                Taking::Elsewhere | Taking::Undecided => None,
            };
            let found = reason.map(|reason| found_full(policy, reason, draw));
            full = found.filter(|found| found.refused).or(full).or(found);
        }
        match full {
            Some(full) if full.refused => {
                self.leave(upstream, taken, None);
                Err(full)
            }
            marked => Ok((taken, marked.map(|full| full.reason))),
        }
    }

    /// Gives back what a request held, with what it says about the limit.
    pub(crate) fn leave(&mut self, upstream: usize, taken: Taken, sample: Option<Sample>) {
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
            };
            (Some(slot), returned)
        });
        let shared = taken.shared.map(|place| {
            seats.shared.leave(place);
            let returned = Returned {
                place,
                sample: sample.zip(adaptive(policy)),
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

    /// Takes in what a request learned and nobody was told.
    pub(crate) fn learn(&mut self, upstream: usize, lesson: Lesson) {
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(seats)) = (policy, entry.seats.as_mut()) else {
            return;
        };
        let Some(shedding) = &policy.shedding else {
            return;
        };
        let now = clock::now();
        let lesson = match (lesson, shedding.limit) {
            (Lesson::Sample(sample), Limit::Adaptive(settings)) => {
                places::Lesson::Sample(sample, settings)
            }
            (Lesson::Sample(_), _) => return,
            (Lesson::Report { host, utilisation }, _) => {
                let wanted = u32::from(shedding.load_over.as_basis_points());
                places::Lesson::Report(seats.observed.report(host, utilisation, wanted, now))
            }
        };
        let notes = places::learn(&Shared, &seats.key, lesson, now);
        if let (places::Lesson::Report(_), Some(shed)) = (lesson, notes.shed) {
            seats.observed.traffic.stands(shed, now);
        }
        note(&mut self.own, &notes);
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
        let bounds = bounds(policy);
        let mut limit = None;
        let mut tended = |key: &str, seat: &mut Seat| {
            let notes = tend(key, seat, spare, on_time, now);
            limit = notes.limit.or(limit);
            note(&mut self.own, &notes);
            notes.in_flight.unwrap_or(0)
        };
        let (mut shared, mut apart) = (0, 0_u32);
        if bounds.shared != Bound::default() || bounds.load {
            shared = tended(&seats.key, &mut seats.shared);
        }
        // Nobody looks after slots that nobody uses.
        let slots = bounds.apart.filter(|_| seats.in_use());
        if let Some((count, _)) = slots {
            for slot in (0..slots::all(count)).map(Slot::Own).chain([Slot::Rest]) {
                let key = slot.key(&seats.key);
                if let Some(seat) = seats.slot(slot) {
                    apart = apart.saturating_add(tended(&key, seat));
                }
            }
            if apart == 0 {
                seats.unused();
            }
        }
        let limit = policy
            .shedding
            .as_ref()
            .and_then(|shedding| match shedding.limit {
                Limit::None => None,
                Limit::Fixed(limit) => Some(limit),
                Limit::Adaptive(settings) => {
                    let floor = settings.floor.max(1);
                    limit.map(|limit| limit.clamp(floor, settings.ceiling.max(floor)))
                }
            });
        // Who holds a place in a slot may hold one of all as well: it is one request.
        entry.series.places(shared.max(apart), limit);
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

/// Whether the requests of all are counted under one key.
pub(super) fn counts_all(policy: &Policy) -> bool {
    let bounds = bounds(policy);
    bounds.shared != Bound::default() || bounds.load
}

/// What bounds a request.
struct Bounds {
    /// The slots of the bulkhead, and their bound, where it counts by itself: for each value of a header, or otherwise than
    /// shedding does. Without slots there is only the rest.
    apart: Option<(u32, Bound)>,
    /// What all share.
    shared: Bound,
    /// Whether the upstream's reports count.
    load: bool,
}

fn bounds(policy: &Policy) -> Bounds {
    let (bulkhead, shedding) = (policy.bulkhead.as_ref(), policy.shedding.as_ref());
    let agrees = |bulkhead: &bulkhead::Settings| {
        let same = |shedding: &Settings| {
            (bulkhead.mode, bulkhead.until) == (shedding.mode, shedding.until)
        };
        bulkhead.per.is_none() && shedding.is_none_or(same)
    };
    let apart = bulkhead.filter(|bulkhead| !agrees(bulkhead));
    let together = bulkhead.filter(|bulkhead| agrees(bulkhead));
    Bounds {
        apart: apart.map(|bulkhead| {
            let count = bulkhead.per.as_ref().map_or(0, |per| per.max_keys);
            let bound = Bound {
                places_max: Some(bulkhead.max_concurrent),
                limit: None,
            };
            (count, bound)
        }),
        shared: Bound {
            places_max: together.map(|bulkhead| bulkhead.max_concurrent),
            limit: shedding.map(|shedding| (shedding.limit, shedding.shares)),
        },
        load: shedding.is_some_and(|shedding| shedding.load_over > Share::NONE),
    }
}

fn found_full(policy: &Policy, reason: Reason, draw: u32) -> Full {
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
        retry_after: spread(most, share::mixed(draw, share::AGAIN)),
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
