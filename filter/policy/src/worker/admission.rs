//! Whether a request goes: one function with the whole order, for the cluster of its route and for another alike.
//!
//! 1. *Deadline*: with too little time left it is refused before anything is asked.
//! 2. *Breaker*: it may need a half-open permit.
//! 3. *Concurrency*: it takes its slots; without one its permit is given back, and is no verdict.
//! 4. *Retry allowance*: whether a retry would be paid for.

use super::Worker;
use super::admission_input::AdmissionInput;
use super::ask_breaker::BreakerAnswer;
use super::local_leases::HeldSlots;
use super::step_reports::note;
use super::upstreams::Position;
use crate::admission::{Decision, MayHold, Reason, Settlement};
use crate::deadline::Limit;
use crate::direction::Direction;
use crate::environment::Environment;
use crate::environment::facts::{Facts, StreamFact};
use crate::policy::Policy;
use crate::retry::attempts::Denial;
use crate::shared::upstream::StepReport;
use crate::telemetry::Event;
use crate::time::{Span, Timestamp};

/// A decision and what goes with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionOutput {
    /// The decision.
    pub(crate) decision: Decision,
    /// Why it would have been refused if all were enforced for it.
    pub(crate) marked: Option<Reason>,
    /// The slots that it holds.
    pub(crate) taken: HeldSlots,
    /// Whether a retry would be paid for, where the policy has retries.
    pub(crate) retries: Option<Result<(), Denial>>,
    /// Whether attempts are accounted one by one.
    pub(crate) position: Position,
    /// Whether that is to be asked again.
    pub(crate) asks_position: bool,
    /// The hedging delay that follows latency.
    pub(crate) hedge: Option<Span>,
    /// When it was made.
    pub(crate) at: Timestamp,
    /// Whether the host of the answer is worth a host call.
    pub(crate) wants_host: bool,
    /// Who asked, where that was read; 0 otherwise.
    pub(crate) peer: u32,
    /// By which listener, as far as anybody asked.
    pub(crate) direction: Direction,
}

impl<E: Environment> Worker<E> {
    /// Whether a draw may decide about the next request to this upstream, so that it is worth asking whose request it is.
    pub(crate) fn uses_draw(&mut self, upstream: usize) -> bool {
        let Some(entry) = self.upstreams.entry(upstream) else {
            return false;
        };
        let policy = self.routing.policies.get(entry.policy);
        entry.gated || policy.is_some_and(Policy::draws_for_slots)
    }

    /// Decides about a request to this upstream, and counts the decision. Nothing if the upstream is not known.
    pub(crate) fn admit(
        &mut self,
        upstream: usize,
        asking: &AdmissionInput,
        limit: Limit,
        facts: &impl Facts<StreamFact>,
    ) -> Option<AdmissionOutput> {
        let (at, moment) = self.moment();
        if limit == Limit::Doomed {
            let refused = Decision::Refuse {
                reason: Reason::Deadline,
                retry_after: Span::ZERO,
            };
            let answer = BreakerAnswer {
                at,
                peer: 0,
                direction: asking.direction,
                report: StepReport::default(),
            };
            return self.decided(upstream, Decided::by(refused), &answer);
        }
        let draw = asking.draw.unwrap_or_else(|| self.draws.next_u32());
        let may_hold = match self.liveness.view.may_take(at) {
            true => MayHold::Yes,
            false => MayHold::Unlisted,
        };
        let (decision, answer) =
            self.ask_breaker(upstream, asking, (draw, may_hold), (at, moment), facts)?;
        let decided = self.acquire_after_breaker(upstream, asking, draw, at, decision);
        self.decided(upstream, decided, &answer)
    }

    /// Takes the slots of a request that the breaker lets go, and says why it would have been refused one. Without one
    /// its permit is given back, and it is refused.
    fn acquire_after_breaker(
        &mut self,
        upstream: usize,
        asking: &AdmissionInput,
        draw: u32,
        now: Timestamp,
        decision: Decision,
    ) -> Decided {
        let counted = self
            .upstreams
            .entry(upstream)
            .is_some_and(|entry| entry.holdings.is_some());
        if !counted || matches!(decision, Decision::Refuse { .. }) {
            return Decided::by(decision);
        }
        let full = match self.acquire_slots(upstream, asking, draw, now) {
            Ok((taken, marked)) => {
                let decided = Decided::by(decision);
                return Decided {
                    taken,
                    marked: decided.marked.or(marked),
                    ..decided
                };
            }
            Err(full) => full,
        };
        if let Decision::Admit(Some(permit)) = decision
            && permit.probe.is_some()
        {
            // It is not for what this peer did.
            self.settle(upstream, permit, Settlement::GiveBack { peer: 0 });
        }
        Decided::by(Decision::Refuse {
            reason: full.reason,
            retry_after: full.retry_after,
        })
    }

    /// Counts a decision, and says what goes with it.
    fn decided(
        &mut self,
        upstream: usize,
        decided: Decided,
        answer: &BreakerAnswer,
    ) -> Option<AdmissionOutput> {
        let Decided {
            decision,
            marked,
            taken,
        } = decided;
        let entry = self.upstreams.entry(upstream)?;
        let policy = self.routing.policies.get(entry.policy)?;
        entry.series.count(match (decision, marked) {
            (Decision::Refuse { reason, .. }, _) => Event::Refused(reason),
            (_, Some(reason)) => Event::Marked(reason),
            (_, None) => Event::Admitted,
        });
        // What is refused has no response, and takes no turn from a request that has one.
        let refused = matches!(decision, Decision::Refuse { .. });
        let grace = policy.breaker.host_grace > Span::ZERO;
        let wants_host = !refused && entry.wants_host() && grace;
        note(&self.env, entry, &mut self.own, &answer.report);
        let (position, hedge) = (entry.position, entry.hedge);
        let asks_position = policy.retries.is_some() && entry.asks_position();
        let unasked = policy.retries.is_some() && position != Position::Present && !refused;
        let retries = match answer.report.retries {
            None if unasked => Some(self.affords(upstream)),
            seen => seen,
        };
        Some(AdmissionOutput {
            decision,
            marked,
            taken,
            retries,
            position,
            asks_position,
            hedge,
            at: answer.at,
            wants_host,
            peer: answer.peer,
            direction: answer.direction,
        })
    }
}

/// A decision, why it would have been another if all were enforced, and the slots that were taken.
struct Decided {
    decision: Decision,
    marked: Option<Reason>,
    taken: HeldSlots,
}

impl Decided {
    fn by(decision: Decision) -> Self {
        Self {
            decision,
            marked: match decision {
                Decision::Mark(reason) => Some(reason),
                Decision::Admit(_) | Decision::Refuse { .. } => None,
            },
            taken: HeldSlots::default(),
        }
    }
}
