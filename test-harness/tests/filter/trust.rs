//! What strangers can say, and what they are told.

use seawall_harness::abi::stream::{HeaderMap, LocalReply, headers, value};
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{advance, process, properties};

const REQUEST: u32 = 0;
const RESPONSE: u32 = 2;
const FRIEND: &str = "10.9.0.1:1234";
const STRANGER: &str = "192.0.2.1:1234";

/// A configuration that trusts 10.0.0.0/8.
fn trusting(policy: &str) -> String {
    format!(
        r#"{{"version":1,"trust":{{"addresses":["10.0.0.0/8"]}},"policies":{{"default":{{{policy}}}}}}}"#
    )
}

const INBOUND: u64 = 1;
const OUTBOUND: u64 = 2;

/// A request on an inbound listener.
fn ask(process: &Process, peer: &str, more: &[(&str, &str)]) -> Result<StreamId, LocalReply> {
    ask_on(process, INBOUND, peer, more)
}

/// A request on a listener of this direction.
fn ask_on(
    process: &Process,
    direction: u64,
    peer: &str,
    more: &[(&str, &str)],
) -> Result<StreamId, LocalReply> {
    let mut properties = properties();
    properties.insert("source\0address".to_owned(), peer.as_bytes().to_vec());
    let direction = direction.to_le_bytes().to_vec();
    properties.insert("xds\0listener_direction".to_owned(), direction);
    let stream = process.open(0, properties);
    let asked = [&[(":method", "GET"), (":path", "/")], more].concat();
    match process.request_headers(stream, headers(&asked), true) {
        Flow::Continue => Ok(stream),
        Flow::Pause => panic!("nothing waits"),
        Flow::Reply(reply) => {
            process.close(stream);
            Err(reply)
        }
    }
}

/// What those who come after are told of a request's priority, in the header of the house and in Seawall's.
fn told(
    process: &Process,
    peer: &str,
    more: &[(&str, &str)],
) -> (Option<String>, Option<String>, usize) {
    let stream = ask(process, peer, more).expect("it goes");
    let map = process.header_map(stream, REQUEST);
    let lines = map.iter().filter(|(name, _)| name == b"x-prio").count();
    process.close(stream);
    (
        value(&map, "x-prio"),
        value(&map, "x-seawall-priority"),
        lines,
    )
}

#[test]
fn a_header_of_the_house_goes_on_with_what_was_made_of_it() {
    let policy = r#""shedding":{"limit":"fixed","max":100,"priorities":{"header":"x-prio"}}"#;
    let process = process(1, &trusting(policy));
    let prio = |level| ("x-prio", level);
    let ours = |level| ("x-seawall-priority", level);
    let critical = || Some("critical".to_owned());
    let plus = || Some("critical_plus".to_owned());
    let sheddable = || Some("sheddable".to_owned());
    for (peer, said, expected) in [
        (
            STRANGER,
            vec![prio("critical_plus")],
            (critical(), critical(), 1),
        ),
        (
            STRANGER,
            vec![prio("sheddable")],
            (sheddable(), sheddable(), 1),
        ),
        (
            STRANGER,
            vec![prio("sheddable"), prio("critical_plus")],
            (sheddable(), sheddable(), 1),
        ),
        (
            STRANGER,
            vec![prio("critical_plus"), ours("critical_plus")],
            (critical(), critical(), 1),
        ),
        (STRANGER, vec![prio("7")], (Some("7".to_owned()), None, 1)),
        (STRANGER, vec![], (None, None, 0)),
        (FRIEND, vec![prio("critical_plus")], (plus(), plus(), 1)),
        // The friend's own client said it, and the friend made less of it.
        (
            FRIEND,
            vec![prio("critical_plus"), ours("critical")],
            (critical(), critical(), 1),
        ),
        (FRIEND, vec![ours("critical_plus")], (None, plus(), 0)),
        // Said by a header, and so by nobody.
        (
            "10.9.0.1:0",
            vec![prio("critical_plus"), ours("critical_plus")],
            (critical(), critical(), 1),
        ),
    ] {
        assert_eq!(told(&process, peer, &said), expected, "{peer}: {said:?}");
    }
}

#[test]
fn the_second_hop_takes_a_request_for_what_the_first_made_of_it() {
    let policy = r#""shedding":{"limit":"fixed","max":100,"priorities":{"header":"x-prio"}}"#;
    let first = process(1, &trusting(policy));
    let second = process(1, &trusting(policy));
    let stream = ask(&first, STRANGER, &[("x-prio", "critical_plus")]).expect("it goes");
    let map = first.header_map(stream, REQUEST);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let came: Vec<_> = map
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .filter(|(name, _)| !name.starts_with(':'))
        .collect();
    let came: Vec<_> = came
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let critical = Some("critical".to_owned());
    assert_eq!(
        told(&second, FRIEND, &came),
        (critical.clone(), critical, 1)
    );
}

#[test]
fn a_strangers_id_does_not_choose_whether_he_is_shed() {
    let policy =
        r#""shedding":{"limit":"none","load_over":50,"priorities":{"default":"sheddable"}}"#;
    let answer = |process: &Process, stream, cpu: &str| {
        process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
        let report = format!("TEXT cpu_utilization={cpu}");
        let answer = [(":status", "200"), ("endpoint-load-metrics", &report)];
        process.response_headers(stream, headers(&answer), true);
        process.close(stream);
    };
    // Until some are shed, and some are not.
    let process = process(1, &trusting(policy));
    let asks = |peer, id: &str| ask(&process, peer, &[("x-request-id", id)]);
    let shed = |peer, id: &dyn Fn(u32) -> String| {
        let asked = (0..200).filter_map(|number| match asks(peer, &id(number)) {
            Err(refused) => Some(refused),
            Ok(stream) => {
                process.close(stream);
                None
            }
        });
        asked.count()
    };
    for round in 0..1_000 {
        advance(&process, 60);
        if let Ok(stream) = asks(FRIEND, &format!("r{round}")) {
            answer(&process, stream, "0.6");
        }
        let all = shed(FRIEND, &|number| format!("q{number}"));
        if (60..=140).contains(&all) {
            let chosen = |_| "chosen".to_owned();
            assert!(
                [0, 200].contains(&shed(FRIEND, &chosen)),
                "one id, one draw"
            );
            let strangers = shed(STRANGER, &chosen);
            assert!((20..=180).contains(&strangers), "{strangers} of 200");
            return;
        }
    }
    panic!("never a half was shed");
}

/// How many of 200 requests with one id are refused, on a listener of this direction.
fn refused(process: &Process, direction: u64, peer: &str) -> usize {
    let more = [("x-request-id", "chosen")];
    let asked = (0..200).filter(|_| match ask_on(process, direction, peer, &more) {
        Err(_) => true,
        Ok(stream) => {
            process.close(stream);
            false
        }
    });
    asked.count()
}

#[test]
fn a_strangers_id_does_not_choose_whether_a_breaker_lets_it_in() {
    let breaker = |more: &str| {
        trusting(&format!(
            r#""breaker":{{"inbound":true,"consecutive":3,"slow_call":{{"rate":0}},"hosts":{{"grace":"0s"}},
            "open":{{"for":"1s","up_to":"1s","jitter":0}},"half_open":{{"permits":1,"wait":"20s"}},{more}}}"#
        ))
    };
    let fail = |process: &Process, status: &str| {
        let stream = ask(process, FRIEND, &[]).expect("it goes");
        process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
        process.response_headers(stream, headers(&[(":status", status)]), true);
        process.close(stream);
    };
    let part = process(1, &breaker(r#""ramp":"0s","enforce":"50%""#));
    let ramp = process(1, &breaker(r#""ramp":"60s""#));
    for process in [&part, &ramp] {
        (0..3).for_each(|_| fail(process, "503"));
    }
    advance(&ramp, 1_100);
    fail(&ramp, "200");
    advance(&ramp, 30_000);
    for (process, name) in [(&part, "half of it is enforced"), (&ramp, "ramp")] {
        for direction in [INBOUND, OUTBOUND] {
            // What a worker saw last says whether it is worth asking who somebody is.
            refused(process, direction, FRIEND);
            let friend = refused(process, direction, FRIEND);
            assert!([0, 200].contains(&friend), "{name}: one id, one draw");
            let stranger = refused(process, direction, STRANGER);
            assert!((20..=180).contains(&stranger), "{name}: {stranger} of 200");
        }
    }
}

#[test]
fn with_answer_headers_off_a_refusal_gives_no_reason() {
    let grpc = ("content-type", "application/grpc");
    for (switch, plain, message) in [
        (
            "true",
            "too much to do: bulkhead_full\n",
            "too much to do: bulkhead_full",
        ),
        ("false", "too much to do\n", "too much to do"),
    ] {
        let policy = format!(r#""answer_headers":{switch},"bulkhead":{{"max_concurrent":1}}"#);
        let process = process(1, &trusting(&policy));
        let _held = ask(&process, STRANGER, &[]).expect("there is a place");
        for (more, expected) in [(&[][..], plain), (&[grpc][..], message)] {
            let reply = ask(&process, STRANGER, more).expect_err("it is full");
            assert_eq!(String::from_utf8_lossy(&reply.body), expected);
            let reason = value(&reply.headers, "x-seawall-reason");
            assert_eq!(reason.is_some(), switch == "true");
        }
    }
}

/// What is left of an answer's headers, in order.
fn answered(process: &Process, peer: &str, status: &str) -> Vec<String> {
    let stream = ask(process, peer, &[]).expect("it goes");
    process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
    let answer = headers(&[
        (":status", status),
        ("x-seawall-reason", "shed_limit"),
        ("x-from", "upstream"),
        ("x-seawall-degraded", "static"),
        ("x-seawall-no-retry", "1"),
    ]);
    assert_eq!(
        process.response_headers(stream, answer, true),
        Flow::Continue
    );
    let map: HeaderMap = process.header_map(stream, RESPONSE);
    process.close(stream);
    let names = map
        .iter()
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned());
    names.filter(|name| !name.starts_with(':')).collect()
}

#[test]
fn with_answer_headers_off_nothing_is_told_of_a_seawall_further_on() {
    let off = process(1, &trusting(r#""answer_headers":false"#));
    let on = process(1, &trusting(""));
    for status in ["200", "503"] {
        assert_eq!(answered(&off, STRANGER, status), ["x-from"]);
        let friends = ["x-from", "x-seawall-no-retry"];
        assert_eq!(answered(&off, FRIEND, status), friends, "not to be retried");
        assert!(answered(&on, STRANGER, status).contains(&"x-seawall-reason".to_owned()));
    }
}
