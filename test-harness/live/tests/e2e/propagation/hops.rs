//! Retries and deadlines over three services: layers of retries multiply, and deadlines end at the first app; with Seawall
//! they do neither.

use std::time::Duration;

use seawall_live::clock;
use seawall_live::load::{Kind, count};
use seawall_live::pool::{Pool, Protocol};
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use crate::support::chain::{Chain, Side};
use crate::support::{alone, beside_others, until};

/// The hops that retry.
const CALLING: [&str; 3] = ["gateway", "a-out", "b-out"];
const DEADLINE: Duration = Duration::from_secs(1);
const DOOMED_UNDER: Duration = Duration::from_millis(20);
/// From the last decision on a request to its count at the upstream.
const TRANSIT: Duration = Duration::from_millis(150);
const DEADLINE_EXCEEDED: u16 = 4;

/// Small, so that what is counted is not how long it takes.
fn back_off() -> Value {
    json!({"base_interval": "0.001s", "max_interval": "0.002s"})
}

/// Retries as Envoy has them, wherever something is called.
fn naive(listener: &str, retries: u32) -> Side {
    let retry_policy =
        json!({"retry_on": "5xx", "num_retries": retries, "retry_back_off": back_off()});
    Side {
        policy: None,
        action: if CALLING.contains(&listener) {
            json!({"retry_policy": retry_policy})
        } else {
            Value::Null
        },
    }
}

/// Seawall on every listener, with more of the policy.
fn seawall(more: &Value) -> Side {
    let mut policy = json!({"breaker": {"mode": "off"}});
    if let (Some(policy), Some(more)) = (policy.as_object_mut(), more.as_object()) {
        policy.extend(more.clone());
    }
    Side {
        policy: Some(json!({
            "version": 1,
            "trust": {"addresses": ["127.0.0.0/8"]},
            "policies": {"default": policy}
        })),
        action: json!({"retry_policy": {"retry_back_off": back_off()}}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_layers_of_plain_retries_multiply_the_load_of_a_dead_service() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    for (retries, times) in [(1, 8), (3, 64)] {
        let chain = Chain::start(|listener| naive(listener, retries)).await?;
        chain.upstream.set(Knobs::failing(1.0));
        let samples = chain.users(4).flood("/", 20).await;
        assert_eq!(count(&samples, Kind::Failed), 20);
        let seen = chain.upstream.snapshot();
        assert_eq!(seen.first_attempts, 20, "the id goes all the way");
        assert_eq!(seen.requests, 20 * times, "{retries} retries on each hop");
        println!("{retries} retries on three hops: {times} times the load");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_layers_with_seawall_do_not_multiply() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let retries = json!({"retries": {"attempts": 3, "budget": {"ratio": 20, "min_per_second": 0}}});
    let chain = Chain::start(|_| seawall(&retries)).await?;
    chain.upstream.set(Knobs::failing(1.0));
    let samples = chain
        .users(20)
        .run("/", 50.0, Duration::from_secs(10))
        .await;
    assert_eq!(count(&samples, Kind::Failed), samples.len(), "C's own 503");
    let seen = chain.upstream.snapshot();
    let load = seen.requests as f64 / samples.len() as f64;
    println!(
        "{} requests at the door, {} at C, {} at app B, {} at app A: {load:.2} times the load",
        samples.len(),
        seen.requests,
        chain.app_b.counts().arrived,
        chain.app_a.counts().arrived,
    );
    assert_eq!(seen.first_attempts, samples.len() as u64);
    assert!(load <= 1.3, "{load:.2} times the load");
    assert!(load >= 1.1, "the last hop's budget was used: {load:.2}");
    let overflow = chain.sum(&["upstream_rq_retry_overflow"]).await?;
    assert_eq!(overflow, 0, "Envoy's own limit was not in the way");
    chain.assert_no_trap();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_seawall_a_deadline_ends_at_the_first_app() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let chain = Chain::start(|listener| naive(listener, 0)).await?;
    let door = chain.door(Protocol::Http2);
    for number in 0..20 {
        let call = Call::make(&chain, &door, number).await?;
        assert_eq!(call.status, Some(0));
        let last = chain.upstream.snapshot().arrivals.pop();
        assert_eq!(last.map(|last| last.id), Some(call.id), "the id alone");
    }
    let arrivals = chain.upstream.snapshot().arrivals;
    let values = &arrivals.first().expect("an arrival").values;
    assert_eq!(values.get("grpc-timeout"), None);
    let expected = values.get("x-envoy-expected-rq-timeout-ms");
    assert_eq!(expected.map(String::as_str), Some("15000"), "the route's");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_holds_over_three_services() -> anyhow::Result<()> {
    let _alone = alone().await;
    let chain = with_deadlines().await?;
    let door = chain.door(Protocol::Http2);
    chain.upstream.set(Knobs {
        hang: true,
        ..Knobs::default()
    });
    let mut took = Vec::new();
    for number in 0..7 {
        let call = Call::make(&chain, &door, number).await?;
        assert_eq!(call.status, Some(DEADLINE_EXCEEDED), "call {number}");
        assert_eq!(call.assert_in_time(&chain), 1, "C was asked, and once");
        took.push(call.took);
    }
    took.sort();
    // The median, since a loaded machine may delay any one of them.
    let median = took[took.len() / 2];
    println!("a deadline of {DEADLINE:?}: answered after {median:?}, all {took:?}");
    assert!(median <= DEADLINE + TRANSIT, "{took:?}");
    assert!(took[0] >= DEADLINE - DOOMED_UNDER, "not before: {took:?}");
    chain.assert_no_trap();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_spends_is_missing_further_on_and_what_is_doomed_is_not_sent()
-> anyhow::Result<()> {
    let _alone = alone().await;
    let chain = with_deadlines().await?;
    let door = chain.door(Protocol::Http2);
    let mut number = 0;
    // How long both apps think before they ask, and whether C may then be asked: near the limit either is right.
    for (think_ms, asked) in [
        (0, Some(true)),
        (250, Some(true)),
        (485, None),
        (492, Some(false)),
        (800, Some(false)),
    ] {
        chain.app_a.think(Duration::from_millis(think_ms));
        chain.app_b.think(Duration::from_millis(think_ms));
        for _ in 0..3 {
            number += 1;
            let call = Call::make(&chain, &door, number).await?;
            let arrived = call.assert_in_time(&chain);
            let was_asked = arrived > 0;
            assert_eq!(was_asked, asked.unwrap_or(was_asked), "{think_ms} ms");
            let expected = if was_asked { 0 } else { DEADLINE_EXCEEDED };
            // An answer of C's may come too late where it was near the limit.
            let right = call.status == Some(expected) || asked.is_none();
            assert!(right, "{think_ms} ms: {:?}", call.status);
        }
    }
    // Apps go on when nobody waits for them any more; what they ask then must not reach C either.
    until("the apps' end", async || {
        chain.app_a.counts().in_work() + chain.app_b.counts().in_work() == 0
    })
    .await?;
    assert_eq!(late(&chain), Vec::<String>::new());
    chain.assert_no_trap();
    Ok(())
}

async fn with_deadlines() -> anyhow::Result<Chain> {
    let timeout = json!({"timeout": {
        "total": "10s", "doomed_under": "20ms", "propagate": ["grpc-timeout", "x-envoy-expected-rq-timeout-ms"]
    }});
    Chain::start(|_| seawall(&timeout)).await
}

/// One gRPC call at the door with a deadline.
struct Call {
    id: String,
    /// When it was made, on C's clock.
    at: Duration,
    took: Duration,
    status: Option<u16>,
}

impl Call {
    async fn make(chain: &Chain, door: &Pool, number: u32) -> anyhow::Result<Self> {
        let at = chain.upstream.age();
        // The time of the call stands in its id, so that what comes later can be told by the arrival alone.
        let id = format!("{}-{number}", at.as_millis());
        let timeout = format!("{}m", DEADLINE.as_millis());
        let headers = [("x-request-id", id.as_str()), ("grpc-timeout", &timeout)];
        let begin = clock::now();
        let answer = door.grpc("/grpc", &headers).await?;
        Ok(Self {
            took: clock::now().duration_since(begin),
            status: answer.grpc_status(),
            id,
            at,
        })
    }

    /// Its arrivals at C came in time, and were told how much of it was left. Gives their number.
    fn assert_in_time(&self, chain: &Chain) -> usize {
        let arrivals = chain.upstream.snapshot().arrivals;
        let own = arrivals.iter().filter(|arrival| arrival.id == self.id);
        own.inspect(|arrival| {
            let after = Duration::from_millis(arrival.at_ms).saturating_sub(self.at);
            assert!(after <= DEADLINE - DOOMED_UNDER + TRANSIT, "{after:?}");
            let said = arrival.values.get("grpc-timeout");
            let left = said.and_then(|text| left(text)).expect("a deadline at C");
            assert!(
                left <= DEADLINE.saturating_sub(after) + TRANSIT,
                "{left:?} left after {after:?}"
            );
            let expected = &arrival.values["x-envoy-expected-rq-timeout-ms"];
            let expected = Duration::from_millis(expected.parse().expect("a number"));
            assert!(expected <= DEADLINE, "the router's own limit: {expected:?}");
        })
        .count()
    }
}

/// Arrivals at C that came after their deadline, by the time in their ids.
fn late(chain: &Chain) -> Vec<String> {
    let arrivals = chain.upstream.snapshot().arrivals;
    let limit = (DEADLINE - DOOMED_UNDER + TRANSIT).as_millis();
    let of = |id: &str| id.split_once('-')?.0.parse::<u128>().ok();
    arrivals
        .iter()
        .filter(|arrival| {
            let at = of(&arrival.id).expect("a time in the id");
            u128::from(arrival.at_ms) > at + limit
        })
        .map(|arrival| format!("{} at {}", arrival.id, arrival.at_ms))
        .collect()
}

/// A `grpc-timeout` as a duration.
pub(crate) fn left(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "n" => Duration::from_nanos(number),
        "u" => Duration::from_micros(number),
        "m" => Duration::from_millis(number),
        "S" => Duration::from_secs(number),
        "M" => Duration::from_secs(number * 60),
        "H" => Duration::from_secs(number * 3_600),
        _ => return None,
    })
}
