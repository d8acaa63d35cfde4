//! One request on its way through the filter, to the upstream and back: what it waits for, and what happens when that comes.

use super::envoy::{self, IDLE_TIMEOUT, ROUTE_TIMEOUT};
use super::message::{Request, Response, Rule, map, shown};
use super::{Host, calls, properties};
use crate::abi::stream::{
    Action, HeaderMap, LocalReply, REQUEST_BODY, REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_BODY,
    RESPONSE_HEADERS, RESPONSE_TRAILERS, value,
};
use crate::worker::{Flow, Process, StreamId};

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
    /// Whether the router has answered for it: then it waits no more.
    given_up: bool,
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
        let headers = envoy::request_headers(&request, id);
        let known = properties::of_request(number);
        let stream = host.process.open(worker, known);
        let mut exchange = Self {
            number,
            due: u64::MAX,
            answer: None,
            process: host.process.clone(),
            id: stream,
            stage: Stage::RequestHeaders,
            given_up: false,
            begin: host.now,
            request,
            rule: Rule::default(),
        };
        let end = exchange.request.body.is_empty() && exchange.request.trailers.is_empty();
        let flow = exchange.process.request_headers(stream, headers, end);
        if exchange.goes_on(host, flow, Stage::RequestHeaders) {
            exchange.request_body(host, false);
        }
        exchange
    }

    /// Its time has come.
    pub(super) fn is_due(&mut self, host: &mut Host) {
        if self.answer.is_some() {
            return;
        }
        match self.stage {
            Stage::Upstream if host.now >= self.answered_at() => self.answered(host),
            Stage::Upstream => {
                self.router_says(host, 504, "response_timeout", "upstream request timeout");
            }
            Stage::RequestHeaders | Stage::RequestBody => {
                self.router_says(host, 408, "stream_idle_timeout", "stream timeout");
            }
            Stage::ResponseHeaders => {
                self.router_says(host, 504, "stream_idle_timeout", "stream timeout");
            }
            Stage::ResponseBody => self.cut(host),
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
            (Some(Flow::Continue), Stage::RequestHeaders) => self.request_body(host, true),
            (Some(Flow::Continue), Stage::RequestBody) => {
                self.process.release_body(self.id, REQUEST_BODY);
                self.forward(host);
            }
            (Some(Flow::Continue), Stage::ResponseHeaders) => self.response_body(host, true),
            (Some(Flow::Continue), _) => {
                self.process.release_body(self.id, RESPONSE_BODY);
                self.over(host);
            }
        }
        true
    }

    /// The body and the trailers of the request: in parts as they come, at once if they had to wait.
    fn request_body(&mut self, host: &mut Host, waited: bool) {
        let body = std::mem::take(&mut self.request.body).into_bytes();
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

    fn forward(&mut self, host: &mut Host) {
        let headers = self.process.header_map(self.id, REQUEST_HEADERS);
        let body = self.process.take_body(self.id, REQUEST_BODY);
        let trailers = self.process.header_map(self.id, REQUEST_TRAILERS);
        // No route fits a request that has lost one of these.
        let path = value(&headers, ":path").filter(|_| {
            let needed = [":authority", ":method", "x-forwarded-proto"];
            needed.iter().all(|name| value(&headers, name).is_some())
        });
        let Some(path) = path else {
            return self.router_says(host, 404, "route_not_found", "");
        };
        self.rule = calls::rule(&host.options.upstream, &path);
        if value(&headers, ":method").as_deref() == Some("HEAD") {
            self.rule.body.clear();
        }
        let seen = envoy::seen(&headers, &body, &trailers);
        host.seen.borrow_mut().push(seen);
        self.stage = Stage::Upstream;
        self.begin_upstream(host.now);
    }

    fn begin_upstream(&mut self, now: u64) {
        let delay = self.rule.delay_ms.saturating_mul(1_000_000);
        self.due = now.saturating_add(delay.min(ROUTE_TIMEOUT));
    }

    /// When the upstream answers, if the route's time limit lets it.
    fn answered_at(&self) -> u64 {
        match self.rule.delay_ms.saturating_mul(1_000_000) < ROUTE_TIMEOUT {
            true => self.due,
            false => u64::MAX,
        }
    }

    fn answered(&mut self, host: &mut Host) {
        if self.rule.reset {
            let details = "upstream_reset_before_response_started{connection_termination}";
            return self.router_says(host, 503, details, envoy::TERMINATED);
        }
        let headers = envoy::answer_headers(&self.rule);
        let end = self.rule.body.is_empty() && self.rule.trailers.is_empty();
        self.tell(self.rule.status, 0, "via_upstream");
        let flow = self.process.response_headers(self.id, headers, end);
        if self.goes_on(host, flow, Stage::ResponseHeaders) {
            self.response_body(host, false);
        }
    }

    fn response_body(&mut self, host: &mut Host, waited: bool) {
        self.stage = Stage::ResponseBody;
        let body = std::mem::take(&mut self.rule.body).into_bytes();
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

    /// An answer of the router itself runs through the filter's answer side.
    fn router_says(&mut self, host: &mut Host, status: u32, details: &str, text: &str) {
        if std::mem::replace(&mut self.given_up, true) {
            return self.cut(host);
        }
        let reply = envoy::own(status, details, text);
        let flags = match (status, details) {
            (504, "response_timeout") => 0x4,
            (503, _) => 0x40,
            (404, _) => 0x20,
            _ => 0x10000,
        };
        self.tell(status, flags, details);
        let headers = reply.completed();
        let flow = self
            .process
            .response_headers(self.id, headers, reply.body.is_empty());
        self.rule = Rule {
            body: String::from_utf8_lossy(&reply.body).into_owned(),
            ..Rule::default()
        };
        if self.goes_on(host, flow, Stage::ResponseHeaders) {
            self.response_body(host, true);
        }
    }

    /// What the filter can learn of the answer.
    fn tell(&self, status: u32, flags: u64, details: &str) {
        for (path, value) in properties::of_answer(status, flags, details) {
            self.process.set_property(self.id, &path, value);
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
            Flow::Pause if self.given_up => {
                self.cut(host);
                false
            }
            Flow::Pause => {
                self.stage = stage;
                self.due = host.now.saturating_add(IDLE_TIMEOUT);
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

    /// The filter answered. What it said before an answer began has been through its own answer side.
    fn replied(&mut self, host: &mut Host, reply: &LocalReply, request: bool) {
        let mut headers = HeaderMap::new();
        let mut body = reply.body.clone();
        if request {
            headers = self.process.header_map(self.id, RESPONSE_HEADERS);
            if !headers.is_empty() {
                body = self.process.take_body(self.id, RESPONSE_BODY);
            }
        }
        if headers.is_empty() {
            headers = reply.completed();
        }
        self.end(host, &headers, &body, &HeaderMap::new(), false);
    }

    fn over(&mut self, host: &mut Host) {
        let headers = self.process.header_map(self.id, RESPONSE_HEADERS);
        let body = self.process.take_body(self.id, RESPONSE_BODY);
        let trailers = self.process.header_map(self.id, RESPONSE_TRAILERS);
        self.end(host, &headers, &body, &trailers, false);
    }

    fn cut(&mut self, host: &mut Host) {
        let (mut headers, mut body) = (HeaderMap::new(), Vec::new());
        if self.stage == Stage::ResponseBody {
            headers = self.process.header_map(self.id, RESPONSE_HEADERS);
            body = self.process.take_body(self.id, RESPONSE_BODY);
        }
        self.end(host, &headers, &body, &HeaderMap::new(), true);
    }

    fn end(
        &mut self,
        host: &mut Host,
        headers: &HeaderMap,
        body: &[u8],
        trailers: &HeaderMap,
        reset: bool,
    ) {
        let status = value(headers, ":status").and_then(|status| status.parse().ok());
        let has_body = !body.is_empty() || !trailers.is_empty();
        self.answer = Some(Response {
            status: status.unwrap_or(0),
            headers: match reset {
                true => shown(headers),
                false => envoy::framed(headers, has_body),
            },
            body: String::from_utf8_lossy(body).into_owned(),
            trailers: shown(trailers),
            reset,
            took_ms: host.now.saturating_sub(self.begin) / 1_000_000,
        });
        self.due = u64::MAX;
        self.process.close(self.id);
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
