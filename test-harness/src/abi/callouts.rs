//! A guest's own calls on their way. They belong to its root, not to the stream that made them: an answer comes even when that
//! stream is gone, and only the root's end cancels them. The guest is never told from inside of a host call.

use std::collections::BTreeMap;

use super::status::{BAD_ARGUMENT, BROKEN_CONNECTION, NOT_FOUND};
use super::stream::HeaderMap;
use super::upstreams::{
    GrpcCall, GrpcEvent, GrpcOutcome, HttpCall, HttpOutcome, HttpResponse, TIMED_OUT,
};

/// The two lowest bits of a call's number are its kind.
const KIND_MASK: u32 = 3;
const HTTP: u32 = 0;
const UNARY: u32 = 1;
const STREAM: u32 = 2;

/// A call on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOut {
    /// Over HTTP.
    Http(HttpCall),
    /// Over gRPC: one message, one answer.
    Grpc(GrpcCall),
    /// A gRPC stream, with the messages that the guest sent on it and whether each was the last.
    Stream(GrpcCall, Vec<(Vec<u8>, bool)>),
}

#[derive(Clone, Debug)]
struct Open {
    root: u32,
    call: CallOut,
    closed_here: bool,
    closed_there: bool,
}

/// What comes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Http(Option<HttpResponse>),
    Grpc(GrpcEvent),
}

#[derive(Clone, Debug)]
struct Due {
    at: u64,
    order: u64,
    id: u32,
    arrival: Arrival,
}

/// All calls of one VM that are on their way.
#[derive(Clone, Debug, Default)]
pub struct CallOuts {
    given: [u32; 3],
    order: u64,
    open: BTreeMap<u32, Open>,
    due: Vec<Due>,
}

/// What a guest can read while it is told of an answer, and of which root it is.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The root that is told.
    pub root: u32,
    /// Header maps by their number in the interface.
    pub maps: BTreeMap<u32, HeaderMap>,
    /// Buffers by their number in the interface.
    pub buffers: BTreeMap<u32, Vec<u8>>,
}

impl CallOuts {
    /// The next number of a kind: one is used up even if nothing comes of the call.
    fn id(&mut self, kind: u32) -> u32 {
        let given = &mut self.given[kind as usize];
        *given += 1;
        *given * (KIND_MASK + 1) + kind
    }

    pub(super) fn http_id(&mut self) -> u32 {
        self.id(HTTP)
    }

    pub(super) fn grpc_id(&mut self) -> u32 {
        self.id(UNARY)
    }

    pub(super) fn stream_id(&mut self) -> u32 {
        self.id(STREAM)
    }

    /// A call goes out.
    pub(super) fn begin(&mut self, id: u32, root: u32, call: CallOut, now: u64) {
        let end = match &call {
            CallOut::Http(call) => call.timeout.map(|t| (t, expired())),
            CallOut::Grpc(call) => call.timeout.map(|t| {
                let status = GrpcEvent::Close(14, format!("{TIMED_OUT}{{response_timeout}}"));
                (t, Arrival::Grpc(status))
            }),
            CallOut::Stream(..) => None,
        };
        let open = Open {
            root,
            call,
            closed_here: false,
            closed_there: false,
        };
        self.open.insert(id, open);
        if let Some((timeout, arrival)) = end {
            self.schedule(id, now.saturating_add(timeout), arrival);
        }
    }

    /// What comes of an HTTP call, and when. One whose time-out is earlier keeps that.
    pub(crate) fn http(&mut self, id: u32, at: u64, outcome: HttpOutcome) -> bool {
        let is_http =
            matches!(self.open.get(&id), Some(open) if matches!(open.call, CallOut::Http(_)));
        if is_http && outcome != HttpOutcome::Never {
            self.instead(id, at, Arrival::Http(outcome.seen()));
        }
        is_http
    }

    /// What comes of a gRPC call, and when.
    pub(crate) fn grpc(&mut self, id: u32, at: u64, outcome: GrpcOutcome) -> bool {
        let is_call =
            matches!(self.open.get(&id), Some(open) if matches!(open.call, CallOut::Grpc(_)));
        let event = match outcome {
            GrpcOutcome::Message(message) => GrpcEvent::Message(message),
            GrpcOutcome::Status(status, message) => GrpcEvent::Close(status, message),
            GrpcOutcome::Never => return is_call,
        };
        if is_call {
            self.instead(id, at, Arrival::Grpc(event));
        }
        is_call
    }

    /// What comes on a gRPC stream, and when.
    pub(crate) fn event(&mut self, id: u32, at: u64, event: GrpcEvent) -> bool {
        let open = self.open.get(&id);
        let takes =
            open.is_some_and(|open| matches!(open.call, CallOut::Stream(..)) && !open.closed_there);
        if takes {
            self.schedule(id, at, Arrival::Grpc(event));
        }
        takes
    }

    fn instead(&mut self, id: u32, at: u64, arrival: Arrival) {
        if self.due.iter().any(|due| due.id == id && due.at <= at) {
            return;
        }
        self.due.retain(|due| due.id != id);
        self.schedule(id, at, arrival);
    }

    fn schedule(&mut self, id: u32, at: u64, arrival: Arrival) {
        self.order += 1;
        self.due.push(Due {
            at,
            order: self.order,
            id,
            arrival,
        });
    }

    /// When the next answer comes.
    pub(crate) fn next(&self) -> Option<u64> {
        self.due.iter().map(|due| due.at).min()
    }

    /// The next answer that is there by now: its call's number and root, and what it is.
    pub(crate) fn take(&mut self, now: u64) -> Option<(u32, u32, Arrival)> {
        let ready = self.due.iter().enumerate().filter(|(_, due)| due.at <= now);
        let (index, _) = ready.min_by_key(|(_, due)| (due.at, due.order))?;
        let Due { id, arrival, .. } = self.due.remove(index);
        let open = self.open.get_mut(&id)?;
        let root = open.root;
        let closes = matches!(arrival, Arrival::Grpc(GrpcEvent::Close(..)));
        match &open.call {
            CallOut::Stream(..) if closes && !open.closed_here => open.closed_there = true,
            CallOut::Stream(..) if !closes => {}
            _ => self.forget(id),
        }
        Some((id, root, arrival))
    }

    /// All calls on their way, by number.
    pub fn open(&self) -> impl Iterator<Item = (u32, &CallOut)> {
        self.open.iter().map(|(id, open)| (*id, &open.call))
    }

    fn forget(&mut self, id: u32) {
        self.open.remove(&id);
        self.due.retain(|due| due.id != id);
    }

    /// A root is gone, and its calls with it.
    pub(super) fn drop_root(&mut self, root: u32) {
        let gone = self.open.iter().filter(|(_, open)| open.root == root);
        let gone: Vec<u32> = gone.map(|(id, _)| *id).collect();
        for id in gone {
            self.forget(id);
        }
    }

    /// The guest sends on a stream: the call, if anybody still listens.
    pub(super) fn send(
        &mut self,
        id: u32,
        message: &[u8],
        end: bool,
    ) -> Result<Option<GrpcCall>, u32> {
        if id & KIND_MASK != STREAM {
            return Err(BAD_ARGUMENT);
        }
        let open = self.open.get_mut(&id).ok_or(NOT_FOUND)?;
        let CallOut::Stream(call, sent) = &mut open.call else {
            return Err(NOT_FOUND);
        };
        if open.closed_there || open.closed_here {
            return Ok(None);
        }
        sent.push((message.to_vec(), end));
        Ok(Some(call.clone()))
    }

    /// The guest cancels a call or resets a stream.
    pub(super) fn cancel(&mut self, id: u32) -> Result<(), u32> {
        if !matches!(id & KIND_MASK, UNARY | STREAM) {
            return Err(BAD_ARGUMENT);
        }
        self.open.get(&id).ok_or(NOT_FOUND)?;
        self.forget(id);
        Ok(())
    }

    /// The guest closes its side of a stream, or cancels a call.
    pub(super) fn close(&mut self, id: u32) -> Result<(), u32> {
        if id & KIND_MASK != STREAM {
            return self.cancel(id);
        }
        let open = self.open.get_mut(&id).ok_or(NOT_FOUND)?;
        open.closed_here = true;
        if open.closed_there {
            self.forget(id);
        }
        Ok(())
    }
}

fn expired() -> Arrival {
    Arrival::Http(HttpOutcome::Never.seen())
}

/// The code and text of `proxy_get_status` for an answer that broke off.
pub(crate) fn broken() -> (u32, Vec<u8>) {
    (BROKEN_CONNECTION, b"reset".to_vec())
}
