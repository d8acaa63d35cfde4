//! What both positions of the filter know of a request's attempts, in the memory of their thread.
//!
//! Envoy's filter state cannot be read or written any more when a stream is destroyed, and behind the router nothing else tells of the end. So
//! filter state holds a number alone, which an attempt reads as it begins, and what the number stands for is kept here.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::abi::{self, Filter};

/// The filter state that holds the number.
const KEY: &str = "seawall.attempts";

/// What is known on this thread. It holds as much as there are requests whose attempts are followed.
#[derive(Debug, Default)]
struct Known {
    next: u64,
    requests: HashMap<u64, Request>,
    /// The request that a stream is, or is an attempt of.
    of: HashMap<Filter, u64>,
}

#[derive(Debug)]
struct Request {
    stream: Filter,
    attempts: Vec<u8>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

fn known<T>(run: impl FnOnce(&mut Known) -> Option<T>) -> Option<T> {
    KNOWN.with(|known| run(&mut *known.try_borrow_mut().ok()?))
}

impl Known {
    fn number(&mut self, stream: Filter) -> Option<u64> {
        if let Some(number) = self.of.get(&stream) {
            return Some(*number);
        }
        let written = abi::filter_state(stream, KEY)?;
        let number = u64::from_le_bytes(written.try_into().ok()?);
        self.of.insert(stream, number);
        Some(number)
    }
}

/// What is known of the attempts of the request that this stream is, or is an attempt of.
pub(crate) fn read(stream: Filter) -> Option<Vec<u8>> {
    known(|known| {
        let number = known.number(stream)?;
        let request = known.requests.get(&number)?;
        Some(request.attempts.clone())
    })
}

/// Keeps what is known from now on. The first to keep something is the request itself.
pub(crate) fn keep(stream: Filter, attempts: &[u8]) -> bool {
    known(|known| {
        if let Some(number) = known.number(stream) {
            known.requests.get_mut(&number)?.attempts = attempts.to_vec();
            return Some(true);
        }
        let number = known.next;
        let written = abi::set_filter_state(stream, KEY, &number.to_le_bytes());
        if written {
            known.next = known.next.wrapping_add(1);
            let attempts = attempts.to_vec();
            known.requests.insert(number, Request { stream, attempts });
            known.of.insert(stream, number);
        }
        Some(written)
    })
    .unwrap_or(false)
}

/// The stream of the request that this stream is an attempt of, while it lives.
pub(crate) fn request_of(stream: Filter) -> Option<Filter> {
    known(|known| {
        let number = known.of.get(&stream)?;
        let request = known.requests.get(number)?;
        (request.stream != stream).then_some(request.stream)
    })
}

/// A stream is gone.
pub(crate) fn forget(stream: Filter) {
    known(|known| {
        let number = known.of.remove(&stream)?;
        if known.requests.get(&number)?.stream == stream {
            known.requests.remove(&number);
        }
        Some(())
    });
}
