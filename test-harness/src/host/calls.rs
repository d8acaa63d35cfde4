//! The upstream as a guest's own calls see it: the same rules, and the same account of what came.

use std::cell::RefCell;
use std::rc::Rc;

use super::envoy;
use super::message::{Rule, Seen, map};
use crate::abi::stream::value;
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
        let rule = rule(&self.rules, &path);
        let seen = envoy::called(&call.headers, &call.body, &call.trailers, call.timeout);
        self.arrivals.borrow_mut().push(seen);
        let response = match rule.reset {
            true => {
                let reply = envoy::own(503, "", envoy::TERMINATED);
                HttpResponse {
                    headers: reply.completed(),
                    body: reply.body,
                    ..HttpResponse::default()
                }
            }
            false => HttpResponse {
                headers: envoy::answer_headers(&rule),
                body: rule.body.clone().into_bytes(),
                trailers: map(&rule.trailers),
            },
        };
        let delay = rule.delay_ms.saturating_mul(1_000_000);
        (delay, HttpOutcome::Response(response))
    }
}
