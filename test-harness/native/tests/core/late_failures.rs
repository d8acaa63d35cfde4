//! Failures that are told once their first verdict has left the window.

use seawall_native::{Request, Worker};
use seawall_policy::breaker::State;
use seawall_policy::breaker::window::Counts;
use seawall_policy::environment::facts::{ResponseFact, StreamFact};
use seawall_policy::outcome::flag;
use seawall_policy::shared::keys::{self, Part};
use seawall_policy::shared::state::SharedState;
use seawall_policy::time::{Span, Timestamp};

use super::process;

const GET: [(&str, &str); 3] = [(":method", "GET"), (":path", "/"), (":authority", "shop")];

/// A request that got no response for longer than the window is one failure more. Nobody's good response is taken for a failure.
#[test]
fn a_request_without_a_response_takes_no_good_verdict_of_others_back() {
    let policy = r#"{"version":1,"policies":{"default":{"timeout":{"total":"15s"},"breaker":{
        "minimum_calls":1000,"hosts":{"grace":"0s"}}}}}"#;
    let process = process();
    let mut worker = Worker::new(&process, policy, 1).expect("a valid configuration");
    let mut silent = Request::new(&process, "shop", &GET);
    assert!(silent.send(&mut worker, true));
    // From here on the router has sent it.
    let one = 1_u64.to_le_bytes().to_vec();
    let mut known = silent.known.borrow_mut();
    known.stream.insert(StreamFact::AttemptCount, one);
    drop(known);
    for turn in 0..150 {
        process.pass(Span::millis(100));
        assert!(Request::new(&process, "shop", &GET).whole(&mut worker, 200));
        if turn % 4 == 3 {
            worker.tick();
        }
    }
    let counts = || -> Counts {
        let key = keys::record("default", "shop", Part::Whole);
        let stored = process.shared.view(&key).expect("it can be read");
        let record = stored.record.expect("a record");
        let State::Closed(mut closed) = record.breaker.state else {
            panic!("it is not closed");
        };
        closed.window.counts(Timestamp::nanos(process.now()))
    };
    worker.tick();
    let before = counts();
    assert_eq!(
        (before.failures, before.slow),
        (0, 0),
        "its slow call has left"
    );
    let flags = flag::UPSTREAM_TIMEOUT.to_le_bytes().to_vec();
    let mut known = silent.known.borrow_mut();
    known.answer.insert(ResponseFact::Flags, flags);
    drop(known);
    silent.end(&mut worker);
    let after = counts();
    assert_eq!(after.failures, 1);
    assert_eq!(after.calls, before.calls + 1, "the good ones stand");
}
