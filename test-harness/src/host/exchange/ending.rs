//! How an exchange ends: with an answer of the upstream, of the filter or of Envoy itself, or cut off.

use super::{Exchange, Stage};
use crate::abi::stream::{
    HeaderMap, Held, LocalReply, RESPONSE_BODY, RESPONSE_HEADERS, RESPONSE_TRAILERS, value,
};
use crate::host::bytes::{self, Bytes};
use crate::host::message::{Response, Rule, odd, shown};
use crate::host::route::Own;
use crate::host::{Host, envoy, properties};

fn status(headers: &HeaderMap) -> Option<u32> {
    value(headers, ":status")?.parse().ok()
}

impl Exchange {
    /// An answer of Envoy itself: through the filter's answer side, if that has not seen an answer yet.
    pub(super) fn envoy_says(&mut self, host: &mut Host, own: &Own) {
        if self.stage == Stage::ResponseHeaders {
            return self.straight(host, own);
        }
        if std::mem::replace(&mut self.given_up, true) {
            return self.cut(host);
        }
        let (headers, body) = self.process.completed(self.id, &own.reply);
        self.tell(status(&headers), own.flags, &own.reply.details);
        let flow = self
            .process
            .response_headers(self.id, headers, body.is_empty());
        self.rule = Rule {
            body_base64: Some(Bytes(body)),
            ..Rule::default()
        };
        if self.goes_on(host, flow, Stage::ResponseHeaders) && self.has_status(host) {
            self.response_body(host, true);
        }
    }

    /// An answer of Envoy itself, past the filter, which sees it in its log alone.
    pub(super) fn straight(&mut self, host: &mut Host, own: &Own) {
        let (headers, body) = self.process.completed(self.id, &own.reply);
        self.tell(status(&headers), own.flags, &own.reply.details);
        self.process
            .set_header_map(self.id, RESPONSE_HEADERS, headers.clone());
        self.end(host, &headers, &body, &HeaderMap::new(), false);
    }

    /// What the filter can learn of the answer.
    pub(super) fn tell(&mut self, status: Option<u32>, flags: u64, details: &str) {
        self.flags |= flags;
        let flags = self.flags;
        for (path, value) in properties::of_answer(status, flags, details) {
            self.process.set_property(self.id, &path, value);
        }
    }

    /// What the filter can learn of the upstream, once there was a connection.
    pub(super) fn knows_upstream(&self, host: &Host) {
        for (path, value) in host.options.known.of_upstream() {
            self.process.set_property(self.id, &path, value);
        }
    }

    /// The filter answered. What it said before an answer began has been through its own answer side.
    pub(super) fn replied(&mut self, host: &mut Host, reply: &LocalReply, request: bool) {
        let mut headers = HeaderMap::new();
        let mut body = reply.body.clone();
        if let Some(held) = self.process.take_held(self.id).filter(|_| request) {
            let (_, body) = self.process.completed(self.id, reply);
            return self.holds(host, held, body);
        }
        if request {
            headers = self.process.header_map(self.id, RESPONSE_HEADERS);
            if !headers.is_empty() {
                body = self.process.take_body(self.id, RESPONSE_BODY);
            }
        }
        if headers.is_empty() {
            (headers, body) = self.process.completed(self.id, reply);
            self.process
                .set_header_map(self.id, RESPONSE_HEADERS, headers.clone());
        }
        self.end(host, &headers, &body, &HeaderMap::new(), false);
    }

    /// The filter holds its own answer back: that waits as an upstream's would.
    fn holds(&mut self, host: &Host, held: Held, body: Vec<u8>) {
        self.given_up = true;
        self.stage = match held {
            Held::Headers => Stage::ResponseHeaders,
            Held::Body => Stage::ResponseBody,
        };
        self.rule = Rule {
            body_base64: Some(Bytes(body)),
            ..Rule::default()
        };
        self.due = host.now.saturating_add(host.options.idle_timeout);
    }

    pub(super) fn over(&mut self, host: &mut Host) {
        let headers = self.process.header_map(self.id, RESPONSE_HEADERS);
        let body = self.process.take_body(self.id, RESPONSE_BODY);
        let trailers = self.process.header_map(self.id, RESPONSE_TRAILERS);
        self.end(host, &headers, &body, &trailers, false);
    }

    pub(super) fn cut(&mut self, host: &mut Host) {
        let (mut headers, mut body) = (HeaderMap::new(), Vec::new());
        if self.stage == Stage::ResponseBody {
            headers = self.process.header_map(self.id, RESPONSE_HEADERS);
            body = self.process.take_body(self.id, RESPONSE_BODY);
        }
        self.end(host, &headers, &body, &HeaderMap::new(), true);
    }

    pub(super) fn end(
        &mut self,
        host: &mut Host,
        headers: &HeaderMap,
        body: &[u8],
        trailers: &HeaderMap,
        reset: bool,
    ) {
        let is_head = self.request.method == "HEAD";
        let sent = envoy::fitted(headers, body, is_head);
        let (text, body_base64) = bytes::body(sent.body);
        self.answer = Some(Response {
            status: status(headers).unwrap_or(0),
            headers: match reset {
                true => shown(headers),
                false => envoy::framed(headers, !body.is_empty() || !trailers.is_empty(), is_head),
            },
            body: text,
            body_base64,
            headers_base64: odd(headers),
            trailers: shown(trailers),
            reset: reset || sent.is_short,
            took_ms: host.now.saturating_sub(self.begin) / 1_000_000,
        });
        self.due = u64::MAX;
        if self.by_upstream {
            let (path, value) = properties::latency(self.rule.delay_ms);
            self.process.set_property(self.id, &path, value);
        }
        self.process.close(self.id);
    }
}
