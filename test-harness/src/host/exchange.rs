//! One request on its way through the filter, to the upstream and back: what it waits for, and what happens when that comes.

mod ending;

use super::envoy;
use super::message::{Request, Response, Rule, map};
use super::route::{self, Limits, Own};
use super::{Host, calls};
use crate::abi::stream::{
    Action, REQUEST_BODY, REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_BODY, RESPONSE_HEADERS, value,
};
use crate::process::{Flow, Process, StreamId};
use crate::router::flag;

/// The bit of `response.flags` for a stream that stood still.
const IDLE: u64 = 0x10000;

/// Where it stands. All but the upstream's are waits after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    RequestHeaders,
    RequestBody,
    Upstream,
    ResponseHeaders,
    ResponseBody,
}

/// A request that is on its way, or its answer.
pub(super) struct Exchange {
    /// Its place among those that were sent together.
    pub(super) number: usize,
    /// When it has waited for too long, or the upstream answers, in nanoseconds.
    pub(super) due: u64,
    /// What the client got, once it is over.
    pub(super) answer: Option<Response>,
    process: Process,
    id: StreamId,
    stage: Stage,
    /// Whether Envoy has answered for it: then it waits no more.
    given_up: bool,
    /// How long the router lets it take.
    limits: Limits,
    /// When the upstream answers, and when the router's limit passes, in nanoseconds.
    awaited: [u64; 2],
    /// Whether the upstream was asked with HEAD.
    asked_head: bool,
    /// Whether the upstream answered.
    by_upstream: bool,
    /// The bits of `response.flags` so far.
    flags: u64,
    begin: u64,
    request: Request,
    rule: Rule,
}

impl Exchange {
    /// A request comes to a worker.
    pub(super) fn begin(
        host: &mut Host,
        number: usize,
        worker: usize,
        request: Request,
        id: &str,
    ) -> Self {
        let taken = route::is_taken(&request);
        let headers = envoy::request_headers(&request, id);
        let known = host.options.known.of_request(number);
        let stream = host.process.open(worker, known);
        let mut exchange = Self {
            number,
            due: u64::MAX,
            answer: None,
            process: host.process.clone(),
            id: stream,
            stage: Stage::RequestHeaders,
            given_up: false,
            limits: Limits::default(),
            awaited: [u64::MAX; 2],
            asked_head: false,
            by_upstream: false,
            flags: 0,
            begin: host.now,
            request,
            rule: Rule::default(),
        };
        if !taken {
            let own = Own::new(400, route::PROTOCOL, "http1.codec_error", "Bad Request");
            exchange.straight(host, &own);
            return exchange;
        }
        let end = exchange.request.payload().is_empty() && exchange.request.trailers.is_empty();
        let flow = exchange.process.request_headers(stream, headers, end);
        if exchange.goes_on(host, flow, Stage::RequestHeaders) && exchange.reaches_router(host) {
            exchange.request_body(host, false);
        }
        exchange
    }

    /// Its time has come.
    pub(super) fn is_due(&mut self, host: &mut Host) {
        if self.answer.is_some() {
            return;
        }
        let [answer, limit] = self.awaited;
        match self.stage {
            Stage::Upstream if limit <= host.now => {
                let own = self.limits.passed();
                self.envoy_says(host, &own);
            }
            Stage::Upstream if answer <= host.now => self.answered(host),
            Stage::ResponseBody => {
                self.tell(None, IDLE, "stream_idle_timeout");
                self.cut(host);
            }
            _ => {
                let own = Own::new(504, IDLE, "stream_idle_timeout", "stream timeout");
                self.envoy_says(host, &own);
            }
        }
    }

    /// Goes on if something elsewhere made it; whether it did.
    pub(super) fn wake(&mut self, host: &mut Host) -> bool {
        if self.answer.is_some() || self.stage == Stage::Upstream {
            return false;
        }
        let stage = self.stage;
        let request = matches!(stage, Stage::RequestHeaders | Stage::RequestBody);
        let woken = match request {
            true => self.process.woken(self.id),
            false => self.process.woken_answer(self.id),
        };
        match (woken, stage) {
            (None, _) => return false,
            (Some(Flow::Pause), _) => self.cut(host),
            (Some(Flow::Reply(reply)), _) if reply.status == 0 => self.cut(host),
            (Some(Flow::Reply(_)), Stage::ResponseBody) => self.cut(host),
            (Some(Flow::Reply(reply)), _) => self.replied(host, &reply, request),
            (Some(Flow::Continue), Stage::RequestHeaders) => {
                if self.reaches_router(host) {
                    self.request_body(host, true);
                }
            }
            (Some(Flow::Continue), Stage::RequestBody) => {
                self.process.release_body(self.id, REQUEST_BODY);
                self.forward(host);
            }
            (Some(Flow::Continue), Stage::ResponseHeaders) => {
                if self.has_status(host) {
                    self.response_body(host, true);
                }
            }
            (Some(Flow::Continue), _) => {
                self.process.release_body(self.id, RESPONSE_BODY);
                self.over(host);
            }
        }
        true
    }

    /// The body and the trailers of the request: in parts as they come, at once if they had to wait.
    fn request_body(&mut self, host: &mut Host, waited: bool) {
        let body = self.request.payload().to_vec();
        let trailers = map(&self.request.trailers);
        let mut flow = Flow::Continue;
        for (part, end) in parts(&body, waited, !trailers.is_empty()) {
            flow = self.process.request_body(self.id, part, end);
            if !matches!(flow, Flow::Pause) && !self.goes_on(host, flow.clone(), Stage::RequestBody)
            {
                return;
            }
        }
        if !trailers.is_empty() {
            flow = self.process.request_trailers(self.id, trailers);
            if flow == Flow::Continue {
                self.process.release_body(self.id, REQUEST_BODY);
            }
        }
        if self.goes_on(host, flow, Stage::RequestBody) {
            self.forward(host);
        }
    }

    /// The request's headers have passed the filter, before its body: whether the router takes them.
    fn reaches_router(&mut self, host: &mut Host) -> bool {
        let mut headers = self.process.header_map(self.id, REQUEST_HEADERS);
        if let Some(own) = route::obstacle(&headers) {
            self.envoy_says(host, &own);
            return false;
        }
        self.limits = Limits::take(&mut headers);
        self.process
            .set_header_map(self.id, REQUEST_HEADERS, headers);
        true
    }

    fn forward(&mut self, host: &mut Host) {
        let headers = self.process.header_map(self.id, REQUEST_HEADERS);
        let body = self.process.take_body(self.id, REQUEST_BODY);
        let trailers = self.process.header_map(self.id, REQUEST_TRAILERS);
        self.rule = calls::rule(
            &host.options.upstream,
            &value(&headers, ":path").unwrap_or_default(),
        );
        self.asked_head = value(&headers, ":method").as_deref() == Some("HEAD");
        self.stage = Stage::Upstream;
        // An upstream that waits for more of the body than comes never answers.
        let arrived = envoy::seen(&headers, &body, &trailers);
        let delay = match arrived {
            Some(_) => self.rule.delay_ms.saturating_mul(1_000_000),
            None => u64::MAX,
        };
        host.seen.borrow_mut().extend(arrived);
        let after = [delay, self.limits.longest(), host.options.idle_timeout];
        let [answer, limit, idle] = after.map(|nanos| host.now.saturating_add(nanos));
        self.awaited = [answer, limit];
        self.due = answer.min(limit).min(idle);
    }

    fn answered(&mut self, host: &mut Host) {
        self.knows_upstream(host);
        if self.rule.reset {
            let details = "upstream_reset_before_response_started{connection_termination}";
            let own = Own::new(503, flag::UPSTREAM_TERMINATION, details, envoy::TERMINATED);
            return self.envoy_says(host, &own);
        }
        let headers = envoy::answer_headers(&self.rule);
        if self.asked_head {
            self.rule.clear_body();
        }
        let end = self.rule.payload().is_empty() && self.rule.trailers.is_empty();
        self.tell(Some(self.rule.status), 0, "via_upstream");
        self.by_upstream = true;
        let flow = self.process.response_headers(self.id, headers, end);
        if self.goes_on(host, flow, Stage::ResponseHeaders) && self.has_status(host) {
            self.response_body(host, false);
        }
    }

    /// Whether the answer's headers can go out. If not, Envoy answers, past the filter.
    fn has_status(&mut self, host: &mut Host) -> bool {
        let headers = self.process.header_map(self.id, RESPONSE_HEADERS);
        let own = route::obstacle_of_answer(&headers);
        if let Some(own) = &own {
            self.straight(host, own);
        }
        own.is_none()
    }

    fn response_body(&mut self, host: &mut Host, waited: bool) {
        self.stage = Stage::ResponseBody;
        let body = self.rule.payload().to_vec();
        let trailers = map(&self.rule.trailers);
        let mut flow = Flow::Continue;
        for (part, end) in parts(&body, waited, !trailers.is_empty()) {
            flow = self.process.response_body(self.id, part, end);
            if !matches!(flow, Flow::Pause)
                && !self.goes_on(host, flow.clone(), Stage::ResponseBody)
            {
                return;
            }
            if self.is_cut(host) {
                return;
            }
        }
        if !trailers.is_empty() {
            flow = self.process.response_trailers(self.id, trailers);
            if flow == Flow::Continue {
                self.process.release_body(self.id, RESPONSE_BODY);
            }
        }
        if self.goes_on(host, flow, Stage::ResponseBody) {
            self.over(host);
        }
    }

    /// Whether a callback lets it go on; if not, it waits, or it is over.
    fn goes_on(&mut self, host: &mut Host, flow: Flow, stage: Stage) -> bool {
        match flow {
            Flow::Continue => {
                let actions = self.process.take_actions(self.id);
                let cut = actions
                    .iter()
                    .any(|action| matches!(action, Action::ResetRequest | Action::ResetResponse));
                if cut {
                    self.cut(host);
                }
                !cut
            }
            Flow::Pause => {
                self.stage = stage;
                self.due = host.now.saturating_add(host.options.idle_timeout);
                false
            }
            Flow::Reply(reply) => {
                let request = matches!(stage, Stage::RequestHeaders | Stage::RequestBody);
                self.replied(host, &reply, request);
                false
            }
        }
    }

    /// After a part of a body that waits: whether the stream was cut off by it.
    fn is_cut(&mut self, host: &mut Host) -> bool {
        let cut = [Action::ResetRequest, Action::ResetResponse];
        let actions = self.process.take_actions(self.id);
        let is_cut = actions.iter().any(|action| cut.contains(action));
        if is_cut {
            self.cut(host);
        }
        is_cut
    }
}

/// A body as it comes: with an empty last part, at once if it had to wait, and without an end if trailers follow.
fn parts(body: &[u8], waited: bool, trailers: bool) -> Vec<(&[u8], bool)> {
    match (body.is_empty(), waited || trailers) {
        (true, _) => Vec::new(),
        (false, true) => vec![(body, !trailers)],
        (false, false) => vec![(body, false), (&[], true)],
    }
}
