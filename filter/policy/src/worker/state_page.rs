//! What a worker has to say on the state page.

use crate::state_page::{self, PendingWork};

use super::Worker;
use super::bounds::counts_all;
use super::upstreams::{Position, Upstream};
use crate::environment::Environment;
use crate::environment::facts::RequestPhase;
use crate::environment::headers::HeaderMap;
use crate::request::state_page::is_asked;

impl<E: Environment> Worker<E> {
    /// The state page, if this request asks for it and may.
    pub(crate) fn page(
        &mut self,
        pairs: &impl HeaderMap,
        facts: &impl RequestPhase,
    ) -> Option<Vec<u8>> {
        let asked = self.routing.page.as_ref();
        asked.filter(|asked| is_asked(asked, pairs, facts))?;
        Some(self.shown())
    }

    #[cold]
    #[inline(never)]
    fn shown(&mut self) -> Vec<u8> {
        let (_, moment) = self.moment();
        let mut json = state_page::begin(PendingWork {
            settlements: self.pending_settlements.len(),
            entries: self.unstored_entries.len(),
            places: self.unreturned_count(),
            parked: self.parked.len(),
        });
        let mut omitted: usize = 0;
        for number in 0..self.upstreams.len() {
            let Some(entry) = self.upstreams.entry(number) else {
                continue;
            };
            let Some(policy) = self.routing.policies.get(entry.policy) else {
                continue;
            };
            // Where each value of a header has slots of its own, they stand under up to two thousand keys: not shown.
            let holdings = entry.holdings.as_ref().filter(|_| counts_all(policy));
            let upstream = state_page::UpstreamView {
                policy,
                cluster: &entry.cluster,
                key: entry.key.as_ref(),
                places: holdings.map(|holdings| &holdings.key),
                position: position(entry),
            };
            if !state_page::add(&mut json, &self.env, &upstream, moment) {
                omitted = omitted.saturating_add(1);
            }
        }
        state_page::end(json, omitted)
    }
}

const fn position(upstream: &Upstream) -> &'static str {
    match upstream.position {
        Position::Unknown => "unknown",
        Position::Present => "present",
        Position::Absent => "absent",
    }
}
