//! Own probes of an open upstream: one at a time over all workers, and what comes of each answer.
//!
//! The first tick after the trip says when the first probe is due: two seconds after that.

use std::cell::RefCell;
use std::rc::Rc;

use seawall_harness::abi::callouts::CallOut;
use seawall_harness::abi::stream::value;
use seawall_harness::abi::upstreams::{Answers, Cluster, HttpCall, HttpOutcome, HttpResponse};
use seawall_harness::process::Process;

use crate::support::{ask, end, process, traps};

const SECOND: u64 = 1_000_000_000;

fn policy(open: &str, more: &str) -> String {
    format!(
        r#"{{"version":1,"policies":{{"default":{{"breaker":{{
        "minimum_calls":5,"consecutive":0,"slow_call":{{"rate":0}},"ramp":"0s","hosts":{{"grace":"0s"}},
        "open":{{"for":"{open}","up_to":"{open}","jitter":0}},"half_open":{{"permits":3,"wait":"20s"}},
        "probe":{{"path":"/healthz","every":"2s"{more}}}}}}}}}}}"#
    )
}

/// A process whose upstream failed until the breaker opened, which all its workers have seen.
fn open(workers: usize, configuration: &str) -> Process {
    let process = process(workers, configuration);
    for _ in 0..5 {
        let stream = ask(&process, 0).expect("closed passes");
        end(&process, stream, "503");
    }
    assert!((0..workers).all(|worker| ask(&process, worker).is_none()));
    process
}

/// The cluster answers each call like this from now on; the times, in milliseconds since now, at which it was called.
fn answered(process: &Process, outcome: HttpOutcome) -> Rc<RefCell<Vec<u64>>> {
    let times = Rc::new(RefCell::new(Vec::new()));
    let (seen, begin) = (Rc::clone(&times), now(process));
    let clock = process.clone();
    let answers = Answers(move |_: &HttpCall| {
        let since = now(&clock) - begin;
        seen.borrow_mut().push(since / 1_000_000);
        (20_000_000, outcome.clone())
    });
    process.set_cluster("upstream", Cluster::Answered(Rc::new(answers)));
    times
}

fn now(process: &Process) -> u64 {
    process.common().now.get()
}

fn pass(process: &Process, seconds: u64) {
    process.advance(now(process) + seconds * SECOND);
}

fn metric(process: &Process, part: &str) -> u64 {
    let metrics = process.common().metrics.borrow();
    let found = metrics
        .values()
        .iter()
        .filter(|(name, _)| name.contains(part));
    found.map(|(_, value)| *value).sum()
}

#[test]
fn exactly_one_of_four_workers_probes_each_two_seconds() {
    let process = open(4, &policy("60s", ""));
    let times = answered(&process, HttpOutcome::Response(HttpResponse::new(503, "")));
    pass(&process, 21);
    let times = times.take();
    assert_eq!(times.len(), 10, "{times:?}");
    assert!(
        times.windows(2).all(|two| two[1] - two[0] == 2_000),
        "{times:?}"
    );
    assert_eq!(metric(&process, "seawall_probes"), 10);
    assert_eq!(metric(&process, "outcome=bad"), 10);
    assert!(ask(&process, 1).is_none(), "it is still open");
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_good_answer_lets_a_few_requests_probe_and_never_all() {
    for status in [200, 204, 302, 399] {
        let process = open(2, &policy("60s", ""));
        let times = answered(
            &process,
            HttpOutcome::Response(HttpResponse::new(status, "")),
        );
        pass(&process, 3);
        assert_eq!(times.take().len(), 1);
        let probes: Vec<_> = (0..8).filter_map(|worker| ask(&process, worker)).collect();
        assert_eq!(probes.len(), 3, "{status}");
        let made = "from=open..to=half_open";
        assert_eq!(metric(&process, made), 1);
        for probe in probes {
            end(&process, probe, "200");
        }
        assert!((0..8).all(|worker| ask(&process, worker).is_some()));
        pass(&process, 10);
        assert_eq!(times.take(), Vec::<u64>::new(), "closed is not probed");
    }
}

#[test]
fn no_other_answer_changes_anything_and_the_open_time_goes_on() {
    let response = |status| HttpOutcome::Response(HttpResponse::new(status, ""));
    for outcome in [
        response(199),
        response(404),
        response(500),
        response(65_535),
        HttpOutcome::Response(HttpResponse::default()),
        HttpOutcome::Refused,
        HttpOutcome::Broken,
        HttpOutcome::Never,
    ] {
        let process = open(2, &policy("7s", ""));
        let times = answered(&process, outcome.clone());
        pass(&process, 6);
        assert!(times.take().len() >= 2, "{outcome:?}");
        assert!(
            (0..4).all(|worker| ask(&process, worker).is_none()),
            "{outcome:?}"
        );
        pass(&process, 1);
        let probes = (0..8).filter(|worker| ask(&process, *worker).is_some());
        assert_eq!(probes.count(), 3, "{outcome:?}");
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}

#[test]
fn a_cluster_that_cannot_be_called_is_a_bad_answer() {
    for cluster in [None, Some(Cluster::Empty)] {
        let process = open(2, &policy("60s", ""));
        if let Some(cluster) = cluster {
            process.set_cluster("upstream", cluster);
        }
        pass(&process, 7);
        assert_eq!(metric(&process, "outcome=bad"), 3);
        assert_eq!(metric(&process, "seawall_host_errors"), 0);
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}

#[test]
fn the_probe_of_a_worker_that_died_is_made_up_for_by_another() {
    let process = open(2, &policy("10m", r#","timeout":"60s""#));
    process.set_cluster("upstream", Cluster::Held);
    pass(&process, 3);
    let held = process.call_outs();
    let [(call, CallOut::Http(asked))] = held.as_slice() else {
        panic!("{held:?}");
    };
    assert_eq!(value(&asked.headers, ":path").as_deref(), Some("/healthz"));
    let first = call.vm();
    process.kill(first - 1);
    pass(&process, 55);
    assert_eq!(
        process.call_outs().len(),
        1,
        "the claim outlasts the time-out"
    );
    pass(&process, 5);
    let by: Vec<usize> = process
        .call_outs()
        .iter()
        .map(|(call, _)| call.vm())
        .collect();
    assert_eq!(by.iter().filter(|vm| **vm != first).count(), 1, "{by:?}");
}

#[test]
fn an_answer_that_comes_when_the_breaker_is_elsewhere_changes_nothing() {
    let process = open(1, &policy("3s", r#","timeout":"10s""#));
    process.set_cluster("upstream", Cluster::Held);
    pass(&process, 3);
    let probes: Vec<_> = (0..3).filter_map(|_| ask(&process, 0)).collect();
    for probe in probes {
        end(&process, probe, "503");
    }
    assert!(
        ask(&process, 0).is_none(),
        "open again, in another generation"
    );
    let (call, _) = process.call_outs().remove(0);
    assert!(process.answer(call, HttpOutcome::Response(HttpResponse::new(200, ""))));
    assert!(
        ask(&process, 0).is_none(),
        "it was asked before the second trip"
    );
    pass(&process, 1);
    assert_eq!(metric(&process, "outcome=good"), 1);
}

#[test]
fn the_request_is_a_get_with_a_limit_to_the_host_that_is_said() {
    let process = open(
        1,
        &policy("60s", r#","timeout":"250ms","host":"health.shop""#),
    );
    process.set_cluster("upstream", Cluster::Held);
    process.advance(now(&process) + 5 * SECOND / 2);
    let held = process.call_outs();
    let [(_, CallOut::Http(asked))] = held.as_slice() else {
        panic!("{held:?}");
    };
    let header = |name| value(&asked.headers, name);
    assert_eq!(header(":method").as_deref(), Some("GET"));
    assert_eq!(header(":authority").as_deref(), Some("health.shop"));
    assert_eq!((asked.timeout, asked.body.len()), (Some(250_000_000), 0));
}
