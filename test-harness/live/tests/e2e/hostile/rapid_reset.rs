//! Clients that open HTTP/2 streams and reset them at once, as fast as they can (CVE-2023-44487), beside good ones.

use std::net::SocketAddr;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seawall_live::clock;
use seawall_live::load::{Client, Kind, Sample, count};
use seawall_live::upstream::Knobs;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::frames::Why;
use crate::support::trial::{Plan, Trial};
use crate::support::{beside_others, frames, transitions, until};

const ATTACKERS: u64 = 4;
const FOR: Duration = Duration::from_secs(5);
/// Streams of one burst: some are reset with the same write, some a moment later.
const BURST: u32 = 50;
const BETWEEN: Duration = Duration::from_millis(5);

/// One attacker; the streams that it opened. Where Envoy closes its connection, it makes another one.
async fn attack(address: SocketAddr, seed: u64) -> u64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let deadline = clock::now() + FOR;
    let mut opened = 0;
    while clock::now() < deadline {
        let Ok(stream) = TcpStream::connect(address).await else {
            continue;
        };
        let (mut from, mut to) = stream.into_split();
        let drain = tokio::spawn(async move {
            let mut buffer = [0; 16 * 1_024];
            while let Ok(1..) = from.read(&mut buffer).await {}
        });
        let mut written = to.write_all(&frames::preface(false)).await;
        let mut next = 0;
        while written.is_ok() && clock::now() < deadline {
            let burst = next..next + BURST;
            next += BURST;
            opened += u64::from(BURST);
            let at_once = random.random::<bool>();
            let opens = burst.clone().flat_map(frames::get).collect::<Vec<u8>>();
            let reset = |number| frames::reset(frames::stream(number), Why::Cancel);
            let resets = burst.flat_map(reset).collect::<Vec<u8>>();
            written = match at_once {
                true => to.write_all(&[opens, resets].concat()).await,
                false => {
                    let sent = to.write_all(&opens).await;
                    let moment = random.random_range(0..8_000);
                    tokio::time::sleep(Duration::from_micros(moment)).await;
                    sent.and(to.write_all(&resets).await)
                }
            };
            tokio::time::sleep(BETWEEN).await;
        }
        drain.abort();
    }
    opened
}

/// All attackers, and good clients beside them: how many streams were opened, and what the good ones got.
async fn beside(trial: &Trial, client: &Client) -> (u64, Vec<Sample>) {
    let mut attackers = JoinSet::new();
    for number in 0..ATTACKERS {
        attackers.spawn(attack(trial.address, number));
    }
    let good = client.run("/", 40.0, FOR).await;
    let opened = attackers.join_all().await.into_iter().sum();
    (opened, good)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_reset_at_once_open_nothing_hold_nothing_and_hide_nothing()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    for http2 in [false, true] {
        let plan = Plan {
            http2,
            ..Plan::new(json!({
                "breaker": {"window": {"over": "2s"}, "hosts": {"grace": "0s"}},
                "bulkhead": {"max_concurrent": 2_000},
                "timeout": {"total": "5s"},
                "retries": {}
            }))
        };
        let trial = plan.start().await?;
        trial.set(Knobs {
            latency_ms: 5,
            ..Knobs::default()
        });
        let client = Client::new(trial.address, 8, Duration::from_secs(5));
        let (opened, samples) = beside(&trial, &client).await;
        let (good, asked) = (count(&samples, Kind::Good), samples.len());
        let envoy = &trial.envoy;
        let admitted = ["wasmcustom.seawall_decisions", "decision=admitted"];
        let admitted = envoy.sum(&admitted).await?;
        let gone = ["wasmcustom.seawall_ignored", "reason=client_gone"];
        let gone = envoy.wait_for(&gone, 500).await?;
        println!(
            "HTTP/2 upstream: {http2}; {opened} streams opened and reset, {admitted} admitted, {gone} gone; {good} of {asked} good"
        );
        // The machine has more to do than it can; the filter refuses nobody.
        assert!(
            opened > 5_000 && good * 100 >= asked * 75,
            "{good} of {asked}"
        );
        assert_eq!(count(&samples, Kind::Refused), 0);
        assert_eq!(transitions(envoy), Vec::<String>::new());
        until("no slot is held", async || {
            let held = envoy.stats("wasmcustom.seawall_in_flight").await;
            held.is_ok_and(|held| held.values().all(|now| *now == 0))
        })
        .await?;

        // The same clients hide no upstream that is sick.
        trial.set(Knobs::failing(1.0));
        let (_, samples) = beside(&trial, &client).await;
        assert!(count(&samples, Kind::Refused) > 0, "{samples:?}");
        let first = transitions(envoy).into_iter().next();
        assert_eq!(first.as_deref(), Some("closed -> open"));
    }
    Ok(())
}
