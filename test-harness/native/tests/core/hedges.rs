//! A hedge that nobody pays for waits beside the attempt that runs, and goes or is answered once nothing runs any more.

use std::rc::Rc;

use seawall_native::{Process, Request, Worker};
use seawall_policy::time::Span;
use serde_json::json;

const GET: [(&str, &str); 3] = [(":method", "GET"), (":path", "/"), (":authority", "shop")];

/// A worker whose budget holds so many retries a second, and a request with its first attempt on its way.
fn begun(min_per_second: f64) -> (Rc<Process>, Worker, Request, Request) {
    let retries = json!({
        "attempts": 2,
        "hedge": {"after": "100ms"},
        "budget": {"ratio": 0, "min_per_second": min_per_second},
    });
    let configuration = json!({
        "version": 1,
        "policies": {"p": {"retries": retries, "breaker": {"mode": "off"}}},
        "upstreams": [{"cluster": "*", "policy": "p"}],
    });
    let process = super::process();
    let mut worker = Worker::new(&process, &configuration.to_string(), 1).expect("valid");
    // The upstream position shows itself.
    let mut seen = Request::new(&process, "shop", &GET);
    assert!(seen.send(&mut worker, true));
    let mut attempt = seen.attempt(1);
    assert!(attempt.send(&mut worker, true));
    assert!(attempt.respond(&mut worker, 200, &[]));
    attempt.done(&mut worker);
    seen.respond(&mut worker, 200, &[]);
    seen.end(&mut worker);
    let mut request = Request::new(&process, "shop", &GET);
    assert!(request.send(&mut worker, true));
    let hedges = request
        .known
        .borrow()
        .request
        .text("x-envoy-hedge-on-per-try-timeout");
    assert_eq!(hedges.as_deref(), Some("true"));
    let mut first = request.attempt(1);
    assert!(first.send(&mut worker, true));
    (process, worker, request, first)
}

#[test]
fn a_hedge_without_a_payment_waits_and_is_answered_once_the_attempt_beside_it_has_failed() {
    let (process, mut worker, mut request, mut first) = begun(0.0);
    let mut hedge = request.attempt(2);
    assert!(!hedge.send(&mut worker, true), "it is not sent");
    assert_eq!(
        hedge.reply(),
        None,
        "and not answered: the first may still win"
    );
    worker.tick();
    assert_eq!(
        (hedge.reply(), hedge.known.borrow().resumed),
        (None, false),
        "it waits"
    );
    // The first one breaks.
    first.done(&mut worker);
    process.pass(Span::millis(20));
    worker.tick();
    let reply = hedge.reply().expect("nothing runs beside it any more");
    assert_eq!(reply.details, "seawall_retry_budget");
    assert!(!hedge.known.borrow().resumed);
    hedge.done(&mut worker);
    request.end(&mut worker);
    process.pass(Span::millis(400));
    worker.tick();
    assert_eq!(worker.counted(&["seawall_retries", "decision=granted"]), 0);
}

#[test]
fn a_hedge_that_waits_goes_once_it_can_be_paid_for_and_nothing_runs_beside_it() {
    let (process, mut worker, mut request, mut first) = begun(1.0);
    // Another request takes what the budget holds.
    let mut other = request.attempt(2);
    while other.send(&mut worker, true) {
        other = request.attempt(2);
    }
    assert_eq!(
        (other.reply(), other.known.borrow().resumed),
        (None, false),
        "it waits"
    );
    first.done(&mut worker);
    process.pass(Span::secs(5));
    worker.tick();
    assert_eq!((other.reply(), other.known.borrow().resumed), (None, true));
    other.done(&mut worker);
    request.end(&mut worker);
}
