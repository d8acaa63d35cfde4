//! Who may have a permit of half-open, by all that was asked.

/// Who asked in half-open and what came of it; times in tenths of a second.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) begun: u64,
    /// When a complete request last asked that could have a permit.
    pub(super) complete: Option<u64>,
    /// Peers that were refused for want of a permit, two at the most, and when.
    pub(super) refused: Vec<(u32, u64)>,
    /// Peers whose last permit ended without a verdict, and when.
    pub(super) marked: Vec<(u32, u64)>,
    /// Whether a permit ended without a verdict since the last one that brought one.
    pub(super) wasted: bool,
    /// When a request that was not complete last got a permit.
    pub(super) incomplete_granted: Option<u64>,
    /// When a request that was not complete last asked in vain, or in its turn.
    pub(super) incomplete: Option<u64>,
    /// When the last verdict came, or half-open began.
    pub(super) verdict: u64,
    /// When somebody first asked since then, and since the last span without a verdict was told.
    pub(super) first: Option<u64>,
    /// Good own probes in a row.
    pub(super) good: u32,
}

pub(super) fn tenths(at: u64) -> u64 {
    (at / 100_000_000).max(1)
}

pub(super) fn tenth_span(from: u64, to: u64) -> u64 {
    to.saturating_sub(from) * 100_000_000
}

impl Asked {
    /// Whether this request may have a permit if there is one.
    pub(super) fn may(&mut self, peer: u32, complete: bool, open_for: u64, now: u64) -> bool {
        let lately = |at: u64| tenth_span(at, now) < open_for;
        let marked = self.marked.iter().any(|(marked, at)| {
            peer != 0 && *marked == peer && tenth_span(*at, now) < 4 * open_for
        });
        let others = self
            .refused
            .iter()
            .any(|(other, at)| *other != peer && lately(*at));
        if marked && others {
            return false;
        }
        const SECOND: u64 = 1_000_000_000;
        // As long as permits are wasted, one that is not complete goes in five seconds.
        let long_ago = |at: u64| tenth_span(at, now) >= 5 * SECOND;
        let turn_of_incomplete = self.wasted && self.incomplete_granted.is_none_or(long_ago);
        if complete {
            let waits = |at: u64| tenth_span(at, now) < 5 * SECOND;
            if turn_of_incomplete && self.incomplete.is_some_and(waits) {
                return false;
            }
            self.complete = Some(now);
            return true;
        }
        let none_complete = match self.complete {
            Some(last) => !lately(last),
            None => tenth_span(self.begun, now) >= open_for.min(SECOND),
        };
        if turn_of_incomplete || !none_complete {
            self.incomplete = Some(now);
        }
        turn_of_incomplete || none_complete
    }

    /// Of those refused two are remembered; a third one takes the place of one that was refused a tenth of a second ago.
    pub(super) fn refuse(&mut self, peer: u32, now: u64) {
        if let Some((_, at)) = self.refused.iter_mut().find(|(known, _)| *known == peer) {
            *at = now;
            return;
        }
        if self.refused.len() == 2 {
            let oldest = usize::from(self.refused[1].1 < self.refused[0].1);
            if self.refused[oldest].1 == now {
                return;
            }
            self.refused[oldest] = (peer, now);
            return;
        }
        self.refused.push((peer, now));
    }
}
