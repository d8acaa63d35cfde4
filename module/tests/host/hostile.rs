//! Streams whose bytes, order of hooks and end are random, on several threads: no crash, and nothing stays held.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::envoy::{self, Config, Stream, request};

const THREADS: u64 = 2;
/// Everything at once.
const POLICY: &str = r#"{"version":1,"policies":{"default":{
  "breaker":{"mode":"enforce"},"bulkhead":{"max_concurrent":50},"shedding":{},
  "retries":{"budget":{"ratio":20}},"timeout":{"total":"5s"},"fallback":[{"stale":{}},{"static":{"body":"sorry"}}]}}}"#;

/// Marsaglia's xorshift64: only for inputs of this test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }
}

fn spoiled(random: &mut Random, stream: &mut Stream) {
    const NAMES: [&[u8]; 8] = [
        b"grpc-timeout",
        b"content-type",
        b"retry-after",
        b"x-envoy-retry-on",
        b"x-request-id",
        b"traceparent",
        b"cache-control",
        b":status",
    ];
    let map = [0, 2, 3][random.below(3) as usize];
    let name = match random.below(3) {
        0 => random.bytes(40),
        _ => NAMES[random.below(8) as usize].to_vec(),
    };
    let most = if random.below(20) == 0 { 20_000 } else { 40 };
    let value = random.bytes(most);
    let known = stream.known();
    known.maps[map].push((name, value));
    match random.below(6) {
        0 => drop(
            known
                .texts
                .insert(random.below(70) as u32, random.bytes(60)),
        ),
        1 => drop(known.numbers.insert(random.below(70) as u32, random.next())),
        2 => drop(
            known
                .state
                .insert(b"seawall.attempts".to_vec(), random.bytes(80)),
        ),
        3 => known.body = random.bytes(500),
        _ => {}
    }
}

fn life(random: &mut Random, config: &Config) {
    let filter = request(["a", "b", "c"][random.below(3) as usize]);
    let mut stream = config.stream(filter);
    let dies = random.below(4) == 0;
    stream.known().dies_with_reply = dies;
    for _ in 0..random.below(6) {
        spoiled(random, &mut stream);
    }
    if random.below(10) == 0 {
        return;
    }
    let end = random.below(3) > 0;
    let passes = stream.request_headers(end) == 0;
    if !passes && stream.known().replied.is_some() {
        if !dies {
            stream.complete();
        }
        return;
    }
    for _ in 0..random.below(8) {
        if stream.known().is_over() {
            return;
        }
        match random.below(9) {
            0 => drop(stream.request_body(random.below(2) == 0)),
            1 => drop(stream.request_trailers()),
            2 => drop(
                stream.respond(["200", "503", "500", "404", "0", "junk"][random.below(6) as usize]),
            ),
            3 => drop(stream.response_headers(random.below(2) == 0)),
            4 => drop(stream.response_body(random.below(2) == 0)),
            5 => drop(stream.response_trailers()),
            6 => stream.run_woken(),
            7 => spoiled(random, &mut stream),
            _ => stream.complete(),
        }
    }
}

#[test]
fn random_streams_break_nothing_and_leave_nothing_held() {
    envoy::load();
    let streams = std::env::var("SEAWALL_MODULE_STREAMS")
        .map_or(Ok(20_000), |text| text.parse::<u64>())
        .unwrap();
    let seed = std::env::var("SEAWALL_SEED")
        .map_or(Ok(1), |text| text.parse::<u64>())
        .unwrap();
    println!(
        "seed {seed}, {streams} streams: SEAWALL_SEED={seed} SEAWALL_MODULE_STREAMS={streams} repeats it"
    );
    let (down, up) = (
        Config::load("seawall", POLICY).unwrap(),
        Config::load("hostile", POLICY).unwrap(),
    );
    let left = AtomicU64::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (down, up, left) = (&down, &up, &left);
            scope.spawn(move || {
                let mut random = Random(
                    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        .wrapping_add(thread + 1)
                        | 1,
                );
                for _ in 0..streams / THREADS {
                    let config = if random.below(2) == 0 { down } else { up };
                    life(&mut random, config);
                }
                left.fetch_sub(1, Ordering::AcqRel);
            });
        }
        while left.load(Ordering::Acquire) > 0 {
            down.run_main();
            std::thread::yield_now();
        }
    });
    for upstream in ["upstream=a", "upstream=b", "upstream=c"] {
        down.until("all slots are given back", || {
            envoy::sum(&["seawall_in_flight", upstream]) == 0
        });
    }
    assert_eq!(
        envoy::sum(&["seawall_host_errors", "call=panic", "hostile"]),
        0
    );
}
