//! The fallback ladder with a host that refuses local replies, and failover by the same admission as the route's own cluster.

use std::rc::Rc;

use serde_json::{Value, json};

use seawall_native::{Process, Request, Worker};

const GET: [(&str, &str); 3] = [(":method", "GET"), (":path", "/"), (":authority", "shop")];

fn configured(process: &Rc<Process>, first: Value, second: Value) -> Worker {
    let configuration = json!({
        "version": 1,
        "policies": {"first": first, "second": second},
        "upstreams": [
            {"cluster": "shop", "policy": "first"},
            {"cluster": "spare", "policy": "second"},
        ],
    });
    Worker::new(process, &configuration.to_string(), 1).expect("a valid configuration")
}

fn ladder() -> Value {
    json!({
        "breaker": {"mode": "forced_open"},
        "fallback": [
            {"static": {"status": 200, "body": "one"}},
            {"cluster": "spare"},
            {"static": {"status": 200, "body": "two"}},
        ],
    })
}

#[test]
fn what_the_host_refuses_falls_to_the_next_rung_and_only_what_it_took_is_counted() {
    // Each row: how many replies the host refuses, whether the other cluster admits; the body that the client gets, or
    // whether the request goes; what is counted.
    let rows = [
        (0, true, Some("one"), "static"),
        (1, true, None, "cluster"),
        (0, false, Some("one"), "static"),
        (1, false, Some("two"), "static"),
        (
            2,
            false,
            Some("upstream unavailable: breaker_forced_open\n"),
            "",
        ),
        (3, false, None, ""),
    ];
    for (refusals, spare, body, counted) in rows {
        let process = super::process();
        let mode = match spare {
            true => "enforce",
            false => "forced_open",
        };
        let mut worker = configured(&process, ladder(), json!({"breaker": {"mode": mode}}));
        let mut call = Request::new(&process, "shop", &GET);
        call.refusals = refusals;
        let went = call.send(&mut worker, true);
        let row = format!("{refusals} refused, spare {spare}");
        assert_eq!(went, body.is_none(), "{row}");
        let got = call
            .reply()
            .map(|reply| String::from_utf8(reply.body.clone()).unwrap());
        assert_eq!(got.as_deref(), body, "{row}");
        call.end(&mut worker);
        worker.tick();
        let all = worker.counted(&["seawall_fallbacks"]);
        assert_eq!(all, u64::from(!counted.is_empty()), "{row}");
        if !counted.is_empty() {
            assert_eq!(
                worker.counted(&["seawall_fallbacks", &format!("rung={counted}")]),
                1,
                "{row}"
            );
        }
    }
}

#[test]
fn a_failed_response_is_replaced_by_the_first_rung_that_the_host_takes_or_passed_on() {
    let rows = [(0, Some("one")), (1, Some("two")), (2, None)];
    for (refusals, body) in rows {
        let process = super::process();
        let mut first = ladder();
        first["breaker"] = json!({});
        first["fallback"][0]["on"] = json!(["failure"]);
        first["fallback"][2]["on"] = json!(["failure"]);
        let mut worker = configured(&process, first, json!({}));
        let mut call = Request::new(&process, "shop", &GET);
        assert!(call.send(&mut worker, true));
        call.refusals = refusals;
        assert_eq!(
            call.respond(&mut worker, 503, &[]),
            body.is_none(),
            "{refusals}"
        );
        let got = call
            .reply()
            .map(|reply| String::from_utf8(reply.body.clone()).unwrap());
        assert_eq!(got.as_deref(), body, "{refusals}");
        call.end(&mut worker);
        worker.tick();
        assert_eq!(
            worker.counted(&["seawall_outcomes", "outcome=failure"]),
            1,
            "one request is one verdict"
        );
        assert_eq!(
            worker.counted(&["seawall_fallbacks"]),
            u64::from(body.is_some()),
            "{refusals}"
        );
    }
}

#[test]
fn a_failover_asks_all_that_the_other_cluster_asks_and_counts_it_there() {
    // What the spare cluster's policy refuses the request for.
    let rows = [
        (
            "breaker_forced_open",
            json!({"breaker": {"mode": "forced_open"}}),
        ),
        ("deadline", json!({"timeout": {"doomed_under": "50ms"}})),
        (
            "bulkhead_full",
            json!({"bulkhead": {"max_concurrent": 1, "unfinished": 100}}),
        ),
        (
            "shed_limit",
            json!({"shedding": {"limit": "fixed", "max": 1, "unfinished": 100}}),
        ),
    ];
    for (reason, second) in rows {
        let process = super::process();
        let mut worker = configured(&process, ladder(), second);
        let mut beside = Request::new(&process, "spare", &GET);
        if reason != "breaker_forced_open" {
            assert!(beside.send(&mut worker, true));
        }
        let mut headers = GET.to_vec();
        headers.extend([
            ("content-type", "application/grpc"),
            ("grpc-timeout", "10m"),
        ]);
        let mut call = Request::new(&process, "shop", &headers);
        // A static rung without a gRPC status does not stand for a gRPC caller, so that the spare cluster is asked.
        assert!(!call.send(&mut worker, true), "{reason}");
        assert_eq!(
            call.reply().unwrap().grpc_status,
            Some(14),
            "{reason}: the plain refusal"
        );
        call.end(&mut worker);
        beside.end(&mut worker);
        worker.tick();
        let there = worker.counted(&[
            "decision=refused",
            "upstream=spare",
            &format!("reason={reason}"),
        ]);
        assert_eq!(there, 1, "{reason}");
        assert_eq!(
            worker.counted(&["seawall_in_flight", "upstream=spare"]),
            0,
            "{reason}: nothing is held"
        );
    }
}

#[test]
fn a_failover_that_goes_says_where_to_and_why() {
    let process = super::process();
    let mut first = ladder();
    first["fallback"] = json!([{"cluster": "spare"}]);
    let mut worker = configured(&process, first, json!({"bulkhead": {"max_concurrent": 1}}));
    let mut call = Request::new(&process, "shop", &GET);
    assert!(call.send(&mut worker, true));
    {
        let known = call.known.borrow();
        assert_eq!(
            known.request.text("x-seawall-failover").as_deref(),
            Some("spare")
        );
        assert_eq!(
            known.log.get("seawall.degraded").map(String::as_str),
            Some("cluster")
        );
        assert_eq!(
            known.log.get("seawall.reason").map(String::as_str),
            Some("breaker_forced_open")
        );
        assert!(
            known.attempts.borrow().is_some(),
            "the upstream position looks where it went"
        );
    }
    worker.tick();
    assert_eq!(worker.counted(&["seawall_in_flight", "upstream=spare"]), 1);
    call.respond(&mut worker, 200, &[]);
    assert_eq!(
        call.known
            .borrow()
            .response
            .text("x-seawall-degraded")
            .as_deref(),
        Some("cluster")
    );
    call.end(&mut worker);
    worker.tick();
    assert_eq!(worker.counted(&["seawall_in_flight", "upstream=spare"]), 0);
}
