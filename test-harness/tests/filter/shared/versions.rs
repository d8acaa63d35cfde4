//! Records that another version of the filter left behind, as a new module under the same `vm_id` meets them.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process};
use seawall_policy::shared::record::{Record, VERSION, VERSION_FORCED};

use crate::support::{BREAKER, advance, ask, end, process, properties, traps, trip};

/// The key of the upstream's record, and what stands there.
fn record(process: &Process) -> (String, Vec<u8>) {
    stands(process, |key| key.ends_with("/upstream"))
}

/// The key like this, and what stands there.
fn stands(process: &Process, fits: impl Fn(&str) -> bool) -> (String, Vec<u8>) {
    let shared = process.common().shared.borrow();
    let mut keys = shared.keys();
    let key = keys.find(|key| fits(key)).expect("a record");
    let (bytes, _) = shared.load(key).expect("a record");
    (key.to_owned(), bytes.to_vec())
}

/// The same record as if a filter of this version had written it: the version stands in bytes 2 and 3, and the checksum of
/// it and the rest in 4 to 7. That much never changes its meaning.
fn of_version(bytes: &[u8], version: u16) -> Vec<u8> {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let step = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let body = &bytes[8..];
    let (words, rest) = body.as_chunks::<8>();
    let mut sum = step(u64::from(version), body.len() as u64);
    for word in words {
        sum = step(sum, u64::from_le_bytes(*word));
    }
    for byte in rest {
        sum = step(sum, u64::from(*byte));
    }
    let sum = ((sum >> 32) ^ sum) as u32;
    [
        &bytes[..2],
        &version.to_le_bytes(),
        &sum.to_le_bytes(),
        body,
    ]
    .concat()
}

fn write(process: &Process, key: &str, bytes: &[u8]) {
    let mut shared = process.common().shared.borrow_mut();
    shared.swap(key, bytes, 0).expect("written");
}

fn counted(process: &Process, name: &str) -> u64 {
    process.tick();
    let metrics = process.common().metrics.borrow();
    metrics.values().get(name).copied().unwrap_or_default()
}

#[test]
fn the_same_version_written_by_hand_is_read() {
    let process = process(2, BREAKER);
    trip(&process);
    let (key, bytes) = record(&process);
    write(&process, &key, &of_version(&bytes, VERSION));
    assert_eq!(ask(&process, 1), None, "still open");
}

#[test]
fn a_record_of_an_earlier_version_is_discarded_and_the_breaker_begins_closed_and_works() {
    let process = process(2, BREAKER);
    trip(&process);
    let (key, bytes) = record(&process);
    for version in 0..VERSION {
        write(&process, &key, &of_version(&bytes, version));
        trip(&process);
        assert_eq!(record(&process).1.get(2..4), bytes.get(2..4));
    }
    let replaced = counted(&process, "seawall_records_replaced");
    assert_eq!(replaced, u64::from(VERSION));
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_record_of_a_later_version_is_left_alone_and_traffic_passes() {
    let process = process(2, BREAKER);
    trip(&process);
    let (key, bytes) = record(&process);
    for version in [VERSION_FORCED + 1, u16::MAX] {
        let later = of_version(&bytes, version);
        write(&process, &key, &later);
        for number in 0..20 {
            let stream = ask(&process, number % 2).expect("traffic passes");
            end(&process, stream, "503");
            advance(&process, 100);
            process.tick();
        }
        assert_eq!(record(&process).1, later);
    }
    let undecided = counted(&process, "seawall_undecided..reason=later_version");
    assert!(undecided >= 40, "{undecided}");
    // Back to the version that wrote it: its state is still there.
    write(&process, &key, &bytes);
    process.set_now(1_000_000_001);
    assert_eq!(ask(&process, 1), None, "open as it was");
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn latencies_and_kept_requests_of_a_later_version_are_left_alone() {
    let policy = r#"{"version":1,"trust":{"addresses":["10.9.0.0/16"]},
        "policies":{"default":{"timeout":{"total":"1s","adaptive":{"percentile":99}}}}}"#;
    let process = process(2, policy);
    let ask = || {
        let mut inbound = properties();
        let direction = 1_u64.to_le_bytes().to_vec();
        inbound.insert("xds\0listener_direction".to_owned(), direction);
        inbound.insert("source\0address".to_owned(), b"10.9.0.1:1".to_vec());
        let stream = process.open(0, inbound);
        let request = headers(&[
            (":method", "GET"),
            (":path", "/"),
            ("x-request-id", "r"),
            ("x-seawall-attempt", "2"),
        ]);
        let flow = process.request_headers(stream, request, true);
        assert_eq!(flow, Flow::Continue);
        advance(&process, 100);
        end(&process, stream, "200");
        process.tick();
    };
    ask();
    for like in ["/latency", "/across/"] {
        let (key, bytes) = stands(&process, |key| key.contains(like));
        ask();
        let (_, again) = stands(&process, |key| key.contains(like));
        assert_ne!(again, bytes, "{like} is written");
        for version in [2, u16::MAX] {
            let later = of_version(&bytes, version);
            write(&process, &key, &later);
            ask();
            let (_, still) = stands(&process, |key| key.contains(like));
            assert_eq!(still, later, "{like} of version {version}");
        }
        write(&process, &key, &bytes);
    }
    assert_eq!(traps(&process), Vec::<String>::new());
}

/// What the first release with records of version 2 wrote for [`RELEASED`]: a name, and the record's bytes as hexadecimal
/// digits.
const RECORDS: &str = include_str!("records/version-2.txt");
const RELEASED: &str = r#"{"version":1,"policies":{"default":{"retries":{},"breaker":{
    "minimum_calls":5,"consecutive":0,"slow_call":{"rate":0},"ramp":"0s","hosts":{"grace":"0s"},
    "open":{"for":"1s","up_to":"1s","jitter":0},"half_open":{"permits":1,"wait":"20s"}}}}}"#;

/// The process of [`RELEASED`] after which the record of this name stood there, at the same time.
fn left(name: &str, bytes: Option<&[u8]>) -> Process {
    let process = process(2, RELEASED);
    let failures = if name == "closed" { 4 } else { 5 };
    for number in 0..failures {
        let stream = ask(&process, number).expect("closed passes");
        end(&process, stream, "503");
    }
    if name == "half_open" {
        advance(&process, 1_500);
        assert!(ask(&process, 0).is_some(), "the only permit");
        process.kill(0);
    }
    if let Some(bytes) = bytes {
        write(&process, "seawall/v1/default/upstream", bytes);
    }
    process
}

fn released() -> Vec<(&'static str, Vec<u8>)> {
    let line = |line: &'static str| {
        let (name, digits) = line.split_once(' ').expect("a name and digits");
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        assert_eq!(rest, b"");
        let bytes = pairs.iter().map(|pair| byte(pair).expect("digits"));
        (name, bytes.collect())
    };
    RECORDS.lines().map(line).collect()
}

#[test]
fn records_of_an_earlier_release_are_written_back_as_they_were_and_continued() {
    if std::env::var_os("SEAWALL_PRINT_RECORDS").is_some() {
        for name in ["closed", "open", "half_open"] {
            let digits = record(&left(name, None)).1;
            let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("RECORD {name} {digits}");
        }
        return;
    }
    let released = released();
    assert_eq!(released.len(), 3);
    for (name, bytes) in &released {
        let known = Record::decode(bytes).expect("whole");
        assert_eq!(
            &known.encode(),
            bytes,
            "{name}: an earlier module reads what this one writes"
        );
        let process = left(name, Some(bytes));
        match *name {
            "closed" => {
                let stream = ask(&process, 1).expect("four failures of at least five");
                end(&process, stream, "503");
                assert_eq!(ask(&process, 0), None, "the fifth opens it");
            }
            "open" => {
                assert_eq!(ask(&process, 1), None);
                advance(&process, 999);
                assert_eq!(ask(&process, 1), None, "for a second");
                advance(&process, 1);
                let stream = ask(&process, 1).expect("then it probes");
                end(&process, stream, "200");
                assert!(ask(&process, 0).is_some(), "and closes");
            }
            _ => {
                assert_eq!(ask(&process, 1), None, "one that died holds the permit");
                for _ in 0..5 {
                    advance(&process, 400);
                    process.tick_vm(2);
                }
                assert!(ask(&process, 1).is_some(), "it is taken back");
            }
        }
        let replaced = counted(&process, "seawall_records_replaced");
        assert_eq!((replaced, traps(&process)), (0, vec![]), "{name}");
    }
}
