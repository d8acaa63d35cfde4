//! The core on its native body, as the filter of one Envoy. It decides what the `.wasm` decides, byte for byte, and no
//! WebAssembly runs.
//!
//! What the host adds by itself for a module (the flags and details of a response, the time of a request) is added here.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use seawall_config::Error;
use seawall_native::{Headers, Process as Native, Request, StreamFacts, Worker};
use seawall_policy::environment::effects::Reply;
use seawall_policy::environment::facts::{ResponseFact, RouteFact, StreamFact};
use seawall_policy::time::Span;

use super::Filter;
use super::filter::FILLER;
use crate::abi::stream::{HeaderMap, LocalReply, REQUEST_HEADERS, RESPONSE_HEADERS};
use crate::abi::{EPOCH, LogLine};
use crate::process::{Flow, Properties, StreamId};

/// What a host says of an answer that came from the upstream.
const VIA_UPSTREAM: &[u8] = b"via_upstream";
/// VMs that start before the main thread's: a trial start and a canary.
const EARLIER_STARTS: u64 = 2;

/// One process with the core in it.
pub struct Core {
    process: Rc<Native>,
    configuration: String,
    /// The main thread's and the workers'.
    workers: RefCell<Vec<Worker>>,
    streams: RefCell<HashMap<u32, Stream>>,
}

struct Stream {
    call: Request,
    worker: usize,
    is_attempt: bool,
}

impl Core {
    /// A process with so many workers under a configuration (JSON). Chance is that of a [`crate::process::Process`] with this seed.
    ///
    /// # Errors
    /// If the configuration is refused.
    pub fn start(configuration: &str, workers: usize, seed: u64, now: u64) -> Result<Self, Error> {
        let process = Native::new(Span::nanos(now));
        process.set_wall(EPOCH);
        let start = |number: u64| {
            let random = seed.wrapping_mul(1_000_003) ^ (EARLIER_STARTS + number);
            Worker::new(&process, configuration, random)
        };
        let workers = (0..=workers as u64).map(start).collect::<Result<_, _>>()?;
        process.take_log();
        Ok(Self {
            process,
            configuration: configuration.to_owned(),
            workers: RefCell::new(workers),
            streams: RefCell::default(),
        })
    }

    fn put(&self, worker: usize, is_attempt: bool, call: Request) -> StreamId {
        let context = call.context();
        let stream = Stream {
            call,
            worker,
            is_attempt,
        };
        self.streams.borrow_mut().insert(context, stream);
        StreamId::of(worker, context)
    }

    /// Runs a callback of a stream on its worker.
    fn with<T>(&self, id: StreamId, run: impl FnOnce(&mut Stream, &mut Worker) -> T) -> Option<T> {
        let mut streams = self.streams.borrow_mut();
        let stream = streams.get_mut(&id.context())?;
        let mut workers = self.workers.borrow_mut();
        let worker = workers.get_mut(stream.worker)?;
        Some(run(stream, worker))
    }
}

impl Stream {
    fn flow(&self, went: bool) -> Flow {
        if went {
            return Flow::Continue;
        }
        self.replied().map_or(Flow::Pause, Flow::Reply)
    }

    /// The reply of the filter, which is from now on what the host says of the answer.
    fn replied(&self) -> Option<LocalReply> {
        let mut known = self.call.known.borrow_mut();
        let reply = known.reply.clone()?;
        let details = reply.details.as_bytes().to_vec();
        known.answer.insert(ResponseFact::Details, details);
        Some(local(&reply))
    }
}

impl Filter for Core {
    fn set_now(&self, nanos: u64) {
        self.process.set_now(nanos);
    }

    fn workers(&self) -> usize {
        self.workers.borrow().len().saturating_sub(1)
    }

    fn open(&self, worker: usize, properties: Rc<Properties>) -> StreamId {
        let mut known = StreamFacts::default();
        let arrived = self.process.wall().to_le_bytes().to_vec();
        known.route.insert(RouteFact::ArrivedAt, arrived);
        let flags = 0_u64.to_le_bytes().to_vec();
        known.answer.insert(ResponseFact::Flags, flags);
        for (path, value) in properties.iter() {
            learn(&mut known, path, value.clone());
        }
        let worker = worker % self.workers() + 1;
        self.put(worker, false, Request::with(&self.process, known))
    }

    fn open_attempt(&self, parent: StreamId, properties: &[(&'static str, Vec<u8>)]) -> StreamId {
        let call = self.with(parent, |stream, _| (stream.worker, stream.call.attempt(0)));
        let Some((worker, call)) = call else {
            return parent;
        };
        for (path, value) in properties {
            learn(&mut call.known.borrow_mut(), path, value.clone());
        }
        self.put(worker, true, call)
    }

    fn request_headers(&self, id: StreamId, headers: Rc<HeaderMap>, end: bool) -> Flow {
        let flow = self.with(id, |stream, worker| {
            stream.call.known.borrow_mut().request = Headers::from(Rc::unwrap_or_clone(headers));
            let went = stream.call.send(worker, end);
            stream.flow(went)
        });
        flow.unwrap_or(Flow::Continue)
    }

    fn response_headers(&self, id: StreamId, headers: Rc<HeaderMap>, end: bool) -> Flow {
        let flow = self.with(id, |stream, worker| {
            let mut known = stream.call.known.borrow_mut();
            let details = known.answer.entry(ResponseFact::Details);
            details.or_insert_with(|| VIA_UPSTREAM.to_vec());
            drop(known);
            let went = stream.call.response_headers(
                worker,
                Headers::from(Rc::unwrap_or_clone(headers)),
                end,
            );
            stream.flow(went)
        });
        flow.unwrap_or(Flow::Continue)
    }

    fn request_body(&self, id: StreamId, _bytes: usize) {
        self.with(id, |stream, worker| stream.call.request_ended(worker));
    }

    fn response_body(&self, id: StreamId, bytes: usize, end: bool) -> bool {
        self.with(id, |stream, worker| {
            stream.call.response_body(worker, &vec![FILLER; bytes], end);
        });
        true
    }

    fn header_map(&self, id: StreamId, number: u32) -> Rc<HeaderMap> {
        let streams = self.streams.borrow();
        let Some(stream) = streams.get(&id.context()) else {
            return Rc::default();
        };
        let known = stream.call.known.borrow();
        match number {
            REQUEST_HEADERS => Rc::new(known.request.lines().to_vec()),
            RESPONSE_HEADERS => Rc::new(known.response.lines().to_vec()),
            _ => Rc::default(),
        }
    }

    fn set_property(&self, id: StreamId, path: &'static str, value: Vec<u8>) {
        self.with(id, |stream, _| {
            learn(&mut stream.call.known.borrow_mut(), path, value);
        });
    }

    fn woken(&self, id: StreamId) -> Option<Flow> {
        let woken = self.with(id, |stream, _| {
            let mut known = stream.call.known.borrow_mut();
            if std::mem::take(&mut known.resumed) {
                return Some(Flow::Continue);
            }
            drop(known);
            stream.replied().map(Flow::Reply)
        });
        woken.flatten()
    }

    fn close(&self, id: StreamId) {
        let Some(mut stream) = self.streams.borrow_mut().remove(&id.context()) else {
            return;
        };
        if let Some(worker) = self.workers.borrow_mut().get_mut(stream.worker) {
            match stream.is_attempt {
                true => stream.call.done(worker),
                false => stream.call.end(worker),
            }
        }
    }

    fn tick(&self) {
        self.workers.borrow_mut().iter_mut().for_each(Worker::tick);
    }

    fn configuration(&self) -> Vec<u8> {
        self.configuration.clone().into_bytes()
    }

    fn gauges(&self, begin: &str) -> BTreeMap<String, u64> {
        let mut all = self.process.metrics();
        all.retain(|name, _| name.starts_with(begin));
        all
    }

    fn take_log(&self) -> Vec<LogLine> {
        let lines = self.process.take_log().into_iter();
        lines
            .map(|text| LogLine {
                at: self.process.now(),
                vm: 0,
                level: 0,
                text,
            })
            .collect()
    }

    /// No VM is here that could die: [`Kind::is_of_envoys`](crate::fault::Kind::is_of_envoys) is for the real module alone, as what follows is.
    fn kill(&self, _worker: usize) {}

    fn corrupt_shared(&self) {}

    fn set_wall_ahead(&self, _nanos: u64) {}
}

/// What the host has as a property, as a fact of the core.
fn learn(known: &mut StreamFacts, path: &str, value: Vec<u8>) {
    let mut stream = |fact| drop(known.stream.insert(fact, value.clone()));
    match path {
        "source\0address" => return stream(StreamFact::PeerAddress),
        "connection\0id" => return stream(StreamFact::ConnectionId),
        "upstream\0request_attempt_count" => return stream(StreamFact::AttemptCount),
        "xds\0listener_direction" => return stream(StreamFact::Direction),
        _ => {}
    }
    let fact = match path {
        "response\0flags" => ResponseFact::Flags,
        "response\0code_details" => ResponseFact::Details,
        "upstream\0address" => ResponseFact::UpstreamAddress,
        "upstream\0cx_pool_ready_duration" => ResponseFact::PoolReady,
        "xds\0cluster_name" => return drop(known.route.insert(RouteFact::Cluster, value)),
        "xds\0route_name" => return drop(known.route.insert(RouteFact::Route, value)),
        // The core asks for no other that a simulation has.
        _ => return,
    };
    known.answer.insert(fact, value);
}

/// A reply of the core as the host has it.
fn local(reply: &Reply) -> LocalReply {
    let headers = reply.headers.iter();
    LocalReply {
        status: u32::from(reply.status),
        details: reply.details.to_string(),
        body: reply.body.clone(),
        headers: headers
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect(),
        grpc_status: reply.grpc_status.map_or(-1, i32::from),
    }
}
