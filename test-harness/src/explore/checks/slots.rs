//! Places of a bulkhead: never more than there are, and none lost.

use seawall_policy::concurrency::InFlightSlots;

use super::{Checks, View, Write};

impl Checks {
    /// After each write: no more places are held than there are.
    pub(super) fn slots_stored(&self, write: &Write<'_>) -> Result<(), String> {
        let (Some(bulkhead), Some(places)) = (&self.policy.bulkhead, read(write.key, write.after))
        else {
            return Ok(());
        };
        let (held, most) = (places.in_flight(), bulkhead.max_concurrent);
        match held > most {
            true => Err(format!("{held} of {most} places are held")),
            false => Ok(()),
        }
    }

    /// After each choice: no more requests of living workers are under way than there are places.
    pub(super) fn slots_used(&self, view: &View<'_>) -> Result<(), String> {
        let Some(bulkhead) = self.policy.bulkhead.as_ref().filter(|_| !self.faulty) else {
            return Ok(());
        };
        let (flying, most) = (view.flying(), bulkhead.max_concurrent);
        match flying > most {
            true => Err(format!("{flying} requests are under way in {most} places")),
            false => Ok(()),
        }
    }

    /// At the end: what is held is what is under way.
    pub(super) fn slots_kept(&self, view: &View<'_>) -> Result<(), String> {
        if self.policy.bulkhead.is_none() {
            return Ok(());
        }
        let mut all = view.store.iter();
        let places = all.find_map(|(key, bytes)| read(key, bytes));
        let held = places.map_or(0, |places| places.in_flight());
        let flying = view.flying();
        match held == flying {
            true => Ok(()),
            false => Err(format!(
                "{held} places are held and {flying} requests are under way"
            )),
        }
    }
}

impl View<'_> {
    /// Requests of living workers that were sent and did not end.
    fn flying(&self) -> u32 {
        let alive = self.workers.iter().filter(|(_, dead)| !dead);
        alive.fold(0, |sum, (tally, _)| {
            sum + tally.sent - tally.ended - tally.left
        })
    }
}

fn read(key: &str, bytes: &[u8]) -> Option<InFlightSlots> {
    let ours = key.starts_with("seawall/places/") && !bytes.is_empty();
    ours.then(|| InFlightSlots::decode(bytes).ok()).flatten()
}
