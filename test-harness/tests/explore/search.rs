//! Every scenario holds; what does not hold is found, with a schedule that shows it again.

use std::cell::Cell;
use std::rc::Rc;

use seawall_harness::abi::stream::headers;
use seawall_harness::explore::{
    Bounds, Choice, HostFault, Report, Scenario, Schedule, all, explore, named, replay,
};
use seawall_harness::process::{Flow, Process, ProcessOptions, Properties, StreamId};

use crate::shipped::module;

fn explored(scenario: &Scenario) -> Report {
    let bounds = Bounds::default();
    explore(module(), scenario, bounds, 1, None, &mut |_| {}).expect("the filter runs")
}

fn scenario(name: &str) -> Scenario {
    named(name).expect("there is such a scenario")
}

#[test]
fn what_must_hold_holds_in_every_interleaving() {
    for scenario in all() {
        let report = explored(&scenario);
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
    let broken = explored(&scenario).broken.expect("it is found");
    assert_eq!(broken.invariant, "2 probes went where 3 could");
    let (steps, again) = replay(module(), &scenario, 1, None, &broken.schedule).unwrap();
    assert_eq!(again, Some(broken.invariant));
    assert_eq!(steps, broken.steps);
}

#[test]
fn the_same_search_finds_the_same() {
    let twice = [(); 2].map(|()| explored(&scenario("refunds")));
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
        let report = explore(module(), &scenario, bounds, 1, None, &mut |_| {}).unwrap();
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
    let report = explore(module(), &scenario("probes"), bounds, 1, None, &mut |_| {}).unwrap();
    assert!(!report.complete && report.broken.is_none());
}

#[test]
fn a_schedule_that_cannot_be_played_is_refused() {
    let schedule = Schedule(vec![Choice::Go(0), Choice::Kill(0)]);
    let error = replay(module(), &scenario("permits"), 1, None, &schedule).err();
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
                    let bounds = Bounds {
                        preemptions: Some(1),
                        ..Bounds::default()
                    };
                    let report = explore(
                        module(),
                        &scenario(name),
                        bounds,
                        1,
                        Some(&fault),
                        &mut |_| {},
                    );
                    let broken = report.unwrap().broken.map(|broken| broken.invariant);
                    assert_eq!(broken, None, "{name} with {fault}");
                }
            }
        }
    }
}

/// One process with three VMs that stand side by side, half-open, and no search.
fn half_open(configuration: &str) -> Process {
    let options = ProcessOptions {
        workers: 3,
        configuration: configuration.as_bytes().to_vec(),
        ..ProcessOptions::default()
    };
    let process = Process::start(module(), options, 1_000_000_000).expect("the filter starts");
    let asked: Vec<_> = (0..3).filter_map(|worker| ask(&process, worker)).collect();
    asked.into_iter().for_each(|id| end(&process, id, "503"));
    process.tick();
    process.set_now(2_000_000_000);
    process.take_log();
    process
}

fn ask(process: &Process, worker: usize) -> Option<StreamId> {
    let known = [
        ("xds\0cluster_name", b"upstream".to_vec()),
        ("xds\0listener_direction", 2_u64.to_le_bytes().to_vec()),
        ("upstream\0address", b"10.0.0.1:80".to_vec()),
    ];
    let known: Properties = known.map(|(path, value)| (path.to_owned(), value)).into();
    let id = process.open(worker, known);
    let asked = headers(&[(":method", "GET"), (":path", "/"), ("x-request-id", "r")]);
    (process.request_headers(id, asked, true) == Flow::Continue).then_some(id)
}

fn end(process: &Process, id: StreamId, status: &str) {
    process.set_property(id, "response\0code_details", b"via_upstream".to_vec());
    process.response_headers(id, headers(&[(":status", status)]), true);
    process.close(id);
}

/// What was said in a replay.
fn said(steps: &[String]) -> Vec<String> {
    let lines = steps.iter().flat_map(|step| step.lines());
    let said = lines.filter_map(|line| line.trim().strip_prefix("says: "));
    said.map(str::to_owned).collect()
}

#[test]
fn without_preemptions_it_goes_as_in_one_process() {
    let scenario = scenario("probes");
    let process = half_open(&scenario.configuration);
    for worker in 0..3 {
        let id = ask(&process, worker).expect("a probe goes");
        end(&process, id, "200");
    }
    let log: Vec<String> = process
        .take_log()
        .into_iter()
        .map(|line| line.text)
        .collect();
    let (steps, broken) = replay(module(), &scenario, 1, None, &Schedule::default()).unwrap();
    assert_eq!(broken, None);
    assert_eq!(said(&steps), log);
    assert_eq!(log.len(), 2, "half-open and closed: {log:?}");
}

#[test]
fn a_preemption_goes_as_in_one_process() {
    let scenario = scenario("permits");
    let process = half_open(&scenario.configuration);
    // Between the first worker's read and its write the two others come, one after the other.
    let (inner, twice) = (process.clone(), Rc::new(Cell::new(0)));
    let seen = Rc::clone(&twice);
    *process.common().hook.borrow_mut() = Some(Rc::new(move |_| {
        if seen.replace(1) == 0 {
            assert!(ask(&inner, 1).is_some() && ask(&inner, 2).is_some());
        }
    }));
    assert!(ask(&process, 0).is_none(), "the permits are taken");
    *process.common().hook.borrow_mut() = None;
    let log: Vec<String> = process
        .take_log()
        .into_iter()
        .map(|line| line.text)
        .collect();
    let schedule: Schedule = "1*2.2*3.3*3".parse().unwrap();
    let (steps, broken) = replay(module(), &scenario, 1, None, &schedule).unwrap();
    assert_eq!(broken, None);
    assert_eq!(said(&steps), log);
    let count = |part: &str| steps.iter().filter(|step| step.contains(part)).count();
    assert_eq!(count("an attempt goes"), 2);
    assert_eq!(count("comes too late"), 1);
    assert_eq!(count("the filter answers 503"), 1);
}
