//! Shedding: who is refused first, and for how long.

use seawall_harness::abi::stream::headers;

use crate::support::in_flight::{Asked, ask, ask_from, policy, refused, went};
use crate::support::{advance, end, process};

#[test]
fn the_least_important_are_refused_first_and_only_the_trusted_are_more_important() {
    let keys = r#""shedding":{"limit":"fixed","max":10,"load_over":0}"#;
    let process = process(2, &policy(keys));
    let of = |level: &str| ask(&process, 0, &[("x-seawall-priority", level)]);
    let mut streams: Vec<_> = (0..5).map(|_| went(of("sheddable"))).collect();
    assert_eq!(of("sheddable"), refused("shed_limit"));
    streams.extend((0..2).map(|_| went(of("sheddable_plus"))));
    assert_eq!(of("sheddable_plus"), refused("shed_limit"));
    // Who says nothing is critical; so is who is not trusted, whatever he says.
    streams.push(went(ask(&process, 1, &[])));
    let stranger = |level| ask_from(&process, 1, "192.0.2.1:1", &[("x-seawall-priority", level)]);
    streams.push(went(stranger("critical_plus")));
    assert_eq!(stranger("critical_plus"), refused("shed_limit"));
    assert_eq!(stranger("sheddable"), refused("shed_limit"));
    streams.push(went(of("critical_plus")));
    assert_eq!(of("critical_plus"), refused("shed_limit"));
    streams
        .into_iter()
        .for_each(|stream| end(&process, stream, "200"));
}

#[test]
fn the_upstreams_own_word_sheds_the_lowest_first_and_is_forgotten() {
    let keys = r#""shedding":{"limit":"none","load_over":50}"#;
    let process = process(2, &policy(keys));
    let answer = |stream| {
        process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
        let report = headers(&[
            (":status", "200"),
            ("endpoint-load-metrics", "TEXT cpu_utilization=0.95"),
        ]);
        process.response_headers(stream, report, true);
        process.close(stream);
    };
    let of = |id: &str, level: &str| {
        let more = [("x-seawall-priority", level), ("x-request-id", id)];
        ask(&process, 1, &more)
    };
    for round in 0..40 {
        advance(&process, 100);
        answer(went(of(&format!("r{round}"), "critical_plus")));
    }
    let shed = |level: &str| {
        let ids = (0..100).map(|number| format!("q{number}"));
        ids.filter(|id| match of(id, level) {
            Asked::Went(stream) => {
                end(&process, stream, "200");
                false
            }
            full => {
                assert_eq!(full, refused("shed_load"));
                true
            }
        })
        .count()
    };
    assert!(shed("sheddable") > 90);
    assert_eq!(shed("critical_plus"), 0);
    advance(&process, 11_000);
    assert_eq!(shed("sheddable"), 0, "an old report says nothing");
}

#[test]
fn what_a_seawall_before_the_upstream_sheds_is_no_failure() {
    let keys = r#"{"version":1,"policies":{"default":{"breaker":{"consecutive":3,"hosts":{"grace":"0s"}}}}}"#;
    let process = process(1, keys);
    for _ in 0..30 {
        let stream = went(ask(&process, 0, &[]));
        process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
        let shed = headers(&[(":status", "503"), ("x-seawall-reason", "shed_limit")]);
        process.response_headers(stream, shed, true);
        process.close(stream);
    }
    assert!(matches!(ask(&process, 0, &[]), Asked::Went(_)));
}
