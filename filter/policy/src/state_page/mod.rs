//! The state page: what this process knows of every upstream, as JSON, for those who are trusted.
//!
//! It shows the records as they stand in shared data, with what time alone has changed since, and stores nothing. Which
//! upstreams there are, shared data cannot say: those of the VM that answers are shown, and its own debts.
//!
//! **Invariants:** names are escaped, so that no name of a cluster or an authority breaks out; the whole is at most
//! [`BYTES_MAX`] and a last line, and says how many upstreams had no room.

mod json;

pub use json::Json;

use crate::breaker::{Breaker, Mode, Moment, State};
use crate::concurrency::InFlightSlots;
use crate::policy::Policy;
use crate::priority::Priority;
use crate::retry_budget::RETRY;
use crate::shared::record::{Record, Unreadable};
use crate::shared::store::{HostError, SharedStore};
use crate::time::Timestamp;
use crate::trust::Trust;

/// No upstream is added to a page that is longer, in bytes.
pub const BYTES_MAX: usize = 256 * 1024;

/// Where the page is, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePage {
    /// Its path, exactly.
    pub path: String,
    /// Who may read it; for everybody else it does not exist.
    pub trust: Trust,
}

/// One upstream, as a VM knows it.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamView<'a> {
    /// Its policy.
    pub policy: &'a Policy,
    /// Its cluster.
    pub cluster: &'a str,
    /// Its key in shared data; `None` where it has no state.
    pub key: Option<&'a str>,
    /// The key of its slots, where they are counted.
    pub places: Option<&'a str>,
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

/// Begins a page.
pub fn begin(own: PendingWork) -> Json {
    let mut json = Json::default();
    json.begin(b'{');
    json.number("version", 1);
    json.key("worker");
    json.begin(b'{');
    for (key, count) in [
        ("settlements_pending", own.settlements),
        ("budget_entries_pending", own.entries),
        ("slots_unreturned", own.places),
        ("hedges_parked", own.parked),
    ] {
        json.number(key, count as u64);
    }
    json.end(b'}');
    json.key("upstreams");
    json.begin(b'[');
    json
}

/// Ends a page that had no room for so many upstreams.
pub fn end(mut json: Json, omitted: usize) -> Vec<u8> {
    json.end(b']');
    json.number("omitted", omitted as u64);
    json.end(b'}');
    json.finish()
}

/// Adds one upstream; `false` if there is no room.
pub fn add(
    json: &mut Json,
    store: &impl SharedStore,
    upstream: &UpstreamView<'_>,
    moment: Moment,
) -> bool {
    if json.len() >= BYTES_MAX {
        return false;
    }
    let record = upstream.key.map(|key| load(store, key));
    let found = upstream.places.map(|key| store.load(key));
    let places = match &found {
        Some(Ok(Some(found))) => InFlightSlots::decode(&found.bytes).ok(),
        Some(Ok(None)) => Some(InFlightSlots::default()),
        Some(Err(_)) | None => None,
    };
    json.begin(b'{');
    json.text("policy", &upstream.policy.name);
    json.text("upstream", upstream.cluster);
    if let Some(key) = upstream.key {
        json.text("key", key);
    }
    json.text("mode", mode(upstream.policy.breaker.mode));
    match record {
        None => json.text("state", "none"),
        Some(Err(problem)) => json.text("state", problem),
        Some(Ok(None)) => json.text("state", "new"),
        Some(Ok(Some(record))) => stored(json, upstream.policy, record, moment),
    }
    if let Some(places) = places {
        counted(json, &places, moment.now);
    }
    json.text("position", upstream.position);
    json.end(b'}');
    true
}

/// What stands under a key, or why it cannot be told.
fn load(store: &impl SharedStore, key: &str) -> Result<Option<Record>, &'static str> {
    match store.load(key) {
        Ok(Some(found)) if !found.bytes.is_empty() => match Record::decode(&found.bytes) {
            Ok(record) => Ok(Some(record)),
            Err(Unreadable::Later(_)) => Err("later_version"),
            Err(Unreadable::Damaged) => Err("damaged"),
        },
        Ok(_) => Ok(None),
        Err(HostError(_)) => Err("unreadable"),
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
fn stored(json: &mut Json, policy: &Policy, mut record: Record, moment: Moment) {
    if policy.breaker.mode.counts() {
        record.breaker.advance(&policy.breaker, moment);
    }
    json.text("state", record.breaker.phase().name());
    json.number("generation", record.breaker.generation);
    json.number("trips", u64::from(record.breaker.trips));
    breaker(json, &mut record.breaker, moment.now);
    let settings = policy.retries.as_ref().map(|retries| &retries.budget);
    if let Some((budget, settings)) = record.budget.as_mut().zip(settings) {
        json.number("retries_left", budget.balance(settings, moment.now) / RETRY);
    }
}

fn breaker(json: &mut Json, breaker: &mut Breaker, now: Timestamp) {
    let counts = match &mut breaker.state {
        State::Open { until } => {
            return json.number("open_ms_left", until.since(now).as_millis());
        }
        State::Closed(closed) => {
            json.number("failures_in_a_row", u64::from(closed.consecutive));
            if let Some(from) = closed.ramp_from {
                json.number("closed_for_ms", now.since(from).as_millis());
            }
            closed.window.counts(now)
        }
        State::HalfOpen(probing) => {
            json.number("probes_in_flight", u64::from(probing.holders.in_flight()));
            probing.verdicts
        }
    };
    json.number("calls", u64::from(counts.calls));
    json.number("failures", u64::from(counts.failures));
    json.number("slow", u64::from(counts.slow));
}

/// What is in flight, and what the upstream says of its load.
fn counted(json: &mut Json, places: &InFlightSlots, now: Timestamp) {
    json.number("in_flight", u64::from(places.in_flight()));
    if let Some(limiter) = &places.limiter {
        json.number("limit", u64::from(limiter.now()));
    }
    let load = &places.load;
    if load.at > Timestamp::ZERO {
        json.number("utilisation_bp", u64::from(load.utilisation));
        json.number("reported_ms_ago", now.since(load.at).as_millis());
        json.key("shed_bp");
        json.begin(b'{');
        for priority in Priority::ALL {
            let shed = load.shed_of(priority.rank(), now) / 100;
            json.number(priority.name(), u64::from(shed));
        }
        json.end(b'}');
    }
}

#[cfg(test)]
mod tests;
