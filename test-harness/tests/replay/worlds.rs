//! Worlds: services that call others, their hosts, what goes wrong in them, and what Envoy does by itself.

use seawall_harness::measure::Measure;
use seawall_harness::process::{Process, ProcessOptions};
use seawall_harness::router::{RetryOn, Route};
use seawall_harness::sim::{Lane, Native, Outliers, START, play};
use seawall_harness::trace::{Request, poisson};
use seawall_harness::world::World;

use crate::shipped;

/// So many requests a second for so many seconds.
pub(crate) fn even(rate: u64, seconds: u64) -> Vec<Request> {
    let request = |number: u64| Request {
        at_us: number * 1_000_000 / rate,
        service_us: 1_000,
        ..Request::default()
    };
    (0..rate * seconds).map(request).collect()
}

fn world(text: &str) -> World {
    World::read(&format!("version: 1\n{text}")).expect("a world")
}

pub(crate) fn run(text: &str, trace: &[Request], lane: &Lane<'_>) -> Measure {
    let scenario = world(text).scenario(1).expect("a scenario");
    play(&scenario, trace, lane, || ())
}

/// A bare Envoy at the edge and beside each service that calls others.
pub(crate) fn bare(text: &str, trace: &[Request]) -> Measure {
    let lane = Lane {
        sidecars: world(text).sidecars(false),
        ..Lane::default()
    };
    run(text, trace, &lane)
}

#[track_caller]
pub(crate) fn near(found: f64, expected: f64, tolerance: f64) {
    let off = (found - expected).abs();
    assert!(off <= tolerance, "{found} is not {expected}");
}

pub(crate) fn success(measure: &Measure) -> f64 {
    measure.success()
}

const CALLS: &str = "
services:
  shop: {time: {constant: 10ms}, FAN calls: [{service: a, OPTIONAL timeout: 1s}, {service: b}]}
  a: {time: {constant: 20ms}}
  b: {time: {constant: 30ms}}
";

#[test]
fn calls_take_as_long_as_all_of_them_or_as_the_longest_one() {
    // Each hop takes a millisecond more for the way there and back.
    for (fan_out, expected) in [("fan_out: true,", 42.0), ("fan_out: false,", 63.0)] {
        let text = CALLS.replace("FAN", fan_out).replace("OPTIONAL", "");
        let measure = bare(&text, &even(10, 10));
        near(measure.good_latency_ms(0.5), expected, 0.5);
        near(measure.load(), 3.0, 0.0);
    }
}

#[test]
fn an_answer_needs_those_of_all_calls_but_optional_ones() {
    for (optional, expected) in [("optional: true,", 1.0), ("", 0.0)] {
        for fan_out in ["fan_out: true,", ""] {
            let text = CALLS.replace("FAN", fan_out).replace("OPTIONAL", optional);
            for fault in ["errors", "refuse", "hang", "crash"] {
                let text = format!("{text}\nfaults: ['{fault},at=0s,for=1h,service=a']");
                let measure = bare(&text, &even(10, 10));
                assert_eq!(success(&measure), expected, "{fault} {optional} {fan_out}");
            }
        }
    }
}

#[test]
fn a_call_is_tried_as_often_as_its_caller_says() {
    // Half of the attempts fail, and each draws for itself.
    for (tries, expected, load) in [(1, 0.5, 2.0), (2, 0.75, 2.5), (4, 0.9375, 2.875)] {
        let text = format!(
            "services: {{shop: {{calls: [{{service: db, tries: {tries}}}]}}, db: {{}}}}\n\
             faults: ['errors,at=0s,for=1h,share=50,service=db']"
        );
        let measure = bare(&text, &even(500, 20));
        near(success(&measure), expected, 0.02 * expected);
        near(measure.load(), load, 0.02 * load);
    }
}

#[test]
fn a_service_that_waits_with_its_server_serves_fewer() {
    // Ten servers that are held for 11 ms and 91 ms serve 98 requests a second; those of 10 ms alone 1,000.
    for (holds, least, most) in [(true, 90.0, 102.0), (false, 195.0, 201.0)] {
        let text = format!(
            "services: {{shop: {{servers: 10, queue: {{places: 10}}, holds_server: {holds}, time: {{constant: 10ms}}, \
             calls: [{{service: db}}]}}, db: {{time: {{constant: 90ms}}}}}}"
        );
        let measure = bare(&text, &even(200, 20));
        let good = measure.counts().good as f64 / 20.0;
        assert!((least..=most).contains(&good), "{holds}: {good} a second");
    }
}

#[test]
fn a_host_that_crashed_takes_its_share_with_it_and_is_cold_afterwards() {
    let text = "services: {shop: {hosts: 4, time: {constant: 20ms}, cold_start: {for: 20s, speed: 10}}}\n\
                faults: ['crash,at=10s,for=10s,hosts=2']";
    let measure = bare(text, &even(1_000, 40));
    let seconds = measure.ended_per_second();
    let good = |from: usize, to: usize| {
        let counts = &seconds[from..to];
        counts.iter().map(|counts| counts.good).sum::<u64>() as f64 / (to - from) as f64
    };
    near(good(2, 10), 1_000.0, 0.0);
    near(good(11, 20), 750.0, 15.0);
    near(good(22, 39), 1_000.0, 5.0);
    // A quarter of the answers take ten times as long right after the start.
    let cut = seconds[10].failed;
    assert!(
        (240..300).contains(&cut),
        "what was in work is lost too: {cut}"
    );
    near(measure.good_latency_ms(0.5), 21.0, 0.5);
    assert!(measure.good_latency_ms(0.99) > 100.0);
}

#[test]
fn a_cache_spares_whom_it_stands_before() {
    let text = "services: {shop: {cache: {hits: 75, time: 1ms, fills_after: 100}, calls: [{service: db}]}, db: {}}";
    let measure = bare(text, &even(1_000, 20));
    near(measure.load(), 1.25, 0.01);
}

#[test]
fn what_the_network_loses_ends_with_the_routes_limit() {
    let text = "services: {shop: {network: {loss: 10}}}";
    let measure = bare(text, &even(100, 60));
    near(success(&measure), 0.9, 0.012);
    near(measure.load(), 0.9, 0.012);
}

#[test]
fn envoys_own_limits_keep_what_is_too_much_from_the_upstream() {
    // 200 requests a second of 100 ms: 20 in flight.
    let text = "services: {shop: {time: {constant: 100ms}}}";
    let with = |native: Native| {
        let lane = Lane {
            native,
            ..Lane::default()
        };
        run(text, &even(200, 20), &lane)
    };
    let free = with(Native {
        requests: Some(25),
        ..Native::default()
    });
    assert_eq!(success(&free), 1.0);
    let half = with(Native {
        requests: Some(10),
        ..Native::default()
    });
    near(success(&half), 0.49, 0.02);
    let waiting = with(Native {
        connections: Some(10),
        pending: Some(10),
        ..Native::default()
    });
    near(success(&waiting), 0.5, 0.02);
    // Ten wait for a tenth of a second.
    near(waiting.good_latency_ms(0.9), 201.0, 3.0);
}

#[test]
fn outlier_detection_leaves_a_bad_host_out_until_all_are() {
    let text = "services: {shop: {hosts: 10}}\nfaults: ['errors,at=0s,for=1h,hosts=HOSTS']";
    let outliers = Native {
        outliers: Some(Outliers {
            most: 50.0,
            ..Outliers::DEFAULT
        }),
        ..Native::default()
    };
    for (hosts, without, with) in [("3-3", 0.9, 0.99), ("0-9", 0.0, 0.0)] {
        let text = text.replace("HOSTS", hosts);
        let measure = |native: Native| {
            let lane = Lane {
                native,
                ..Lane::default()
            };
            success(&run(&text, &even(100, 60), &lane))
        };
        near(measure(Native::default()), without, 0.01);
        assert!(measure(outliers.clone()) >= with, "{hosts}");
    }
}

#[test]
fn each_hop_has_a_filter_of_its_own_or_none() {
    let text = "services: {shop: {SIDECAR calls: [{service: db}]}, db: {}}\nfaults: ['errors,at=10s,for=20s,service=db']";
    for (sidecar, upstreams) in [
        ("", ["db", "shop"].as_slice()),
        ("sidecar: envoy,", &["shop"]),
    ] {
        let text = text.replace("SIDECAR", sidecar);
        let world = world(&text);
        let start = |number: usize| {
            let options = ProcessOptions {
                configuration: br#"{"version":1,"policies":{"default":{}}}"#.to_vec(),
                seed: number as u64,
                ..ProcessOptions::default()
            };
            let process =
                Process::start(shipped::module(), options, START).expect("the filter starts");
            process.take_log();
            process
        };
        let envoys: Vec<Process> = (0..world.filters()).map(start).collect();
        let lane = Lane {
            sidecars: world.sidecars(true),
            ..Lane::both(&envoys)
        };
        let measure = run(&text, &even(100, 60), &lane);
        let opened = measure.transitions.iter();
        let opened = opened.filter(|made| made.change == "closed -> open");
        let mut opened: Vec<&str> = opened
            .filter_map(|made| made.line.split("upstream=").nth(1)?.split(' ').next())
            .collect();
        opened.sort_unstable();
        opened.dedup();
        assert_eq!(opened, upstreams, "{sidecar}");
    }
}

#[test]
fn the_shipped_world_is_one_and_bad_ones_say_what_would_be_right() {
    let shipped = include_str!("../../../examples/worlds/shop.yaml");
    let world = World::read(shipped).expect("the shipped world");
    assert_eq!((world.entry(), world.filters()), ("shop", 3));
    for (text, why) in [
        ("version: 2", "expected 1, the version of this format"),
        ("version: 1\nservice: {}", "unknown field"),
        (
            "version: 1\nservices: {a: {hosts: 0}}",
            "services.a.hosts: 0: expected 1 to",
        ),
        (
            "version: 1\nservices: {a: {calls: [{service: c}]}, b: {}}",
            "services.a.calls[0].service: there is no service c: expected one of a, b",
        ),
        (
            "version: 1\nservices: {a: {calls: [{service: b}]}, b: {calls: [{service: a}]}}",
            "in a circle: a -> b -> a",
        ),
        (
            "version: 1\nservices: {a: {time: {constant: 5}}}",
            "constant",
        ),
        (
            "version: 1\nservices: {a: {time: {pareto: {least: 1ms, shape: 0}}}}",
            "a number above 0",
        ),
        (
            "version: 1\nservices: {a: {network: {loss: 101}}}",
            "expected 0 to 100 percent",
        ),
        (
            "version: 1\nservices: {a: {pauses: {every: 1s, for: 1s}}}",
            "less than `every`",
        ),
        (
            "version: 1\nfaults: ['errors,at=1s']",
            "faults[0]: for= is missing",
        ),
        (
            "version: 1\nfaults: ['errors,at=1s,for=1s,service=b']",
            "there is no service b",
        ),
        (
            "version: 1\nedge: {workers: 9}",
            "edge.workers: 9: expected 1 to 8",
        ),
        ("version: 1\nentry: a", "there is no service a"),
        (
            "version: 1\nservices: {a: {}, b: {}}",
            "entry: which one do clients ask? Expected one of a, b",
        ),
        (
            "version: 1\nclients: {patience: 0s}",
            "clients.patience: expected a time above 0",
        ),
        (
            "version: 1\nclients: {back_off: {base: 1s, max: 800h}}",
            "clients.back_off",
        ),
        (
            "version: 1\nservices: {a: {calls: [{service: b, tries: 0}]}, b: {}}",
            "calls[0].tries: 0: expected 1",
        ),
        (
            "version: 1\nservices: {a: {calls: [{service: b, timeout: 0s}]}, b: {}}",
            "calls[0].timeout",
        ),
        (
            "version: 1\nservices: {a: {hosts: 3}}\nfaults: ['crash,at=1s,for=1s,hosts=2-3']",
            "host 3: there are 3",
        ),
        ("version: 1\nclients: {patience: 5}", "patience"),
        (
            "version: 1\nclients: {think: trace}",
            "clients.think: a trace does not say how long users think",
        ),
        (
            "version: 1\nclients: {think: {log_normal: {median: 2s, p99: 1s}}}",
            "clients.think.log_normal.p99: expected the median or more",
        ),
        (
            "version: 1\nservices: {a: {zones: [x, y]}}\nfaults: ['errors,at=1s,for=1s,zone=z']",
            "faults[0]: there is no zone z: expected one of x, y",
        ),
        (
            "version: 1\nservices: {a: {}}\nfaults: ['errors,at=1s,for=1s,from=z']",
            "faults[0]: there is no zone z: expected `zones` at services, or at the edge",
        ),
        (
            "version: 1\nservices: {a: {body: {answer: 17000000}}}",
            "services.a.body.answer: 17000000: expected 16000000 bytes at most",
        ),
    ] {
        let told = World::read(text).expect_err(text).to_string();
        assert!(told.contains(why), "{text}: {told}");
    }
}

#[test]
fn a_metastable_failure_ends_with_seawall_and_not_by_itself() {
    let text = include_str!("../../../examples/worlds/metastable.yaml");
    let world = World::read(text).expect("the shipped world");
    let scenario = world.scenario(1).expect("a scenario");
    let trace = poisson(700.0, 100.0, 1.0, 0.0, 1).expect("a trace");
    let good_at_the_end = |lane: &Lane<'_>| {
        let measure = play(&scenario, &trace, lane, || ());
        let seconds = &measure.ended_per_second()[80..100];
        seconds.iter().map(|counts| counts.good).sum::<u64>() as f64 / 20.0
    };
    let naive = Route::retrying(RetryOn::SERVER_ERROR | RetryOn::RESET, 3);
    for lane in [Lane::default(), Lane::bare(naive)] {
        assert_eq!(good_at_the_end(&lane), 0.0);
    }
    for policy in [
        include_str!("../../../examples/policies/breaker.yaml"),
        include_str!("../../../examples/policies/overload.yaml"),
    ] {
        let policy = seawall_harness::check::parse(policy)
            .expect("YAML")
            .remove(0);
        let options = ProcessOptions {
            configuration: policy.to_string().into_bytes(),
            ..ProcessOptions::default()
        };
        let process = Process::start(shipped::module(), options, START).expect("the filter starts");
        process.take_log();
        near(
            good_at_the_end(&Lane::both(std::slice::from_ref(&process))),
            700.0,
            15.0,
        );
    }
}

/// A filter with every default in front of one service.
pub(crate) fn filtered(text: &str, trace: &[Request]) -> Measure {
    let options = ProcessOptions {
        configuration: br#"{"version":1,"policies":{"default":{}}}"#.to_vec(),
        ..ProcessOptions::default()
    };
    let process = Process::start(shipped::module(), options, START).expect("the filter starts");
    process.take_log();
    run(text, trace, &Lane::both(std::slice::from_ref(&process)))
}

#[test]
fn an_upstream_that_hangs_is_cut_off_though_its_clients_leave() {
    // What has no answer after 2 s is a slow call, whoever ended it.
    for patience in ["2500ms", "3s", "6s", "14s"] {
        let text = format!(
            "clients: {{patience: {patience}}}\nservices: {{shop: {{}}}}\nfaults: ['hang,at=10s,for=60s']"
        );
        let measure = filtered(&text, &even(100, 40));
        let opened = measure
            .transitions
            .iter()
            .find(|made| made.change == "closed -> open");
        let at = opened.map(|made| made.at_ms);
        assert!(
            at.is_some_and(|at| at < 10_000 + 20_000),
            "{patience}: within two windows: {at:?}"
        );
    }
}

#[test]
fn each_envoy_at_the_edge_has_limits_of_its_own() {
    // 200 requests a second of 100 ms: 20 in flight.
    let text = "services: {shop: {time: {constant: 100ms}}}";
    for (bare_edge, expected) in [(1, 0.24), (2, 0.48), (5, 1.0)] {
        let lane = Lane {
            bare_edge,
            native: Native {
                requests: Some(5),
                ..Native::default()
            },
            ..Lane::default()
        };
        let found = success(&run(text, &even(200, 20), &lane));
        near(found, expected, 0.03);
    }
}

#[test]
fn a_retry_goes_to_another_host_where_the_route_says_so() {
    let text = "services: {shop: {hosts: 3}}\nfaults: ['refuse,at=0s,for=1h,hosts=BAD']";
    for (bad, retries, avoids_tried, expected) in [
        ("1", 1, true, 1.0),
        ("1", 1, false, 1.0 - 1.0 / 9.0),
        ("0-1", 2, true, 1.0),
        ("0-1", 2, false, 1.0 - 8.0 / 27.0),
    ] {
        let lane = Lane {
            avoids_tried,
            ..Lane::bare(Route::retrying(RetryOn::CONNECT_FAILURE, retries))
        };
        let text = text.replace("BAD", bad);
        let found = success(&run(&text, &even(1_000, 20), &lane));
        near(found, expected, 0.01);
    }
}

#[test]
fn times_beyond_all_clocks_end_with_the_routes_limit_and_do_not_overflow() {
    for time in [
        "time: {pareto: {least: 1ms, shape: 0.01}}",
        "time: {log_normal: {median: 1ns, p99: 8700h}}",
        "slower_for_each: 8700h",
        "time: {constant: 8700h}, pauses: {every: 2ns, for: 1ns}",
        "network: {round_trip: 8700h}",
    ] {
        let text = format!("services: {{shop: {{servers: 1, {time}}}}}");
        let measure = bare(&text, &even(10, 10));
        assert_eq!(measure.counts().all(), 100, "{time}");
        // What is left to do at the host afterwards does not stretch the report.
        let figures = measure.figures("bare", None);
        assert_eq!(figures.series.slot_ms, 1_000, "{time}");
    }
}

#[test]
fn the_limit_on_retries_is_of_a_cluster() {
    // Each attempt fails: those of `a` have no retry, those of `b` one.
    let text = "services: {a: {}, b: {}}\nentry: a\nfaults: ['errors,at=0s,for=1h']";
    let mut trace = even(1_000, 10);
    for (number, request) in trace.iter_mut().enumerate() {
        request.cluster = Some(["a", "b"][number % 2].to_owned());
    }
    let none = Native {
        retries: Some(0),
        ..Native::default()
    };
    let lane = Lane {
        native_of: [("a".to_owned(), none)].into(),
        ..Lane::bare(Route::retrying(RetryOn::SERVER_ERROR, 1))
    };
    near(run(text, &trace, &lane).load(), 1.5, 0.0);
}
