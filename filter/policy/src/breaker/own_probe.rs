//! What own probes do to the state: they lead from open to half-open, and where half-open gets no verdicts, to the ramp.

use super::candidates::tenths;
use super::starvation::GOOD_PROBES;
use super::{Breaker, Cause, Moment, Probing, Settings, Settled, State};
use crate::time::{Span, Timestamp};

impl Breaker {
    /// The generation that an own probe would be about: open, or half-open where no verdict comes and good probes may
    /// begin a ramp.
    pub fn wants_probe(&self, settings: &Settings, now: Timestamp) -> Option<u64> {
        let wants = match &self.state {
            State::Closed(_) => false,
            State::Open { until } => now < *until,
            State::HalfOpen(probing) => {
                settings.ramp > Span::ZERO && probing.starvation.wants_probe(tenths(now))
            }
        };
        wants.then_some(self.generation)
    }

    /// The upstream answered an own probe of this generation. Open and good: half-open at once, dated now. Half-open
    /// without a verdict for long, and good for so many times in a row: closed, with its ramp. Anything else is left as it
    /// is.
    pub fn probed(
        &mut self,
        settings: &Settings,
        moment: Moment,
        generation: u64,
        good: bool,
    ) -> Settled {
        let mut settled = self.begin(settings, moment);
        let now = self.last;
        if self.wants_probe(settings, now) != Some(generation) {
            return settled;
        }
        let made = match &mut self.state {
            State::Open { .. } if good => {
                let probing = Probing::begun(now, self.generation.wrapping_add(1));
                Some(self.enter(State::HalfOpen(Box::new(probing)), now, Cause::OwnProbe))
            }
            State::HalfOpen(probing) => {
                settled.changed |= good || probing.starvation.good > 0;
                let enough = probing.starvation.probed(good);
                let cause = Cause::OwnProbes { good: GOOD_PROBES };
                enough.then(|| self.take(settings, cause, moment.draw, None))
            }
            State::Open { .. } | State::Closed(_) => None,
        };
        settled.made.extend(made);
        settled
    }

    /// Whether half-open went without a verdict for `half_open.wait` although somebody asked; true once for each such span.
    pub fn starves(&mut self, settings: &Settings) -> bool {
        let (wait, now) = (settings.half_open.wait, tenths(self.last));
        match &mut self.state {
            State::HalfOpen(probing) => probing.starvation.is_due(wait, now),
            State::Closed(_) | State::Open { .. } => false,
        }
    }
}
