//! A connection as a network filter sees it. Data that waits is shown whole with the next; a connection that is closed on
//! the client's side is done, logged and deleted, in this order.

use std::rc::Rc;

use super::{Flow, Process, Properties, StreamId};
use crate::abi::stream::{DOWNSTREAM_DATA, Stream, UPSTREAM_DATA};

/// Who closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It is not known.
    Unknown = 0,
    /// The proxy.
    Local = 1,
    /// The other side.
    Remote = 2,
}

impl Process {
    /// Opens a connection on a worker (counted from 0).
    pub fn connect(&self, worker: usize, properties: Properties) -> (StreamId, Flow) {
        let stream = Stream {
            properties: Rc::new(properties).into(),
            connection: true,
            ..Stream::default()
        };
        let id = self.put(worker % self.workers() + 1, stream);
        let action = self.callback(id, "proxy_on_new_connection", id.context);
        (id, self.network(id, action))
    }

    /// Data from the client. What goes on is handed out by [`Self::take_body`], buffer 2.
    pub fn downstream_data(&self, id: StreamId, bytes: &[u8], end: bool) -> Flow {
        self.data(id, DOWNSTREAM_DATA, bytes, end, "proxy_on_downstream_data")
    }

    /// Data for the client. What goes on is handed out by [`Self::take_body`], buffer 3. Its end closes the upstream's side.
    pub fn upstream_data(&self, id: StreamId, bytes: &[u8], end: bool) -> Flow {
        let flow = self.data(id, UPSTREAM_DATA, bytes, end, "proxy_on_upstream_data");
        if end {
            self.close_upstream(id, Closed::Unknown);
        }
        flow
    }

    /// The upstream's side is closed.
    pub fn close_upstream(&self, id: StreamId, by: Closed) {
        let name = "proxy_on_upstream_connection_close";
        self.closed(id, name, by);
    }

    /// The client's side is closed, and with it the connection.
    pub fn close_downstream(&self, id: StreamId, by: Closed) {
        self.closed(id, "proxy_on_downstream_connection_close", by);
        self.callback(id, "proxy_on_done", id.context);
        self.with(id, |stream| stream.logs = true);
        self.void(id, "proxy_on_log");
        self.with(id, |stream| stream.logs = false);
        self.delete(id);
    }

    fn closed(&self, id: StreamId, name: &str, by: Closed) {
        if let Ok(mut vm) = self.inner.vms[id.worker].try_borrow_mut()
            && vm.start == id.vm
            && vm.store.data().streams.contains_key(&id.context)
        {
            let parameters = (id.context, by as u32);
            self.inner
                .call::<_, ()>(&mut vm, id.context, name, parameters);
        }
    }

    fn data(&self, id: StreamId, number: u32, bytes: &[u8], end: bool, name: &str) -> Flow {
        let size = self.with(id, |stream| {
            let waiting = stream.bodies.entry(number).or_default();
            waiting.extend_from_slice(bytes);
            waiting.len() as u32
        });
        let parameters = (id.context, size.unwrap_or(0), u32::from(end));
        let action = self.callback(id, name, parameters);
        let flow = self.network(id, action);
        if flow == Flow::Continue {
            self.with(id, |stream| {
                let went = stream.bodies.remove(&number).unwrap_or_default();
                stream.passed.entry(number).or_default().extend(went);
            });
        }
        flow
    }

    /// A connection whose VM died waits for ever, if the policy is not to let it pass: Envoy closes it.
    fn network(&self, id: StreamId, action: Option<u32>) -> Flow {
        let alive = self.is_alive(id.worker - 1);
        match action {
            _ if !alive && self.inner.failed() == Flow::Continue => Flow::Continue,
            None if alive => Flow::Continue,
            Some(0) if alive => Flow::Continue,
            _ => Flow::Pause,
        }
    }
}
