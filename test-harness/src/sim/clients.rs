//! Clients that try again by themselves: how often, after how long, and on which budget of their own.
//!
//! The budget is the token bucket of M. Brooker, "Fixing retries with token buckets and circuit breakers" (2022): each
//! first try puts a part of a token in, each retry takes a whole one, and the bucket starts full.

use rand::RngExt;

use super::ServiceTime;
use crate::random::chance;
use crate::router::BackOff;

/// Who asks, and how stubbornly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clients {
    /// So many clients share the trace; only budgets tell them apart.
    pub count: usize,
    /// Tries of one request, the first one included.
    pub tries: u32,
    /// Waits before retries; none tries again at once.
    pub back_off: Option<BackOff>,
    /// A budget of retries for each client.
    pub tokens: Option<Tokens>,
    /// What stays the same from one request of a client to its next one.
    pub keeps: Keeps,
    /// Closed clients: after an answer each thinks for so long, and then sends the trace's next request. None are open: requests
    /// come when the trace says so.
    pub think: Option<ServiceTime>,
}

/// What stays the same from one request of a client to its next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing.
    #[default]
    Nothing,
    /// Its connection: the Envoy, its worker, the client's address.
    Connection,
    /// That, and the host of each service that its last attempt was sent to, whether it answered or not, as with a cookie.
    Host,
}

/// A client's budget of retries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tokens {
    /// No bucket holds more; it starts with as many.
    pub size: f64,
    /// What a first try puts in.
    pub deposit: f64,
}

impl Default for Clients {
    /// One that never tries again.
    fn default() -> Self {
        Self {
            count: 1,
            tries: 1,
            back_off: None,
            tokens: None,
            keeps: Keeps::Nothing,
            think: None,
        }
    }
}

impl Clients {
    /// Clients that try so often, at once and without a budget.
    pub fn trying(tries: u32) -> Self {
        Self {
            tries,
            ..Self::default()
        }
    }
}

/// The clients of one run with what is in their buckets.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    clients: Clients,
    tokens: Vec<f64>,
}

impl Buckets {
    pub(super) fn new(clients: Clients) -> Self {
        let full = clients.tokens.map_or(0.0, |tokens| tokens.size);
        Self {
            clients,
            tokens: vec![full; clients.count.max(1)],
        }
    }

    /// A request's first try.
    pub(super) fn first(&mut self, seed: u64, request: usize, client: Option<usize>) {
        if let Some(tokens) = self.clients.tokens {
            let left = self.of(seed, request, client);
            *left = (*left + tokens.deposit).min(tokens.size);
        }
    }

    /// Whether a request that failed so many times is tried again, and after how many nanoseconds.
    pub(super) fn again(
        &mut self,
        seed: u64,
        request: usize,
        client: Option<usize>,
        failed: u32,
    ) -> Option<u64> {
        if failed >= self.clients.tries {
            return None;
        }
        if self.clients.tokens.is_some() {
            let left = self.of(seed, request, client);
            if *left <= 1.0 {
                return None;
            }
            *left -= 1.0;
        }
        let mut random = chance(seed, format_args!("request {request} wait {failed}"));
        let back_off = self.clients.back_off;
        Some(back_off.map_or(0, |back_off| back_off.wait(failed, &mut random)))
    }

    /// The bucket of the client whose request this is.
    fn of(&mut self, seed: u64, request: usize, client: Option<usize>) -> &mut f64 {
        let all = self.tokens.len();
        let client = client.unwrap_or_else(|| client_of(seed, request, all));
        &mut self.tokens[client % all]
    }
}

/// The client of so many whose request this is, where requests come by the trace.
pub(super) fn client_of(seed: u64, request: usize, all: usize) -> usize {
    let mut random = chance(seed, format_args!("request {request} client"));
    random.random_range(0..all.max(1))
}
