//! A worker asks the breaker about a request: by what it remembers of the record, else by a step on the record.

use super::membership::Listing;
use super::permits;
use super::record_cache::is_counted;
use super::upstreams::Upstream;
use super::{AdmissionInput, Worker, upstream_of};
use crate::admission::{self, Decision, MayHold, Request};
use crate::breaker::{Asker, Mode, Moment, Permit, Phase};
use crate::direction::Direction;
use crate::environment::facts::{Facts, StreamFact};
use crate::environment::{Environment, Metrics};
use crate::policy::Policy;
use crate::shared::upstream::StepReport;
use crate::time::Timestamp;

impl<E: Environment> Worker<E> {
    /// Asks the breaker, which may give a half-open permit.
    #[inline(never)]
    pub(super) fn ask_breaker(
        &mut self,
        upstream: usize,
        asking: &AdmissionInput,
        (draw, may_hold): (u32, MayHold),
        (at, moment): (Timestamp, Moment),
        facts: &impl Facts<StreamFact>,
    ) -> Option<(Decision, BreakerAnswer)> {
        let entry = self.upstreams.entry(upstream)?;
        let policy = self.routing.policies.get(entry.policy)?;
        let settings = &policy.breaker;
        let unasked = asking.direction.is_unasked();
        let matters = unasked && !settings.inbound && settings.mode != Mode::Off;
        let later = matters && entry.cache.leaves_direction();
        let mut direction = match matters && !later {
            true => Direction::ask(facts),
            false => asking.direction,
        };
        if is_counted(policy, direction.is_inbound())
            && let Some(answer) = remembered(&self.env, entry, policy, (at, direction))
        {
            return Some(answer);
        }
        if later {
            direction = Direction::ask(facts);
        }
        entry.cache.came(direction);
        self.ask_record(
            upstream,
            (asking, direction),
            (draw, may_hold),
            (at, moment),
            facts,
        )
    }

    /// Asks the breaker as it stands in shared data.
    #[inline(never)]
    fn ask_record(
        &mut self,
        upstream: usize,
        (asking, direction): (&AdmissionInput, Direction),
        (draw, may_hold): (u32, MayHold),
        (at, moment): (Timestamp, Moment),
        facts: &impl Facts<StreamFact>,
    ) -> Option<(Decision, BreakerAnswer)> {
        let entry = self.upstreams.entry(upstream)?;
        let policy = self.routing.policies.get(entry.policy)?;
        // Who asks matters only where permits are counted: a host call less on the usual way.
        let peer = match entry.phase {
            Phase::HalfOpen => permits::peer(asking.unfinished, facts),
            Phase::Closed | Phase::Open => 0,
        };
        let request = Request {
            inbound: direction.is_inbound(),
            asker: Asker {
                peer,
                complete: asking.complete,
            },
            draw,
            local_permits: entry.holding,
            may_hold,
            deposits: entry.deposits.get(),
        };
        let governed = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            self.liveness.view.dead(),
        );
        let counted = is_counted(policy, direction.is_inbound());
        let epoch = match counted && entry.phase == Phase::Closed {
            true => entry.cache.epoch(&self.env, &entry.series),
            false => None,
        };
        let (decision, report) = admission::admit(&self.env, &governed, &request, moment);
        entry.cache.admitted(epoch, &report);
        if report.needs_listing {
            let asking = (asking, direction);
            return self.ask_once_listed(upstream, asking, draw, (at, moment), facts);
        }
        if report.expired {
            entry.holding = entry.holding.anew();
        }
        if let Decision::Admit(Some(permit)) = decision
            && let Some(instance) = permit.probe
        {
            entry.holding.took(instance, permit.generation);
        }
        let answer = BreakerAnswer {
            at,
            peer,
            direction,
            report,
        };
        Some((decision, answer))
    }

    /// Asks the breaker once more, which may have a permit to give: this VM has to be listed before.
    #[cold]
    #[inline(never)]
    fn ask_once_listed(
        &mut self,
        upstream: usize,
        asking: (&AdmissionInput, Direction),
        draw: u32,
        (at, moment): (Timestamp, Moment),
        facts: &impl Facts<StreamFact>,
    ) -> Option<(Decision, BreakerAnswer)> {
        let may_hold = match self.enroll(at) {
            Listing::Crowded => MayHold::No,
            // Where the list cannot be read nor written, a permit comes back by `half_open.wait`.
            Listing::Listed | Listing::Unknown => MayHold::Yes,
        };
        self.ask_record(upstream, asking, (draw, may_hold), (at, moment), facts)
    }
}

/// The answer by what is remembered of the record; nothing where it has to be read.
fn remembered(
    env: &impl Metrics,
    entry: &mut Upstream,
    policy: &Policy,
    (at, direction): (Timestamp, Direction),
) -> Option<(Decision, BreakerAnswer)> {
    let retries = policy.retries.is_some();
    let view = entry.cache.passing(env, retries)?;
    let permit = Permit {
        generation: view.generation,
        probe: None,
    };
    let report = StepReport {
        retries: retries.then_some(Ok(())),
        ..StepReport::default()
    };
    let answer = BreakerAnswer {
        at,
        peer: 0,
        direction,
        report,
    };
    Some((Decision::Admit(Some(permit)), answer))
}

/// What was learned while the breaker was asked.
pub(super) struct BreakerAnswer {
    pub(super) at: Timestamp,
    /// Who asked, where that was read; 0 otherwise.
    pub(super) peer: u32,
    pub(super) direction: Direction,
    pub(super) report: StepReport,
}
