//! What reads bytes that somebody else wrote, one function for each kind. The fuzz targets (`fuzz/`) call them, and a test with
//! random bytes, so that they compile and hold.

use seawall_harness::abi::stream;
use seawall_harness::trace;
use seawall_native::{Headers, Process, Request, Worker};

use seawall_policy::latency::Latencies;
use seawall_policy::orca;
use seawall_policy::propagation::{Group, HintSlot, trace as trace_of};
use seawall_policy::retry::attempts::Attempts;
use seawall_policy::shared::record::{BYTES_MAX, Record};
use seawall_policy::shared::state::SharedRecord as _;
use seawall_policy::time::{Span, Timestamp};

/// Records in shared data and in properties: nothing panics, and what is read is written as it was.
pub fn records(bytes: &[u8]) {
    if let Ok(record) = Record::decode(bytes) {
        let again = record.encode();
        assert!(again.len() <= BYTES_MAX);
        assert_eq!(Record::decode(&again), Ok(record));
    }
    if let Some(attempts) = Attempts::decode(bytes) {
        assert_eq!(Attempts::decode(&attempts.encode()), Some(attempts));
    }
    if let Ok(latencies) = Latencies::decode(bytes) {
        assert_eq!(Latencies::decode(&latencies.encode()), Ok(latencies));
    }
    let (id, kept) = bytes.split_at(bytes.len().min(8));
    if let Some(slot) = HintSlot::of(trace_of(id)).or_else(|| HintSlot::of(id)) {
        let now = Timestamp::nanos(5_000_000_000);
        let mut place = Group::decode(kept).ok();
        if let Some(read) = slot.read(place.as_ref(), now) {
            assert!(slot.enter(&mut place, Some(read), now).is_some());
            assert!(slot.read(place.as_ref(), now).is_some());
        }
    }
    // What is behind the seal is reached by few random bytes: they are sealed here.
    for (magic, version) in [(*b"SW", 2_u16), (*b"SL", 1), (*b"SA", 1)] {
        let sealed = sealed(magic, version, bytes);
        if let Ok(record) = Record::decode(&sealed) {
            let again = Record::decode(&record.encode());
            assert_eq!(again, Ok(record));
        }
        if let Ok(latencies) = Latencies::decode(&sealed) {
            assert_eq!(Latencies::decode(&latencies.encode()), Ok(latencies));
        }
        if let Ok(group) = Group::decode(&sealed) {
            assert_eq!(Group::decode(&group.encode()), Ok(group));
        }
    }
}

/// Configurations: parsed or refused.
pub fn configuration(bytes: &[u8]) {
    let _ = seawall_config::parse(bytes);
}

/// What comes as a `google.protobuf.Struct`, which begins as no JSON does: a field for each pair.
pub fn protobuf(bytes: &[u8]) {
    let mut all = vec![0x0a];
    all.extend_from_slice(bytes);
    let _ = seawall_config::parse(&all);
    let _ = seawall_config::parse(bytes);
}

/// A policy that looks at as many headers as one can.
const CURIOUS: &str = r#"{
    "version": 1,
    "trust": {"addresses": ["10.0.0.1"]},
    "page": {"path": "/seawall", "trust": {"addresses": ["10.0.0.1"]}},
    "policies": {"p": {
        "timeout": {"total": "5s", "propagate": ["grpc-timeout", "x-envoy-expected-rq-timeout-ms", "x-left"]},
        "retries": {"attempts": 3},
        "bulkhead": {"max_concurrent": 5, "per": {"header": "tenant"}},
        "shedding": {"limit": "adaptive"},
        "fallback": [{"stale": {"max_age": "1m"}}, {"static": {"status": 200, "body": "{{reason}}"}}]
    }},
    "upstreams": [{"cluster": "*", "policy": "p", "key": "authority"}]
}"#;

/// Header maps: the life of a request whose client and upstream send these lines, and the host's reading of what a guest
/// wrote.
///
/// # Panics
/// If something is read in another way than it was written.
pub fn headers(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| {
        let colon = line.iter().skip(1).position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.map_or(line.len(), |at| at + 1));
        (name.to_vec(), value.get(1..).unwrap_or_default().to_vec())
    });
    let mut lines: Headers = lines.collect();
    let process = Process::new(Span::secs(1_000));
    let Ok(mut worker) = Worker::new(&process, CURIOUS, 1) else {
        panic!("the policy is valid");
    };
    for status in ["200", "503"] {
        let mut request = Request::new(&process, "shop", &[]);
        request.known.borrow_mut().request = lines.clone();
        request.send(&mut worker, true);
        let mut attempt = request.attempt(1);
        attempt.send(&mut worker, true);
        lines.set(":status", status);
        attempt.response_headers(&mut worker, lines.clone(), true);
        attempt.done(&mut worker);
        request.response_headers(&mut worker, lines.clone(), false);
        request.response_body(&mut worker, bytes, false);
        request.response_trailers(&mut worker, lines.clone());
        request.end(&mut worker);
        process.pass(Span::millis(400));
        worker.tick();
    }
    if let Some(map) = stream::deserialise(bytes) {
        assert_eq!(stream::deserialise(&stream::serialise(&map)), Some(map));
    }
}

/// Load reports of upstreams, in each of their forms: a bounded number or nothing.
pub fn orca(bytes: &[u8]) {
    let mut all = vec![(Some(bytes.to_vec()), None), (None, Some(bytes.to_vec()))];
    for form in ["TEXT ", "JSON ", "BIN "] {
        all.push((None, Some([form.as_bytes(), bytes].concat())));
    }
    for (binary, tagged) in all {
        let read = orca::utilisation(binary.as_deref(), tagged.as_deref());
        assert!(read.is_none_or(|points| points <= orca::POINTS_MAX));
    }
}

/// Traces: read or refused.
pub fn traces(bytes: &[u8]) {
    use trace::Format;
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let format = match first % 4 {
        0 => Format::Jsonl,
        1 => Format::Azure,
        2 => Format::Nezha,
        _ => Format::Json,
    };
    if let Ok(requests) = trace::read(format, rest) {
        let mut written = Vec::new();
        if trace::write(&requests, &mut written).is_ok() {
            let read = trace::read(Format::Jsonl, written.as_slice());
            assert!(read.is_ok_and(|read| read == requests));
        }
    }
}

/// A record around these bytes whose mark, version and checksum are right.
fn sealed(magic: [u8; 2], version: u16, bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::from(magic);
    all.extend(version.to_le_bytes());
    all.extend(checksum(version, bytes).to_le_bytes());
    all.extend_from_slice(bytes);
    all
}

/// As in `filter/policy/src/shared/envelope.rs`.
fn checksum(version: u16, body: &[u8]) -> u32 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let step = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let seed = step(u64::from(version), body.len() as u64);
    let (words, rest) = body.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let sum = words.fold(seed, step);
    let sum = rest.iter().map(|byte| u64::from(*byte)).fold(sum, step);
    ((sum >> 32) ^ sum) as u32
}
