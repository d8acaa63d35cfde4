//! What a VM holds in thousands of slots is free again soon after it died, and gauges tell of it until then.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process, StreamId};
use seawall_policy::concurrency::InFlightSlots;

use crate::support::{process, properties, traps};

const MILLI: u64 = 1_000_000;
/// One slot for each value of a header, and as many values as may be asked for.
const POLICY: &str = r#"{"version":1,"policies":{"default":{"breaker":{"mode":"off"},"bulkhead":
    {"max_concurrent":1,"per":{"header":"x-tenant","max_keys":1000}}}}}"#;
const CLUSTERS: [&str; 3] = ["one", "two", "three"];
const TENANTS: usize = 1_000;
/// Two seconds for a thousand slots, and two for each further thousand.
const FREE_WITHIN_MILLIS: u64 = 2_000 * CLUSTERS.len() as u64;

fn ask(process: &Process, worker: usize, cluster: &str, tenant: &str) -> Option<StreamId> {
    let mut properties = properties();
    properties.insert("xds\0cluster_name".to_owned(), cluster.as_bytes().to_vec());
    let stream = process.open(worker, properties);
    let request = [(":method", "GET"), (":path", "/"), ("x-tenant", tenant)];
    match process.request_headers(stream, headers(&request), true) {
        Flow::Continue => Some(stream),
        Flow::Pause | Flow::Reply(_) => {
            process.close(stream);
            None
        }
    }
}

/// Time passes, with its ticks.
fn pass(process: &Process, millis: u64) {
    process.advance(process.common().now.get() + millis * MILLI);
}

fn gauge(process: &Process, name: &str) -> u64 {
    let metrics = process.common().metrics.borrow();
    let all = metrics.values().iter();
    let named = all.filter(|(known, _)| known.starts_with(name));
    named.map(|(_, value)| *value).sum()
}

/// How many slots are held, by what stands in shared data.
fn held(process: &Process) -> u64 {
    let shared = process.common().shared.borrow();
    let keys = shared
        .keys()
        .filter(|key| key.starts_with("seawall/places/"));
    let stored = keys.filter_map(|key| shared.load(key).ok());
    let slots = stored.filter_map(|(bytes, _)| InFlightSlots::decode(&bytes).ok());
    slots.map(|slots| u64::from(slots.in_flight())).sum()
}

#[test]
fn three_thousand_slots_of_a_dead_vm_are_free_within_six_seconds_and_gauges_tell_how_many_wait() {
    let process = process(2, POLICY);
    let living = CLUSTERS.map(|cluster| ask(&process, 1, cluster, "living").expect("passes"));
    let living = living.len() as u64;
    let mut taken = 0;
    for cluster in CLUSTERS {
        for number in 0..TENANTS {
            let tenant = format!("tenant {number}");
            taken += u64::from(ask(&process, 0, cluster, &tenant).is_some());
        }
    }
    // Hardly one of them finds no slot of its own, and is refused.
    assert!(taken > 2_970, "{taken}");

    // A turn over all of them takes as long as the gauge says.
    pass(&process, 20_000);
    assert_eq!(gauge(&process, "seawall_in_flight"), taken + living);
    assert!(gauge(&process, "seawall_slots_watched") >= taken);
    let turn = gauge(&process, "seawall_slots_round_ms");
    assert!((4_000..=FREE_WITHIN_MILLIS).contains(&turn), "{turn} ms");

    process.kill(0);
    let died = process.common().now.get();
    let since = |process: &Process| (process.common().now.get() - died) / MILLI;
    while held(&process) > living {
        let waited = since(&process);
        assert!(waited < FREE_WITHIN_MILLIS, "{waited} ms");
        assert!(gauge(&process, "seawall_in_flight") > living, "{waited} ms");
        assert!(gauge(&process, "seawall_slots_watched") >= taken);
        if waited < 1_000 {
            assert_eq!(ask(&process, 1, "three", "tenant 7"), None, "{waited} ms");
        }
        pass(&process, 10);
    }
    println!("{taken} slots are free after {} ms", since(&process));
    assert_eq!(gauge(&process, "seawall_in_flight"), living);
    for cluster in CLUSTERS {
        assert!(ask(&process, 1, cluster, "tenant 7").is_some(), "{cluster}");
    }
    assert_eq!(traps(&process), Vec::<String>::new());
}
