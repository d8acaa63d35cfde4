//! The upstreams that one root knows: a bounded table from names to what is kept for each.
//!
//! The state itself stands in shared data. Here stands what belongs to this VM: which permits it holds, what it counted since
//! the last tick.

use crate::breaker::Phase;
use crate::latency::Histogram;
use crate::outcome::broken_stream::BrokenStreams;
use crate::outcome::pool::PoolEvidence;
use crate::shared::authorities::{Directory, Found, Remembered};
use crate::shared::keys::{self, Part};
use crate::shared::leases::LocalLease;
use crate::shared::record::Record;
use crate::shared::state::Key;
use crate::time::{Span, Timestamp};

use super::by_name::Numbers;
use super::handover::{Deposits, Link};
use super::local_leases::LocalHoldings;
use super::record_cache::RecordCache;
use crate::environment::Metrics;
use crate::telemetry::UpstreamSeries;

/// The longest key in shared data, in bytes; what would need a longer one has no state.
const KEY_MAX: usize = 512;
/// Under this name stand all upstreams of a policy beyond a bound.
pub(crate) const OTHERS: &str = "(others)";
/// The answers of so many admissions show their host even when nothing fails, so that host grace knows healthy hosts.
const HOST_SAMPLE: u32 = 16;
/// One in so many requests asks whether there still is an upstream position.
const POSITION_SAMPLE: u32 = 256;

/// Which upstream is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    /// Index of its policy.
    pub(crate) policy: usize,
    /// The policy's name.
    pub(crate) scope: &'a str,
    /// The cluster.
    pub(crate) cluster: &'a str,
    /// What parts it from others of the same cluster: a route or an authority.
    pub(crate) part: Option<(&'static str, &'a str)>,
}

/// The part of a request by its authority.
pub(crate) const AUTHORITY: &str = "authority";
/// In the place of an authority that is longer than one can be; no authority is spelt like that.
pub(crate) const LONG: &str = "(long)";

impl Name<'_> {
    /// The key in shared data, and in the index of this VM; `None` if it were too long. An authority has this key in the index
    /// alone: its state stands under that of its slot.
    pub(crate) fn key(&self) -> Option<Key<Record>> {
        let part = match self.part {
            None => Part::Whole,
            Some((AUTHORITY, LONG)) => Part::Long,
            Some((AUTHORITY, authority)) => Part::Authority(authority),
            Some((_, route)) => Part::Route(route),
        };
        let key = keys::record(self.scope, self.cluster, part);
        (key.as_str().len() <= KEY_MAX).then_some(key)
    }

    /// The authority, where one parts its state from others.
    pub(crate) fn authority(&self) -> Option<&str> {
        authority_of(self.part)
    }

    /// The name in metrics and logs.
    fn label(&self) -> String {
        match self.part {
            Some((_, part)) => format!("{}/{part}", self.cluster),
            None => self.cluster.to_owned(),
        }
    }
}

fn authority_of<'a>(part: Option<(&'static str, &'a str)>) -> Option<&'a str> {
    let (kind, part) = part?;
    (kind == AUTHORITY && part != LONG).then_some(part)
}

/// What this VM knows of the watch over broken streams of one upstream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BrokenStreamsView {
    /// As last seen.
    pub(super) seen: BrokenStreams,
    /// When that was.
    pub(super) looked: Timestamp,
    /// When others were last told of a good response.
    pub(super) told: Timestamp,
}

/// The slot of an authority, as this VM remembers it.
#[derive(Debug)]
pub(crate) struct AuthorityEntry {
    /// The directory's key.
    pub(crate) directory: Key<Directory>,
    /// Which one it is, and whose.
    pub(crate) remembered: Remembered,
    /// The authority's key in the index; empty once the slot is another's.
    pub(crate) index: String,
    /// Whether its metrics are those of the slot, and not of its first authority.
    shared: bool,
}

/// What this VM keeps for one upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Index of its policy.
    pub(crate) policy: usize,
    /// Its cluster.
    pub(crate) cluster: String,
    /// The route or the authority that its state is for, where the cluster has a state for each.
    part: Option<(&'static str, String)>,
    /// The slot of that authority.
    pub(crate) owned: Option<AuthorityEntry>,
    /// Where its state stands; `None` where it has none.
    pub(crate) key: Option<Key<Record>>,
    /// The permits of this VM.
    pub(crate) holding: LocalLease,
    /// The state as last seen.
    pub(crate) phase: Phase,
    /// Whether there were failures about when it was last seen.
    pub(crate) failing: bool,
    /// Whether a draw could decide about a request when one was last admitted.
    pub(crate) gated: bool,
    /// The slots of this VM, where they are counted.
    pub(crate) holdings: Option<LocalHoldings>,
    /// What is counted.
    pub(crate) series: UpstreamSeries,
    /// First attempts that did not pay into the retry budget yet.
    pub(super) deposits: Deposits,
    /// Whether attempts are accounted one by one.
    pub(crate) position: Position,
    /// Whether they pass this VM.
    pub(super) link: Link,
    /// Latencies that were not told to the others yet.
    pub(crate) seen: Histogram,
    /// The limit that follows latency.
    pub(crate) adaptive: Option<Span>,
    /// The hedging delay that follows latency.
    pub(crate) hedge: Option<Span>,
    /// When responses ended, and whether some stand still.
    pub(crate) responses: Responses,
    /// Whose streams broke, and whether others are told of good responses; nothing before somebody looked.
    pub(crate) broken_streams: Option<Box<BrokenStreamsView>>,
    /// What is remembered of its record.
    pub(crate) cache: RecordCache,
    admissions: u32,
}

/// What is known of the responses of one upstream since the last tick.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Responses {
    /// When one ended well last, and when a client held a connection.
    pub(crate) pool: PoolEvidence,
    /// Whether Envoy was seen to say when a connection took a request: releases before 1.31 never do.
    pub(crate) pool_known: bool,
    /// Whether a request waits that may be slow soon.
    pub(crate) awaited: bool,
    /// How many connections clients hold, and how many requests wait for an overdue answer, as far as this tick has seen.
    pub(crate) held: u32,
    pub(crate) overdue: u32,
    /// What other workers were told of that.
    pub(crate) told: Timestamp,
    /// Whether one stands still.
    pub(crate) stand_still: bool,
}

/// Whether there is a filter in the upstream position, as far as requests have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Position {
    /// No request has come back yet.
    #[default]
    Unknown,
    /// There is.
    Present,
    /// There is none.
    Absent,
}

impl Upstream {
    /// The route or the authority that its state is for, where the cluster has a state for each.
    pub(crate) fn part(&self) -> Option<(&'static str, &str)> {
        let part = self.part.as_ref();
        part.map(|(kind, part)| (*kind, part.as_str()))
    }

    /// The authority that its state is for; nothing for all that are too long.
    pub(crate) fn authority(&self) -> Option<&str> {
        authority_of(self.part())
    }

    /// A request pays into the retry budget.
    pub(super) fn add_deposit(&self) {
        self.deposits.set(self.deposits.get().saturating_add(1));
    }

    /// Whether there were failures about when it was last seen, or it is let in again after some.
    pub(crate) fn sees_trouble(&self) -> bool {
        self.failing || self.phase == Phase::HalfOpen
    }

    /// Whether the host of the next answer is worth a host call.
    pub(crate) fn wants_host(&mut self) -> bool {
        self.admissions = self.admissions.wrapping_add(1);
        self.failing || self.admissions.is_multiple_of(HOST_SAMPLE)
    }

    /// Whether its attempts pass the upstream position of this VM, as far as was seen. What an authority owns is
    /// handed over as ever: it may be given up meanwhile.
    pub(crate) fn is_followed_here(&self) -> bool {
        let seen = self.link == Link::Here && self.position == Position::Present;
        seen && self.owned.is_none()
    }

    /// Whether the next request asks whether there is an upstream position; call after [`Upstream::wants_host`].
    pub(crate) fn asks_position(&self) -> bool {
        self.position == Position::Unknown || self.admissions.is_multiple_of(POSITION_SAMPLE)
    }

    /// Whether the tick has something to do for it.
    pub(crate) fn needs_maintenance(&self) -> bool {
        self.phase != Phase::Closed || self.holding.quantity > 0
    }
}

/// What stands in the index for all upstreams of a policy beyond a bound; no key looks like it.
pub(crate) fn others(scope: &str) -> String {
    format!("{OTHERS}/{scope}")
}

/// All upstreams of a root.
#[derive(Debug, Default)]
pub(crate) struct Upstreams {
    entries: Vec<Upstream>,
    /// By key; the key holds the policy's name.
    index: Numbers,
    /// How many of them have a state and are no slots of authorities, which have bounds of their own.
    ordinary: usize,
    /// How many of them are slots of authorities.
    slots: usize,
}

impl Upstreams {
    /// The number of upstreams.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of those that have a state and are no slots of authorities.
    pub(crate) const fn ordinary(&self) -> usize {
        self.ordinary
    }

    /// Whether any is a slot of an authority.
    pub(crate) const fn has_slots(&self) -> bool {
        self.slots > 0
    }

    /// The policies and keys of those that have a state, slots of authorities aside.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, &Key<Record>)> {
        let ordinary = self.entries.iter().filter(|entry| entry.owned.is_none());
        ordinary.filter_map(|entry| Some((entry.policy, entry.key.as_ref()?)))
    }

    /// An upstream by the number that [`Upstreams::add`] gave.
    pub(crate) fn entry(&mut self, number: usize) -> Option<&mut Upstream> {
        self.entries.get_mut(number)
    }

    /// The number of an upstream by its key, or of what stands for all others of a policy.
    pub(crate) fn find(&self, key: &str) -> Option<usize> {
        self.index.get(key)
    }

    /// Adds an upstream.
    pub(crate) fn add(
        &mut self,
        env: &impl Metrics,
        name: &Name<'_>,
        key: Option<Key<Record>>,
        instance: u64,
    ) -> usize {
        let number = self.entries.len();
        self.ordinary = self.ordinary.saturating_add(key.is_some().into());
        let indexed = key.as_ref().map(|key| key.as_str().to_owned());
        let indexed = indexed.unwrap_or_else(|| others(name.scope));
        let series = UpstreamSeries::new(env, name.scope, &name.label());
        self.entries.push(upstream(name, key, instance, series));
        self.index.insert(indexed, number);
        number
    }

    /// Lets an authority have a slot: `key` is that of the slot's state, `index` the authority's in the index. A slot that had
    /// another authority before has metrics of its own, by its number: clients would make them without end otherwise.
    pub(crate) fn own(
        &mut self,
        env: &impl Metrics,
        name: &Name<'_>,
        (key, index, directory): (Key<Record>, Key<Record>, Key<Directory>),
        (found, id): (Found, u64),
        instance: u64,
    ) -> usize {
        let (stands, index) = (key.as_str().to_owned(), index.as_str().to_owned());
        let known = self.find(&stands);
        let number = known.unwrap_or(self.entries.len());
        self.disown(number);
        let before = self.entry(number).and_then(|entry| {
            let shared = entry.owned.as_ref().is_some_and(|owned| owned.shared);
            entry.series.flush(env);
            shared.then(|| std::mem::take(&mut entry.series))
        });
        let shared = found.reused || before.is_some();
        let series = before.unwrap_or_else(|| {
            let label = match shared {
                true => format!("{}/key={}", name.cluster, found.slot),
                false => name.label(),
            };
            UpstreamSeries::new(env, name.scope, &label)
        });
        let mut entry = upstream(name, Some(key), instance, series);
        entry.series.tell_state_again();
        // Its series may be those of a slot or of an authority, so that not all workers would move one counter.
        entry.cache.has_no_epoch();
        entry.owned = Some(AuthorityEntry {
            directory,
            remembered: Remembered {
                slot: found.slot,
                id,
                used: true,
            },
            index: index.clone(),
            shared,
        });
        match self.entries.get_mut(number) {
            Some(there) => *there = entry,
            None => {
                self.entries.push(entry);
                self.slots = self.slots.saturating_add(1);
            }
        }
        self.index.insert(stands, number);
        self.index.insert(index, number);
        number
    }

    /// The slot is no longer its authority's.
    pub(crate) fn disown(&mut self, number: usize) {
        if let Some(owned) = self.entry(number).and_then(|entry| entry.owned.as_mut()) {
            let index = std::mem::take(&mut owned.index);
            self.index.remove(&index);
        }
    }
}

/// An upstream of which nothing is known yet.
fn upstream(
    name: &Name<'_>,
    key: Option<Key<Record>>,
    instance: u64,
    series: UpstreamSeries,
) -> Upstream {
    Upstream {
        policy: name.policy,
        cluster: name.cluster.to_owned(),
        part: name.part.map(|(kind, part)| (kind, part.to_owned())),
        owned: None,
        key,
        holding: LocalLease::none(instance),
        phase: Phase::Closed,
        failing: false,
        gated: false,
        holdings: None,
        series,
        deposits: Deposits::default(),
        position: Position::Unknown,
        link: Link::Unknown,
        seen: Histogram::default(),
        adaptive: None,
        hedge: None,
        responses: Responses::default(),
        broken_streams: None,
        cache: RecordCache::default(),
        admissions: 0,
    }
}
