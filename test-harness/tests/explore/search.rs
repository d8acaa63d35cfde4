//! Every scenario holds; what does not hold is found, with a schedule that shows it again.

use std::path::PathBuf;
use std::sync::OnceLock;

use seawall_harness::explore::{
    Bounds, Choice, HostFault, Report, Scenario, Schedule, all, explore, named, replay,
};
use seawall_harness::module::Module;

/// The filter: `SEAWALL_WASM`, or what `make wasm` built.
pub(crate) fn module() -> Module {
    static COMPILED: OnceLock<Module> = OnceLock::new();
    let compile = || {
        let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm");
        let path =
            std::env::var_os("SEAWALL_WASM").map_or_else(|| PathBuf::from(built), PathBuf::from);
        Module::from_file(&path).unwrap_or_else(|error| panic!("{error}: run make wasm"))
    };
    COMPILED.get_or_init(compile).clone()
}

fn explored(scenario: &Scenario, fault: Option<&HostFault>) -> Report {
    let bounds = Bounds::default();
    explore(&module(), scenario, bounds, 1, fault, &mut |_| {}).expect("the filter runs")
}

fn scenario(name: &str) -> Scenario {
    named(name).expect("there is such a scenario")
}

#[test]
fn what_must_hold_holds_in_every_interleaving() {
    for scenario in all() {
        let report = explored(&scenario, None);
        assert!(report.complete, "{}", report.scenario);
        let broken = report
            .broken
            .map(|broken| (broken.invariant, broken.schedule));
        assert_eq!(broken, None, "{}", report.scenario);
        assert!(report.ends > 0, "{}", report.scenario);
        println!(
            "{}: {} states, {} runs",
            report.scenario, report.states, report.runs
        );
    }
}

#[test]
fn a_broken_invariant_is_told_with_a_schedule_that_shows_it_again() {
    // As if a permit had been lost: three are asked for, two can go, three are expected.
    let mut scenario = scenario("permits");
    scenario.probes = Some(3);
    let broken = explored(&scenario, None).broken.expect("it is found");
    assert_eq!(broken.invariant, "2 probes went where 3 could");
    let (steps, again) = replay(&module(), &scenario, 1, None, &broken.schedule).unwrap();
    assert_eq!(again, Some(broken.invariant));
    assert_eq!(steps, broken.steps);
}

#[test]
fn the_same_search_finds_the_same() {
    let twice = [(); 2].map(|()| explored(&scenario("refunds"), None));
    let [one, other] =
        twice.map(|report| (report.states, report.choices, report.ends, report.runs));
    assert_eq!(one, other);
}

#[test]
fn fewer_preemptions_are_a_part_of_more() {
    let states = |preemptions| {
        let bounds = Bounds {
            preemptions: Some(preemptions),
            ..Bounds::default()
        };
        let scenario = scenario("permits");
        let report = explore(&module(), &scenario, bounds, 1, None, &mut |_| {}).unwrap();
        assert!(report.broken.is_none() && report.complete);
        report.states
    };
    let found = [0, 1, 2, 3].map(states);
    assert!(found.is_sorted() && found[0] < found[3], "{found:?}");
}

#[test]
fn a_bound_on_states_is_said() {
    let bounds = Bounds {
        states: 50,
        ..Bounds::default()
    };
    let report = explore(&module(), &scenario("probes"), bounds, 1, None, &mut |_| {}).unwrap();
    assert!(!report.complete && report.broken.is_none());
}

#[test]
fn a_schedule_that_cannot_be_played_is_refused() {
    let schedule = Schedule(vec![Choice::Go(0), Choice::Kill(0)]);
    let error = replay(&module(), &scenario("permits"), 1, None, &schedule).err();
    let text = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("cannot be played"), "{text}");
}

#[test]
fn a_host_that_fails_at_one_call_breaks_nothing() {
    for name in ["permits", "refunds"] {
        for call in ["proxy_get_shared_data", "proxy_set_shared_data"] {
            for nth in 1..=8 {
                for status in [1, 2, 8, 10] {
                    let fault = HostFault {
                        worker: 0,
                        call: call.to_owned(),
                        nth,
                        status,
                    };
                    let broken = explored(&scenario(name), Some(&fault)).broken;
                    let broken = broken.map(|broken| broken.invariant);
                    assert_eq!(broken, None, "{name} with {fault}");
                }
            }
        }
    }
}
