//! Zones: what goes wrong in one, between two, and what is told of it.

use seawall_harness::sim::Lane;

use crate::worlds::{bare, even, near, run, success};

/// Six hosts in three zones, called by an Envoy without a zone, or by three with one.
const ONE: &str = "services: {shop: {hosts: 6, zones: [a, b, c]}}";
const THREE: &str =
    "edge: {envoys: 3, zones: [a, b, c]}\nservices: {shop: {hosts: 6, zones: [a, b, c]}}";

fn fault(text: &str, fault: &str) -> String {
    format!("{text}\nfaults: ['{fault},at=0s,for=1h']")
}

fn three() -> Lane<'static> {
    Lane {
        bare_edge: 3,
        ..Lane::default()
    }
}

#[test]
fn a_fault_of_a_zone_hits_its_hosts_and_one_from_a_zone_who_asks_from_there() {
    for (hits, expected) in [
        ("errors,zone=a", 1.0 / 3.0),
        ("refuse,from=b", 1.0 / 3.0),
        ("errors,zone=a,from=b", 1.0 / 9.0),
        ("crash,zone=c", 1.0 / 3.0),
        ("slow,zone=c,left=1", 0.0),
        ("errors,zone=a,hosts=0-2", 1.0 / 6.0),
        // Of nine ways between three zones four lead in or out of one, and two connect two.
        ("partition,zone=a", 4.0 / 9.0),
        ("partition,zone=a,from=b", 2.0 / 9.0),
    ] {
        let measure = run(&fault(THREE, hits), &even(500, 12), &three());
        near(success(&measure), 1.0 - expected, 0.03);
    }
    // An Envoy that is in no zone is on the other side of each.
    let measure = bare(&fault(ONE, "partition,zone=a"), &even(500, 12));
    near(success(&measure), 2.0 / 3.0, 0.03);
}

#[test]
fn a_service_calls_from_the_zone_of_its_host() {
    let text = "services: {shop: {hosts: 2, zones: [a, b], calls: [{service: db}]}, db: {hosts: 2, zones: [a, b]}}";
    // Half of all calls cross, and each takes until its connection times out.
    let measure = bare(
        &fault(text, "partition,zone=a,from=b,by=200ms"),
        &even(300, 20),
    );
    near(success(&measure), 0.5, 0.03);
    near(measure.good_latency_ms(0.99), 2.0, 5.0);
}

#[test]
fn what_is_on_its_way_when_zones_are_parted_never_comes() {
    let text = "services: {shop: {hosts: 2, zones: [a, b], time: {constant: 1s}}}\n\
                faults: ['partition,at=5s,for=500ms,zone=a']";
    let measure = bare(text, &even(200, 10));
    // Half of what was sent from 4.0 s to 4.5 s is lost, and half of what comes in the half second is refused.
    near(measure.counts().failed as f64, 50.0 + 50.0, 20.0);
}

#[test]
fn answers_are_told_by_the_zone_of_users_or_of_the_host_that_was_asked() {
    for (text, lane) in [(THREE, three()), (ONE, Lane::default())] {
        for (hits, bad) in [
            ("errors,zone=a", ["a"].as_slice()),
            ("errors,from=b", &["b"]),
        ] {
            // Whose Envoy has no zone asks from none; where users have zones, each of them asks in all.
            let by_user = text == THREE;
            let measure = run(&fault(text, hits), &even(500, 12), &lane);
            let figures = measure.figures("lane", None);
            let zones = figures.answers_by_zone.iter();
            let found: Vec<&str> = zones
                .filter(|of| of.answers.good == 0)
                .map(|of| of.zone.as_str())
                .collect();
            let all = figures.answers_by_zone.iter().map(|of| of.answers.all());
            assert_eq!(all.sum::<u64>(), figures.answers.all());
            let expected: &[&str] = match (by_user, hits) {
                (true, "errors,zone=a") | (false, "errors,from=b") => &[],
                _ => bad,
            };
            assert_eq!(found, expected, "{text} {hits}");
            let share = match (by_user, hits) {
                (true, "errors,zone=a") => 1.0,
                (false, "errors,from=b") => 0.0,
                _ => 1.0 / 3.0,
            };
            near(figures.blast_radius.zones.expect("zones"), share, 0.001);
        }
    }
    let figures = bare("services: {shop: {}}", &even(10, 10)).figures("lane", None);
    assert_eq!(
        (figures.answers_by_zone.len(), figures.blast_radius.zones),
        (0, None)
    );
}
