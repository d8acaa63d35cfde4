//! The state of one run: its events, the requests on their way, and what the upstream has to do.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use super::arrivals::Arrivals;
use super::clients::Buckets;
use super::hosts::Services;
use super::key::Key;
use super::limits::Limits;
use super::pool::Pool;
use super::queue::Queue;
use super::sessions::Sessions;
use super::wire::Piece;
use super::{Lane, Scenario};
use crate::abi::stream::HeaderMap;
use crate::fault::Kind;
use crate::measure::{ClientOutcome, Measure};
use crate::process::{Properties, StreamId};
use crate::router::{End, Machine};
use crate::trace::Request;

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Event {
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
    /// The next bytes of a job's answer are in Envoy, or its end.
    Piece(u64),
    /// Hosts crash, by this fault.
    Crash(usize),
    /// Something happens to the Envoys that have the filter.
    Harm(Kind),
    /// The tick of a filter.
    Tick(usize),
}

/// One attempt as the upstream has it, whether or not somebody still waits for it.
#[derive(Debug)]
pub(super) struct UpstreamJob {
    pub(super) key: Key,
    pub(super) attempt: u32,
    /// The trace's request that it is for, and its number.
    pub(super) request: Rc<Request>,
    pub(super) origin: usize,
    pub(super) service: usize,
    pub(super) host: usize,
    pub(super) asker: Asker,
    /// Calls of other services that it waits for, or has still to make.
    pub(super) calls: usize,
    /// Its host crashed meanwhile.
    pub(super) lost: bool,
    /// Counted over all tries of the request.
    pub(super) number: u32,
    pub(super) draw: f64,
    pub(super) back: u64,
    pub(super) work: u64,
    pub(super) end: End,
    /// What comes behind the headers of its answer, if anything does.
    pub(super) body: Option<Box<Coming>>,
}

/// Whose Envoy sends a request to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// That of the clients: an Envoy at the edge.
    Edge(usize),
    /// That of a host, by its service.
    Host(usize, usize),
}

/// The body of an answer, as it comes to Envoy.
#[derive(Debug)]
pub(super) struct Coming {
    /// Pieces that are not there yet, by the clock of the run.
    pub(super) pieces: VecDeque<Piece>,
    /// When it is over.
    pub(super) end: u64,
    /// Whether it is whole then.
    pub(super) whole: bool,
    /// Whether its headers went to the client.
    pub(super) begun: bool,
}

/// An answer that goes to the client, and is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passing {
    /// Whose.
    pub(super) attempt: u32,
    /// What the client gets, if all of it comes.
    pub(super) outcome: ClientOutcome,
}

/// What a user wants, or a service of another one.
pub(super) struct ClientRequest {
    pub(super) at: u64,
    /// Attempts that were sent, over all its tries.
    pub(super) attempts: u32,
    /// The trace's request that it comes from, and its number.
    pub(super) request: Rc<Request>,
    pub(super) origin: usize,
    pub(super) service: usize,
    pub(super) patience: Option<u64>,
    /// Whose it is, where clients keep what they have.
    pub(super) client: Option<usize>,
    /// The host that was asked last, where its service has zones.
    pub(super) asked: Option<usize>,
    /// Who waits for it; none is a user.
    pub(super) caller: Option<Caller>,
}

/// The work of a service that called another one.
pub(super) struct Caller {
    pub(super) job: u64,
    /// Its service and host.
    pub(super) at: (usize, usize),
    /// Whether its own answer is good without this one's.
    pub(super) optional: bool,
    /// The Envoy that it calls through.
    pub(super) envoy: usize,
    pub(super) tries: u32,
    /// What names the call, so that it draws the same in each lane.
    pub(super) concern: String,
}

/// An attempt that is not over.
pub(super) struct Attempt {
    /// Its stream behind the router, where there is a filter.
    pub(super) stream: Option<StreamId>,
    /// When it began.
    pub(super) at: u64,
    pub(super) host: usize,
    pub(super) place: Holds,
}

/// Whether an attempt has a place under Envoy's own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    No,
    Waits,
    Place,
}

/// One run of a trace through a lane.
pub(super) struct Run<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) arrivals: Arrivals<'a>,
    pub(super) lane: &'a Lane<'a>,
    pub(super) queue: Queue<Event>,
    pub(super) services: Services<'a>,
    /// By Envoy and service.
    pub(super) pools: BTreeMap<(usize, usize), Pool>,
    pub(super) in_flight: BTreeMap<Key, Box<InFlight>>,
    /// What the downstream position can read from the start, by service and client.
    pub(super) known: HashMap<(usize, usize), Rc<Properties>>,
    pub(super) jobs: BTreeMap<u64, UpstreamJob>,
    pub(super) next_job: u64,
    /// Attempts that the upstream took and never answers, until Envoy ends them.
    pub(super) hanging: BTreeSet<(Key, u32)>,
    /// Requests and attempts that the filter has paused.
    pub(super) parked: BTreeSet<(Key, Option<u32>)>,
    pub(super) measure: Measure,
    pub(super) requests: BTreeMap<usize, ClientRequest>,
    /// The clients: what they keep, and when closed ones ask next.
    pub(super) sessions: Sessions,
    /// What the clients may still spend on trying again.
    pub(super) buckets: Buckets,
    /// Requests of the trace that came and are not over.
    pub(super) users: usize,
    /// The number of the next call of a service.
    pub(super) next_call: usize,
    /// When something other than a tick happened last.
    pub(super) active: u64,
    /// The filter that the present event came to.
    pub(super) touched: Option<usize>,
    /// How many may be in flight by the filter's word.
    pub(super) limits: Limits,
    /// Whether something may go wrong with the bytes of connections.
    pub(super) has_toxics: bool,
    /// Whether zones may be parted.
    pub(super) has_partitions: bool,
}

/// A request on its way.
pub(super) struct InFlight {
    pub(super) envoy: usize,
    pub(super) service: usize,
    /// The host that was asked last.
    pub(super) host: usize,
    /// All hosts that were asked.
    pub(super) tried: Vec<usize>,
    /// The downstream position's stream, where there is a filter.
    pub(super) stream: Option<StreamId>,
    /// When the router got it.
    pub(super) released: u64,
    /// Its headers as the last position left them.
    pub(super) headers: Rc<HeaderMap>,
    /// None before the filter let it go.
    pub(super) machine: Option<Machine>,
    /// Attempts that are not over.
    pub(super) attempts: BTreeMap<u32, Attempt>,
    /// The attempt whose answer has a body, while the router is told of its headers.
    pub(super) begins: Option<u32>,
    /// The answer that goes to the client.
    pub(super) passing: Option<Passing>,
}
