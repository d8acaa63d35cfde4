//! More than an application can do, in four priorities: what it still does on each of three lanes, before the application as
//! a sidecar's inbound side stands. Bare Envoy; Envoy's own `adaptive_concurrency`; Seawall.
//!
//! The application has places for so many requests and works on each for a fixed time, so that its capacity C is known; what
//! finds no place waits, and what nobody waits for any more is worked on all the same, as in most programs.
//! Requests come by a Poisson process, whatever became of those before (see `offered`).

use std::time::Duration;

use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::load::Client;
use seawall_live::offered::{Asked, Got, Load, Phase, count, p99_by_window};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use crate::support::{WORKERS, alone, anywhere, assert_no_trap};

const DEADLINE: Duration = Duration::from_secs(1);
const HEADER: &str = "x-seawall-priority";
const PRIORITIES: [&str; 4] = ["critical_plus", "critical", "sheddable_plus", "sheddable"];
/// Latency is stable where this percentile of each such window is at most so many times what it was before.
const WINDOW: Duration = Duration::from_millis(500);
const STABLE: u32 = 2;

/// An application, and how its sidecar sheds.
#[derive(Clone, Debug)]
struct Plan {
    /// What it works on at the same time.
    places: usize,
    /// For how long each.
    work_ms: u64,
    /// The policy's `shedding`.
    shedding: Value,
}

/// A small one, with the defaults.
fn small() -> Plan {
    Plan {
        places: 20,
        work_ms: 100,
        shedding: json!({}),
    }
}

/// A larger one, with a limit that is never less than its places, as docs/load.md advises.
fn large() -> Plan {
    Plan {
        places: 100,
        work_ms: 200,
        shedding: json!({"min": 100}),
    }
}

/// A way to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Bare,
    AdaptiveConcurrency,
    Seawall,
}

impl Lane {
    const ALL: [Self; 3] = [Self::Bare, Self::AdaptiveConcurrency, Self::Seawall];

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare Envoy",
            Self::AdaptiveConcurrency => "adaptive_concurrency",
            Self::Seawall => "Seawall",
        }
    }

    fn filters(self, plan: &Plan) -> Vec<Value> {
        match self {
            Self::AdaptiveConcurrency => vec![adaptive_concurrency(plan.places)],
            Self::Bare | Self::Seawall => Vec::new(),
        }
    }

    fn policy(self, plan: &Plan) -> Option<Value> {
        (self == Self::Seawall).then(|| {
            json!({
                "version": 1,
                "trust": {"addresses": ["127.0.0.0/8"]},
                "policies": {"default": {"shedding": plan.shedding}}
            })
        })
    }
}

/// Envoy's own, as well as it can be set for this application: never less than its places, so that learning its
/// baseline does no harm, and with a baseline that is learned before the load comes.
fn adaptive_concurrency(places: usize) -> Value {
    json!({
        "name": "envoy.filters.http.adaptive_concurrency",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
            "gradient_controller_config": {
                "sample_aggregate_percentile": {"value": 90},
                "concurrency_limit_params": {"max_concurrency_limit": 1_000, "concurrency_update_interval": "0.1s"},
                "min_rtt_calc_params": {
                    "jitter": {"value": 10}, "interval": "60s", "request_count": 50, "min_concurrency": places,
                    "buffer": {"value": 25}
                }
            },
            "enabled": {"default_value": true, "runtime_key": "adaptive_concurrency.enabled"}
        }
    })
}

/// An application behind an inbound listener.
struct Stand {
    lane: Lane,
    envoy: Envoy,
    upstream: Upstream,
}

impl Stand {
    async fn start(lane: Lane, plan: &Plan) -> anyhow::Result<Self> {
        let upstream = Upstream::start("application", anywhere()).await?;
        upstream.set(Knobs {
            latency_ms: plan.work_ms,
            capacity: Some(plan.places),
            stubborn: true,
            ..Knobs::default()
        });
        let cluster = Cluster {
            name: "application".to_owned(),
            hosts: vec![upstream.address()],
            ..Cluster::default()
        };
        let listener = Listener {
            name: "inbound".to_owned(),
            direction: Some("INBOUND"),
            policy: lane.policy(plan),
            filters: lane.filters(plan),
            routes: vec![Route {
                prefix: "/".to_owned(),
                cluster: cluster.name.clone(),
                ..Route::default()
            }],
            ..Listener::default()
        };
        let envoy = Envoy::start(&bootstrap(&filter()?, &[listener], &[cluster]), WORKERS).await?;
        Ok(Self {
            lane,
            envoy,
            upstream,
        })
    }

    /// Offers this load on each lane at the same time: each has an Envoy and an application of its own, and all meet the same
    /// machine.
    async fn offer_all(
        plan: &Plan,
        capacity: f64,
        phases: &[Phase],
    ) -> anyhow::Result<Vec<(Lane, Vec<Asked>)>> {
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            let stand = Self::start(lane, plan).await?;
            let phases = phases.to_vec();
            lanes.push(tokio::spawn(async move {
                let asked = stand.offer(capacity, &phases).await?;
                assert_no_trap(&stand.envoy);
                anyhow::Ok((stand.lane, asked))
            }));
        }
        let mut all = Vec::new();
        for lane in lanes {
            all.push(lane.await??);
        }
        Ok(all)
    }

    /// Offers this load, after so much of it that every lane has learned what it learns.
    async fn offer(&self, capacity: f64, phases: &[Phase]) -> anyhow::Result<Vec<Asked>> {
        let load = Load {
            address: self.envoy.listener("inbound")?,
            header: HEADER,
            kinds: &PRIORITIES,
            deadline: DEADLINE,
            seed: 1,
        };
        let warm = Phase {
            per_second: capacity / 2.0,
            length: Duration::from_secs(5),
        };
        let learning = load.offer(&[warm]).await;
        let refused = learning.iter().rfind(|one| one.got != Got::Good);
        if let Some(last) = refused {
            println!(
                "{:22} refused {} of {} at half its capacity, the last after {:.1?}",
                self.lane.name(),
                count(&learning, None, Got::Refused),
                learning.len(),
                last.at
            );
        }
        Ok(load.offer(phases).await)
    }
}

/// What the application can do in a second, asked directly by twice as many as it has places.
async fn capacity(plan: &Plan) -> anyhow::Result<f64> {
    let stand = Stand::start(Lane::Bare, plan).await?;
    let client = Client::new(stand.upstream.address(), 2 * plan.places, DEADLINE);
    let samples = client.flood("/", 16 * plan.places).await;
    let ends = samples.iter().map(|sample| sample.at + sample.latency);
    let last = ends.max().unwrap_or_default();
    Ok(samples.len() as f64 / last.as_secs_f64())
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// Per priority: how many came, how many were answered in time.
fn answered(asked: &[Asked]) -> [(usize, usize); 4] {
    [0, 1, 2, 3].map(|kind| {
        let came = asked.iter().filter(|one| one.kind == kind).count();
        (came, count(asked, Some(kind), Got::Good))
    })
}

/// What a lane made of twice what the application can do.
struct Outcome {
    lane: Lane,
    /// Answered in time, in percent of what the application can do.
    goodput: f64,
    /// Answered in time, in percent of what came, by priority.
    by_priority: [f64; 4],
}

/// Offers every lane twice what the application can do.
async fn overloaded(plan: &Plan) -> anyhow::Result<Vec<Outcome>> {
    let capacity = capacity(plan).await?;
    let mut table = format!(
        "{} places, {} ms, shedding {}: C = {capacity:.0} requests/s; offered 2 C for 10 s in four equal priorities\n",
        plan.places, plan.work_ms, plan.shedding
    );
    let length = Duration::from_secs(10);
    let twice = Phase {
        per_second: 2.0 * capacity,
        length,
    };
    let mut outcomes = Vec::new();
    for (lane, asked) in Stand::offer_all(plan, capacity, &[twice]).await? {
        let good = count(&asked, None, Got::Good) as f64 / length.as_secs_f64();
        let outcome = Outcome {
            lane,
            goodput: good * 100.0 / capacity,
            by_priority: answered(&asked).map(|(came, good)| share(good, came)),
        };
        table.push_str(&format!(
            "{:22} goodput {:5.1} % of C; refused {:4}, no answer {:4}, failed {:4}; answered by priority {:.1?} %\n",
            lane.name(),
            outcome.goodput,
            count(&asked, None, Got::Refused),
            count(&asked, None, Got::Nothing),
            count(&asked, None, Got::Failed),
            outcome.by_priority,
        ));
        outcomes.push(outcome);
    }
    println!("{table}");
    Ok(outcomes)
}

/// The application works as much as it can, those that matter most get their answers, the least important take the loss.
fn assert_shed(outcomes: &[Outcome]) {
    let seawall = outcomes.iter().find(|one| one.lane == Lane::Seawall);
    let seawall = seawall.expect("the lane");
    assert!(seawall.goodput >= 95.0, "{:.1} %", seawall.goodput);
    let [critical_plus, critical, sheddable_plus, sheddable] = seawall.by_priority;
    assert!(critical_plus >= 99.9, "{critical_plus:.2} %");
    assert!(critical > 2.0 * sheddable_plus && sheddable < 5.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offered_twice_its_capacity_an_application_does_what_it_can_for_those_that_matter_most()
-> anyhow::Result<()> {
    let _alone = alone().await;
    assert_shed(&overloaded(&large()).await?);
    Ok(())
}

/// With few places a tenth of the limit is two to four of them, too few for chance: what keeps the most important ones' answers
/// coming is that they have some beyond the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_application_does_so_too() -> anyhow::Result<()> {
    let _alone = alone().await;
    assert_shed(&overloaded(&small()).await?);
    Ok(())
}

/// From the spike's begin to the end of the last window that was not as fast as before; nothing if all were.
fn unstable_for(asked: &[Asked], spike: Duration) -> Option<Duration> {
    let before: Vec<Asked> = asked.iter().filter(|one| one.at < spike).copied().collect();
    let base = p99_by_window(&before, spike).first().copied()?;
    let windows = p99_by_window(asked, WINDOW);
    let number = windows.iter().rposition(|p99| *p99 > STABLE * base)?;
    let end = WINDOW * u32::try_from(number + 1).ok()?;
    end.checked_sub(spike)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_spike_latency_is_stable_again_and_how_long_that_takes() -> anyhow::Result<()> {
    let _alone = alone().await;
    let plan = small();
    let capacity = capacity(&plan).await?;
    let before = Duration::from_secs(4);
    let spike = Duration::from_secs(4);
    for (what, factor) in [("1.4 times the load before, 1.12 C", 1.12), ("1.4 C", 1.4)] {
        println!(
            "from 0.8 C ({:.0}/s) for 4 s to {what}, and back",
            0.8 * capacity
        );
        let phase = |factor: f64, length| Phase {
            per_second: factor * capacity,
            length,
        };
        let after = Duration::from_secs(12);
        let phases = [phase(0.8, before), phase(factor, spike), phase(0.8, after)];
        for (lane, asked) in Stand::offer_all(&plan, capacity, &phases).await? {
            let unstable = unstable_for(&asked, before);
            match lane {
                Lane::Bare => assert!(unstable.is_some_and(|time| time > spike)),
                Lane::AdaptiveConcurrency => {}
                Lane::Seawall => assert!(unstable.is_none_or(|time| time <= spike + 2 * WINDOW)),
            }
            println!(
                "{:22} unstable for {:?}; good {:.1} %, refused {}, no answer {}",
                lane.name(),
                unstable,
                share(count(&asked, None, Got::Good), asked.len()),
                count(&asked, None, Got::Refused),
                count(&asked, None, Got::Nothing),
            );
        }
    }
    Ok(())
}
