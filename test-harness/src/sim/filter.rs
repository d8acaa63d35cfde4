//! The filter of one Envoy, as a simulation drives it: callback by callback.
//!
//! [`Process`] runs the real `.wasm`. [`super::Core`] runs the core natively, for searches that play a trace many times.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::abi::LogLine;
use crate::abi::stream::{Action, HeaderMap, REQUEST_BODY, RESPONSE_BODY};
use crate::process::{Flow, Process, Properties, StreamId};

/// What bodies are made of.
pub(super) const FILLER: u8 = b'.';

/// The filter of one Envoy.
pub trait Filter {
    /// Sets the clock, in nanoseconds.
    fn set_now(&self, nanos: u64);

    /// How many workers there are.
    fn workers(&self) -> usize;

    /// Opens a request's stream on a worker, counted from 0.
    fn open(&self, worker: usize, properties: Rc<Properties>) -> StreamId;

    /// Opens an attempt's stream for a request.
    fn open_attempt(&self, parent: StreamId, properties: &[(&'static str, Vec<u8>)]) -> StreamId;

    /// The headers of the request.
    fn request_headers(&self, id: StreamId, headers: Rc<HeaderMap>, end: bool) -> Flow;

    /// The headers of the answer.
    fn response_headers(&self, id: StreamId, headers: Rc<HeaderMap>, end: bool) -> Flow;

    /// All of a request's body, which ends it.
    fn request_body(&self, id: StreamId, bytes: usize);

    /// Some bytes of an answer's body. Whether the stream goes on.
    fn response_body(&self, id: StreamId, bytes: usize, end: bool) -> bool;

    /// A header map as it is now.
    fn header_map(&self, id: StreamId, number: u32) -> Rc<HeaderMap>;

    /// Sets a property that the filter can read, its path's parts separated by NUL.
    fn set_property(&self, id: StreamId, path: &'static str, value: Vec<u8>);

    /// What a callback elsewhere made of a stream that waits at its request headers; `None` if it still waits.
    fn woken(&self, id: StreamId) -> Option<Flow>;

    /// The end of a stream.
    fn close(&self, id: StreamId);

    /// A tick of the main thread and of each worker.
    fn tick(&self);

    /// Its configuration.
    fn configuration(&self) -> Vec<u8>;

    /// Metrics whose names begin so, with their values.
    fn gauges(&self, begin: &str) -> BTreeMap<String, u64>;

    /// What was logged since the last time.
    fn take_log(&self) -> Vec<LogLine>;

    /// The VM of a worker, counted from 0, dies.
    fn kill(&self, worker: usize);

    /// Nonsense takes the place of all that the VMs share.
    fn corrupt_shared(&self);

    /// Sets how far the wall clock is ahead of the time it should tell, in nanoseconds.
    fn set_wall_ahead(&self, nanos: u64);
}

impl Filter for Process {
    fn set_now(&self, nanos: u64) {
        Self::set_now(self, nanos);
    }

    fn workers(&self) -> usize {
        Self::workers(self)
    }

    fn open(&self, worker: usize, properties: Rc<Properties>) -> StreamId {
        self.open_with(worker, properties)
    }

    fn open_attempt(&self, parent: StreamId, properties: &[(&'static str, Vec<u8>)]) -> StreamId {
        let own = properties.iter();
        let own = own.map(|(path, value)| (Cow::Borrowed(*path), value.clone()));
        self.open_attempt_with(parent, own)
    }

    fn request_headers(&self, id: StreamId, headers: Rc<HeaderMap>, end: bool) -> Flow {
        self.shared_request_headers(id, headers, end)
    }

    fn response_headers(&self, id: StreamId, headers: Rc<HeaderMap>, end: bool) -> Flow {
        self.shared_response_headers(id, headers, end)
    }

    fn request_body(&self, id: StreamId, bytes: usize) {
        Self::request_body(self, id, &vec![FILLER; bytes], false);
        Self::request_body(self, id, &[], true);
        self.take_body(id, REQUEST_BODY);
    }

    fn response_body(&self, id: StreamId, bytes: usize, end: bool) -> bool {
        Self::response_body(self, id, &vec![FILLER; bytes], end);
        self.take_body(id, RESPONSE_BODY);
        let actions = self.take_actions(id);
        !actions
            .iter()
            .any(|action| matches!(action, Action::ResetRequest | Action::ResetResponse))
    }

    fn header_map(&self, id: StreamId, number: u32) -> Rc<HeaderMap> {
        self.shared_map(id, number)
    }

    fn set_property(&self, id: StreamId, path: &'static str, value: Vec<u8>) {
        self.set_known(id, Cow::Borrowed(path), value);
    }

    fn woken(&self, id: StreamId) -> Option<Flow> {
        Self::woken(self, id)
    }

    fn close(&self, id: StreamId) {
        Self::close(self, id);
    }

    fn tick(&self) {
        Self::tick(self);
    }

    fn configuration(&self) -> Vec<u8> {
        Self::configuration(self)
    }

    fn gauges(&self, begin: &str) -> BTreeMap<String, u64> {
        let metrics = self.common().metrics.borrow();
        let named = metrics.values().range(begin.to_owned()..);
        let named = named.take_while(|(name, _)| name.starts_with(begin));
        named.map(|(name, value)| (name.clone(), *value)).collect()
    }

    fn take_log(&self) -> Vec<LogLine> {
        Self::take_log(self)
    }

    fn kill(&self, worker: usize) {
        Self::kill(self, worker);
    }

    fn corrupt_shared(&self) {
        Self::corrupt_shared(self);
    }

    fn set_wall_ahead(&self, nanos: u64) {
        Self::set_wall_ahead(self, nanos);
    }
}
