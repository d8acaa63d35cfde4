//! Admission and settlement: the one place that knows every policy and the order in which they are asked.
//!
//! **Architecture invariant:** what cannot be decided passes, except half-open, where a permit that could not be stored
//! is no permit. Whoever calls counts what was undecided.

mod operator;

pub use operator::{force, reset};

use crate::breaker::{
    Admission, Asker, Counted, Force, LastWord, Lot, Mode, Moment, Permit, Phase, Refusal,
    Settings, Transitions, Verdict,
};
use crate::fallback::Cause;
use crate::outcome::RefusedBehind;
use crate::ratio;
use crate::retry::forecast::foresee;
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::leases::{Lease, LocalLease};
use crate::shared::record::Record;
use crate::shared::state::{Change, Key, SharedState, Undecided};
use crate::shared::upstream::{Committed, StepReport, committed, report_of, update, update_record};
use crate::shared::upstream_view::UpstreamView;
use crate::time::{Span, Timestamp};

/// What is asked about one request.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Whether it came in by an inbound listener, before the application itself.
    pub inbound: bool,
    /// Who asks, for the permits of half-open.
    pub asker: Asker,
    /// Uniform over all of `u32`: by the request id of a peer that is trusted, at random for all others, who could have
    /// chosen an id that is always let in.
    pub draw: u32,
    /// What this VM holds of half-open permits of this upstream.
    pub local_permits: LocalLease,
    /// Whether it may get one.
    pub may_hold: MayHold,
    /// First attempts of this VM that did not pay into the retry budget yet.
    pub deposits: u64,
}

/// Whether a VM may hold a permit: it must be listed as a member first ([`crate::shared::leases`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayHold {
    /// It may.
    Yes,
    /// It is not listed. If there may be a permit nothing is done, and it is told so ([`StepReport::needs_listing`]).
    Unlisted,
    /// There is no room to list it: half-open refuses it.
    No,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The breaker is open.
    BreakerOpen,
    /// The breaker is half-open and its permits are taken.
    BreakerHalfOpen,
    /// The breaker closed a short time ago and does not admit all yet.
    BreakerRamp,
    /// The breaker is forced open by configuration.
    BreakerForcedOpen,
    /// There is too little time left.
    Deadline,
    /// All slots of the bulkhead are taken.
    BulkheadFull,
    /// As many requests are in flight as this priority may have.
    ShedLimit,
    /// The upstream reports too much load for this priority.
    ShedLoad,
    /// As many requests whose body is not complete are in flight as may be.
    Unfinished,
}

impl Reason {
    /// Why an answer is not the upstream's.
    pub const HEADER: &str = "x-seawall-reason";

    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Deadline,
        Self::BreakerForcedOpen,
        Self::BreakerOpen,
        Self::BreakerHalfOpen,
        Self::BreakerRamp,
        Self::BulkheadFull,
        Self::ShedLimit,
        Self::ShedLoad,
        Self::Unfinished,
    ];

    /// The label in metrics, headers and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BreakerOpen => "breaker_open",
            Self::BreakerHalfOpen => "breaker_half_open",
            Self::BreakerRamp => "breaker_ramp",
            Self::BreakerForcedOpen => "breaker_forced_open",
            Self::Deadline => "deadline",
            Self::BulkheadFull => "bulkhead_full",
            Self::ShedLimit => "shed_limit",
            Self::ShedLoad => "shed_load",
            Self::Unfinished => "unfinished",
        }
    }

    /// What a refusal of a Seawall before the upstream, with this reason, says; nothing where it says nothing of its own.
    pub fn refused_behind(name: &[u8]) -> Option<RefusedBehind> {
        let reasons = [
            (Self::BulkheadFull, RefusedBehind::Load),
            (Self::ShedLimit, RefusedBehind::Load),
            (Self::ShedLoad, RefusedBehind::Load),
            (Self::Unfinished, RefusedBehind::Load),
            (Self::Deadline, RefusedBehind::Deadline),
        ];
        let mut reasons = reasons.into_iter();
        let (_, refused) = reasons.find(|(reason, _)| reason.name().as_bytes() == name)?;
        Some(refused)
    }

    /// The cause that the fallback ladder knows it by.
    pub const fn cause(self) -> Cause {
        match self {
            Self::BreakerOpen
            | Self::BreakerHalfOpen
            | Self::BreakerRamp
            | Self::BreakerForcedOpen => Cause::Open,
            Self::Deadline => Cause::Deadline,
            Self::BulkheadFull => Cause::Bulkhead,
            Self::ShedLimit | Self::ShedLoad | Self::Unfinished => Cause::Shed,
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Open => Self::BreakerOpen,
            Refusal::HalfOpen => Self::BreakerHalfOpen,
            Refusal::Ramp => Self::BreakerRamp,
        }
    }
}

/// What is done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes. A permit must be settled.
    Admit(Option<Permit>),
    /// It goes, but would have been refused if the breaker were enforced for it.
    Mark(Reason),
    /// It does not go.
    Refuse {
        /// Why.
        reason: Reason,
        /// When it may be worth another try.
        retry_after: Span,
    },
}

/// Decides about one request.
pub fn admit(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    request: &Request,
    moment: Moment,
) -> (Decision, StepReport) {
    let settings = &upstream.policy.breaker;
    let stays_out = request.inbound && !settings.inbound;
    let key = match (settings.mode, upstream.key) {
        (Mode::ForcedOpen, key) if !stays_out => {
            let asked = key.and_then(|key| forced(store, key, moment.now));
            return (forced_open_unless(asked, settings), StepReport::default());
        }
        (Mode::Enforce(_) | Mode::Shadow, Some(key)) if !stays_out => key,
        _ => return (Decision::Admit(None), StepReport::default()),
    };
    let ramp_draw = ratio::derive(request.draw, ratio::RAMP);
    let (mut found, mut closed_for) = (None, None);
    let mut step = |record: &mut Record| {
        let view = UpstreamView::of(record, upstream, moment.now);
        let asked = record.forced.as_ref();
        let open = asked.filter(|forced| forced.force() == Force::Open);
        closed_for = open.map(|forced| forced.expires().since(moment.now));
        if asked.is_some() {
            found = Some(passing(record));
            return Change::Nothing;
        }
        let breaker = &mut record.breaker;
        if request.may_hold == MayHold::Unlisted && breaker.lets_probe(moment) {
            found = None;
            return Change::Nothing;
        }
        // What is taken back from this VM is taken back before it is asked what it has lost.
        let held = breaker.in_flight();
        let mut made = breaker.advance(settings, moment);
        breaker.expire(upstream.dead);
        let taken_back = breaker.in_flight() != held;
        let expired = breaker.has_lost(&request.local_permits);
        let instance = match expired {
            true => request.local_permits.anew().instance,
            false => request.local_permits.instance,
        };
        let before = breaker.memory();
        let admission = match (request.may_hold, breaker.phase()) {
            (MayHold::No, Phase::HalfOpen) => Admission::Refused {
                refusal: Refusal::HalfOpen,
                retry_after: Span::secs(1),
            },
            _ => {
                let (admission, more) =
                    breaker.admit(settings, moment, instance, ramp_draw, request.asker);
                made.extend(more);
                admission
            }
        };
        let probe = matches!(
            admission,
            Admission::Admitted(Permit { probe: Some(_), .. })
        );
        let noted = before != breaker.memory();
        let change = Change::stored_if(!made.is_empty() || probe || taken_back || noted);
        let notes = StepReport {
            expired,
            gated: Some(!record.breaker.admits_all(settings)),
            retries: foresee(record, upstream, request.deposits, moment.now),
            ..report_of(record, made)
        };
        let notes = notes.compared(&view, record, upstream, moment.now);
        found = Some((admission, notes));
        change
    };
    let taken = update(store, key, &upstream.claim(), moment.now, &mut step);
    let (decision, report) = decided(settings.mode, request.draw, taken, found);
    match closed_for {
        Some(lasts) => (forced_open(lasts.min(settings.open.base)), report),
        None => (decision, report),
    }
}

/// A request passes by what an operator asks; its verdict counts.
fn passing(record: &Record) -> (Admission, StepReport) {
    let permit = Permit {
        generation: record.breaker.generation,
        probe: None,
    };
    let report = report_of(record, Transitions::new());
    (Admission::Admitted(permit), report)
}

/// What the configuration forces, unless an operator asks otherwise.
const fn forced_open_unless(asked: Option<Force>, settings: &Settings) -> Decision {
    match asked {
        Some(Force::Closed) => Decision::Admit(None),
        Some(Force::Open) | None => forced_open(settings.open.base),
    }
}

/// A refusal by the configuration or by an operator.
const fn forced_open(retry_after: Span) -> Decision {
    Decision::Refuse {
        reason: Reason::BreakerForcedOpen,
        retry_after,
    }
}

/// What an operator asks of an upstream whose breaker does not count, if that can be told.
fn forced(store: &impl SharedState, key: &Key<Record>, now: Timestamp) -> Option<Force> {
    let forced = store.view(key).ok()?.record?.forced?;
    let holds = forced.is_on(now) && !forced.is_too_far_ahead(now);
    holds.then_some(forced.force())
}

/// The decision that follows from what the breaker said and from whether that is stored.
fn decided(
    mode: Mode,
    draw: u32,
    taken: Result<Committed, Undecided>,
    found: Option<(Admission, StepReport)>,
) -> (Decision, StepReport) {
    let (admission, notes) = match (taken, found) {
        (Ok(taken), Some((admission, notes))) => (admission, committed(&taken, notes)),
        (Ok(_), None) => {
            let report = StepReport {
                needs_listing: true,
                ..StepReport::default()
            };
            return (Decision::Admit(None), report);
        }
        // The state was read, and could not be written.
        (
            Err(undecided),
            Some((
                admission @ (Admission::Admitted(Permit { probe: Some(_), .. })
                | Admission::Refused {
                    refusal: Refusal::HalfOpen,
                    ..
                }),
                _,
            )),
        ) => (admission, StepReport::undecided(undecided)),
        (Err(undecided), _) => return (Decision::Admit(None), StepReport::undecided(undecided)),
    };
    let decision = match admission {
        // A permit that could not be stored is none.
        Admission::Admitted(Permit { probe: Some(_), .. }) if !notes.is_committed() => {
            refusal(mode, draw, Reason::BreakerHalfOpen, Span::secs(1))
        }
        Admission::Admitted(permit) => Decision::Admit(Some(permit)),
        Admission::Refused {
            refusal: reason,
            retry_after,
        } => refusal(mode, draw, reason.into(), retry_after),
    };
    (decision, notes)
}

/// What came of a request that was admitted with a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Its verdict, which gives the permit back.
    Verdict(Verdict),
    /// It gives the permit back without a verdict. It may go on with a permit of the same generation and no `probe`, whose
    /// verdict counts if there is room for it.
    GiveBack {
        /// Who asked, as in [`Asker`].
        peer: u32,
    },
    /// What became of it after its verdict was counted.
    Late {
        /// What [`settle`] said then.
        counted: Counted,
        /// The rest.
        word: LastWord,
    },
}

impl Settlement {
    /// Whether it gives a permit back.
    pub const fn gives_back(&self) -> bool {
        matches!(self, Self::Verdict(_) | Self::GiveBack { .. })
    }
}

/// Settles a permit. A settlement that does not stand, by `undecided` or by `lost_races`, is to be tried again later.
pub fn settle(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    permit: Permit,
    settlement: Settlement,
    moment: Moment,
) -> StepReport {
    settle_after(
        store,
        upstream,
        Lot::default(),
        (permit, settlement),
        moment,
    )
}

/// Enters a lot, and then settles a permit, in one step.
pub fn settle_after(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    lot: Lot,
    (permit, settlement): (Permit, Settlement),
    moment: Moment,
) -> StepReport {
    let settings = &upstream.policy.breaker;
    let mut counted = None;
    let mut notes = update_record(store, upstream, moment, &mut |record| {
        let breaker = &mut record.breaker;
        let entered = breaker.settle_lot(settings, moment, lot);
        let settled = match settlement {
            Settlement::Verdict(verdict) => breaker.settle(settings, moment, permit, verdict),
            Settlement::GiveBack { peer } => breaker.give_back(settings, moment, permit, peer),
            Settlement::Late { counted, word } => {
                breaker.settle_late(settings, moment, counted, word)
            }
        };
        counted = settled.counted;
        let changed = entered.changed || settled.changed;
        let mut made = entered.made;
        made.extend(settled.made);
        (made, Change::stored_if(changed))
    });
    notes.counted = counted.filter(|_| notes.is_committed());
    notes
}

/// Enters a lot, if it holds anything, and looks at the record in any case.
pub fn enter_lot(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    lot: Lot,
    moment: Moment,
) -> StepReport {
    let settings = &upstream.policy.breaker;
    update_record(store, upstream, moment, &mut |record| {
        let entered = record.breaker.settle_lot(settings, moment, lot);
        (entered.made, Change::stored_if(entered.changed))
    })
}

/// Lets this root's claim shape the record where there is one: called once for an upstream whose breaker does not
/// count, so that a breaker that is switched off or forced open for a while starts anew afterwards.
pub fn claim(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    moment: Moment,
) -> StepReport {
    update_record(store, upstream, moment, &mut |_| {
        (Transitions::new(), Change::Nothing)
    })
}

/// A tick's look: makes the transitions that are due by time, and takes back what is `gone`, and what is this VM's and it does not
/// know of ([`crate::shared::leases::Leases::sweep`]).
pub fn maintain(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    (local, owes): (LocalLease, bool),
    gone: &mut dyn FnMut(&Lease) -> bool,
    moment: Moment,
) -> StepReport {
    let settings = &upstream.policy.breaker;
    let (mut lost, mut starved) = (false, false);
    let mut notes = update_record(store, upstream, moment, &mut |record| {
        let breaker = &mut record.breaker;
        let held = breaker.in_flight();
        let made = breaker.advance(settings, moment);
        lost = breaker.has_lost(&local);
        breaker.sweep(&local, owes, gone);
        starved = breaker.starves(settings);
        let changed = starved || breaker.in_flight() != held;
        (made, Change::stored_if(changed))
    });
    notes.starved = starved && notes.is_committed();
    notes.expired = lost;
    notes
}

fn refusal(mode: Mode, draw: u32, reason: Reason, retry_after: Span) -> Decision {
    match mode {
        Mode::Enforce(share) if share.samples(draw) => Decision::Refuse {
            reason,
            retry_after,
        },
        _ => Decision::Mark(reason),
    }
}

#[cfg(test)]
mod tests;
