//! The upstream as a guest's own calls see it: the same rules, and the same account of what came.

use std::cell::RefCell;
use std::rc::Rc;

use super::envoy;
use super::message::{Rule, Seen, map};
use crate::abi::stream::{LocalReply, value};
use crate::abi::upstreams::{HttpCall, HttpOutcome, HttpResponse, Upstream};

/// What came to the upstream, in order.
pub(super) type Arrivals = Rc<RefCell<Vec<Seen>>>;

/// The rule that holds for a path.
pub(super) fn rule(rules: &[Rule], path: &str) -> Rule {
    let found = rules
        .iter()
        .find(|rule| path.starts_with(&rule.path_prefix));
    found.cloned().unwrap_or_default()
}

/// The upstream by its rules.
pub(super) struct Answering {
    /// The rules.
    pub(super) rules: Vec<Rule>,
    /// What came.
    pub(super) arrivals: Arrivals,
}

impl Upstream for Answering {
    fn http(&self, call: &HttpCall) -> (u64, HttpOutcome) {
        let path = value(&call.headers, ":path").unwrap_or_default();
        let mut rule = rule(&self.rules, &path);
        let seen = envoy::called(&call.headers, &call.body, &call.trailers, call.timeout);
        let Some(seen) = seen else {
            return (0, HttpOutcome::Never);
        };
        self.arrivals.borrow_mut().push(seen);
        let headers = envoy::answer_headers(&rule);
        if value(&call.headers, ":method").as_deref() == Some("HEAD") {
            rule.clear_body();
        }
        let response = match rule.reset {
            true => {
                let reply = LocalReply::own(503, "", envoy::TERMINATED);
                let (headers, body) = reply.completed(false);
                HttpResponse {
                    headers,
                    body,
                    ..HttpResponse::default()
                }
            }
            false => HttpResponse {
                headers,
                body: rule.payload().to_vec(),
                trailers: map(&rule.trailers),
            },
        };
        let delay = rule.delay_ms.saturating_mul(1_000_000);
        (delay, HttpOutcome::Response(response))
    }
}
