//! What a worker does for places: it takes them, gives them back, and watches who holds any.

use std::collections::VecDeque;

use seawall_policy::admission::Reason;
use seawall_policy::bulkhead;
use seawall_policy::limiter::Sample;
use seawall_policy::places::slots::Slot;
use seawall_policy::places::{self, Asked, Bound, Notes, Returned, members};
use seawall_policy::policy::Policy;
use seawall_policy::share::{self, Enforcement, Share};
use seawall_policy::shedding::{Limit, Settings, spread};
use seawall_policy::time::Span;

use super::debts::DEBTS_MAX;
use super::sitting::Sitting;
use super::{Asking, Worker};
use crate::host::clock;
use crate::host::shared::Shared;
use crate::seats::{Taken, adaptive};
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
        self.enroll();
        // Seawalls in a row shed the same requests; a stranger may have chosen an id that is never shed.
        let by_load = match asking.trusted {
            true => share::mixed(draw, share::LOAD),
            false => self.draws.next_u32(),
        };
        let mut taken = Taken::default();
        let Some(entry) = self.upstreams.entry(upstream) else {
            return Ok((taken, None));
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(seats)) = (policy, entry.seats.as_mut()) else {
            return Ok((taken, None));
        };
        if asking.exempt && seats.exempt.take(clock::now()) {
            return Ok((taken, None));
        }
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
            spare: members::next(seats.shared.holding.instance),
            priority: asking.priority,
            bound: shared,
            load: load.then_some(by_load),
            tag: None,
            keep: Span::ZERO,
            dead: self.liveness.members.dead(),
            now: clock::now(),
        };
        let mut sitting = Sitting {
            policy,
            seats,
            own: &mut self.own,
            draw,
            taken: &mut taken,
            void: Taken::default(),
            full: None,
        };
        if let Some((count, places_max)) = apart {
            sitting.apart(asking, count, places_max, &asked);
        }
        if !sitting.is_refused() && (shared != Bound::default() || load) {
            sitting.shared(asking, &asked);
        }
        let Sitting { void, full, .. } = sitting;
        if !void.is_empty() {
            self.leave(upstream, void, None);
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
        if let Some(connection) = taken.connection {
            seats.connections.left(connection);
        }
        let slots = taken.slots.map(|taken| {
            let (slot, place) = taken?;
            if let Some(seat) = seats.slot(slot) {
                seat.leave(place);
            }
            let returned = Returned {
                place,
                sample: None,
            };
            Some((Some(slot), returned))
        });
        let shared = taken.shared.map(|place| {
            seats.shared.leave(place);
            let returned = Returned {
                place,
                sample: sample.zip(adaptive(policy)),
            };
            (None, returned)
        });
        for (slot, returned) in slots.into_iter().flatten().chain(shared) {
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
        let entry = self.upstreams.entry(unreturned.upstream);
        if let Some(seats) = entry.and_then(|entry| entry.seats.as_mut()) {
            let seat = match unreturned.slot {
                Some(slot) => seats.slot(slot),
                None => Some(&mut seats.shared),
            };
            let place = unreturned.returned.place;
            if let Some(seat) = seat.filter(|seat| seat.holding.instance == place.instance) {
                *seat = seat.anew();
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
pub(super) struct Bounds {
    /// The slots of the bulkhead, and their bound, where it counts by itself: for each value of a header, or otherwise than
    /// shedding does. Without slots there is only the rest.
    pub(super) apart: Option<(u32, Bound)>,
    /// What all share.
    pub(super) shared: Bound,
    /// Whether the upstream's reports count.
    pub(super) load: bool,
}

pub(super) fn bounds(policy: &Policy) -> Bounds {
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

/// What is done with a request that found no place for this reason, by the one of both that counts there.
pub(super) fn found_full(policy: &Policy, reason: Reason, by: Reason, draw: u32) -> Full {
    let bulkhead = policy.bulkhead.as_ref().map(|bulkhead| bulkhead.mode);
    let shedding = policy.shedding.as_ref();
    let mode = match by {
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

pub(super) fn note(own: &mut OwnSeries, notes: &Notes) {
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
