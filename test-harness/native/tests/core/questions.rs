//! A fact is asked for at most once in a callback, but for what [`TWICE`] lists: on a real host each question is a host call.

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Value, json};

use seawall_native::{Asked, Headers, Process, Question, Request, Worker};
use seawall_policy::environment::facts::{ResponseFact, RouteFact, StreamFact};
use seawall_policy::time::Span;

use tables::{ANSWERS, Answer, REQUESTS, THEN, Then, UNSEEN, policies};

struct Scene {
    process: Rc<Process>,
    worker: Worker,
    number: u64,
    /// Whether attempts are seen behind the router.
    position: bool,
}

impl Scene {
    fn of(policy: &Value, trusted: bool) -> Self {
        let trust = if trusted {
            json!({"addresses": ["10.0.0.1"]})
        } else {
            json!({})
        };
        let configuration = json!({
            "version": 1,
            "trust": trust,
            "policies": {"p": policy, "spare": {"timeout": {"total": "3s"}, "bulkhead": {"max_concurrent": 9}}},
            "upstreams": [{"cluster": "shop", "policy": "p"}, {"cluster": "spare", "policy": "spare"}],
        });
        let process = Process::new(Span::secs(1_000));
        process.questions();
        let worker = Worker::new(&process, &configuration.to_string(), 1);
        Self {
            process,
            worker: worker.expect("a valid configuration"),
            number: 0,
            position: true,
        }
    }

    fn open(&mut self, request: &[(&str, &str)], inbound: bool) -> Request {
        self.number += 1;
        let mut lines = vec![(":method", "GET"), (":path", "/"), (":authority", "shop")];
        lines.extend(request);
        let call = Request::new(&self.process, "shop", &lines);
        let mut known = call.known.borrow_mut();
        // Both believed and strange peers, and some with a certificate.
        let peer = format!("10.0.0.{}:1234", 1 + self.number % 3);
        known
            .stream
            .insert(StreamFact::PeerAddress, peer.into_bytes());
        let wall = self.process.wall().to_le_bytes().to_vec();
        known.route.insert(RouteFact::ArrivedAt, wall);
        known.route.insert(RouteFact::Timeout, b"4s".to_vec());
        known
            .route
            .insert(RouteFact::Priority, b"critical".to_vec());
        if inbound {
            let one = 1_u64.to_le_bytes().to_vec();
            known.stream.insert(StreamFact::Direction, one);
        }
        drop(known);
        call
    }

    /// A request from its headers to its end.
    fn run(&mut self, request: &[(&str, &str)], answer: Answer, then: Then, inbound: bool) {
        let complete = !self.number.is_multiple_of(4);
        let mut call = self.open(request, inbound);
        if !call.send(&mut self.worker, complete) {
            return call.end(&mut self.worker);
        }
        let (status, lines, flags, details) = answer;
        let status = status.to_string();
        let mut headers = vec![(":status", status.as_str())];
        headers.extend(lines);
        let mut attempts = 1;
        if self.position && self.number.is_multiple_of(2) {
            attempts = self.attempts(&call, &headers);
        }
        call.request_ended(&mut self.worker);
        {
            let mut known = call.known.borrow_mut();
            let count = u64::to_le_bytes(attempts).to_vec();
            known.stream.insert(StreamFact::AttemptCount, count);
            let waited = 1_000_000_u64.to_le_bytes().to_vec();
            known.answer.insert(ResponseFact::PoolReady, waited);
            let flags = flags.to_le_bytes().to_vec();
            known.answer.insert(ResponseFact::Flags, flags);
            known.answer.insert(ResponseFact::Details, details.into());
        }
        // It is silent for a while, or for long.
        let waits = [0, 30, 2_500, 4_000][(self.number % 4) as usize];
        self.process.pass(Span::millis(waits));
        self.worker.tick();
        if let Then::NoAnswer(flags) = then {
            return self.cut(call, flags);
        }
        let end = matches!(then, Then::EndsAtOnce);
        call.response_headers(&mut self.worker, Headers::of(&headers), end);
        match then {
            Then::Body => {
                call.response_body(&mut self.worker, b"chunk", false);
                call.response_body(&mut self.worker, b"chunk", true);
            }
            Then::Trailers(status) => {
                let trailers = Headers::of(&[("grpc-status", status)]);
                call.response_trailers(&mut self.worker, trailers);
            }
            Then::Cut(flags) => {
                self.process.pass(Span::millis(1_500));
                self.worker.tick();
                return self.cut(call, flags);
            }
            Then::EndsAtOnce | Then::NoAnswer(_) => {}
        }
        call.end(&mut self.worker);
    }

    /// Attempts behind the router, of which the last one has the response. How many were made.
    fn attempts(&mut self, call: &Request, headers: &[(&str, &str)]) -> u64 {
        for number in 1..=3 {
            let mut attempt = call.attempt(number);
            if attempt.send(&mut self.worker, true) && number != 2 {
                attempt.response_headers(&mut self.worker, Headers::of(headers), true);
            }
            attempt.done(&mut self.worker);
        }
        3
    }

    fn cut(&mut self, mut call: Request, flags: u64) {
        let flags = flags.to_le_bytes().to_vec();
        let mut known = call.known.borrow_mut();
        known.answer.insert(ResponseFact::Flags, flags);
        known.answer.insert(ResponseFact::Details, Vec::new());
        drop(known);
        call.end(&mut self.worker);
    }
}

/// What was asked more than once in one callback about one stream.
fn repeated(asked: Vec<Asked>) -> BTreeSet<(&'static str, Question)> {
    let mut counts = BTreeMap::new();
    for one in asked {
        *counts.entry(one).or_insert(0) += 1;
    }
    let twice = counts.into_iter().filter(|(_, count)| *count > 1);
    twice.map(|(one, _)| (one.callback, one.question)).collect()
}

/// What is asked for twice: under these policies, in this callback.
const TWICE: [(&[&str], &str, Question); 3] = [
    // A failover is another admission: its cluster has limits and slots of its own.
    (
        &["failover", "all", "trust and all"],
        "request_headers",
        Question::Route(RouteFact::Timeout),
    ),
    (
        &["failover", "all", "trust and all"],
        "request_headers",
        Question::Route(RouteFact::ArrivedAt),
    ),
    (
        &["all", "trust and all"],
        "request_headers",
        Question::Stream(StreamFact::ConnectionId),
    ),
];

fn line(policy: &str, callback: &str, question: &Question) -> String {
    format!("{policy}: {callback}: {question:?}")
}

#[test]
fn a_fact_is_asked_for_once_in_a_callback_but_for_what_is_listed() {
    let (mut asked, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for (policy, settings, trusted) in policies() {
        let mut scene = Scene::of(&settings, trusted);
        scene.position = policy != UNSEEN;
        // A client that does not finish holds a connection beside the others.
        let mut beside = scene.open(&[], false);
        beside.send(&mut scene.worker, false);
        let waited = 1_000_000_u64.to_le_bytes().to_vec();
        let known = Rc::clone(&beside.known);
        known
            .borrow_mut()
            .answer
            .insert(ResponseFact::PoolReady, waited);
        let mut found = BTreeSet::new();
        for request in REQUESTS {
            for answer in ANSWERS {
                for (number, then) in THEN.into_iter().enumerate() {
                    scene.run(request, answer, then, number % 3 == 2);
                    scene.process.pass(Span::millis(700));
                    scene.worker.tick();
                    let all = scene.process.questions().take();
                    asked.extend(all.iter().map(|one| (one.callback, one.question.clone())));
                    found.extend(repeated(all));
                }
            }
        }
        let found = found.iter();
        twice.extend(found.map(|(callback, question)| line(policy, callback, question)));
    }
    // Where nothing is asked nothing is asked twice.
    for (callback, question) in [
        ("request_headers", Question::Stream(StreamFact::PeerUriSan)),
        ("request_headers", Question::Route(RouteFact::Priority)),
        (
            "response_headers",
            Question::Response(ResponseFact::Details),
        ),
        (
            "response_trailers",
            Question::Trailer("grpc-status".to_owned()),
        ),
        (
            "response_trailers",
            Question::Response(ResponseFact::UpstreamAddress),
        ),
        ("log", Question::Response(ResponseFact::Flags)),
        ("done", Question::Stream(StreamFact::AttemptState)),
        ("tick", Question::Stream(StreamFact::AttemptCount)),
        ("tick", Question::Response(ResponseFact::PoolReady)),
    ] {
        assert!(
            asked.contains(&(callback, question.clone())),
            "{callback}: {question:?} is never asked"
        );
    }
    let known = TWICE.iter().flat_map(|(policies, callback, question)| {
        let policies = policies.iter();
        policies.map(|policy| line(policy, callback, question))
    });
    let known: BTreeSet<_> = known.collect();
    let more: Vec<_> = twice.difference(&known).collect();
    let less: Vec<_> = known.difference(&twice).collect();
    assert!(more.is_empty(), "asked twice: {more:#?}");
    assert!(
        less.is_empty(),
        "asked once, and can be taken off the list: {less:#?}"
    );
}
