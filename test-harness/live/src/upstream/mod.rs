//! An upstream whose sickness can be chosen while it runs: HTTP/1 and HTTP/2 on one port, knobs on another.
//!
//! It counts what reaches it, so that a test asks the upstream, and not the filter, what the filter let through.

mod answer;
mod attempts;
mod draws;
mod knobs;
mod serve;
mod stats;

pub use knobs::{ColdStart, Knobs};
pub use stats::{Arrival, Snapshot};

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use draws::{Draw, Draws};
use stats::Stats;

use crate::{clock, listen};

/// The header of a request that says how long the work on it takes, in microseconds.
pub const WORK: &str = "x-work-us";

/// A running upstream; it ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the server, its connections and its admin path share.
#[derive(Debug)]
pub(crate) struct Shared {
    name: String,
    knobs: watch::Sender<Knobs>,
    places: Mutex<Arc<Semaphore>>,
    /// When it came back after it was down.
    up: Mutex<Option<Instant>>,
    stats: Mutex<Stats>,
    draws: Mutex<Draws>,
}

impl Shared {
    fn draw(&self, attempt: u32) -> Draw {
        self.draws
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next(attempt)
    }

    fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stats<T>(&self, run: impl FnOnce(&mut Stats) -> T) -> T {
        run(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long ago it came back after it was down.
    fn up(&self) -> Option<Duration> {
        let up = *self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.map(|up| clock::now().duration_since(up))
    }

    pub(crate) fn set(&self, knobs: Knobs) {
        let (places, refuses) = {
            let before = self.knobs.borrow();
            (before.places(), before.refuse)
        };
        // What is in work keeps its place, unless another number of places is set, or all that was in work is lost.
        if places != knobs.places() || knobs.refuse {
            let places = Arc::new(Semaphore::new(knobs.places()));
            *self.places.lock().unwrap_or_else(PoisonError::into_inner) = places;
        }
        if refuses && !knobs.refuse {
            *self.up.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::now());
        }
        self.knobs.send_replace(knobs);
    }
}

impl Upstream {
    /// Starts one on this address; port 0 takes a free one.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(name: &str, address: SocketAddr) -> std::io::Result<Self> {
        let listener = listen::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            knobs: watch::Sender::new(Knobs::default()),
            places: Mutex::new(Arc::new(Semaphore::new(Knobs::default().places()))),
            up: Mutex::new(None),
            stats: Mutex::new(Stats::new()),
            draws: Mutex::new(Draws::new()),
        });
        let task = tokio::spawn(serve::run(listener, address, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes it sick, or well with the default.
    pub fn set(&self, knobs: Knobs) {
        self.shared.set(knobs);
    }

    /// What reached it so far.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.stats(|stats| stats.snapshot())
    }

    /// How long it runs: an [`Arrival`] at this time would be one of now.
    pub fn age(&self) -> Duration {
        self.shared.stats(|stats| stats.age())
    }

    /// Forgets what reached it, ids included; what is in flight stays counted.
    pub fn reset_stats(&self) {
        self.shared.stats(Stats::reset);
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves the knobs and counts of these upstreams on one address: `POST /NAME` with knobs as JSON (those not named
/// keep their value), `GET /NAME` for the counts, `POST /NAME/reset`.
///
/// # Errors
/// If the address cannot be bound.
pub async fn admin(address: SocketAddr, upstreams: &[Upstream]) -> std::io::Result<SocketAddr> {
    let listener = listen::bind(address).await?;
    let address = listener.local_addr()?;
    let shared = upstreams.iter().map(Upstream::shared).collect();
    tokio::spawn(serve::admin(listener, shared));
    Ok(address)
}
