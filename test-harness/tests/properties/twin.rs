//! The core natively equals the `.wasm`: the same policies, requests, faults and draws give the same decisions, headers, local
//! replies, log fields, metrics, log lines and bytes in shared data, after each step.
//!
//! Each case is a policy and a list of steps for one to four workers. The first difference is shrunk to the shortest list
//! that shows it, and printed. `PROPTEST_CASES=5000` runs more of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use seawall_harness::abi::stream::{HeaderMap, LocalReply};
use seawall_harness::worker::{Flow, Process, ProcessOptions, Properties, StreamId, Surroundings};
use seawall_native::{Call, Known, Lines, Node};
use seawall_policy::config;
use seawall_policy::environment::effects::Reply;
use seawall_policy::environment::facts::{ResponseFact, RouteFact, StreamFact};
use seawall_policy::time::Span;
use serde_json::{Value, json};

use crate::shipped;

const CASES: u32 = 200;
const START: u64 = 50_000_000_000;
/// The harness's wall clock at its monotonic clock's zero, in nanoseconds since 1970.
const EPOCH: u64 = 1_767_225_600_000_000_000;
/// The stream that was opened last.
const NEWEST: usize = usize::MAX;
const REQUEST_HEADERS: u32 = 0;
const RESPONSE_HEADERS: u32 = 2;
/// What happens in the cases at least once.
const HAPPENS: [&str; 16] = [
    "seawall_transitions from=closed to=open",
    "seawall_transitions from=half_open to=closed",
    "seawall_transitions from=half_open to=open",
    "seawall_decisions decision=refused reason=breaker_ramp",
    "seawall_decisions decision=refused reason=bulkhead_full",
    "seawall_decisions decision=refused reason=deadline",
    "seawall_decisions decision=refused reason=shed_limit",
    "seawall_decisions decision=refused reason=shed_load",
    "seawall_decisions decision=refused reason=unfinished",
    "seawall_fallbacks rung=cluster reason=open",
    "seawall_fallbacks rung=stale reason=failure",
    "seawall_fallbacks rung=static reason=failure",
    "seawall_retries decision=granted reason=none",
    "seawall_retries decision=refunded reason=none",
    "seawall_stale outcome=kept",
    "seawall_shadow_outcomes outcome=failure",
];
const LOG_FIELDS: [&str; 5] = [
    "seawall.policy",
    "seawall.decision",
    "seawall.reason",
    "seawall.degraded",
    "seawall.age",
];

/// One step. Streams are chosen by their number among those that are open.
#[derive(Clone, Debug)]
enum Step {
    Open {
        worker: usize,
        spare: bool,
        post: bool,
        extra: Vec<(&'static str, &'static str)>,
        complete: bool,
        trusted: bool,
    },
    RequestEnded(usize),
    /// An attempt behind the router, with its response, if any.
    Attempt(usize, Option<u16>),
    Response {
        stream: usize,
        status: u16,
        extra: Vec<(&'static str, &'static str)>,
        local: Option<(u64, &'static str)>,
        end: bool,
    },
    Chunk(usize, bool),
    Trailers(usize, &'static str),
    Close(usize, u64),
    Pass(u64),
    Tick,
}

/// A stream in both bodies.
struct Twin {
    id: StreamId,
    call: Call,
    worker: usize,
    attempts: u64,
    waits: bool,
    answered: bool,
    over: bool,
}

/// Both bodies.
struct Bodies {
    wasm: Process,
    process: Rc<seawall_native::Process>,
    nodes: Vec<Node>,
    open: Vec<Twin>,
    opened: u64,
}

/// The configuration with this policy.
fn configuration(policy: &Value) -> String {
    let spare = json!({"breaker": {"consecutive": 3}});
    let configuration = json!({
        "version": 1,
        "trust": {"addresses": ["10.0.0.1"]},
        "policies": {"p": policy, "spare": spare},
        "upstreams": [{"cluster": "shop", "policy": "p"}, {"cluster": "spare", "policy": "spare"}],
    });
    configuration.to_string()
}

impl Bodies {
    fn start(policy: &Value, workers: usize, seed: u64) -> Self {
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
        let nodes = (0..=workers as u64).map(|number| {
            let random = seed.wrapping_mul(1_000_003) ^ (2 + number);
            Node::new(&process, &configuration, random).expect("a valid configuration")
        });
        let nodes = nodes.collect();
        Self {
            wasm,
            process,
            nodes,
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

    fn step(&mut self, step: &Step) -> Result<(), String> {
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
                let mut call = Call::with(&self.process, known);
                call.known.borrow_mut().request = Lines::of(&lines);
                let flow = self
                    .wasm
                    .request_headers(id, Lines::of(&lines).0, *complete);
                let went = call.send(&mut self.nodes[worker + 1], *complete);
                same_flow("request", &flow, went, call.reply.as_ref())?;
                same_headers(
                    "request",
                    &self.wasm.header_map(id, REQUEST_HEADERS),
                    &call.known.borrow().request,
                )?;
                let twin = Twin {
                    id,
                    call,
                    worker,
                    attempts: 0,
                    waits: went,
                    answered: false,
                    over: !went,
                };
                if let Flow::Reply(reply) = &flow {
                    answered_locally(&twin.call, reply);
                }
                self.open.push(twin);
            }
            Step::RequestEnded(stream) => {
                let Some((twin, node)) = chosen(&mut self.open, &mut self.nodes, *stream) else {
                    return Ok(());
                };
                self.wasm.request_body(twin.id, b"", true);
                twin.call.request_ended(node);
            }
            Step::Attempt(stream, status) => return self.attempt(*stream, *status),
            Step::Response {
                stream,
                status,
                extra,
                local,
                end,
            } => {
                let Some((twin, node)) = chosen(&mut self.open, &mut self.nodes, *stream) else {
                    return Ok(());
                };
                if !twin.waits || twin.answered {
                    return Ok(());
                }
                twin.answered = true;
                let (flags, details) = local.unwrap_or((0, "via_upstream"));
                twin.set(&self.wasm, "response\0flags", flags.to_le_bytes().to_vec());
                twin.set(&self.wasm, "response\0code_details", details.into());
                let count = twin.attempts.max(1).to_le_bytes().to_vec();
                twin.set(&self.wasm, "upstream\0request_attempt_count", count);
                let status = status.to_string();
                let mut lines = vec![(":status", status.as_str())];
                lines.extend(extra);
                let lines = Lines::of(&lines);
                let flow = self.wasm.response_headers(twin.id, lines.0.clone(), *end);
                let went = twin.call.response_headers(node, lines, *end);
                same_flow("response", &flow, went, twin.call.reply.as_ref())?;
                twin.over = *end || !went;
                if let Flow::Reply(reply) = &flow {
                    answered_locally(&twin.call, reply);
                } else {
                    let map = self.wasm.header_map(twin.id, RESPONSE_HEADERS);
                    same_headers("response", &map, &twin.call.known.borrow().response)?;
                }
            }
            Step::Chunk(stream, end) => {
                let Some((twin, node)) = chosen(&mut self.open, &mut self.nodes, *stream) else {
                    return Ok(());
                };
                if twin.answered && !twin.over {
                    self.wasm.response_body(twin.id, b"chunk", *end);
                    twin.call.response_body(node, b"chunk", *end);
                    twin.over = *end;
                }
            }
            Step::Trailers(stream, status) => {
                let Some((twin, node)) = chosen(&mut self.open, &mut self.nodes, *stream) else {
                    return Ok(());
                };
                if twin.answered && !twin.over {
                    let lines = Lines::of(&[("grpc-status", status)]);
                    self.wasm.response_trailers(twin.id, lines.0.clone());
                    twin.call.response_trailers(node, lines);
                    twin.over = true;
                }
            }
            Step::Close(stream, flags) => {
                let Some(at) = place(*stream, self.open.len()) else {
                    return Ok(());
                };
                let mut twin = self.open.swap_remove(at);
                if !twin.over {
                    twin.set(&self.wasm, "response\0flags", flags.to_le_bytes().to_vec());
                    twin.set(&self.wasm, "response\0code_details", b"".to_vec());
                }
                for field in LOG_FIELDS {
                    let there = self.wasm.filter_state(twin.id, field);
                    let here = twin.call.known.borrow().log.get(field).cloned();
                    if there != here {
                        return Err(format!(
                            "log field {field}: wasm {there:?}, native {here:?}"
                        ));
                    }
                }
                self.wasm.close(twin.id);
                twin.call.end(&mut self.nodes[twin.worker + 1]);
            }
            Step::Pass(millis) => {
                self.process.pass(Span::millis(*millis));
                self.wasm.set_now(self.process.now());
            }
            Step::Tick => {
                self.wasm.tick();
                for node in &mut self.nodes {
                    node.tick();
                }
            }
        }
        self.same()
    }

    /// An attempt of a request, from its start to its end.
    fn attempt(&mut self, stream: usize, status: Option<u16>) -> Result<(), String> {
        let Some((twin, node)) = chosen(&mut self.open, &mut self.nodes, stream) else {
            return Ok(());
        };
        if !twin.waits || twin.answered || twin.attempts >= 3 {
            return Ok(());
        }
        twin.attempts += 1;
        let count = twin.attempts.to_le_bytes().to_vec();
        let more = Properties::from([("upstream\0request_attempt_count".to_owned(), count)]);
        let id = self.wasm.open_attempt(twin.id, more.clone());
        let parent = twin.call.known.borrow();
        let known = Known {
            request: parent.request.clone(),
            stream: parent.stream.clone(),
            route: parent.route.clone(),
            answer: parent.answer.clone(),
            attempts: Rc::clone(&parent.attempts),
            ..Known::default()
        };
        drop(parent);
        let mut call = Call::with(&self.process, known);
        for (path, value) in more {
            set_known(&mut call.known.borrow_mut(), &path, value);
        }
        let headers = self.wasm.header_map(twin.id, REQUEST_HEADERS);
        let flow = self.wasm.request_headers(id, headers, true);
        let went = call.send(node, true);
        same_flow("attempt", &flow, went, call.reply.as_ref())?;
        same_headers(
            "attempt",
            &self.wasm.header_map(id, REQUEST_HEADERS),
            &call.known.borrow().request,
        )?;
        if let (true, Some(status)) = (went, status) {
            let status = status.to_string();
            let lines = Lines::of(&[(":status", &status)]);
            self.wasm.response_headers(id, lines.0.clone(), true);
            call.response_headers(node, lines, true);
            let map = self.wasm.header_map(id, RESPONSE_HEADERS);
            same_headers("attempt's response", &map, &call.known.borrow().response)?;
        }
        self.wasm.close(id);
        call.done(node);
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

impl Twin {
    /// A fact becomes known to both.
    fn set(&self, wasm: &Process, path: &str, value: Vec<u8>) {
        wasm.set_property(self.id, path, value.clone());
        set_known(&mut self.call.known.borrow_mut(), path, value);
    }
}

/// What the host says of a response once a local reply took its place.
fn answered_locally(call: &Call, reply: &LocalReply) {
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
    open: &'a mut [Twin],
    nodes: &'a mut [Node],
    number: usize,
) -> Option<(&'a mut Twin, &'a mut Node)> {
    let at = place(number, open.len())?;
    let twin = open.get_mut(at)?;
    let node = nodes.get_mut(twin.worker + 1)?;
    Some((twin, node))
}

fn set_known(known: &mut Known, path: &str, value: Vec<u8>) {
    match path {
        "connection\0id" => drop(known.stream.insert(StreamFact::ConnectionId, value)),
        "source\0address" => drop(known.stream.insert(StreamFact::PeerAddress, value)),
        "upstream\0request_attempt_count" => {
            known.stream.insert(StreamFact::AttemptCount, value);
        }
        "xds\0cluster_name" => drop(known.route.insert(RouteFact::Cluster, value)),
        "xds\0route_name" => drop(known.route.insert(RouteFact::Route, value)),
        "xds\0virtual_host_name" => drop(known.route.insert(RouteFact::VirtualHost, value)),
        "xds\0filter_chain_name" => drop(known.route.insert(RouteFact::FilterChain, value)),
        "destination\0port" => drop(known.route.insert(RouteFact::ListenerPort, value)),
        "xds\0listener_direction" => drop(known.route.insert(RouteFact::Direction, value)),
        "response\0flags" => drop(known.answer.insert(ResponseFact::Flags, value)),
        "response\0code_details" => drop(known.answer.insert(ResponseFact::Details, value)),
        "upstream\0address" => drop(known.answer.insert(ResponseFact::UpstreamAddress, value)),
        // The core asks for no other.
        _ => {}
    }
}

fn known(properties: &Properties, wall: u64) -> Known {
    let mut known = Known::default();
    for (path, value) in properties {
        set_known(&mut known, path, value.clone());
    }
    known
        .route
        .insert(RouteFact::ArrivedAt, wall.to_le_bytes().to_vec());
    known
}

fn differs<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wasm: &BTreeMap<String, T>,
    native: &BTreeMap<String, T>,
) -> Result<(), String> {
    let keys = wasm.keys().chain(native.keys());
    for key in keys {
        let (there, here) = (wasm.get(key), native.get(key));
        if there != here {
            return Err(format!("{what}, {key}: wasm {there:?}, native {here:?}"));
        }
    }
    Ok(())
}

fn same_flow(what: &str, wasm: &Flow, went: bool, reply: Option<&Reply>) -> Result<(), String> {
    let same = match (wasm, went) {
        (Flow::Continue, true) => true,
        (Flow::Pause, false) => reply.is_none(),
        (Flow::Reply(there), false) => reply.is_some_and(|here| {
            let headers: Vec<_> = here
                .headers
                .iter()
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect();
            there.status == u32::from(here.status)
                && there.details == here.details
                && there.body == here.body
                && there.headers == headers
                && there.grpc_status == here.grpc_status.map_or(-1, i32::from)
        }),
        _ => false,
    };
    match same {
        true => Ok(()),
        false => Err(format!(
            "{what}: wasm {wasm:?}, native went: {went}, {reply:?}"
        )),
    }
}

fn same_headers(what: &str, wasm: &HeaderMap, native: &Lines) -> Result<(), String> {
    let sorted = |map: &[(Vec<u8>, Vec<u8>)]| {
        let mut map = map.to_vec();
        map.sort();
        map
    };
    let (there, here) = (sorted(wasm), sorted(&native.0));
    match there == here {
        true => Ok(()),
        false => Err(format!("{what} headers: wasm {there:?}, native {here:?}")),
    }
}

/// One of several values of a key, or none.
fn one_of(values: &[Value]) -> impl Strategy<Value = Option<Value>> + use<> {
    prop::option::of(prop::sample::select(values.to_vec()))
}

fn policy() -> impl Strategy<Value = Value> {
    let breaker = (
        one_of(&[json!(1), json!(3), json!(0)]),
        one_of(&[json!({"calls": 10}), json!({"over": "2s"})]),
        one_of(&[json!("shadow"), json!("forced_open"), json!("off")]),
        one_of(&[json!({"over": "300ms"}), json!({"over": "1s", "rate": 30})]),
        one_of(&[json!({"permits": 1}), json!({"permits": 3, "wait": "8s"})]),
    );
    let parts = (
        one_of(&[
            json!({"total": "2s"}),
            json!({"total": "5s", "doomed_under": "50ms"}),
            json!({"adaptive": {"percentile": 90, "minimum_samples": 5}}),
        ]),
        one_of(&[
            json!({"attempts": 3}),
            json!({"attempts": 2, "mode": "shadow"}),
            json!({"attempts": 3, "budget": {"ratio": 0, "min_per_second": 1}}),
            json!({"attempts": 2, "hedge": {"after": "100ms"}, "methods": "any"}),
        ]),
        one_of(&[
            json!({"max_concurrent": 2}),
            json!({"max_concurrent": 2, "per": {"header": "tenant", "max_keys": 4}}),
            json!({"max_concurrent": 1, "mode": "shadow"}),
            json!({"max_concurrent": 3, "until": "headers"}),
        ]),
        one_of(&[
            json!({"limit": "fixed", "max": 3}),
            json!({"limit": "adaptive", "min": 1, "max": 5, "initial": 2}),
            json!({"limit": "none", "load_over": 20}),
        ]),
        one_of(&[
            json!([{"static": {"status": 200, "body": "{{reason}}", "headers": {"x-a": "b"}}}]),
            json!([{"cluster": "spare"}, {"static": {"status": 202}}]),
            json!([{"stale": {"max_age": "1m"}}, {"static": {"status": 203, "grpc": {"status": 0}}}]),
        ]),
        one_of(&[json!(false)]),
    );
    (breaker, parts).prop_map(|(breaker, parts)| {
        let mut all = json!({"breaker": {"minimum_calls": 4, "open": {"for": "1s"}}});
        let (consecutive, window, mode, slow, half_open) = breaker;
        let inner = [
            ("consecutive", consecutive),
            ("window", window),
            ("mode", mode),
            ("slow_call", slow),
            ("half_open", half_open),
        ];
        for (key, value) in inner {
            if let Some(value) = value {
                all["breaker"][key] = value;
            }
        }
        let (timeout, retries, bulkhead, shedding, fallback, answers) = parts;
        let outer = [
            ("timeout", timeout),
            ("retries", retries),
            ("bulkhead", bulkhead),
            ("shedding", shedding),
            ("fallback", fallback),
            ("answer_headers", answers),
        ];
        for (key, value) in outer {
            if let Some(value) = value {
                all[key] = value;
            }
        }
        all
    })
}

fn step() -> impl Strategy<Value = Step> {
    let request = prop::sample::subsequence(
        vec![
            ("content-type", "application/grpc"),
            ("grpc-timeout", "40m"),
            ("x-seawall-priority", "sheddable"),
            ("tenant", "a"),
            ("x-request-id", "5f0c"),
            ("x-seawall-attempt", "2"),
            ("x-envoy-max-retries", "9"),
            ("accept", "text/event-stream"),
            ("upgrade", "websocket"),
        ],
        0..4,
    );
    let response = prop::sample::subsequence(
        vec![
            ("retry-after", "2"),
            ("grpc-status", "14"),
            ("content-type", "application/grpc"),
            ("endpoint-load-metrics", "TEXT application_utilization=0.95"),
            ("x-seawall-reason", "shed_limit"),
            ("cache-control", "public, max-age=60"),
            ("x-seawall-no-retry", "1"),
        ],
        0..3,
    );
    let status = prop::sample::select(vec![200, 200, 200, 204, 404, 429, 500, 503, 503, 504]);
    let local = prop::option::weighted(
        0.2,
        prop::sample::select(vec![
            (0x4, "response_timeout"),
            (0x40, "upstream_reset_before_response_started"),
            (0x2, "no_healthy_upstream"),
            (
                0x20,
                "upstream_reset_before_response_started{connection_termination}",
            ),
        ]),
    );
    let open = (
        0..4_usize,
        any::<bool>(),
        prop::bool::weighted(0.2),
        request,
        any::<bool>(),
        any::<bool>(),
    );
    prop_oneof![
        5 => open.prop_map(|(worker, post, spare, extra, complete, trusted)| Step::Open {
            worker, spare, post, extra, complete, trusted,
        }),
        1 => (0..20_usize).prop_map(Step::RequestEnded),
        2 => (0..20_usize, prop::option::weighted(0.7, status.clone())).prop_map(|(stream, status)| Step::Attempt(stream, status)),
        5 => (0..20_usize, status, response, local, any::<bool>()).prop_map(|(stream, status, extra, local, end)| Step::Response {
            stream, status, extra, local, end,
        }),
        1 => (0..20_usize, any::<bool>()).prop_map(|(stream, end)| Step::Chunk(stream, end)),
        1 => (0..20_usize, prop::sample::select(vec!["0", "8", "14"])).prop_map(|(stream, status)| Step::Trailers(stream, status)),
        3 => (0..20_usize, prop::sample::select(vec![0, 0x8, 0x40, 0x4])).prop_map(|(stream, flags)| Step::Close(stream, flags)),
        2 => prop::sample::select(vec![1, 30, 400, 1_200, 7_000]).prop_map(Step::Pass),
        2 => Just(Step::Tick),
    ]
}

/// A whole GET on its way, with a response that may be kept.
fn served() -> impl Strategy<Value = Vec<Step>> {
    let status = prop::sample::select(vec![200, 200, 503]);
    (0..4_usize, status).prop_map(|(worker, status)| {
        let open = Step::Open {
            worker,
            spare: false,
            post: false,
            extra: Vec::new(),
            complete: true,
            trusted: true,
        };
        let response = Step::Response {
            stream: NEWEST,
            status,
            extra: vec![("cache-control", "public, max-age=60")],
            local: None,
            end: true,
        };
        vec![open, response, Step::Close(NEWEST, 0)]
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = prop_oneof![9 => step().prop_map(|step| vec![step]), 1 => served()];
    prop::collection::vec(some, 1..200).prop_map(|steps| steps.concat())
}

#[test]
fn the_core_natively_equals_the_wasm() {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let cases = wanted.and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, random);
    let valid = |policy: &Value| config::parse(configuration(policy).as_bytes()).is_ok();
    let case = (
        policy().prop_filter("a valid policy", valid),
        1..5_usize,
        any::<u64>(),
        steps(),
    );
    let tally = RefCell::new(BTreeMap::new());
    let result = runner.run(&case, |(policy, workers, seed, steps)| {
        let mut bodies = Bodies::start(&policy, workers, seed);
        for (number, step) in steps.iter().enumerate() {
            if let Err(difference) = bodies.step(step) {
                let said = format!("step {number}, {step:?}: {difference}");
                return Err(TestCaseError::fail(said));
            }
        }
        let mut tally = tally.borrow_mut();
        for (name, value) in bodies.process.metrics() {
            let labels = name.split("..");
            let kind: Vec<_> = labels.filter(|label| !is_name(label)).collect();
            *tally.entry(kind.join(" ")).or_insert(0) += value;
        }
        Ok(())
    });
    if let Err(found) = result {
        panic!("{found}");
    }
    let tally = tally.into_inner();
    println!("{tally:#?}");
    // Equal bodies that do nothing would prove nothing.
    for happened in HAPPENS {
        let count = tally.get(happened).copied().unwrap_or(0);
        assert!(count > 0, "{happened} never happened in {cases} cases");
    }
}

/// Whether a label only names a policy or an upstream.
fn is_name(label: &str) -> bool {
    label.starts_with("policy=") || label.starts_with("upstream=")
}
