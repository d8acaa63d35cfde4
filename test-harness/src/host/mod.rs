//! A whole Envoy around a filter, for tests: requests in, answers out, on a clock that only moves when something is due.
//!
//! [`Host`] stands on [`Process`], which has the callbacks one by one, and does what the connection manager and the router do
//! around them: headers that Envoy adds, bodies in parts, what waits after a pause and goes on later, local replies, time
//! limits, ticks. The upstream answers by [`Rule`]s. A test of a filter is a few lines:
//!
//! ```no_run
//! use seawall_harness::host::{Host, Options, Request};
//!
//! let mut host = Host::start("filter.wasm", Options::configured("key alice")).expect("a filter");
//! let refused = host.send(Request::get("/"));
//! assert_eq!(refused.status, 401);
//! assert!(host.take_seen().is_empty(), "the upstream got nothing");
//! let answer = host.send(Request::get("/").header("x-api-key", "key"));
//! assert_eq!(answer.header("x-answer-for"), Some("alice"));
//! assert_eq!(host.metric("api_keys.refused"), 1);
//! ```
//!
//! What is left out: connection pools, retries (the simulation behind `seawall replay` has them), HTTP/2 and TLS.

mod bytes;
mod calls;
mod envoy;
mod exchange;
mod expect;
mod judge;
mod message;
pub(crate) mod metadata;
mod properties;
mod refusal;
mod route;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::abi::trace::{Trace, TraceLine};
use crate::abi::upstreams::{Cluster, Upstream};
use crate::abi::{Common, LogLine};
use crate::module::{HostError, Module};
use crate::process::{FailurePolicy, Process, ProcessOptions};
pub use bytes::Bytes;
use calls::{Answering, Arrivals};
use exchange::Exchange;
pub use expect::{AtUpstream, Expect, UpstreamRequest, Wanted, WantedRule};
pub use judge::Came;
pub use message::{Headers, Request, Response, Rule, Seen};
pub use properties::Known;
pub use refusal::Refusal;

/// When the clock begins, in nanoseconds: a monotonic clock at 0 is what no host has.
const BEGIN: u64 = 1_000_000_000;

/// How a filter is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The process: workers, configurations, failure policy, limits, seed, trace.
    pub process: ProcessOptions,
    /// How the upstream answers: the first rule that fits; 200 without a body if none does.
    pub upstream: Vec<Rule>,
    /// More clusters that guests may call, beside `upstream`; they answer by the same rules.
    pub clusters: Vec<String>,
    /// So long may a stream stand still, in nanoseconds: 5 minutes, as in Envoy.
    pub idle_timeout: u64,
    /// What listener, route and cluster tell the filter.
    pub known: Known,
}

impl Default for Options {
    /// As Envoy's: one worker, and fail closed.
    fn default() -> Self {
        Self {
            process: ProcessOptions {
                failure_policy: FailurePolicy::Closed,
                ..ProcessOptions::default()
            },
            upstream: Vec::new(),
            clusters: Vec::new(),
            idle_timeout: envoy::IDLE_TIMEOUT,
            known: Known::default(),
        }
    }
}

impl Options {
    /// One worker, and this plugin configuration.
    pub fn configured(configuration: &str) -> Self {
        let mut options = Self::default();
        options.process.configuration = configuration.as_bytes().to_vec();
        options
    }

    /// The same with one more rule for the upstream.
    #[must_use]
    pub fn upstream(mut self, rule: Rule) -> Self {
        self.upstream.push(rule);
        self
    }

    /// The same with the calls between host and guest kept, see [`Host::take_trace`].
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.process.trace = true;
        self
    }
}

/// A filter in a process with an upstream.
pub struct Host {
    module: Module,
    process: Process,
    options: Options,
    now: u64,
    random: ChaCha8Rng,
    turn: usize,
    exchanges: Vec<Exchange>,
    seen: Arrivals,
}

impl Host {
    /// Loads a module from a file and starts it.
    ///
    /// # Errors
    /// If it cannot be read or loaded, refuses its configuration or traps.
    pub fn start(module: impl AsRef<Path>, options: Options) -> Result<Self, HostError> {
        Self::of(&Module::from_file(module.as_ref())?, options)
    }

    /// Starts a module that is loaded already.
    ///
    /// # Errors
    /// If it refuses its configuration or traps.
    pub fn of(module: &Module, options: Options) -> Result<Self, HostError> {
        Self::started(module, options).map_err(|refusal| refusal.error)
    }

    /// As [`Self::of`]; what a module logged and called before it was refused comes with the error.
    ///
    /// # Errors
    /// If it refuses its configuration or traps.
    pub fn started(module: &Module, options: Options) -> Result<Self, Box<Refusal>> {
        let mut process = options.process.clone();
        for (name, default) in [
            (&mut process.plugin_name, "filter"),
            (&mut process.vm_id, "vm"),
        ] {
            if name.is_empty() {
                default.clone_into(name);
            }
        }
        for part in ["id", "cluster"] {
            let path = format!("xds\0node\0{part}");
            process.properties.entry(path).or_default();
        }
        let common = Rc::new(Common {
            trace: Trace::new(process.trace),
            ..Common::new(BEGIN, process.strict_cas)
        });
        let seen = Arrivals::default();
        let upstream: Rc<dyn Upstream> = Rc::new(Answering {
            rules: options.upstream.clone(),
            arrivals: Rc::clone(&seen),
        });
        let names = options.clusters.iter().map(String::as_str);
        for name in names.chain(["upstream"]) {
            let cluster = Cluster::Answered(Rc::clone(&upstream));
            common
                .clusters
                .borrow_mut()
                .insert(name.to_owned(), cluster);
        }
        let process = Process::within(module, process, Rc::clone(&common));
        let process = process.map_err(|error| Box::new(Refusal::new(error, &common)))?;
        Ok(Self {
            module: module.clone(),
            process,
            now: BEGIN,
            random: ChaCha8Rng::seed_from_u64(options.process.seed),
            turn: 0,
            exchanges: Vec::new(),
            seen,
            options,
        })
    }

    /// The end of the process: all roots are done and go.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// The process, for callbacks one by one, faults, shared data.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Virtual time since the start, in nanoseconds.
    pub fn elapsed(&self) -> u64 {
        self.now - BEGIN
    }

    /// Sends a request and lets time pass until it is answered.
    pub fn send(&mut self, request: Request) -> Response {
        self.run(vec![Request {
            at_ms: None,
            ..request
        }])
        .pop()
        .unwrap_or_default()
    }

    /// Sends requests, one after the other but where they say when, and lets time pass until all are answered.
    pub fn run(&mut self, requests: Vec<Request>) -> Vec<Response> {
        self.run_told(requests, |_, _, _| {})
    }

    /// As [`Self::run`], and tells of each answer, with its number, as soon as it is there.
    pub fn run_told(
        &mut self,
        requests: Vec<Request>,
        mut tell: impl FnMut(&mut Self, usize, &Response),
    ) -> Vec<Response> {
        let begin = self.now;
        let mut waiting: Vec<(u64, usize, Request)> = Vec::new();
        let mut in_turn: Vec<(usize, Request)> = Vec::new();
        let count = requests.len();
        for (number, request) in requests.into_iter().enumerate() {
            match request.at_ms {
                Some(at) => {
                    let at = begin.saturating_add(at.saturating_mul(1_000_000));
                    waiting.push((at, number, request));
                }
                None => in_turn.push((number, request)),
            }
        }
        waiting.sort_by_key(|(at, number, _)| (*at, *number));
        in_turn.reverse();
        waiting.reverse();
        let mut answers: Vec<Option<Response>> = vec![None; count];
        loop {
            for number in self.collect(&mut answers) {
                if let Some(Some(answer)) = answers.get(number) {
                    tell(self, number, answer);
                }
            }
            if waiting.last().is_some_and(|(at, _, _)| *at <= self.now) {
                if let Some((_, number, request)) = waiting.pop() {
                    self.begin(number, request);
                }
                continue;
            }
            let before = |number: usize| answers.iter().take(number).all(Option::is_some);
            if in_turn.last().is_some_and(|(number, _)| before(*number)) {
                if let Some((number, request)) = in_turn.pop() {
                    self.begin(number, request);
                }
                continue;
            }
            if self.exchanges.is_empty() && waiting.is_empty() {
                break;
            }
            let start = waiting.last().map(|(at, _, _)| *at);
            self.step(start.unwrap_or(u64::MAX));
        }
        answers.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// Lets time pass, in nanoseconds.
    pub fn pass(&mut self, nanos: u64) {
        let end = self.now.saturating_add(nanos);
        while self.due() <= end {
            self.step(end);
        }
        self.step(end);
    }

    /// What the upstream got since the last time.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        self.seen.take()
    }

    /// What was logged since the last time.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        self.process.take_log()
    }

    /// The calls between host and guests since the last time, if they are kept.
    pub fn take_trace(&mut self) -> Vec<TraceLine> {
        self.process.common().trace.take()
    }

    /// The value of a metric; 0 if there is none.
    pub fn metric(&self, name: &str) -> u64 {
        let metrics = self.process.common().metrics.borrow();
        metrics.values().get(name).copied().unwrap_or_default()
    }

    /// All metrics by name.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        self.process.common().metrics.borrow().values().clone()
    }

    fn begin(&mut self, number: usize, request: Request) {
        let worker = request.worker.unwrap_or(self.turn);
        self.turn = self.turn.wrapping_add(1);
        let id = self.request_id();
        let exchange = Exchange::begin(self, number, worker, request, &id);
        self.exchanges.push(exchange);
        self.settle();
    }

    /// A version 4 UUID.
    fn request_id(&mut self) -> String {
        let mut bytes = [0; 16];
        self.random.fill_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-")
    }

    /// When the next thing is due.
    fn due(&self) -> u64 {
        let process = self.process.next_due();
        let exchanges = self.exchanges.iter().map(|exchange| exchange.due);
        exchanges.chain(process).min().unwrap_or(u64::MAX)
    }

    /// The next thing that is due happens, if it is due until then; the clock stands there, or at the end.
    fn step(&mut self, end: u64) {
        let process_at = self.process.next_due().unwrap_or(u64::MAX);
        let exchange = self.exchanges.iter().enumerate();
        let exchange = exchange
            .map(|(place, exchange)| (exchange.due, place))
            .min();
        let exchange_at = exchange.map_or(u64::MAX, |(at, _)| at);
        let at = process_at.min(exchange_at).min(end).max(self.now);
        self.now = at;
        self.process.set_now(at);
        if process_at <= at {
            self.process_is_due();
        } else if exchange_at <= at
            && let Some((_, place)) = exchange
        {
            let mut exchange = self.exchanges.remove(place);
            exchange.is_due(self);
            self.exchanges.insert(place, exchange);
        }
        self.settle();
    }

    /// One thing that comes to VMs by themselves: answers to their calls and entries of queues before ticks.
    fn process_is_due(&mut self) {
        if self.process.settle() == 0
            && let Some((vm, at)) = self.process.next_tick()
            && at <= self.now
        {
            self.process.tick_vm(vm);
        }
    }

    /// What waits and may go on does, until nothing moves any more.
    fn settle(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for place in 0..self.exchanges.len() {
                let mut exchange = self.exchanges.remove(place);
                moved |= exchange.wake(self);
                self.exchanges.insert(place, exchange);
            }
        }
    }

    fn collect(&mut self, answers: &mut [Option<Response>]) -> Vec<usize> {
        let (ended, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.exchanges)
            .into_iter()
            .partition(|exchange| exchange.answer.is_some());
        self.exchanges = open;
        let mut numbers = Vec::new();
        for exchange in ended {
            numbers.push(exchange.number);
            if let Some(slot) = answers.get_mut(exchange.number) {
                *slot = exchange.answer;
            }
        }
        numbers
    }
}
