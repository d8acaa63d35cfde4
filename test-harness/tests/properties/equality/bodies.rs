//! Both bodies side by side, and one step in both.

use std::collections::BTreeMap;
use std::rc::Rc;

use seawall_harness::abi::stream::LocalReply;
use seawall_harness::process::{Flow, Process, ProcessOptions, Properties, StreamId, Surroundings};
use seawall_native::{Headers, Request, Worker};
use seawall_policy::environment::facts::ResponseFact;
use seawall_policy::time::Span;
use serde_json::Value;

use super::cases::{NEWEST, Step, configuration};
use super::comparison::{differs, same_flow, same_headers};
use super::facts::{known, set_known};
use crate::shipped;

const START: u64 = 50_000_000_000;
/// The harness's wall clock at its monotonic clock's zero, in nanoseconds since 1970.
const EPOCH: u64 = 1_767_225_600_000_000_000;
const REQUEST_HEADERS: u32 = 0;
const RESPONSE_HEADERS: u32 = 2;
const LOG_FIELDS: [&str; 5] = [
    "seawall.policy",
    "seawall.decision",
    "seawall.reason",
    "seawall.degraded",
    "seawall.age",
];

/// A stream in both bodies.
struct StreamPair {
    id: StreamId,
    native: Request,
    worker: usize,
    attempts: u64,
    waits: bool,
    answered: bool,
    over: bool,
}

/// Both bodies.
pub(super) struct Bodies {
    wasm: Process,
    pub(super) process: Rc<seawall_native::Process>,
    workers: Vec<Worker>,
    open: Vec<StreamPair>,
    opened: u64,
}

impl Bodies {
    pub(super) fn start(policy: &Value, workers: usize, seed: u64) -> Self {
        let configuration = configuration(policy);
        let options = ProcessOptions {
            workers,
            configuration: configuration.clone().into_bytes(),
            seed,
            ..ProcessOptions::default()
        };
        let wasm = Process::start(shipped::module(), options, START)
            .unwrap_or_else(|error| panic!("{configuration}: {error}"));
        wasm.take_log();
        let process = seawall_native::Process::new(Span::nanos(START));
        process.set_wall(EPOCH);
        // A trial start and a canary come first; then the main thread's VM, then the workers'.
        let workers = (0..=workers as u64).map(|number| {
            let random = seed.wrapping_mul(1_000_003) ^ (2 + number);
            Worker::new(&process, &configuration, random).expect("a valid configuration")
        });
        let workers = workers.collect();
        Self {
            wasm,
            process,
            workers,
            open: Vec::new(),
            opened: 0,
        }
    }

    fn properties(&mut self, spare: bool, trusted: bool) -> Properties {
        self.opened += 1;
        let cluster = if spare { "spare" } else { "shop" };
        let source = if trusted {
            "10.0.0.1:4000"
        } else {
            "10.9.9.9:4000"
        };
        let surroundings = Surroundings {
            source: source.to_owned(),
            connection: self.opened % 5,
            cluster: Some(cluster.to_owned()),
            route: "r".to_owned(),
            ..Surroundings::default()
        };
        let mut all = surroundings.properties();
        all.insert("response\0flags".to_owned(), 0_u64.to_le_bytes().to_vec());
        all.insert(
            "response\0code_details".to_owned(),
            b"via_upstream".to_vec(),
        );
        all.insert("upstream\0address".to_owned(), b"10.1.1.1:80".to_vec());
        all
    }

    pub(super) fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Open {
                worker,
                spare,
                post,
                extra,
                complete,
                trusted,
            } => {
                let worker = worker % self.wasm.workers();
                let properties = self.properties(*spare, *trusted);
                let mut lines = vec![
                    (":method", if *post { "POST" } else { "GET" }),
                    (":path", "/a"),
                    (":authority", "shop"),
                ];
                lines.extend(extra);
                let known = known(&properties, self.process.wall());
                let id = self.wasm.open(worker, properties);
                let mut call = Request::with(&self.process, known);
                call.known.borrow_mut().request = Headers::of(&lines);
                let flow =
                    self.wasm
                        .request_headers(id, Headers::of(&lines).lines().to_vec(), *complete);
                let went = call.send(&mut self.workers[worker + 1], *complete);
                same_flow("request", &flow, went, call.reply().as_deref())?;
                same_headers(
                    "request",
                    &self.wasm.header_map(id, REQUEST_HEADERS),
                    &call.known.borrow().request,
                )?;
                let pair = StreamPair {
                    id,
                    native: call,
                    worker,
                    attempts: 0,
                    waits: went,
                    answered: false,
                    over: !went,
                };
                if let Flow::Reply(reply) = &flow {
                    answered_locally(&pair.native, reply);
                }
                self.open.push(pair);
            }
            Step::RequestEnded(stream) => {
                let Some((pair, worker)) = chosen(&mut self.open, &mut self.workers, *stream)
                else {
                    return Ok(());
                };
                self.wasm.request_body(pair.id, b"", true);
                pair.native.request_ended(worker);
            }
            Step::Attempt(stream, status) => return self.attempt(*stream, *status),
            Step::Response {
                stream,
                status,
                extra,
                local,
                end,
            } => {
                let Some((pair, worker)) = chosen(&mut self.open, &mut self.workers, *stream)
                else {
                    return Ok(());
                };
                if !pair.waits || pair.answered {
                    return Ok(());
                }
                pair.answered = true;
                let (flags, details) = local.unwrap_or((0, "via_upstream"));
                pair.set(&self.wasm, "response\0flags", flags.to_le_bytes().to_vec());
                pair.set(&self.wasm, "response\0code_details", details.into());
                let count = pair.attempts.max(1).to_le_bytes().to_vec();
                pair.set(&self.wasm, "upstream\0request_attempt_count", count);
                let status = status.to_string();
                let mut lines = vec![(":status", status.as_str())];
                lines.extend(extra);
                let lines = Headers::of(&lines);
                let flow = self
                    .wasm
                    .response_headers(pair.id, lines.lines().to_vec(), *end);
                let went = pair.native.response_headers(worker, lines, *end);
                same_flow("response", &flow, went, pair.native.reply().as_deref())?;
                pair.over = *end || !went;
                if let Flow::Reply(reply) = &flow {
                    answered_locally(&pair.native, reply);
                } else {
                    let map = self.wasm.header_map(pair.id, RESPONSE_HEADERS);
                    same_headers("response", &map, &pair.native.known.borrow().response)?;
                }
            }
            Step::Chunk(stream, end) => {
                let Some((pair, worker)) = chosen(&mut self.open, &mut self.workers, *stream)
                else {
                    return Ok(());
                };
                if pair.answered && !pair.over {
                    self.wasm.response_body(pair.id, b"chunk", *end);
                    pair.native.response_body(worker, b"chunk", *end);
                    pair.over = *end;
                }
            }
            Step::Trailers(stream, status) => {
                let Some((pair, worker)) = chosen(&mut self.open, &mut self.workers, *stream)
                else {
                    return Ok(());
                };
                if pair.answered && !pair.over {
                    let lines = Headers::of(&[("grpc-status", status)]);
                    self.wasm.response_trailers(pair.id, lines.lines().to_vec());
                    pair.native.response_trailers(worker, lines);
                    pair.over = true;
                }
            }
            Step::Close(stream, flags) => {
                let Some(at) = place(*stream, self.open.len()) else {
                    return Ok(());
                };
                let mut pair = self.open.swap_remove(at);
                if !pair.over {
                    pair.set(&self.wasm, "response\0flags", flags.to_le_bytes().to_vec());
                    pair.set(&self.wasm, "response\0code_details", b"".to_vec());
                }
                for field in LOG_FIELDS {
                    let there = self.wasm.filter_state(pair.id, field);
                    let here = pair.native.known.borrow().log.get(field).cloned();
                    if there != here {
                        return Err(format!(
                            "log field {field}: wasm {there:?}, native {here:?}"
                        ));
                    }
                }
                self.wasm.close(pair.id);
                pair.native.end(&mut self.workers[pair.worker + 1]);
            }
            Step::Pass(millis) => {
                self.process.pass(Span::millis(*millis));
                self.wasm.set_now(self.process.now());
            }
            Step::Tick => {
                self.wasm.tick();
                for worker in &mut self.workers {
                    worker.tick();
                }
            }
        }
        self.same()
    }

    /// An attempt of a request, from its start to its end.
    fn attempt(&mut self, stream: usize, status: Option<u16>) -> Result<(), String> {
        let Some((pair, worker)) = chosen(&mut self.open, &mut self.workers, stream) else {
            return Ok(());
        };
        if !pair.waits || pair.answered || pair.attempts >= 3 {
            return Ok(());
        }
        pair.attempts += 1;
        let count = pair.attempts.to_le_bytes().to_vec();
        let more = Properties::from([("upstream\0request_attempt_count".to_owned(), count)]);
        let id = self.wasm.open_attempt(pair.id, more);
        let mut call = pair.native.attempt(pair.attempts);
        let headers = self.wasm.header_map(pair.id, REQUEST_HEADERS);
        let flow = self.wasm.request_headers(id, headers, true);
        let went = call.send(worker, true);
        same_flow("attempt", &flow, went, call.reply().as_deref())?;
        same_headers(
            "attempt",
            &self.wasm.header_map(id, REQUEST_HEADERS),
            &call.known.borrow().request,
        )?;
        if let (true, Some(status)) = (went, status) {
            let status = status.to_string();
            let lines = Headers::of(&[(":status", &status)]);
            self.wasm.response_headers(id, lines.lines().to_vec(), true);
            call.response_headers(worker, lines, true);
            let map = self.wasm.header_map(id, RESPONSE_HEADERS);
            same_headers("attempt's response", &map, &call.known.borrow().response)?;
        }
        self.wasm.close(id);
        call.done(worker);
        self.same()
    }

    /// What both have made of it so far.
    fn same(&self) -> Result<(), String> {
        let there = self.wasm.common().shared.borrow();
        let keys: Vec<String> = there.keys().map(str::to_owned).collect();
        let bytes = keys.into_iter().map(|key| {
            let found = there.load(&key).map(|(bytes, _)| bytes);
            (key, found.unwrap_or_default())
        });
        let bytes: BTreeMap<_, _> = bytes.collect();
        differs("shared data", &bytes, &self.process.shared.all())?;
        let metrics = self.wasm.common().metrics.borrow();
        differs("metrics", metrics.values(), &self.process.metrics())?;
        let lines = self.wasm.take_log().into_iter().map(|line| line.text);
        let lines: Vec<_> = lines.collect();
        let here = self.process.take_log();
        match lines == here {
            true => Ok(()),
            false => Err(format!("log: wasm {lines:?}, native {here:?}")),
        }
    }
}

impl StreamPair {
    /// A fact becomes known to both.
    fn set(&self, wasm: &Process, path: &str, value: Vec<u8>) {
        wasm.set_property(self.id, path, value.clone());
        set_known(&mut self.native.known.borrow_mut(), path, value);
    }
}

/// What the host says of a response once a local reply took its place.
fn answered_locally(call: &Request, reply: &LocalReply) {
    let mut known = call.known.borrow_mut();
    let details = reply.details.clone().into_bytes();
    known.answer.insert(ResponseFact::Details, details);
}

/// Which of so many streams is meant by a number.
fn place(number: usize, count: usize) -> Option<usize> {
    match number {
        NEWEST => count.checked_sub(1),
        number => number.checked_rem(count),
    }
}

/// The stream of this number, and its worker.
fn chosen<'a>(
    open: &'a mut [StreamPair],
    workers: &'a mut [Worker],
    number: usize,
) -> Option<(&'a mut StreamPair, &'a mut Worker)> {
    let at = place(number, open.len())?;
    let pair = open.get_mut(at)?;
    let worker = workers.get_mut(pair.worker + 1)?;
    Some((pair, worker))
}
