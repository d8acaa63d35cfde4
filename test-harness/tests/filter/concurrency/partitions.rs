//! Many values of a bulkhead's header: what a tick costs, and what a VM that dies leaves behind.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{advance, end, process, properties, traps};

/// The filter's own period.
const TICK_MILLIS: u64 = seawall_policy::worker::TICK_MILLIS as u64;
const QUICK_MILLIS: u64 = 20;
/// Each look is a read and at most one write; and the tick has a little more to do.
const CALLS_MAX: u64 = 256 * 3;

fn policy(keys_max: u32, by_authority: bool) -> String {
    let upstreams = match by_authority {
        true => {
            r#","upstreams":[{"cluster":"upstream","policy":"default","key":"authority","max_keys":1000}]"#
        }
        false => "",
    };
    format!(
        r#"{{"version":1{upstreams},"policies":{{"default":{{"breaker":{{"mode":"off"}},"bulkhead":
        {{"max_concurrent":1,"per":{{"header":"x-tenant","max_keys":{keys_max}}}}}}}}}}}"#
    )
}

fn ask(process: &Process, worker: usize, authority: &str, tenant: &str) -> Option<StreamId> {
    let stream = process.open(worker, properties());
    let request = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", authority),
        ("x-tenant", tenant),
    ];
    match process.request_headers(stream, headers(&request), true) {
        Flow::Continue => Some(stream),
        Flow::Pause => panic!("nothing waits"),
        Flow::Reply(_) => {
            process.close(stream);
            None
        }
    }
}

fn gauge(process: &Process, name: &str) -> u64 {
    let metrics = process.common().metrics.borrow().values().clone();
    let found = metrics
        .into_iter()
        .filter(|(known, _)| known.starts_with(name));
    found.map(|(_, value)| value).sum()
}

/// One tick of one VM, and how many calls of the host it made.
fn tick(process: &Process, vm: usize, millis: u64) -> u64 {
    let calls = || process.common().calls.borrow().values().sum::<u64>();
    advance(process, millis);
    let before = calls();
    process.tick_vm(vm);
    calls() - before
}

#[test]
fn a_thousand_slots_cost_a_tick_so_much_and_are_free_two_seconds_after_their_vm_died() {
    let process = process(2, &policy(1_000, false));
    let values: Vec<_> = (0..1_000)
        .map(|number| format!("tenant {number}"))
        .collect();
    let living = ask(&process, 1, "a", "living").expect("passes");
    // Hardly one finds no slot, and is refused where those share places.
    let held = values
        .iter()
        .filter(|value| ask(&process, 0, "a", value).is_some());
    let held = held.count() as u64;
    assert!(held > 990, "{held}");
    let mut most = 0;
    for _ in 0..12 {
        most = most
            .max(tick(&process, 1, 0))
            .max(tick(&process, 2, TICK_MILLIS));
    }
    println!("{most} calls in a tick at most");
    assert!(most <= CALLS_MAX, "{most}");
    assert_eq!(gauge(&process, "seawall_in_flight"), held + 1);
    assert!(gauge(&process, "seawall_slots_watched") > held);
    let round = gauge(&process, "seawall_slots_round_ms");
    assert!((1_600..=2_000).contains(&round), "{round} ms");

    process.kill(0);
    // Its last sign of life was seen in the tick before: the third one without is its end.
    for _ in 0..2 {
        tick(&process, 2, TICK_MILLIS);
        assert!(ask(&process, 1, "a", &values[7]).is_none());
    }
    tick(&process, 2, TICK_MILLIS);
    let again = ask(&process, 1, "a", &values[7]).expect("what it held counts no longer");
    for _ in 0..5 {
        most = most.max(tick(&process, 2, QUICK_MILLIS));
    }
    assert!(most <= CALLS_MAX, "{most}");
    assert_eq!(
        gauge(&process, "seawall_in_flight"),
        2,
        "1.3 s after its death"
    );
    end(&process, again, "200");
    end(&process, living, "200");
    for _ in 0..3 {
        tick(&process, 2, TICK_MILLIS);
    }
    assert_eq!(gauge(&process, "seawall_in_flight"), 0);
    let idle = tick(&process, 2, TICK_MILLIS);
    assert!(idle < 10, "{idle} calls with nothing in use");
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn who_lives_is_never_given_up_however_many_slots_it_holds() {
    for by_authority in [false, true] {
        let process = process(2, &policy(1_000, by_authority));
        let of = |number: u32| match by_authority {
            true => format!("{}.example", number / 2),
            false => "0.example".to_owned(),
        };
        let held: Vec<_> = (0..1_500)
            .filter_map(|number| ask(&process, 0, &of(number), &format!("tenant {number}")))
            .collect();
        assert!(held.len() > 1_400);
        let mut others = (0..50).map(|number| format!("other {number}"));
        let other = others.find_map(|other| ask(&process, 1, &of(0), &other));
        let other = other.expect("a value with an idle partition");
        // Its round takes six ticks or more, the other one watches all the time.
        for _ in 0..60 {
            tick(&process, 1, 0);
            tick(&process, 2, TICK_MILLIS);
        }
        assert_eq!(gauge(&process, "seawall_in_flight"), held.len() as u64 + 1);
        for number in [0, 1] {
            assert!(ask(&process, 1, &of(0), &format!("tenant {number}")).is_none());
        }
        assert_eq!(gauge(&process, "seawall_instances_expired"), 0);
        for stream in held.into_iter().chain([other]) {
            end(&process, stream, "200");
        }
    }
}

#[test]
fn a_tick_looks_at_so_many_keys_however_many_upstreams_have_slots() {
    let process = process(1, &policy(1_000, true));
    let held: Vec<_> = (0..3_000)
        .map(|number| {
            let authority = format!("{}.example", number / 3);
            ask(&process, 0, &authority, &format!("tenant {number}")).expect("passes")
        })
        .collect();
    let ticks = (0..40).map(|_| tick(&process, 1, TICK_MILLIS));
    // The first few make the metrics.
    let most = ticks.skip(8).max().expect("some");
    println!("{most} calls in a tick at most");
    assert!(most <= 2 * CALLS_MAX, "{most}");
    assert_eq!(gauge(&process, "seawall_in_flight"), 3_000);
    for stream in held {
        end(&process, stream, "200");
    }
    for _ in 0..40 {
        tick(&process, 1, TICK_MILLIS);
    }
    assert_eq!(gauge(&process, "seawall_in_flight"), 0);
}

#[test]
fn what_falls_due_at_once_is_counted_a_little_at_each_tick_and_within_half_a_second() {
    const REQUESTS: u64 = 1_000;
    let policy = r#"{"version":1,"policies":{"default":{}}}"#;
    let process = process(1, policy);
    for _ in 0..REQUESTS {
        assert!(ask(&process, 0, "a", "any").is_some());
    }
    advance(&process, 3_000);
    let mut most = 0;
    for _ in 0..REQUESTS.div_ceil(64) {
        most = most.max(tick(&process, 1, QUICK_MILLIS));
    }
    println!("{most} calls in a tick at most");
    assert!(most <= CALLS_MAX, "{most}");
    tick(&process, 1, TICK_MILLIS);
    let slow = "seawall_outcomes..policy=default..upstream=upstream..outcome=slow";
    assert_eq!(gauge(&process, slow), REQUESTS);
    assert_eq!(traps(&process), Vec::<String>::new());
}
