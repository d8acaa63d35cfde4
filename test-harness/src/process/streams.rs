//! What happens to one stream, callback by callback, in Envoy's order.
//!
//! A header map can be read and changed until it goes on, and read once more when the stream is logged. An answer that the
//! filter gives before the upstream's has begun runs through the answer's side of the same filter; one that takes the
//! place of an upstream's answer goes straight to the client; after the headers went out the stream is cut off.

use std::fmt::Debug;
use std::rc::Rc;

use wasmtime::WasmParams;

use super::{Flow, Process, StreamId};
use crate::abi::known::Version;
use crate::abi::reply;
use crate::abi::stream::{
    Action, HeaderMap, Held, LocalReply, REQUEST_BODY, REQUEST_HEADERS, REQUEST_TRAILERS,
    RESPONSE_BODY, RESPONSE_HEADERS, RESPONSE_TRAILERS, Stream, value,
};

/// What a filter that replies while it logs is told.
const REPLY_IN_LOG: &str =
    "a reply in proxy_on_log: Envoy 1.40 logs that reply too, with the same filter, until it dies";

/// What a callback gives to wait.
const PAUSE: u32 = 1;

/// How far the answer is when the filter gives its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    NotBegun,
    Waiting,
    Out,
}

impl Process {
    /// The headers of the request.
    pub fn request_headers(&self, id: StreamId, headers: HeaderMap, end: bool) -> Flow {
        self.shared_request_headers(id, Rc::new(headers), end)
    }

    /// As [`Self::request_headers`], with headers that somebody keeps.
    pub(crate) fn shared_request_headers(
        &self,
        id: StreamId,
        headers: Rc<HeaderMap>,
        end: bool,
    ) -> Flow {
        let count = headers.len() as u32;
        let map = REQUEST_HEADERS;
        self.with(id, |stream| {
            stream.is_grpc = reply::is_grpc(&headers);
            stream.is_head = value(&headers, ":method").as_deref() == Some("HEAD");
        });
        self.show(id, map, headers);
        let action = self.headers(id, "proxy_on_request_headers", count, end);
        self.went(id, action, map, Answer::NotBegun)
    }

    /// A part of the request's body. What goes on is handed out by [`Self::take_body`]; after a pause the filter sees all
    /// that waits.
    pub fn request_body(&self, id: StreamId, bytes: &[u8], end: bool) -> Flow {
        let name = "proxy_on_request_body";
        self.body(id, REQUEST_BODY, bytes, end, name, Answer::NotBegun)
    }

    /// The trailers of the request.
    pub fn request_trailers(&self, id: StreamId, trailers: HeaderMap) -> Flow {
        let name = "proxy_on_request_trailers";
        self.trailers(id, REQUEST_TRAILERS, trailers, name, Answer::NotBegun)
    }

    /// The headers of the answer. The request's headers and `request.*` are gone if they went on.
    pub fn response_headers(&self, id: StreamId, headers: HeaderMap, end: bool) -> Flow {
        self.shared_response_headers(id, Rc::new(headers), end)
    }

    /// As [`Self::response_headers`], with headers that somebody keeps.
    pub(crate) fn shared_response_headers(
        &self,
        id: StreamId,
        headers: Rc<HeaderMap>,
        end: bool,
    ) -> Flow {
        let count = headers.len() as u32;
        let map = RESPONSE_HEADERS;
        self.show(id, map, headers);
        let action = self.headers(id, "proxy_on_response_headers", count, end);
        self.went(id, action, map, Answer::Waiting)
    }

    /// A part of the answer's body. A reply of the filter cuts the stream off here.
    pub fn response_body(&self, id: StreamId, bytes: &[u8], end: bool) -> Flow {
        let name = "proxy_on_response_body";
        self.body(id, RESPONSE_BODY, bytes, end, name, Answer::Out)
    }

    /// The trailers of the answer. A reply of the filter cuts the stream off here.
    pub fn response_trailers(&self, id: StreamId, trailers: HeaderMap) -> Flow {
        let name = "proxy_on_response_trailers";
        self.trailers(id, RESPONSE_TRAILERS, trailers, name, Answer::Out)
    }

    /// The end of a stream: log (not for an attempt), done, delete. Envoy does not ask whether a stream is done.
    pub fn close(&self, id: StreamId) {
        let attempt = self.with(id, |stream| {
            stream.open.clear();
            stream.may_add = None;
            stream.logs = !stream.attempt;
            stream.attempt
        });
        if attempt == Some(false) {
            self.void(id, "proxy_on_log");
            let replied = self.with(id, |stream| {
                stream.logs = false;
                stream.reply.take().is_some()
            });
            if replied == Some(true) {
                self.inner.common.warn(id.worker, REPLY_IN_LOG);
            }
        }
        self.callback(id, "proxy_on_done", id.context);
        self.delete(id);
    }

    /// The end of a request's stream as it is with HTTP/3: done, delete, and the log only once its context is gone. Envoy
    /// waits with the log until the client has acknowledged the answer, and not with the filter's end.
    pub fn close_before_log(&self, id: StreamId) {
        self.with(id, |stream| {
            stream.open.clear();
            stream.may_add = None;
        });
        self.callback(id, "proxy_on_done", id.context);
        self.void(id, "proxy_on_delete");
        self.void(id, "proxy_on_log");
        self.forget(id);
    }

    /// A stream goes.
    pub(super) fn delete(&self, id: StreamId) {
        self.void(id, "proxy_on_delete");
        self.forget(id);
    }

    fn forget(&self, id: StreamId) {
        if self.with(id, |_| ()).is_some()
            && let Ok(mut vm) = self.inner.vms[id.worker].try_borrow_mut()
        {
            vm.store.data_mut().streams.remove(&id.context);
        }
    }

    /// A body (by its number in the interface) that waited goes on as it is.
    pub fn release_body(&self, id: StreamId, number: u32) {
        self.with(id, |stream| {
            let went = stream.bodies.remove(&number).unwrap_or_default();
            stream.passed.entry(number).or_default().extend(went);
        });
    }

    fn body(
        &self,
        id: StreamId,
        number: u32,
        bytes: &[u8],
        end: bool,
        name: &str,
        answer: Answer,
    ) -> Flow {
        let size = self.with(id, |stream| {
            let trailers = if number == REQUEST_BODY {
                REQUEST_TRAILERS
            } else {
                RESPONSE_TRAILERS
            };
            stream.may_add = Some(trailers).filter(|_| end);
            stream.bytes[number as usize] += bytes.len() as u64;
            let body = stream.bodies.entry(number).or_default();
            body.extend_from_slice(bytes);
            body.len() as u32
        });
        let parameters = (id.context, size.unwrap_or(0), u32::from(end));
        let action = self.callback(id, name, parameters);
        let flow = self.outcome(id, action, answer);
        self.with(id, |stream| stream.may_add = None);
        if flow == Flow::Continue {
            self.release_body(id, number);
        }
        flow
    }

    fn trailers(
        &self,
        id: StreamId,
        number: u32,
        trailers: HeaderMap,
        name: &str,
        answer: Answer,
    ) -> Flow {
        let count = trailers.len() as u32;
        self.show(id, number, Rc::new(trailers));
        let action = self.callback(id, name, (id.context, count));
        self.went(id, action, number, answer)
    }

    /// Lays a map before the guest.
    fn show(&self, id: StreamId, number: u32, map: Rc<HeaderMap>) {
        self.with(id, |stream| {
            stream.maps.insert(number, map);
            stream.open.insert(number);
        });
    }

    /// As [`Self::outcome`], for a map, which is out of the guest's reach once it goes on.
    fn went(&self, id: StreamId, action: Option<u32>, map: u32, answer: Answer) -> Flow {
        let flow = self.outcome(id, action, answer);
        if flow == Flow::Continue {
            self.with(id, |stream| stream.open.remove(map));
        }
        flow
    }

    /// What a callback leads to.
    fn outcome(&self, id: StreamId, action: Option<u32>, answer: Answer) -> Flow {
        if !self.is_alive(id.worker - 1) {
            let failed = self.inner.failed();
            if answer == Answer::Out && failed != Flow::Continue {
                self.with(id, |stream| stream.actions.push(Action::ResetResponse));
                return Flow::Pause;
            }
            return failed;
        }
        let reply = self.with(id, |stream| stream.reply.take()).flatten();
        let Some(reply) = reply else {
            return match action {
                // Envoy lets the second kind of pause on headers go on: it is not made for filters outside of it.
                None | Some(0) => Flow::Continue,
                Some(2) if answer != Answer::Out => Flow::Continue,
                Some(_) => Flow::Pause,
            };
        };
        match answer {
            Answer::NotBegun => self.own_answer(id, &reply),
            Answer::Waiting => self.replaced(id, &reply),
            Answer::Out => {
                self.replaced(id, &reply);
                self.with(id, |stream| stream.actions.push(Action::ResetResponse));
                return Flow::Pause;
            }
        }
        Flow::Reply(reply)
    }

    /// An own reply in an answer's place: what was known of that one is not known any more.
    pub(super) fn replaced(&self, id: StreamId, reply: &LocalReply) {
        self.with(id, |stream| {
            stream.details = Some(reply.details.clone());
            for part in ["response\0code", "response\0code_details"] {
                stream.properties.remove(part);
            }
        });
    }

    /// An own reply before the answer began. That of an attempt ends the whole request: it is the request's stream that
    /// sees it, not the attempt's.
    pub(super) fn own_answer(&self, id: StreamId, reply: &LocalReply) {
        let attempt = self.with(id, |stream| {
            stream.details = Some(reply.details.clone());
            stream.attempt
        });
        if attempt == Some(false) {
            self.answer_side(id, reply);
        }
    }

    /// A local reply's headers and body as Envoy completes them for this stream.
    pub fn completed(&self, id: StreamId, reply: &LocalReply) -> (HeaderMap, Vec<u8>) {
        let kind = self.with(id, |stream| (stream.is_grpc, stream.is_head));
        let (is_grpc, is_head) = kind.unwrap_or_default();
        let (headers, body) = reply.completed(is_grpc);
        (headers, if is_head { Vec::new() } else { body })
    }

    /// What of its own reply the guest holds back, if anything.
    pub fn take_held(&self, id: StreamId) -> Option<Held> {
        self.with(id, |stream| stream.held.take()).flatten()
    }

    /// Runs an own reply through the answer's side of the same filter. What it replies there takes the reply's place, and
    /// goes past the filter.
    fn answer_side(&self, id: StreamId, reply: &LocalReply) {
        let (headers, body) = self.completed(id, reply);
        let count = headers.len() as u32;
        let close = |stream: &mut Stream| stream.open.retain(|map| map <= REQUEST_TRAILERS);
        self.show(id, RESPONSE_HEADERS, Rc::new(headers));
        let action = self.headers(id, "proxy_on_response_headers", count, body.is_empty());
        let second = self.with(id, |stream| stream.reply.take()).flatten();
        if action == Some(PAUSE) && second.is_none() {
            self.with(id, |stream| stream.held = Some(Held::Headers));
            return;
        }
        self.with(id, close);
        if let Some(second) = second {
            let (headers, body) = self.completed(id, &second);
            self.with(id, |stream| {
                stream.details = Some(second.details);
                stream.maps.insert(RESPONSE_HEADERS, Rc::new(headers));
                stream.passed.insert(RESPONSE_BODY, body);
            });
        } else if !body.is_empty() {
            let parameters = (id.context, body.len() as u32, 1);
            self.with(id, |stream| stream.bodies.insert(RESPONSE_BODY, body));
            match self.callback(id, "proxy_on_response_body", parameters) {
                Some(PAUSE) => {
                    self.with(id, |stream| stream.held = Some(Held::Body));
                }
                _ => self.release_body(id, RESPONSE_BODY),
            }
        }
        // Its headers are out, so a reply to its body leads nowhere.
        self.with(id, |stream| stream.reply = None);
    }

    /// The callback for headers, which before 0.2.0 was not told whether they are all.
    fn headers(&self, id: StreamId, name: &str, count: u32, end: bool) -> Option<u32> {
        match self.inner.module.version() {
            Version::V010 => self.callback(id, name, (id.context, count)),
            _ => self.callback(id, name, (id.context, count, u32::from(end))),
        }
    }

    pub(super) fn callback<P: WasmParams + Debug + 'static>(
        &self,
        id: StreamId,
        name: &str,
        parameters: P,
    ) -> Option<u32> {
        let mut vm = self.inner.vms[id.worker].try_borrow_mut().ok()?;
        if vm.start != id.vm || !vm.store.data().streams.contains_key(&id.context) {
            return None;
        }
        self.inner.call(&mut vm, id.context, name, parameters)
    }

    pub(super) fn void(&self, id: StreamId, name: &str) {
        if let Ok(mut vm) = self.inner.vms[id.worker].try_borrow_mut()
            && vm.start == id.vm
            && vm.store.data().streams.contains_key(&id.context)
        {
            self.inner
                .call::<_, ()>(&mut vm, id.context, name, id.context);
        }
    }

    pub(super) fn with<T>(&self, id: StreamId, run: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let mut vm = self.inner.vms[id.worker].try_borrow_mut().ok()?;
        if vm.start != id.vm {
            return None;
        }
        let stream = vm.store.data_mut().streams.get_mut(&id.context);
        stream.map(|stream| run(stream))
    }
}
