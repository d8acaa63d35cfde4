//! The simulation: clients from a trace, the filter in its VMs, the router, the upstream, on one virtual clock.
//!
//! The only place where the host and the simulation meet. Everything a request draws is drawn from its own number, and
//! everything an attempt draws from its request's number and its own, so that two lanes with different filters meet the same
//! fate where they ask for the same.

mod arrivals;
mod attempt;
mod clients;
mod core;
mod event_loop;
mod fate;
mod filter;
mod hosts;
mod job;
mod key;
mod lane;
mod limits;
mod passing;
mod pool;
mod queue;
mod request;
mod scenario;
mod service;
mod sessions;
mod shown;
mod state;
mod upstream;
mod wire;

use crate::fault::Fault;
use crate::measure::Measure;
use crate::process::Process;
use crate::trace::Request;

pub use clients::{Clients, Keeps, Tokens};
pub use core::Core;
pub use event_loop::{play, play_while};
pub use filter::Filter;
pub use lane::{Lane, Sidecar};
pub use pool::{Native, Outliers, RetryBudget};
pub use queue::Queue;
pub use scenario::{CLUSTER, RecordedOutage, Scenario};
pub use service::{Body, Cache, Call, ColdStart, Network, Pauses, Service, ServiceTime};
pub use upstream::{Arrival, ControlledDelay, Order, Servers};

/// The process is older than the trace by this, so that no time is 0; in nanoseconds.
pub const START: u64 = 1_000_000_000;

/// What surrounds the filter.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Servers of the upstream.
    pub servers: usize,
    /// Requests that may wait for a server.
    pub queue: usize,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// A user's patience, in nanoseconds; then the client goes away.
    pub patience: Option<u64>,
    /// Seed of all chance.
    pub seed: u64,
}

/// Runs a trace through a lane with the filter in both positions; without a process there is no filter in it.
/// `progress` is told of every request.
pub fn run(
    environment: &Environment,
    trace: &[Request],
    process: Option<&Process>,
    progress: impl FnMut(),
) -> Measure {
    let lane = process.map_or_else(Lane::default, |process| {
        Lane::both(std::slice::from_ref(process))
    });
    play(&Scenario::from(environment.clone()), trace, &lane, progress)
}

/// From when to when something goes wrong, in nanoseconds since the trace began.
pub fn faulty(faults: &[Fault]) -> Option<(u64, u64)> {
    let begin = faults.iter().map(|fault| fault.at).min()?;
    let end = faults.iter().map(Fault::end).max()?;
    Some((begin, end))
}
