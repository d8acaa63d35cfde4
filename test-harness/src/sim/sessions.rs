//! Clients over several requests: what they keep of the one before, and when closed ones ask again.
//!
//! A closed client waits for its answer, thinks, and sends the trace's next request; so there are never more requests on their
//! way than clients, and a slow upstream is asked less. What it draws is drawn from its own number and that of its last
//! request.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::clients::{Clients, Keeps, client_of};
use super::{START, ServiceTime};
use crate::random::chance;

/// All clients of a run.
#[derive(Debug)]
pub(super) struct Sessions {
    clients: Clients,
    /// Closed clients that think, with when they ask next.
    ready: BinaryHeap<Reverse<(u64, usize)>>,
    /// The host of a service that a client's last attempt was sent to.
    hosts: BTreeMap<(usize, usize), usize>,
}

impl Sessions {
    /// Nobody has asked yet. Closed clients think first, so that they do not come all at once.
    pub(super) fn new(clients: Clients, seed: u64) -> Self {
        let first = |client: usize| {
            let concern = format!("client {client} comes");
            Some(Reverse((
                START + thinks(clients.think?, seed, &concern),
                client,
            )))
        };
        Self {
            clients,
            ready: (0..clients.count.max(1)).filter_map(first).collect(),
            hosts: BTreeMap::new(),
        }
    }

    /// Whether a client's next request waits for the answer to its last one.
    pub(super) fn is_closed(&self) -> bool {
        self.clients.think.is_some()
    }

    /// When the next closed client asks, in nanoseconds; none while all wait for answers.
    pub(super) fn due(&self) -> Option<u64> {
        self.ready.peek().map(|Reverse((at, _))| *at)
    }

    /// A request comes: its client, where that matters.
    pub(super) fn comes(&mut self, seed: u64, request: usize) -> Option<usize> {
        if self.is_closed() {
            return self.ready.pop().map(|Reverse((_, client))| client);
        }
        let keeps = self.clients.keeps != Keeps::Nothing;
        keeps.then(|| client_of(seed, request, self.clients.count))
    }

    /// The answer to a request is there, or its client gave up.
    pub(super) fn is_over(&mut self, seed: u64, request: usize, client: Option<usize>, now: u64) {
        if let Some((client, think)) = client.zip(self.clients.think) {
            let thinks = thinks(think, seed, &format!("client {client} after {request}"));
            self.ready
                .push(Reverse((now.saturating_add(thinks), client)));
        }
    }

    /// The client of a request, if it keeps its connection.
    pub(super) fn keeps_connection(&self, client: Option<usize>) -> Option<usize> {
        client.filter(|_| self.clients.keeps != Keeps::Nothing)
    }

    /// The client of a request, if it goes back to the host of its last one.
    pub(super) fn keeps_host(&self, client: Option<usize>) -> Option<usize> {
        client.filter(|_| self.clients.keeps == Keeps::Host)
    }

    /// The host of a service that a client's last attempt was sent to, whether it answered or not.
    pub(super) fn host(&self, client: usize, service: usize) -> Option<usize> {
        self.hosts.get(&(client, service)).copied()
    }

    /// A client goes to this host of a service from now on.
    pub(super) fn keep(&mut self, client: usize, service: usize, host: usize) {
        self.hosts.insert((client, service), host);
    }
}

fn thinks(think: ServiceTime, seed: u64, concern: &str) -> u64 {
    think.draw(0, &mut chance(seed, concern))
}
