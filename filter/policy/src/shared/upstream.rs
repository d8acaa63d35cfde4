//! One step on an upstream's record: what is wanted of it, how it is taken, and what is reported of it.

use crate::breaker::{Counted, Moment, Phase, Transition, Transitions};
use crate::retry::attempts::Denial;
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::record::{Record, RecordShape};
use crate::shared::state::{Change, Key, SharedState, Undecided, VIEW_AGE_MAX_MILLIS};
use crate::shared::upstream_view::UpstreamView;
use crate::time::{Span, Timestamp};

/// So long a good verdict may wait in a lot.
const LOT_WAITS: Span = Span::millis(VIEW_AGE_MAX_MILLIS);

/// What was seen and done on the way, for telemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Transitions that this call made.
    pub transitions: Transitions,
    /// The breaker's state afterwards; `None` where none was read.
    pub phase: Option<Phase>,
    /// Whether there are failures about, so that the hosts of the answers are worth knowing.
    pub failing: bool,
    /// Whether a draw may decide about requests, as an admission saw it: the breaker is not closed, or closed a short time ago.
    pub gated: Option<bool>,
    /// Why the state could not be read or stored.
    pub undecided: Option<Undecided>,
    /// Whether too many races were lost.
    pub lost_races: bool,
    /// Whether a damaged record was replaced.
    pub repaired: bool,
    /// Where a settled verdict was counted, for [`crate::admission::Settlement::Late`].
    pub counted: Option<Counted>,
    /// Whether half-open went without a verdict for `half_open.wait`, and nobody counted that span yet.
    pub starved: bool,
    /// Whether this VM was given up for dead: what it holds is void, and it needs another instance number.
    pub expired: bool,
    /// Whether nothing was done, because this VM has to be listed before it may get a permit.
    pub needs_listing: bool,
    /// Whether a retry would be paid for as things stand; `None` where nobody looked.
    pub retries: Option<Result<(), Denial>>,
    /// What of the record decides about requests, as this step left it; `None` where none was read.
    pub view: Option<UpstreamView>,
    /// How many verdicts the window holds, for the size of a lot ([`crate::breaker::lot_max`]); an admission does not tell.
    pub calls: u32,
    /// Whether that view is another one than before in shared data, so that all workers have to look.
    pub moved: bool,
}

impl StepReport {
    pub(crate) fn undecided(undecided: Undecided) -> Self {
        Self {
            undecided: Some(undecided),
            ..Self::default()
        }
    }

    /// With what decides about requests after a step, and whether that is another than before it.
    #[inline(never)]
    pub(crate) fn compared(
        self,
        before: &UpstreamView,
        record: &Record,
        upstream: &GovernedUpstream<'_>,
        now: Timestamp,
    ) -> Self {
        let view = UpstreamView::of(record, upstream, now);
        Self {
            moved: view != *before,
            view: Some(view),
            ..self
        }
    }

    /// Whether what was asked for stands in shared data.
    pub fn is_committed(&self) -> bool {
        self.undecided.is_none() && !self.lost_races
    }
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The transition of a record that a later configuration made start anew.
    pub restarted: Option<Transition>,
    /// Whether it stands: nothing had to be stored, or it was. `false` after too many lost races.
    pub stands: bool,
    /// Whether a damaged record was replaced.
    pub healed: bool,
    /// Whether something was stored, and begun anew before the step: an absent, damaged or reshaped record, or an operator's action that is over.
    pub begun: bool,
    /// Whether something was stored.
    pub stored: bool,
}

/// Takes one step on the record under `key`: let the root's claim shape it, step, and store if there is something to store.
/// An absent or damaged record is as a new one.
pub fn update(
    state: &impl SharedState,
    key: &Key<Record>,
    claim: &RecordShape,
    now: Timestamp,
    step: &mut dyn FnMut(&mut Record) -> Change,
) -> Result<Committed, Undecided> {
    let damaged = |record: &Record, now: Timestamp| {
        let forced = record.forced.as_ref();
        record.is_ahead_of(now.after(claim.ahead))
            || forced.is_some_and(|forced| forced.is_too_far_ahead(now))
    };
    let (mut restarted, mut healed) = (None, false);
    let (mut begun, mut stores) = (false, false);
    let stands = state.update(key, |stored| {
        let ahead = stored
            .record
            .take_if(|record| damaged(record, now) && damaged(record, state.clock(now)));
        healed = stored.damaged || ahead.is_some();
        begun = stored.record.is_none();
        let record = stored.record.get_or_insert_with(|| Record::new(*claim));
        let adopted = match record.is_as(claim) {
            true => (false, None),
            false => record.adopt(*claim, now),
        };
        restarted = adopted.1;
        let over = record.forced.take_if(|forced| !forced.is_on(now)).is_some();
        begun |= adopted.0 || over;
        let change = step(record);
        stores = change == Change::Store || adopted.0 || healed || over;
        Change::stored_if(stores)
    })?;
    let stored = stores && stands;
    Ok(Committed {
        restarted,
        stands,
        healed,
        begun: begun && stored,
        stored,
    })
}

/// Takes a step on the record, where there is one and the host answers. Transitions are stored in any case, and so is what was
/// taken back from VMs that are marked as dead.
pub(crate) fn update_record(
    state: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    moment: Moment,
    step: &mut dyn FnMut(&mut Record) -> (Transitions, Change),
) -> StepReport {
    let Some(key) = upstream.key else {
        return StepReport::default();
    };
    let mut notes = StepReport::default();
    let mut step = |record: &mut Record| {
        let before = UpstreamView::of(record, upstream, moment.now);
        let freed = record.breaker.expire(upstream.dead);
        let (made, change) = step(record);
        let change = match made.is_empty() && !freed {
            true => change,
            false => Change::Store,
        };
        let seen = StepReport {
            calls: record.breaker.calls_for_lots(LOT_WAITS, moment.now),
            ..report_of(record, made)
        };
        notes = seen.compared(&before, record, upstream, moment.now);
        change
    };
    match update(state, key, &upstream.claim(), moment.now, &mut step) {
        Ok(taken) => committed(&taken, notes),
        Err(undecided) => StepReport::undecided(undecided),
    }
}

pub(crate) fn report_of(record: &Record, transitions: Transitions) -> StepReport {
    StepReport {
        transitions,
        phase: Some(record.breaker.phase()),
        failing: record.breaker.is_failing(),
        ..StepReport::default()
    }
}

pub(crate) fn committed(taken: &Committed, mut notes: StepReport) -> StepReport {
    notes.repaired = taken.healed && taken.stands;
    notes.lost_races = !taken.stands;
    notes.moved = taken.stored && (notes.moved || taken.begun);
    if !taken.stands {
        notes.view = None;
    }
    if taken.stands {
        if let Some(restarted) = taken.restarted {
            notes.transitions.insert(0, restarted);
        }
    } else {
        notes.transitions.clear();
    }
    notes
}
