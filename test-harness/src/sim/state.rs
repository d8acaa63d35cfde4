//! The state of one run: its events, the requests on their way, and what the upstream has to do.

use std::collections::{BTreeMap, BTreeSet};

use super::clients::Buckets;
use super::clusters::ClusterServers;
use super::queue::Queue;
use super::{Lane, Scenario};
use crate::abi::stream::HeaderMap;
use crate::measure::Measure;
use crate::process::StreamId;
use crate::router::{End, Machine, Retries};
use crate::trace::Request;

/// One try of a client; tries count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) request: usize,
    pub(super) client_try: u32,
}

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    /// A user wants something.
    Request(usize),
    /// The client asks.
    ClientTry(Key),
    /// The client waits no longer.
    GaveUp(Key),
    /// The limit of a request passed.
    Limit(Key),
    /// The limit of an attempt passed.
    AttemptLimit(Key, u32),
    /// A retry's wait is over.
    Retry(Key),
    /// A job is at the upstream.
    Reach(u64),
    /// The upstream is done with a job.
    Served(u64),
    /// A job's end is back in Envoy.
    Ended(u64),
    /// The tick of an Envoy.
    Tick(usize),
}

/// One attempt as the upstream has it, whether or not somebody still waits for it.
#[derive(Debug)]
pub(super) struct UpstreamJob {
    pub(super) key: Key,
    pub(super) attempt: u32,
    /// Counted over all tries of the request.
    pub(super) number: u32,
    pub(super) draw: f64,
    pub(super) back: u64,
    pub(super) work: u64,
    pub(super) end: End,
}

/// What a user wants.
pub(super) struct ClientRequest {
    pub(super) at: u64,
    pub(super) attempts: u32,
}

/// One run of a trace through a lane.
pub(super) struct Run<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) trace: &'a [Request],
    pub(super) lane: &'a Lane<'a>,
    pub(super) queue: Queue<Event>,
    pub(super) upstreams: ClusterServers<'a>,
    pub(super) in_flight: BTreeMap<Key, InFlight>,
    pub(super) jobs: BTreeMap<u64, UpstreamJob>,
    pub(super) next_job: u64,
    /// Requests and attempts that the filter has paused.
    pub(super) parked: BTreeSet<(Key, Option<u32>)>,
    pub(super) retries: Vec<Retries>,
    pub(super) measure: Measure,
    pub(super) requests: BTreeMap<usize, ClientRequest>,
    /// What the clients may still spend on trying again.
    pub(super) buckets: Buckets,
    /// Requests that are not over.
    pub(super) left: usize,
    /// The number of the next request that comes.
    pub(super) arrived: usize,
    /// When something other than a tick happened last.
    pub(super) active: u64,
    /// The Envoy that the present event came to.
    pub(super) touched: Option<usize>,
}

/// A request on its way.
pub(super) struct InFlight {
    pub(super) envoy: usize,
    /// The downstream position's stream, where there is a filter.
    pub(super) stream: Option<StreamId>,
    /// When the router got it.
    pub(super) released: u64,
    /// Its headers as the last position left them.
    pub(super) headers: HeaderMap,
    /// None before the filter let it go.
    pub(super) machine: Option<Machine>,
    /// Attempts that are not over, with their streams in the upstream position.
    pub(super) attempts: BTreeMap<u32, Option<StreamId>>,
}
