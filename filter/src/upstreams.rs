//! The upstreams that one root knows: a bounded table from names to what is kept for each.
//!
//! The state itself stands in shared data. Here stands what belongs to this VM: which permits it holds, whom it watches,
//! what it counted since the last tick.

use seawall_policy::breaker::{Holding, Phase};
use seawall_policy::latency::Histogram;
use seawall_policy::time::Span;
use seawall_policy::watch::Watch;

use crate::names::Names;
use crate::seats::Seats;
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

impl Name<'_> {
    /// The key in shared data; `None` if it were too long.
    pub(crate) fn key(&self) -> Option<String> {
        let mut key = format!("seawall/v1/{}/{}", self.scope, self.cluster);
        if let Some((kind, part)) = self.part {
            key.push('/');
            key.push_str(kind);
            key.push('=');
            key.push_str(part);
        }
        (key.len() <= KEY_MAX).then_some(key)
    }

    /// Where the number of authorities of its cluster that have a state stands.
    pub(crate) fn authorities(&self) -> String {
        format!("seawall/authorities/v1/{}/{}", self.scope, self.cluster)
    }

    fn authority(&self) -> Option<&str> {
        let (kind, part) = self.part?;
        (kind == "authority").then_some(part)
    }

    /// The name in metrics and logs.
    fn label(&self) -> String {
        match self.part {
            Some((_, part)) => format!("{}/{part}", self.cluster),
            None => self.cluster.to_owned(),
        }
    }
}

/// What this VM keeps for one upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Index of its policy.
    pub(crate) policy: usize,
    /// Its cluster.
    pub(crate) cluster: String,
    /// The authority that its state is for, where the cluster has a state for each.
    pub(crate) authority: Option<String>,
    /// Where its state stands; `None` where it has none.
    pub(crate) key: Option<String>,
    /// The permits of this VM.
    pub(crate) holding: Holding,
    /// The other VMs that hold permits.
    pub(crate) watch: Watch,
    /// The state as last seen.
    pub(crate) phase: Phase,
    /// Whether there were failures about when it was last seen.
    pub(crate) failing: bool,
    /// The places of this VM, where they are counted.
    pub(crate) seats: Option<Seats>,
    /// What is counted.
    pub(crate) series: UpstreamSeries,
    /// First attempts that did not pay into the retry budget yet.
    pub(crate) deposits: u64,
    /// Whether attempts are accounted one by one.
    pub(crate) position: Position,
    /// Latencies that were not told to the others yet.
    pub(crate) seen: Histogram,
    /// The limit that follows latency.
    pub(crate) adaptive: Option<Span>,
    /// The hedging delay that follows latency.
    pub(crate) hedge: Option<Span>,
    admissions: u32,
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
    /// Whether the host of the next answer is worth a host call.
    pub(crate) fn wants_host(&mut self) -> bool {
        self.admissions = self.admissions.wrapping_add(1);
        self.failing || self.admissions.is_multiple_of(HOST_SAMPLE)
    }

    /// Whether the next request asks whether there is an upstream position; call after [`Upstream::wants_host`].
    pub(crate) fn asks_position(&self) -> bool {
        self.position == Position::Unknown || self.admissions.is_multiple_of(POSITION_SAMPLE)
    }

    /// Whether the tick has something to do for it.
    pub(crate) fn needs_care(&self) -> bool {
        self.phase != Phase::Closed || self.holding.permits > 0 || !self.watch.is_idle()
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
    index: Names<usize>,
}

impl Upstreams {
    /// The number of upstreams.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// An upstream by the number that [`Upstreams::add`] gave.
    pub(crate) fn entry(&mut self, number: usize) -> Option<&mut Upstream> {
        self.entries.get_mut(number)
    }

    /// The number of an upstream by its key, or of what stands for all others of a policy.
    pub(crate) fn find(&self, key: &str) -> Option<usize> {
        self.index.get(key).copied()
    }

    /// Adds an upstream.
    pub(crate) fn add(&mut self, name: &Name<'_>, key: Option<String>, instance: u64) -> usize {
        let number = self.entries.len();
        let indexed = key.clone().unwrap_or_else(|| others(name.scope));
        self.entries.push(Upstream {
            policy: name.policy,
            cluster: name.cluster.to_owned(),
            authority: name.authority().map(str::to_owned),
            key,
            holding: Holding {
                instance,
                ..Holding::default()
            },
            watch: Watch::default(),
            phase: Phase::Closed,
            failing: false,
            seats: None,
            series: UpstreamSeries::new(name.scope, &name.label()),
            deposits: 0,
            position: Position::Unknown,
            seen: Histogram::default(),
            adaptive: None,
            hedge: None,
            admissions: 0,
        });
        self.index.insert(indexed, number);
        number
    }
}
