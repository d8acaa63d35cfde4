//! Whether a request goes: one function with the whole order, for the cluster of its route and for another alike.
//!
//! 1. *Deadline*: with too little time left it is refused before anything is asked.
//! 2. *Breaker*: it may need a half-open permit.
//! 3. *Concurrency*: it takes its slots; without one its permit is given back, and is no verdict.
//! 4. *Retry allowance*: whether a retry would be paid for.

use super::local_leases::HeldSlots;
use super::membership::Listing;
use super::permits;
use super::step_reports::note;
use super::upstreams::Position;
use super::{Worker, upstream_of};
use crate::admission::{self, Decision, MayHold, Reason, Request, Settlement};
use crate::breaker::{Asker, Moment, Phase};
use crate::deadline::Limit;
use crate::environment::Environment;
use crate::environment::facts::{Facts, StreamFact};
use crate::policy::Policy;
use crate::priority::Priority;
use crate::retry::attempts::Denial;
use crate::shared::upstream::StepReport;
use crate::telemetry::Event;
use crate::time::{Span, Timestamp};

/// Which policy a request gets, and what else must be known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PolicyMatch {
    /// Index of the policy.
    pub(crate) policy: usize,
    /// Whether its route is part of the key.
    pub(crate) by_route: bool,
    /// Whether its authority is part of the key, and for how many authorities.
    pub(crate) by_authority: Option<u32>,
    /// The upstream's number, where the cluster alone names it and it was asked for before.
    pub(crate) upstream: Option<usize>,
}

/// What is known of one request when it is admitted.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionInput {
    /// The policy.
    pub(crate) selected: PolicyMatch,
    /// The cluster.
    pub(crate) cluster: String,
    /// A route or an authority that is part of the key.
    pub(crate) part: Option<(&'static str, String)>,
    /// By an inbound listener.
    pub(crate) inbound: bool,
    /// Whether its headers ended it, and its silence says something: it gets a verdict for sure.
    pub(crate) complete: bool,
    /// From its id, where its peer is believed; all others get one at random.
    pub(crate) draw: Option<u32>,
    /// Whether its peer is believed, as far as anybody asked.
    pub(crate) trusted: bool,
    /// How important it is.
    pub(crate) priority: Priority,
    /// Whose slots of the bulkhead it needs, where each value of a header has its own.
    pub(crate) tag: Option<u64>,
    /// Its connection, where its body is not complete and that counts.
    pub(crate) unfinished: Option<u64>,
    /// Whether neither bulkhead nor shedding has to do with it.
    pub(crate) exempt: bool,
}

impl AdmissionInput {
    /// A route or an authority that is part of the key, borrowed.
    pub(crate) fn part(&self) -> Option<(&'static str, &str)> {
        self.part
            .as_ref()
            .map(|(kind, part)| (*kind, part.as_str()))
    }
}

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

    /// Asks the breaker, which may give a half-open permit.
    #[inline(never)]
    fn ask_breaker(
        &mut self,
        upstream: usize,
        asking: &AdmissionInput,
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
            inbound: asking.inbound,
            asker: Asker {
                peer,
                complete: asking.complete,
            },
            draw,
            local_permits: entry.holding,
            may_hold,
            deposits: entry.deposits,
        };
        let governed = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            self.liveness.view.dead(),
        );
        let (decision, report) = admission::admit(&self.env, &governed, &request, moment);
        if report.needs_listing {
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
        Some((decision, BreakerAnswer { at, peer, report }))
    }

    /// Asks the breaker once more, which may have a permit to give: this VM has to be listed before.
    #[cold]
    #[inline(never)]
    fn ask_once_listed(
        &mut self,
        upstream: usize,
        asking: &AdmissionInput,
        draw: u32,
        (at, moment): (Timestamp, Moment),
        facts: &impl Facts<StreamFact>,
    ) -> Option<(Decision, BreakerAnswer)> {
        let may_hold = match self.enroll(at) {
            Listing::Crowded => MayHold::No,
            // Where the list cannot be read nor written, a permit comes back by `half_open.wait`.
            Listing::Listed | Listing::Unknown => MayHold::Yes,
        };
        self.ask_breaker(upstream, asking, (draw, may_hold), (at, moment), facts)
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
        })
    }
}

/// What was learned while the breaker was asked.
struct BreakerAnswer {
    at: Timestamp,
    /// Who asked, where that was read; 0 otherwise.
    peer: u32,
    report: StepReport,
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
