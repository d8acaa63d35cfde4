//! The state page: what this process knows of every upstream, as JSON, for those who are trusted.
//!
//! It shows the records as they stand in shared data, with what time alone has changed since, and stores nothing. Which
//! upstreams there are, shared data cannot say: those of the VM that answers are shown, and its own debts.
//!
//! **Invariants:** names are escaped, so that no name of a cluster or an authority breaks out; the whole is at most
//! [`BYTES_MAX`] and a last line, and says how many upstreams had no room.

use serde::{Serialize, Serializer};

use crate::breaker::{Breaker, Mode, Moment, State};
use crate::concurrency::InFlightSlots;
use crate::policy::Policy;
use crate::priority::Priority;
use crate::retry_budget::RETRY;
use crate::shared::record::Record;
use crate::shared::state::{Key, SharedState, Undecided};
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
    pub key: Option<&'a Key<Record>>,
    /// The key of its slots, where they are counted.
    pub places: Option<&'a Key<InFlightSlots>>,
    /// Whether there is a filter in the upstream position, in a word.
    pub position: &'a str,
}

/// What a VM could not store yet.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct PendingWork {
    /// Settlements of permits.
    #[serde(rename = "settlements_pending")]
    pub settlements: usize,
    /// Entries into retry budgets.
    #[serde(rename = "budget_entries_pending")]
    pub entries: usize,
    /// Places.
    #[serde(rename = "slots_unreturned")]
    pub places: usize,
    /// Hedges that wait.
    #[serde(rename = "hedges_parked")]
    pub parked: usize,
}

/// A page in the making: JSON up to the last upstream so far.
#[derive(Clone, Debug)]
pub struct Page {
    bytes: Vec<u8>,
    is_empty: bool,
}

impl Page {
    /// Adds a value. Values of the page are numbers and names, so that writing them cannot fail.
    fn write(&mut self, value: &impl Serialize) {
        let _ = serde_json::to_writer(&mut self.bytes, value);
    }
}

/// One upstream as it is shown.
#[derive(Default, Serialize)]
struct Shown<'a> {
    policy: &'a str,
    upstream: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    mode: &'a str,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    forced: Option<ShownForce>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trips: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_ms_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures_in_a_row: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_for_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probes_in_flight: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utilisation_bp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_ms_ago: Option<u64>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "by_priority"
    )]
    shed_bp: Option<[(&'static str, u64); Priority::ALL.len()]>,
    position: &'a str,
}

/// What an operator asks of it.
#[derive(Serialize)]
struct ShownForce {
    to: &'static str,
    ms_left: u64,
    by: Box<str>,
}

fn by_priority<S: Serializer>(
    shed: &Option<[(&'static str, u64); Priority::ALL.len()]>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(shed.iter().flatten().copied())
}

/// Begins a page.
pub fn begin(own: PendingWork) -> Page {
    let mut page = Page {
        bytes: br#"{"version":1,"worker":"#.to_vec(),
        is_empty: true,
    };
    page.write(&own);
    page.bytes.extend_from_slice(br#","upstreams":["#);
    page
}

/// Ends a page that had no room for so many upstreams. What HTML could take for markup is escaped.
pub fn end(mut page: Page, omitted: usize) -> Vec<u8> {
    page.bytes.extend_from_slice(br#"],"omitted":"#);
    page.write(&omitted);
    page.bytes.extend_from_slice(b"}\n");
    let mut escaped = Vec::with_capacity(page.bytes.len());
    for byte in page.bytes {
        // These stand within texts alone.
        match byte {
            b'<' => escaped.extend_from_slice(br"\u003c"),
            b'>' => escaped.extend_from_slice(br"\u003e"),
            b'&' => escaped.extend_from_slice(br"\u0026"),
            0x7f => escaped.extend_from_slice(br"\u007f"),
            _ => escaped.push(byte),
        }
    }
    escaped
}

/// Adds one upstream; `false` if there is no room.
pub fn add(
    page: &mut Page,
    store: &impl SharedState,
    upstream: &UpstreamView<'_>,
    moment: Moment,
) -> bool {
    if page.bytes.len() >= BYTES_MAX {
        return false;
    }
    let record = upstream.key.map(|key| load(store, key));
    let places = upstream.places.and_then(|key| store.view(key).ok());
    let places = places.filter(|stored| !stored.damaged);
    let mut shown = Shown {
        policy: &upstream.policy.name,
        upstream: upstream.cluster,
        key: upstream.key.map(Key::as_str),
        mode: mode(upstream.policy.breaker.mode),
        position: upstream.position,
        ..Shown::default()
    };
    match record {
        None => shown.state = "none",
        Some(Err(problem)) => shown.state = problem,
        Some(Ok(None)) => shown.state = "new",
        Some(Ok(Some(record))) => stored(&mut shown, upstream.policy, record, moment),
    }
    if let Some(mut places) = places {
        counted(&mut shown, places.or_empty(), moment.now);
    }
    if !page.is_empty {
        page.bytes.push(b',');
    }
    page.is_empty = false;
    page.write(&shown);
    true
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
fn stored(shown: &mut Shown<'_>, policy: &Policy, mut record: Record, moment: Moment) {
    if policy.breaker.mode.counts() {
        record.breaker.advance(&policy.breaker, moment);
    }
    shown.state = record.breaker.phase().name();
    let forced = record.forced.take_if(|forced| forced.is_on(moment.now));
    shown.forced = forced.map(|forced| ShownForce {
        to: forced.force().name(),
        ms_left: forced.expires().since(moment.now).as_millis(),
        by: forced.by().into(),
    });
    shown.generation = Some(record.breaker.generation);
    shown.trips = Some(u64::from(record.breaker.trips));
    breaker(shown, &mut record.breaker, moment.now);
    let settings = policy.retries.as_ref().map(|retries| &retries.budget);
    if let Some((budget, settings)) = record.budget.as_mut().zip(settings) {
        shown.retries_left = Some(budget.balance(settings, moment.now) / RETRY);
    }
}

fn breaker(shown: &mut Shown<'_>, breaker: &mut Breaker, now: Timestamp) {
    let counts = match &mut breaker.state {
        State::Open { until } => {
            shown.open_ms_left = Some(until.since(now).as_millis());
            return;
        }
        State::Closed(closed) => {
            shown.failures_in_a_row = Some(u64::from(closed.consecutive));
            let from = closed.ramp_from;
            shown.closed_for_ms = from.map(|from| now.since(from).as_millis());
            closed.window.counts(now)
        }
        State::HalfOpen(probing) => {
            shown.probes_in_flight = Some(u64::from(probing.holders.in_flight()));
            probing.verdicts
        }
    };
    shown.calls = Some(u64::from(counts.calls));
    shown.failures = Some(u64::from(counts.failures));
    shown.slow = Some(u64::from(counts.slow));
}

/// What is in flight, and what the upstream says of its load.
fn counted(shown: &mut Shown<'_>, places: &InFlightSlots, now: Timestamp) {
    shown.in_flight = Some(u64::from(places.in_flight()));
    let limiter = places.limiter.as_ref();
    shown.limit = limiter.map(|limiter| u64::from(limiter.now()));
    let load = &places.load;
    if load.at > Timestamp::ZERO {
        shown.utilisation_bp = Some(u64::from(load.utilisation));
        shown.reported_ms_ago = Some(now.since(load.at).as_millis());
        shown.shed_bp = Some(Priority::ALL.map(|priority| {
            let shed = load.shed_of(priority.rank(), now) / 100;
            (priority.name(), u64::from(shed))
        }));
    }
}

#[cfg(test)]
mod tests;
