//! One stream of a worker: a client's request, or one attempt behind the router.

use std::cell::RefCell;
use std::rc::Rc;

use seawall_policy::environment::effects::{Action, Effects, Reply};
use seawall_policy::environment::facts::{ResponseFact, RouteFact, StreamFact};
use seawall_policy::stream::Stream;

use crate::effects::apply;
use crate::facts::{AtRequest, AtResponse, Headers, Phase, SharedFacts, StreamFacts};
use crate::process::Process;
use crate::worker::Worker;

/// One stream.
#[derive(Debug)]
pub struct Request {
    /// What the host knows of it.
    pub known: SharedFacts,
    process: Rc<Process>,
    context: u32,
    stream: Stream<Headers>,
    /// How many local replies the host refuses.
    pub refusals: usize,
    /// All local replies that were tried, those that the host refused among them.
    pub tried: Vec<Rc<Reply>>,
}

impl Request {
    /// A request to a cluster that was not sent yet. It comes from 10.0.0.1, on a connection of its own.
    pub fn new(process: &Rc<Process>, cluster: &str, headers: &[(&str, &str)]) -> Self {
        let known = StreamFacts {
            request: Headers::of(headers),
            ..StreamFacts::default()
        };
        let call = Self::with(process, known);
        {
            let mut known = call.known.borrow_mut();
            let connection = u64::from(call.context).to_le_bytes().to_vec();
            known.stream.insert(StreamFact::ConnectionId, connection);
            let peer = b"10.0.0.1:1234".to_vec();
            known.stream.insert(StreamFact::PeerAddress, peer);
            let route = &mut known.route;
            route.insert(RouteFact::Cluster, cluster.as_bytes().to_vec());
            route.insert(RouteFact::Route, b"route".to_vec());
            let answer = &mut known.answer;
            answer.insert(ResponseFact::Details, b"via_upstream".to_vec());
            answer.insert(ResponseFact::UpstreamAddress, b"10.1.1.1:80".to_vec());
        }
        call
    }

    /// A stream of which this is known.
    pub fn with(process: &Rc<Process>, mut known: StreamFacts) -> Self {
        let context = process.fresh_context();
        known.questions = process.questions_about(context);
        let known = Rc::new(RefCell::new(known));
        let mut streams = process.streams.borrow_mut();
        streams.insert(context, Rc::clone(&known));
        drop(streams);
        Self {
            known,
            process: Rc::clone(process),
            context,
            stream: Stream::new(context),
            refusals: 0,
            tried: Vec::new(),
        }
    }

    /// An attempt of this request behind the router, counted from 1, that was not sent yet.
    pub fn attempt(&self, number: u64) -> Self {
        let parent = self.known.borrow();
        let mut stream = parent.stream.clone();
        stream.insert(StreamFact::AttemptCount, number.to_le_bytes().to_vec());
        let known = StreamFacts {
            request: parent.request.clone(),
            stream,
            route: parent.route.clone(),
            answer: parent.answer.clone(),
            attempts: Rc::clone(&parent.attempts),
            ..StreamFacts::default()
        };
        drop(parent);
        Self::with(&self.process, known)
    }

    /// The number of its context.
    pub fn context(&self) -> u32 {
        self.context
    }

    /// The reply that the client got, if it is one of Seawall's.
    pub fn reply(&self) -> Option<Rc<Reply>> {
        self.known.borrow().reply.clone()
    }

    /// Its headers come; `complete` is whether they end it. `true` if it goes on to the upstream.
    pub fn send(&mut self, worker: &mut Worker, complete: bool) -> bool {
        self.process.begin("request_headers");
        let facts: AtRequest = Phase(Rc::clone(&self.known));
        let (core, mut out) = (&mut worker.core, Effects::NONE);
        let mut action = self
            .stream
            .request_headers(core, &facts, complete, &mut out);
        while let Some(accepted) = self.apply(&mut out) {
            action = self
                .stream
                .replied_to_request(core, &facts, accepted, &mut out);
        }
        action == Action::Continue
    }

    /// The last byte of the request comes.
    pub fn request_ended(&mut self, worker: &mut Worker) {
        self.process.begin("request_ended");
        self.stream.request_ended(&mut worker.core);
    }

    /// The headers of a response come, which end it: one attempt was made. `true` if it goes on to the client as it is.
    pub fn respond(&mut self, worker: &mut Worker, status: u16, headers: &[(&str, &str)]) -> bool {
        let status = status.to_string();
        let mut lines = vec![(":status", status.as_str())];
        lines.extend(headers);
        let one = 1_u64.to_le_bytes().to_vec();
        let mut known = self.known.borrow_mut();
        known.stream.insert(StreamFact::AttemptCount, one);
        drop(known);
        self.response_headers(worker, Headers::of(&lines), true)
    }

    /// The headers of a response come. `true` if it goes on to the client as it is.
    pub fn response_headers(&mut self, worker: &mut Worker, headers: Headers, end: bool) -> bool {
        self.process.begin("response_headers");
        self.known.borrow_mut().response = headers;
        let facts: AtResponse = Phase(Rc::clone(&self.known));
        let (core, mut out) = (&mut worker.core, Effects::NONE);
        let mut action = self.stream.response_headers(core, &facts, end, &mut out);
        while let Some(accepted) = self.apply(&mut out) {
            action = self
                .stream
                .replied_to_response(core, &facts, accepted, &mut out);
        }
        action == Action::Continue
    }

    /// A chunk of the response's body passes.
    pub fn response_body(&mut self, worker: &mut Worker, chunk: &[u8], end: bool) {
        self.process.begin("response_body");
        self.known.borrow_mut().chunk = chunk.to_vec();
        let (facts, body) = (Phase(Rc::clone(&self.known)), Phase(Rc::clone(&self.known)));
        let chunk = (chunk.len(), end);
        self.stream
            .response_body(&mut worker.core, &facts, &body, chunk);
    }

    /// The trailers of the response come.
    pub fn response_trailers(&mut self, worker: &mut Worker, trailers: Headers) {
        self.process.begin("response_trailers");
        self.known.borrow_mut().trailers = trailers;
        let facts = Phase(Rc::clone(&self.known));
        self.stream.response_trailers(&mut worker.core, &facts);
    }

    /// It is over, and is logged.
    pub fn end(&mut self, worker: &mut Worker) {
        self.process.begin("log");
        let facts: AtResponse = Phase(Rc::clone(&self.known));
        self.stream.log(&mut worker.core, &facts);
        self.done(worker);
    }

    /// It is over, without being logged: so an attempt ends.
    pub fn done(&mut self, worker: &mut Worker) {
        self.process.begin("done");
        let facts: AtResponse = Phase(Rc::clone(&self.known));
        let mut out = Effects::NONE;
        self.stream.done(&mut worker.core, &facts, &mut out);
        self.apply(&mut out);
        self.process.streams.borrow_mut().remove(&self.context);
    }

    /// Sent, answered with this status and over. `true` if it went.
    pub fn whole(mut self, worker: &mut Worker, status: u16) -> bool {
        let went = self.send(worker, true);
        if went {
            self.respond(worker, status, &[]);
        }
        self.end(worker);
        went
    }

    fn apply(&mut self, out: &mut Effects) -> Option<bool> {
        let (refusals, tried) = (&mut self.refusals, &mut self.tried);
        apply(out, &self.known, |reply| {
            let taken = *refusals == 0;
            *refusals = refusals.saturating_sub(1);
            tried.push(Rc::clone(reply));
            taken
        })
    }
}
