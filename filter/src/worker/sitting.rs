//! One request that looks for the places it needs: in a slot, among those that all share, and as an unfinished one.

use seawall_policy::admission::Reason;
use seawall_policy::places::slots::{self, Seated, Slot};
use seawall_policy::places::unfinished;
use seawall_policy::places::{self, Asked, Bound, Notes, Taking};
use seawall_policy::policy::Policy;
use seawall_policy::share::Share;

use super::Asking;
use super::places::{Full, found_full, note};
use crate::host::shared::Shared;
use crate::seats::{Seats, Taken};
use crate::telemetry::OwnSeries;

/// A request on its way to its places.
pub(super) struct Sitting<'a> {
    pub(super) policy: &'a Policy,
    pub(super) seats: &'a mut Seats,
    pub(super) own: &'a mut OwnSeries,
    pub(super) draw: u32,
    /// What it got.
    pub(super) taken: &'a mut Taken,
    /// What it got and has no use for.
    pub(super) void: Taken,
    /// Why it has no place.
    pub(super) full: Option<Full>,
}

impl Sitting<'_> {
    /// Whether it was refused a place, and is not only marked.
    pub(super) fn is_refused(&self) -> bool {
        self.full.is_some_and(|full| full.refused)
    }

    /// A place of a bulkhead that counts by itself.
    pub(super) fn apart(
        &mut self,
        asking: &Asking<'_>,
        count: u32,
        bound: Bound,
        asked: &Asked<'_>,
    ) {
        self.seats.slots_used = true;
        let asked = Asked {
            tag: asking.tag.filter(|_| count > 0),
            bound,
            load: None,
            ..*asked
        };
        let seats = &*self.seats;
        let holding = |slot| seats.holding(slot);
        let Seated {
            places,
            taking,
            notes,
        } = slots::take(&Shared, &seats.key, count, &asked, &holding);
        note(self.own, &notes);
        for (slot, place) in places.into_iter().flatten() {
            self.took(slot, place);
        }
        let share = self
            .policy
            .bulkhead
            .as_ref()
            .map(|bulkhead| bulkhead.unfinished);
        let limit = bound.places_max.unwrap_or(u32::MAX);
        let beside = match taking {
            Taking::Taken(_) => places.into_iter().flatten().next(),
            _ => None,
        };
        let reason = match (taking, beside) {
            (Taking::Full { .. }, _) => Some(Reason::BulkheadFull),
            (_, Some((slot, _))) => {
                self.unfinished(asking, slot.unfinished(), share, limit, &asked)
            }
            _ => None,
        };
        if let Some(reason) = reason {
            self.full = Some(found_full(
                self.policy,
                reason,
                Reason::BulkheadFull,
                self.draw,
            ));
            // Who is only marked holds nothing.
            self.void = self.taken.split(|_| true);
            self.void.connection = self.taken.connection.take();
        }
    }

    /// A place among those that all share.
    pub(super) fn shared(&mut self, asking: &Asking<'_>, asked: &Asked<'_>) {
        self.seats.shared_used = true;
        let (taking, notes) = places::take(&Shared, &self.seats.key, asked);
        note(self.own, &notes);
        let policy = self.policy;
        let (bulkhead, shedding) = (policy.bulkhead.as_ref(), policy.shedding.as_ref());
        let reason = match taking {
            Taking::Taken(place) => {
                self.seats.shared.take(place);
                self.taken.shared = Some(place);
                let share = shedding.map(|shedding| shedding.unfinished);
                let share = share.or(bulkhead.map(|bulkhead| bulkhead.unfinished));
                let limit = limit_of(asked.bound, &notes);
                limit.and_then(|limit| {
                    self.unfinished(asking, Slot::Unfinished, share, limit, asked)
                })
            }
            Taking::Full { bulkhead: true, .. } => Some(Reason::BulkheadFull),
            Taking::Full { .. } => Some(Reason::ShedLimit),
            Taking::Loaded => Some(Reason::ShedLoad),
            Taking::Elsewhere | Taking::Undecided => None,
        };
        let Some(reason) = reason else {
            return;
        };
        let by = match shedding {
            None => Reason::BulkheadFull,
            Some(_) => reason,
        };
        let found = found_full(policy, reason, by, self.draw);
        if reason == Reason::Unfinished && !found.refused {
            self.void.shared = self.taken.shared.take();
        }
        self.full = Some(match self.full {
            Some(before) if !found.refused => before,
            _ => found,
        });
    }

    /// Where the body of the request is not complete: a second place beside the first, which bounds how many of those
    /// there are. Why it has none.
    fn unfinished(
        &mut self,
        asking: &Asking<'_>,
        slot: Slot,
        share: Option<Share>,
        limit: u32,
        asked: &Asked<'_>,
    ) -> Option<Reason> {
        let connection = asking.unfinished?;
        let most = unfinished::most(limit, share?)?;
        let seats = &mut *self.seats;
        seats.slots_used = true;
        let asked = Asked {
            bound: seats.connections.bound(connection, most, asked.now),
            load: None,
            tag: None,
            ..*asked
        };
        let (taking, notes) = slots::take_in(&Shared, &seats.key, slot, &asked, &|slot| {
            seats.holding(slot)
        });
        note(self.own, &notes);
        match taking {
            Taking::Taken(place) => {
                self.took(slot, place);
                // A request counts once for its connection.
                if self.taken.connection.replace(connection).is_none() {
                    self.seats.connections.took(connection);
                }
                None
            }
            Taking::Full { .. } => {
                seats.connections.refused(connection, asked.now);
                Some(Reason::Unfinished)
            }
            Taking::Loaded | Taking::Elsewhere | Taking::Undecided => None,
        }
    }

    fn took(&mut self, slot: Slot, place: places::Place) {
        if let Some(seat) = self.seats.slot(slot) {
            seat.take(place);
        }
        self.taken.add(slot, place);
    }
}

/// How many requests may be in flight among those that all share, where anything says so.
fn limit_of(bound: Bound, notes: &Notes) -> Option<u32> {
    let limit = bound
        .limit
        .and_then(|(limit, _)| limit.in_force(notes.limit));
    match (limit, bound.places_max) {
        (Some(limit), Some(places)) => Some(limit.min(places)),
        (limit, places) => limit.or(places),
    }
}
