//! What bounds how many requests are in flight, and how many slots are dealt at once under it ([`super::credits`]).

use crate::shedding::{Limit, Shares};

/// A lot is the limit divided by so many times the workers.
const PARTS: u32 = 8;
/// So many lots a VM keeps idle at the most.
const IDLE_LOTS: u32 = 2;

/// What bounds how many are in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// The bulkhead's slots, the same for every priority; `None` where there is no bulkhead.
    pub places_max: Option<u32>,
    /// The limit of shedding, with the share of it that each priority may fill; `None` where nothing is shed.
    pub limit: Option<(Limit, Shares)>,
}

impl Bound {
    /// How many slots are dealt at once where so many are out; at least 1, which is none in advance.
    #[inline(never)]
    pub(super) fn lot(&self, limit: Option<u32>, vms: u32, out: u32) -> u32 {
        let Some((limit, most)) = self.dealt(limit) else {
            return 1;
        };
        let parts = PARTS.saturating_mul(vms);
        let lot = limit.checked_div(parts).unwrap_or(0);
        lot.min(most.saturating_sub(out)).max(1)
    }

    /// Whether slots can be dealt in lots, whatever a limit that follows latency comes to.
    #[inline(never)]
    pub fn may_deal(&self, vms: u32) -> bool {
        let highest = self.limit.and_then(|(kind, _)| match kind {
            Limit::Adaptive(settings) => Some(settings.ceiling),
            Limit::Fixed(limit) => Some(limit),
            Limit::None => None,
        });
        let most = highest.into_iter().chain(self.places_max).min();
        most.is_some_and(|most| most / PARTS >= vms.saturating_mul(2))
    }

    /// The least of all bounds, and up to how many slots are dealt in lots.
    fn dealt(&self, limit: Option<u32>) -> Option<(u32, u32)> {
        let shed = self.limit.and_then(|(kind, shares)| {
            let limit = kind.in_force(limit)?;
            Some((limit, least_share(&shares, limit).min(limit / 2)))
        });
        let unknown = matches!(self.limit, Some((Limit::Adaptive(_), _))) && shed.is_none();
        let bulkhead = self.places_max.map(|places| (places, places / 2));
        match (shed, bulkhead) {
            _ if unknown => None,
            (Some((limit, most)), Some((places, half))) => {
                Some((limit.min(places), most.min(half)))
            }
            (one, other) => one.or(other),
        }
    }

    /// How many idle slots a VM may keep where so many are out.
    pub(super) fn kept(&self, limit: Option<u32>, vms: u32, out: u32) -> u32 {
        match self.lot(limit, vms, out) {
            1 => 0,
            lot => lot.saturating_mul(IDLE_LOTS),
        }
    }
}

/// The slots that the priority with the least of them may fill.
fn least_share(shares: &Shares, limit: u32) -> u32 {
    let all = crate::priority::Priority::ALL.into_iter();
    all.map(|priority| shares.slots(priority, limit))
        .min()
        .unwrap_or(0)
}
