//! Callbacks in any order, on any context, with any content, while the host answers anything: nothing traps.

mod words;

use std::collections::BTreeSet;
use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use seawall_harness::abi::Fault;
use seawall_harness::abi::stream::{HeaderMap, headers};
use seawall_harness::abi::upstreams::{Answers, Cluster, HttpCall, HttpOutcome, HttpResponse};
use seawall_harness::process::{
    FailurePolicy, Flow, Process, ProcessOptions, Properties, StreamId,
};

use crate::shipped::{calls, module};
use words::{EXPORTS, KEYS};

const EVERYTHING: &str = r#"{"version":1,"trust":{"addresses":["10.0.0.0/8"]},
    "page":{"path":"/seawall","trust":{"addresses":["10.0.0.0/8"]}},"policies":{"default":{
    "breaker":{"minimum_calls":5,"open":{"for":"1s","up_to":"2s"},"half_open":{"permits":2},
        "probe":{"path":"/healthz","every":"100ms","timeout":"100ms"}},
    "bulkhead":{"max_concurrent":40},"shedding":{"load_over":1},
    "timeout":{"total":"2s","doomed_under":"5ms","propagate":["grpc-timeout","x-left"],"adaptive":{"minimum_samples":2}},
    "retries":{"attempts":3,"methods":"any","hedge":{"percentile":50}}}}}"#;
const SHADOW: &str = r#"{"version":1,"policies":{"default":{"breaker":{"mode":"shadow"},
    "retries":{"attempts":2,"mode":"shadow"}}}}"#;
const WORKERS: usize = 2;
/// Streams that are open at the same time.
const STREAMS: usize = 32;
/// A process lives for so many calls.
const LIFE: u64 = 100_000;

const VALUES: [&str; 20] = [
    "GET",
    "POST",
    "CONNECT",
    "200",
    "503",
    "504",
    "0",
    "14",
    "1",
    "99999999999999999999",
    "application/grpc",
    "900m",
    "critical",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "websocket",
    "-1",
    "/seawall",
    "TEXT cpu_utilization=0.97,named_metrics.queue=3",
    "JSON {\"applicationUtilization\":1.5}",
    "CQAAAAAAAOA/MQAAAAAAAFlAOQAAAAAAAABA",
];
const PATHS: [&str; 16] = [
    "xds\0cluster_name",
    "xds\0listener_direction",
    "xds\0route_name",
    "xds\0route_metadata\0filter_metadata\0seawall\0policy",
    "source\0address",
    "connection\0uri_san_peer_certificate",
    "upstream\0address",
    "upstream\0request_attempt_count",
    "upstream\0transport_failure_reason",
    "response\0flags",
    "response\0code_details",
    "response\0code",
    "request\0duration",
    "request\0protocol",
    "seawall.attempts",
    "wasm.seawall.attempts",
];

struct Hostile {
    random: StdRng,
    process: Process,
    open: Vec<StreamId>,
    calls: u64,
    keys: Vec<String>,
}

/// Whoever is probed answers well or badly, late, or not at all.
fn clusters(process: &Process) {
    for number in 0..10_u64 {
        let answer = move |_: &HttpCall| match number % 5 {
            0 => (0, HttpOutcome::Broken),
            1 => (0, HttpOutcome::Never),
            2 => (
                50_000_000,
                HttpOutcome::Response(HttpResponse::new(503, "")),
            ),
            _ => (
                number * 10_000_000,
                HttpOutcome::Response(HttpResponse::new(200, "")),
            ),
        };
        let name = format!("upstream-{number}");
        process.set_cluster(&name, Cluster::Answered(Rc::new(Answers(answer))));
    }
}

impl Hostile {
    fn start(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let configuration = if random.random_ratio(1, 5) {
            SHADOW
        } else {
            EVERYTHING
        };
        let options = ProcessOptions {
            workers: WORKERS,
            configuration: configuration.as_bytes().to_vec(),
            seed,
            failure_policy: FailurePolicy::Reload(0),
            strict_cas: random.random_ratio(1, 4),
            ..ProcessOptions::default()
        };
        let now = random.random_range(1..u64::MAX / 2);
        let process = Process::start(module(), options, now).expect("the filter starts");
        clusters(&process);
        Self {
            random,
            process,
            open: Vec::new(),
            calls: 0,
            keys: Vec::new(),
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.random.random_range(0..all.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.random.random_range(0..=most)];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    fn value(&mut self) -> Vec<u8> {
        match self.random.random_range(0..10) {
            0..6 => self.one_of(&VALUES).as_bytes().to_vec(),
            6 => self.random.random::<u32>().to_string().into_bytes(),
            7 => Vec::new(),
            8 => self.bytes(400),
            _ => self.bytes(20),
        }
    }

    fn headers(&mut self) -> HeaderMap {
        let count = match self.random.random_range(0..50) {
            0 => 200,
            _ => self.random.random_range(0..12),
        };
        let mut pair = || {
            let key = match self.random.random_range(0..12) {
                0 => self.bytes(30),
                _ => self.one_of(&KEYS).as_bytes().to_vec(),
            };
            (key, self.value())
        };
        (0..count).map(|_| pair()).collect()
    }

    fn property(&mut self) -> (String, Vec<u8>) {
        let path = self.one_of(&PATHS).to_owned();
        let value = match self.random.random_range(0..6) {
            0 => self.bytes(64),
            1 => self.random.random_range(0..5_u64).to_le_bytes().to_vec(),
            2 => (1_u64 << self.random.random_range(0..64))
                .to_le_bytes()
                .to_vec(),
            3 => b"via_upstream".to_vec(),
            4 => b"10.0.0.9:1234".to_vec(),
            _ => format!("upstream-{}", self.random.random_range(0..20)).into_bytes(),
        };
        (path, value)
    }

    fn properties(&mut self) -> Properties {
        let count = self.random.random_range(0..8);
        let mut all: Properties = (0..count).map(|_| self.property()).collect();
        if self.random.random_ratio(9, 10) {
            let cluster = format!("upstream-{}", self.random.random_range(0..20));
            all.insert("xds\0cluster_name".to_owned(), cluster.into_bytes());
        }
        all
    }

    /// One thing that no order forbids.
    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..8 => self.open_one(),
            8..12 => self.orderly(),
            12..60 => self.on_stream(),
            60..80 => self.raw(),
            80..86 => self.tick(),
            86..90 => self.fault(),
            90..94 => self.damage(),
            94..97 => self.clock(),
            97..99 => {
                let worker = self.random.random_range(0..WORKERS);
                if self.random.random_ratio(1, 50) {
                    self.process.kill(worker);
                }
            }
            _ => {
                if self.random.random_ratio(1, 100) {
                    let taken = self.process.reconfigure(EVERYTHING.as_bytes());
                    drop(taken);
                    self.process.drop_old_roots();
                }
            }
        }
    }

    fn open_one(&mut self) {
        self.calls += 1;
        let properties = self.properties();
        let worker = self.random.random_range(0..WORKERS);
        let parent = match self.open.is_empty() || self.random.random_ratio(1, 2) {
            true => None,
            false => Some(self.some()),
        };
        let id = match parent {
            Some(parent) => {
                let mut properties = properties;
                let count = self.random.random_range(1..5_u64).to_le_bytes().to_vec();
                properties.insert("upstream\0request_attempt_count".to_owned(), count);
                self.process.open_attempt(parent, properties)
            }
            None => self.process.open(worker, properties),
        };
        self.open.push(id);
        if self.open.len() > STREAMS {
            let place = self.random.random_range(0..self.open.len());
            let id = self.open.swap_remove(place);
            self.process.close(id);
        }
    }

    /// A request as it should be, whose answers are bad or good for a while: so that the deep states are reached.
    fn orderly(&mut self) {
        let worker = self.random.random_range(0..WORKERS);
        let outbound = 2_u64.to_le_bytes().to_vec();
        let cluster = format!("upstream-{}", self.random.random_range(0..3));
        let properties = |count: u64| {
            Properties::from([
                ("xds\0cluster_name".to_owned(), cluster.clone().into_bytes()),
                ("xds\0listener_direction".to_owned(), outbound.clone()),
                ("upstream\0address".to_owned(), b"10.0.0.1:80".to_vec()),
                (
                    "response\0code_details".to_owned(),
                    b"via_upstream".to_vec(),
                ),
                (
                    "upstream\0request_attempt_count".to_owned(),
                    count.to_le_bytes().to_vec(),
                ),
            ])
        };
        let asked = headers(&[(":method", "GET"), (":path", "/"), ("x-request-id", "r")]);
        let request = self.process.open(worker, properties(0));
        self.calls += 1;
        if self.process.request_headers(request, asked.clone(), true) == Flow::Continue {
            let status = match self.process.common().now.get() / 3_000_000_000 % 2 {
                0 => "200",
                _ => "503",
            };
            let load = ("endpoint-load-metrics", "TEXT cpu_utilization=0.97");
            let answer = headers(&[(":status", status), load]);
            let most = self.random.random_range(1..3);
            for count in 1..=most {
                let attempt = self.process.open_attempt(request, properties(count));
                self.process.request_headers(attempt, asked.clone(), true);
                self.process.response_headers(attempt, answer.clone(), true);
                self.process.close(attempt);
                self.calls += 2;
            }
            self.process.response_headers(request, answer, true);
            self.calls += 1;
        }
        self.process.close(request);
    }

    fn some(&mut self) -> StreamId {
        let place = self.random.random_range(0..self.open.len());
        self.open[place]
    }

    fn on_stream(&mut self) {
        if self.open.is_empty() {
            return;
        }
        self.calls += 1;
        let id = self.some();
        let end = self.random.random();
        let _: Flow = match self.random.random_range(0..8) {
            0..3 => {
                let headers = self.headers();
                self.process.request_headers(id, headers, end)
            }
            3..6 => {
                let headers = self.headers();
                self.process.response_headers(id, headers, end)
            }
            6 => {
                let trailers = self.headers();
                self.process.response_trailers(id, trailers)
            }
            _ => {
                let (path, value) = self.property();
                self.process.set_property(id, &path, value);
                self.process.close(id);
                self.open.retain(|open| *open != id);
                Flow::Continue
            }
        };
    }

    /// Any callback, on a context that may be there or not.
    fn raw(&mut self) {
        let name = self.one_of(&EXPORTS);
        let worker = self.random.random_range(0..WORKERS);
        let mut number = || match self.random.random_range(0..4) {
            0 => self.random.random_range(0..40),
            1 => self.random.random_range(0..2_000),
            2 => 0,
            _ => self.random.random(),
        };
        let numbers = [number(), number(), number()];
        // What is created must not pile up: the contexts of this kind are few.
        let numbers = match name {
            "proxy_on_context_create" => [3_000 + numbers[0] % 64, numbers[1], 0],
            _ => numbers,
        };
        let called = self.process.call_raw(worker, name, &numbers);
        self.calls += u64::from(called);
    }

    fn tick(&mut self) {
        self.calls += 1;
        let number = self.random.random_range(0..=WORKERS);
        self.process.tick_vm(number);
        self.process.settle();
    }

    /// The host answers something else from now on, or is well again.
    fn fault(&mut self) {
        let mut faults = self.process.common().faults.borrow_mut();
        faults.clear();
        for _ in 0..self.random.random_range(0..3) {
            let calls = calls();
            let call = calls[self.random.random_range(0..calls.len())];
            let status = match self.random.random_range(0..4) {
                0 => self.random.random(),
                _ => self.random.random_range(1..13),
            };
            faults.push(Fault {
                call,
                status,
                every: self.random.random_range(1..20),
            });
        }
    }

    /// Shared data is damaged, torn, or gets what stands elsewhere.
    fn damage(&mut self) {
        if self.keys.is_empty() || self.random.random_ratio(1, 20) {
            let shared = self.process.common().shared.borrow();
            self.keys = shared.keys().map(str::to_owned).collect();
        }
        if self.keys.is_empty() {
            return;
        }
        let key = self.keys[self.random.random_range(0..self.keys.len())].clone();
        let other = self.keys[self.random.random_range(0..self.keys.len())].clone();
        let load = |key: &str| self.process.common().shared.borrow().load(key);
        let found = load(&key).ok();
        let mut bytes = load(&other).map(|found| found.0).unwrap_or_default();
        match self.random.random_range(0..4) {
            0 => bytes = self.bytes(1_100),
            1 => bytes.truncate(self.random.random_range(0..=bytes.len())),
            2 if !bytes.is_empty() => {
                let place = self.random.random_range(0..bytes.len());
                bytes[place] ^= 1 << self.random.random_range(0..8);
            }
            _ => {}
        }
        let cas = found.map_or(0, |found| found.1);
        let mut shared = self.process.common().shared.borrow_mut();
        let written = shared.swap(&key, &bytes, cas);
        assert_eq!(written, Ok(()));
    }

    fn clock(&mut self) {
        let now = self.process.common().now.get();
        let now = match self.random.random_range(0..1_000) {
            0 => self.random.random(),
            1 => now / 2,
            2..8 => now.saturating_add(self.random.random_range(0..100_000_000_000_000)),
            _ => now.saturating_add(self.random.random_range(0..700_000_000)),
        };
        self.process.set_now(now);
    }

    fn assert_no_trap(&self, seed: u64) {
        for line in self.process.take_log() {
            let trapped = line.text.contains("trapped") || line.text.contains("panicked");
            assert!(!trapped, "seed {seed}, call {}: {}", self.calls, line.text);
        }
    }
}

/// What must have been reached, by parts of names of the filter's own metrics: otherwise little was tried.
const REACHED: [&str; 11] = [
    "decision=granted",
    "decision=refunded",
    "decision=denied",
    "decision=refused",
    "outcome=failure",
    "to=half_open",
    "outcome=good",
    "outcome=bad",
    "reason=shed_load",
    "seawall_records_replaced",
    "seawall_undecided",
];

fn run(first_seed: u64, calls: u64) {
    let (mut made, mut seed, mut fuel) = (0, first_seed, 0);
    let mut series = BTreeSet::new();
    while made < calls {
        let mut hostile = Hostile::start(seed);
        let (life, mut steps) = (LIFE.min(calls - made), 0_u64);
        while hostile.calls < life {
            hostile.step();
            steps += 1;
            if steps.is_multiple_of(64) {
                hostile.assert_no_trap(seed);
            }
        }
        hostile.assert_no_trap(seed);
        made += hostile.calls;
        fuel += hostile.process.fuel();
        let metrics = hostile.process.common().metrics.borrow();
        series.extend(metrics.values().keys().cloned());
        seed += 1;
    }
    let reached = |part: &&&str| !series.iter().any(|name| name.contains(**part));
    let missing: Vec<_> = REACHED.iter().filter(reached).collect();
    assert_eq!(missing, Vec::<&&str>::new(), "{series:#?}");
    println!(
        "{made} hostile calls, 0 traps, {} series of metrics, {fuel} fuel",
        series.len()
    );
}

#[test]
fn ten_million_hostile_calls_trap_nothing() {
    run(1_000, 10_000_000);
}
