//! What a worker remembers of an upstream's record, so that a good request neither reads nor writes it.
//!
//! It acts on what it saw as long as the upstream's epoch stands ([`crate::shared::upstream_view`]), and only where each request passes. Good
//! verdicts are collected in a lot ([`crate::breaker::Lot`]). At each tick the records that were not read although requests came are read, and
//! lots are entered.
//!
//! The epoch is a counter of the process. A host may drop it and say nothing: it is tried when it is first needed, and where it does not count
//! each request reads the record.

use crate::breaker::{Lot, lot_max};
use crate::direction::Direction;
use crate::environment::{MetricId, Metrics};
use crate::policy::Policy;
use crate::shared::upstream::StepReport;
use crate::shared::upstream_view::UpstreamView;
use crate::telemetry::UpstreamSeries;

/// The counter that moves when what decides about requests changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Epoch {
    /// It was not tried yet.
    #[default]
    Untried,
    /// It does not count.
    Absent,
    /// It counts.
    Counter(MetricId),
}

/// What is remembered of one upstream's record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RecordCache {
    epoch: Epoch,
    /// What was seen, and the epoch before it was.
    seen: Option<(u64, UpstreamView)>,
    /// The epoch at which a retry would be paid for.
    paid: Option<u64>,
    /// Whether anybody acted on it since it was read.
    used: bool,
    lot: Lot,
    lot_max: u32,
    /// Whether a request came by an inbound listener, where the breaker counts nothing.
    inbound: bool,
}

impl RecordCache {
    /// The epoch as it stands; nothing where it does not count.
    #[inline(never)]
    pub(super) fn epoch(&mut self, env: &impl Metrics, series: &UpstreamSeries) -> Option<u64> {
        if self.epoch == Epoch::Untried {
            let counter = series.epoch(env).filter(|counter| counts(env, *counter));
            self.epoch = counter.map_or(Epoch::Absent, Epoch::Counter);
        }
        match self.epoch {
            Epoch::Counter(counter) => env.counted(counter),
            Epoch::Untried | Epoch::Absent => None,
        }
    }

    /// The epoch, where the breaker was just asked as it was found then; otherwise as it stands. An older one will do for whoever reads
    /// another record after it: at worst that is read once more.
    pub(super) fn epoch_of_admission(
        &mut self,
        env: &impl Metrics,
        series: &UpstreamSeries,
    ) -> Option<u64> {
        let found = self.seen.map(|(epoch, _)| epoch);
        found.or_else(|| self.epoch(env, series))
    }

    /// What decides about requests changed by a step of this worker: all of them look.
    pub(super) fn moved(&mut self, env: &impl Metrics, series: &UpstreamSeries) {
        if self.epoch == Epoch::Untried {
            self.epoch(env, series);
        }
        if let Epoch::Counter(counter) = self.epoch {
            env.add(counter, 1);
        }
    }

    /// The record has no epoch of its own.
    pub(super) fn has_no_epoch(&mut self) {
        self.epoch = Epoch::Absent;
    }

    /// What was seen of the record, if it still is so.
    fn current(&self, env: &impl Metrics) -> Option<UpstreamView> {
        let (epoch, view) = self.seen?;
        let Epoch::Counter(counter) = self.epoch else {
            return None;
        };
        (env.counted(counter) == Some(epoch)).then_some(view)
    }

    /// What each request may act on; nothing where the record has to be read for it. `retries` is whether it may be repeated.
    pub(super) fn passing(&mut self, env: &impl Metrics, retries: bool) -> Option<UpstreamView> {
        let (epoch, _) = self.seen.filter(|(_, view)| view.passes)?;
        if retries && self.paid != Some(epoch) {
            return None;
        }
        let view = self.current(env)?;
        self.used = true;
        Some(view)
    }

    /// An admission saw this; `epoch` was read before it.
    pub(super) fn admitted(&mut self, epoch: Option<u64>, report: &StepReport) {
        self.seen = epoch.zip(report.view);
        self.used = false;
        if let Some(retries) = report.retries {
            self.paid = epoch.filter(|_| retries.is_ok());
        }
    }

    /// A step that takes verdicts in showed this; so many VMs collect lots. An epoch of before will do: if it is another by now, the record is
    /// read once more.
    pub(super) fn settled(&mut self, report: &StepReport, vms: u32) {
        let epoch = self.seen.map(|(epoch, _)| epoch);
        self.seen = epoch.zip(report.view);
        self.lot_max = lot_max(report.calls, vms);
        if report.is_committed() {
            self.lot.count = 0;
        }
    }

    /// The tick begins to read the record: with the epoch as it stands now.
    pub(super) fn look_again(&mut self, epoch: Option<u64>) {
        self.used = false;
        self.seen = epoch.map(|epoch| (epoch, UpstreamView::default()));
    }

    /// The lot, to be entered with the next step.
    pub(super) const fn lot(&self) -> Lot {
        self.lot
    }

    /// One good verdict more in the lot; `false` where it has to be entered by itself.
    pub(super) fn collect(&mut self, env: &impl Metrics, generation: u64) -> bool {
        if self.lot_max <= 1 || self.lot.count >= self.lot_max {
            return false;
        }
        let view = self.current(env);
        let good =
            view.is_some_and(|view| view.passes && !view.in_a_row && view.generation == generation);
        if good {
            if self.lot.generation != generation {
                self.lot = Lot {
                    generation,
                    count: 0,
                };
            }
            self.lot.count = self.lot.count.saturating_add(1);
        }
        good
    }

    /// Whether a request may pass before its listener's direction is known: it came by another so far, and good verdicts are collected. Who
    /// is entered by itself is asked then.
    pub(super) const fn leaves_direction(&self) -> bool {
        self.lot_max > 1 && !self.inbound
    }

    /// A request came by such a listener. What was collected of inbound ones is void.
    pub(super) fn came(&mut self, direction: Direction) {
        if direction.is_inbound() {
            self.inbound = true;
            self.lot.count = 0;
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.lot.count >= self.lot_max
    }

    pub(super) const fn is_due(&self) -> bool {
        self.used || self.lot.count > 0
    }
}

/// Whether a counter counts.
fn counts(env: &impl Metrics, counter: MetricId) -> bool {
    let before = env.counted(counter);
    env.add(counter, 1);
    let after = env.counted(counter);
    before.is_some() && after.is_some() && before != after
}

/// Whether requests to upstreams with this policy are counted by its breaker.
pub(super) const fn is_counted(policy: &Policy, inbound: bool) -> bool {
    policy.breaker.mode.counts() && (!inbound || policy.breaker.inbound)
}
