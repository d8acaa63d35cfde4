//! Closed clients, and clients that keep their connection or their host.

use seawall_harness::measure::Measure;
use seawall_harness::sim::{Lane, Native, Outliers};

use crate::worlds::{bare, even, near, run, success};

#[test]
fn closed_clients_send_what_their_thinking_and_the_upstream_allow() {
    // 50 clients that think 90 ms and wait 10 ms send 500 requests a second, as Little says, whatever the trace's times are.
    for (count, think, work, expected) in [
        (50, "{constant: 90ms}", 9, 500.0),
        (50, "{exponential: 90ms}", 9, 500.0),
        (10, "{constant: 0s}", 9, 1_000.0),
        (50, "{exponential: 90ms}", 909, 50.0),
        // Four servers of 10 ms do no more than 400.
        (50, "{constant: 10ms}, SERVERS", 10, 400.0),
    ] {
        let (think, servers) = match think.strip_suffix(", SERVERS") {
            Some(think) => (think, 4),
            None => (think, 256),
        };
        let text = format!(
            "clients: {{count: {count}, think: {think}}}\n\
             services: {{shop: {{servers: {servers}, time: {{constant: {work}ms}}}}}}"
        );
        let requests = (expected * 20.0) as u64;
        for rate in [10, 10_000] {
            let measure = bare(&text, &even(rate, requests.div_ceil(rate)));
            let figures = measure.figures("lane", None);
            near(figures.goodput_per_s, expected, 0.04 * expected);
            let most = figures.series.waiting.iter().max().copied();
            assert!(most <= Some(count), "{count} clients: {most:?} wait");
        }
    }
}

#[test]
fn a_closed_client_that_gets_nothing_waits_as_long_as_it_has_patience() {
    let text = "clients: {count: 10, think: {constant: 500ms}, patience: 500ms}\n\
                services: {shop: {}}\nfaults: ['hang,at=0s,for=1h']";
    let measure = bare(text, &even(10, 20));
    let counts = measure.counts();
    assert_eq!((counts.failed, counts.all()), (200, 200));
    let figures = measure.figures("lane", None);
    let offered = figures.series.offered.len() as f64;
    near(offered, 20.0, 1.0);
}

fn hit(measure: &Measure) -> f64 {
    1.0 - success(measure)
}

#[test]
fn clients_that_keep_their_host_are_hit_all_or_not_at_all() {
    // Each of 40 clients sends 100 requests, of which one host of four is dead. Who keeps it fails again and again.
    let world = |keeps: &str, more: &str| {
        format!(
            "clients: {{count: 40, keeps: {keeps}, think: {{constant: 100ms}}{more}}}\n\
             services: {{shop: {{hosts: 4}}}}\nfaults: ['refuse,at=0s,for=1h,hosts=2']"
        )
    };
    let shares: Vec<f64> = ["nothing", "connection", "host"]
        .iter()
        .map(|keeps| hit(&bare(&world(keeps, ""), &even(100, 40))))
        .collect();
    near(shares[0], 0.25, 0.03);
    near(shares[1], 0.25, 0.03);
    // A whole number of clients.
    let clients = shares[2] * 40.0;
    assert!((clients - clients.round()).abs() < 0.05, "{shares:?}");
    assert!((3.0..18.0).contains(&clients), "{shares:?}");
    // Once it is ejected they go elsewhere, and stay there.
    let lane = Lane {
        native: Native {
            outliers: Some(Outliers {
                base: 3_600_000_000_000,
                longest: 3_600_000_000_000,
                most: 50.0,
                ..Outliers::DEFAULT
            }),
            ..Native::default()
        },
        ..Lane::default()
    };
    let measure = run(&world("host", ""), &even(100, 40), &lane);
    assert!(hit(&measure) < 0.01, "{}", hit(&measure));
}

#[test]
fn open_clients_keep_their_host_too_and_a_retry_of_the_clients_stays_with_it() {
    for (keeps, expected) in [("nothing", 1.0 / 16.0), ("host", 0.25)] {
        let text = format!(
            "clients: {{count: 400, keeps: {keeps}, tries: 2}}\nservices: {{shop: {{hosts: 4}}}}\n\
             faults: ['errors,at=0s,for=1h,hosts=2']"
        );
        let measure = bare(&text, &even(500, 20));
        near(hit(&measure), expected, 0.06);
    }
}

#[test]
fn a_connection_stays_with_its_envoy() {
    // A single client: with its connection it has one Envoy, of one zone, and without it one after another.
    let zones = |keeps: &str| {
        let text = format!(
            "clients: {{count: 1, keeps: {keeps}, think: {{constant: 0s}}}}\n\
             edge: {{envoys: 4, zones: [a, b, c, d]}}\nservices: {{shop: {{}}}}"
        );
        let lane = Lane {
            bare_edge: 4,
            ..Lane::default()
        };
        let figures = run(&text, &even(100, 10), &lane).figures("lane", None);
        let zones = figures.answers_by_zone.iter();
        zones.filter(|of| of.answers.all() > 0).count()
    };
    assert_eq!(["nothing", "connection", "host"].map(zones), [4, 1, 1]);
}

#[test]
fn the_same_clients_give_the_same_run() {
    let text = "clients: {count: 20, keeps: host, think: {exponential: 50ms}, tries: 2, tokens: {size: 3, deposit: 0.2}}\n\
                services: {shop: {hosts: 3, zones: [a, b], time: {exponential: 10ms}}}\n\
                faults: ['errors,at=2s,for=5s,share=40', 'partition,at=8s,for=2s,zone=a']";
    let told = || {
        let figures = bare(text, &even(100, 40)).figures("lane", None);
        serde_json::to_string(&figures).expect("JSON")
    };
    assert_eq!(told(), told());
}
