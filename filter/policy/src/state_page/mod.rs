//! The state page: what this process knows of every upstream, for those who are trusted, and who of them may force one.
//!
//! It shows the records as they stand in shared data, with what time alone has changed since, and stores nothing. Which
//! upstreams there are, shared data cannot say: those of the VM that answers are shown, and its own debts.
//!
//! How it is written, as JSON and as HTML, and what a POST to it says, is the crate `seawall-page`.

pub mod permission;

use seawall_page::Row;

use crate::breaker::{Breaker, Mode, Moment, State};
use crate::concurrency::InFlightSlots;
use crate::policy::Policy;
use crate::priority::Priority;
use crate::retry_budget::RETRY;
use crate::shared::record::Record;
use crate::shared::state::{Key, SharedState, Undecided};
use crate::time::Timestamp;
use crate::trust::Trust;

/// Where the page is, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePage {
    /// Its path, exactly.
    pub path: String,
    /// Who may read it; for everybody else it does not exist.
    pub trust: Trust,
    /// Who may read it and force upstreams ([`permission`]).
    pub force: Trust,
}

/// One upstream, as a VM knows it.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamView<'a> {
    /// Its policy.
    pub policy: &'a Policy,
    /// Its cluster.
    pub cluster: &'a str,
    /// The route or the authority that its state is for, where the cluster has more than one.
    pub part: Option<(&'static str, &'a str)>,
    /// Its key in shared data; `None` where it has no state.
    pub key: Option<&'a Key<Record>>,
    /// The key of its slots, where they are counted.
    pub places: Option<&'a Key<InFlightSlots>>,
    /// Whether there is a filter in the upstream position, in a word.
    pub position: &'a str,
}

/// What a VM could not store yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct PendingWork {
    /// Settlements of permits.
    pub settlements: usize,
    /// Entries into retry budgets.
    pub entries: usize,
    /// Places.
    pub places: usize,
    /// Hedges that wait.
    pub parked: usize,
}

impl PendingWork {
    /// As it is shown.
    pub fn row(&self) -> Row<'static> {
        let mut row = Row::default();
        row.number("settlements_pending", self.settlements as u64);
        row.number("budget_entries_pending", self.entries as u64);
        row.number("slots_unreturned", self.places as u64);
        row.number("hedges_parked", self.parked as u64);
        row
    }
}

/// One upstream as it is shown.
#[cold]
#[inline(never)]
pub fn row<'a>(store: &impl SharedState, upstream: &UpstreamView<'a>, moment: Moment) -> Row<'a> {
    let record = upstream.key.map(|key| load(store, key));
    let places = upstream.places.and_then(|key| store.view(key).ok());
    let places = places.filter(|stored| !stored.damaged);
    let mut row = Row::default();
    row.text("policy", &upstream.policy.name);
    row.text("upstream", upstream.cluster);
    if let Some((kind, part)) = upstream.part {
        row.text(kind, part);
    }
    if let Some(key) = upstream.key {
        row.text("key", key.as_str());
    }
    row.text("mode", mode(upstream.policy.breaker.mode));
    match record {
        None => row.text("state", "none"),
        Some(Err(problem)) => row.text("state", problem),
        Some(Ok(None)) => row.text("state", "new"),
        Some(Ok(Some(record))) => stored(&mut row, upstream.policy, record, moment),
    }
    if let Some(mut places) = places {
        counted(&mut row, places.or_empty(), moment.now);
    }
    row.text("position", upstream.position);
    row
}

/// What stands under a key, or why it cannot be told.
fn load(store: &impl SharedState, key: &Key<Record>) -> Result<Option<Record>, &'static str> {
    match store.view(key) {
        Ok(stored) if stored.damaged => Err("damaged"),
        Ok(stored) => Ok(stored.record),
        Err(Undecided::Later) => Err("later_version"),
        Err(Undecided::Host(_)) => Err("unreadable"),
    }
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Shadow => "shadow",
        Mode::Enforce(_) => "enforce",
        Mode::ForcedOpen => "forced_open",
    }
}

/// The breaker and the budget as they are now.
fn stored(row: &mut Row<'_>, policy: &Policy, mut record: Record, moment: Moment) {
    if policy.breaker.mode.counts() {
        record.breaker.advance(&policy.breaker, moment);
    }
    row.text("state", record.breaker.phase().name());
    if let Some(forced) = record.forced.take_if(|forced| forced.is_on(moment.now)) {
        let mut shown = Row::default();
        shown.text("to", forced.force().name());
        shown.number("ms_left", forced.expires().since(moment.now).as_millis());
        shown.own("by", forced.by().to_owned());
        row.row("forced", shown);
    }
    row.number("generation", record.breaker.generation);
    row.number("trips", u64::from(record.breaker.trips));
    breaker(row, &mut record.breaker, moment.now);
    let settings = policy.retries.as_ref().map(|retries| &retries.budget);
    if let Some((budget, settings)) = record.budget.as_mut().zip(settings) {
        row.number("retries_left", budget.balance(settings, moment.now) / RETRY);
    }
}

fn breaker(row: &mut Row<'_>, breaker: &mut Breaker, now: Timestamp) {
    let counts = match &mut breaker.state {
        State::Open { until } => {
            row.number("open_ms_left", until.since(now).as_millis());
            return;
        }
        State::Closed(closed) => {
            row.number("failures_in_a_row", u64::from(closed.consecutive));
            if let Some(from) = closed.ramp_from {
                row.number("closed_for_ms", now.since(from).as_millis());
            }
            closed.window.counts(now)
        }
        State::HalfOpen(probing) => {
            row.number("probes_in_flight", u64::from(probing.holders.in_flight()));
            probing.verdicts
        }
    };
    row.number("calls", u64::from(counts.calls));
    row.number("failures", u64::from(counts.failures));
    row.number("slow", u64::from(counts.slow));
}

/// What is in flight, and what the upstream says of its load.
fn counted(row: &mut Row<'_>, places: &InFlightSlots, now: Timestamp) {
    row.number("in_flight", u64::from(places.in_flight()));
    if let Some(limiter) = &places.limiter {
        row.number("limit", u64::from(limiter.now()));
    }
    let load = &places.load;
    if load.at > Timestamp::ZERO {
        row.number("utilisation_bp", u64::from(load.utilisation));
        row.number("reported_ms_ago", now.since(load.at).as_millis());
        let mut shed = Row::default();
        for priority in Priority::ALL {
            let share = load.shed_of(priority.rank(), now) / 100;
            shed.number(priority.name(), u64::from(share));
        }
        row.row("shed_bp", shed);
    }
}

#[cfg(test)]
mod tests;
