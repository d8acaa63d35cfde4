//! One sick host of three must not cut a healthy service: the trip waits for Envoy to eject it.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process};

use crate::support::{advance, end, process, properties};

const GRACE: &str = r#"{"version":1,"policies":{"default":{"breaker":{
    "failure_rate":30,"consecutive":0,"minimum_calls":20,"window":{"over":"10s"},"hosts":{"grace":"5s"},
    "open":{"for":"60s","up_to":"60s"}}}}}"#;

/// A tenth of a second: three requests, one to each host, of which so many fail. Says whether all went.
fn round(process: &Process, number: usize, sick: usize) -> bool {
    advance(process, 100);
    (0..3).all(|host| {
        let mut properties = properties();
        let address = format!("10.0.0.{host}:80");
        properties.insert("upstream\0address".to_owned(), address.into_bytes());
        let stream = process.open(number, properties);
        let went =
            process.request_headers(stream, headers(&[(":path", "/")]), true) == Flow::Continue;
        if went {
            end(process, stream, if host < sick { "503" } else { "200" });
        } else {
            process.close(stream);
        }
        went
    })
}

/// How many rounds went before the first refusal, of at most a hundred.
fn rounds(sick: usize) -> usize {
    let process = process(2, GRACE);
    (0..100)
        .find(|number| !round(&process, *number, sick))
        .unwrap_or(100)
}

#[test]
fn a_trip_by_a_minority_of_the_hosts_waits_for_the_grace_and_no_longer() {
    assert_eq!(rounds(0), 100);
    assert!(rounds(2) <= 10, "a majority trips at once: {}", rounds(2));
    let withheld = rounds(1);
    assert!(
        (50..65).contains(&withheld),
        "five seconds of grace: {withheld} rounds"
    );
}

#[test]
fn an_ejected_host_leaves_no_trace() {
    let process = process(2, GRACE);
    for number in 0..30 {
        assert!(round(&process, number, 1), "{number}");
    }
    for number in 0..200 {
        assert!(round(&process, number, 0), "{number} after its ejection");
    }
}
