//! What is claimed of Seawall's limit, over several seeds and sizes of upstreams.
//!
//! Bounds are for the worst of all seeds and sizes, with room for another seed; what is found in one is in docs/limiter.md.

use crate::figures::Figures;
use crate::rivals::Rival;
use crate::run::run;
use crate::scene::{Scene, all};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;
/// Servers, and their mean time of service in milliseconds.
const UPSTREAMS: [(u32, f64); 4] = [(8, 20.0), (20, 20.0), (50, 50.0), (100, 20.0)];

/// The scenes whose names begin so, at every upstream and with every seed.
fn found(name: &str) -> Vec<(Scene, Figures)> {
    let mut found = Vec::new();
    for scene in all().iter().filter(|scene| scene.name.starts_with(name)) {
        let upstreams = match scene.seconds {
            0..=60 => UPSTREAMS.as_slice(),
            _ => &UPSTREAMS[2..3],
        };
        for (servers, service_ms) in upstreams {
            let scene = scene.at(*servers, *service_ms);
            let figures = SEEDS.map(|seed| run(&scene, Rival::Seawall, seed).figures());
            found.extend(figures.map(|figures| (scene.clone(), figures)));
        }
    }
    assert!(!found.is_empty(), "there is a scene {name}");
    found
}

#[track_caller]
fn claim(name: &str, holds: impl Fn(&Scene, &Figures) -> bool) {
    let found = found(name);
    let wrong = found
        .iter()
        .filter(|(scene, figures)| !holds(scene, figures));
    let told = |(scene, figures): &(Scene, Figures)| {
        format!("{} at {} servers: {figures:?}", scene.name, scene.servers)
    };
    let wrong: Vec<_> = wrong.map(told).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        found.len()
    );
}

#[test]
fn overload_costs_no_goodput_and_the_highest_priority_nothing() {
    for name in ["overload", "2C for"] {
        claim(name, |scene, found| {
            let times = found.p50_ms / scene.service_ms;
            found.goodput >= 0.95 && found.plus >= 0.999 && times <= 3.5
        });
    }
}

#[test]
fn overload_by_the_lowest_priority_alone_is_used_too() {
    claim("2C sheddable", |_, found| found.goodput >= 0.95);
}

#[test]
fn a_load_that_can_be_served_is_not_refused() {
    for name in ["steady", "light", "bimodal 0.7C"] {
        claim(name, |_, found| found.wrong <= 0.015);
    }
}

#[test]
fn a_spike_is_over_when_it_is_over() {
    claim("spike", |_, found| {
        found.stable_s <= 3.0 && found.goodput >= 0.95
    });
}

#[test]
fn an_outage_is_over_when_it_is_over() {
    claim("outage", |_, found| {
        found.stable_s <= 3.0 && found.goodput >= 0.93
    });
}

#[test]
fn requests_that_no_limit_helps_do_not_take_the_others_along() {
    // Five of six can be answered at most.
    claim("a sixth lost, 0.7C", |_, found| {
        found.goodput >= 0.8 && found.wrong <= 0.05
    });
    claim("a sixth lost, 2C", |_, found| {
        found.goodput >= 0.5 && found.plus >= 0.65
    });
}

#[test]
fn the_base_follows_a_lasting_change_and_servers_that_die() {
    for name in ["service x2", "service x3", "half die"] {
        claim(name, |_, found| found.goodput >= 0.85);
    }
    claim("service x2", |scene, found| {
        found.p50_ms <= 2.0 * 2.0 * scene.service_ms
    });
    claim("service x3", |scene, found| {
        found.p50_ms <= 4.0 * 3.0 * scene.service_ms
    });
    claim("service x0.5", |scene, found| {
        found.p50_ms <= 3.0 * scene.service_ms && found.goodput >= 0.95
    });
    claim("half die", |scene, found| {
        found.p50_ms <= 2.0 * scene.service_ms
    });
}

#[test]
fn latencies_of_two_kinds_are_one_mean() {
    claim("bimodal 2C", |scene, found| {
        found.goodput >= 0.95 && found.p99_ms <= 8.0 * scene.service_ms
    });
}

#[test]
fn no_rival_does_as_well() {
    // Each in its own way; the table in docs/limiter.md has it all.
    let worst = |rival: Rival, figure: fn(&Figures) -> f64| {
        let scenes = all();
        let figures = scenes
            .iter()
            .map(|scene| figure(&run(scene, rival, 1).figures()));
        figures
            .filter(|value| !value.is_nan())
            .fold(f64::MAX, f64::min)
    };
    let goodput = |rival| worst(rival, |found| found.goodput);
    assert!(goodput(Rival::Seawall) >= 0.8);
    for rival in [Rival::None, Rival::Gradient2, Rival::Aimd, Rival::Vegas] {
        assert!(goodput(rival) < 0.7, "{rival:?}: {}", goodput(rival));
    }
}
