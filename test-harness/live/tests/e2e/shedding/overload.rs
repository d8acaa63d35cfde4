//! More than an application can do, in four priorities: what it still does on each of three lanes, before the application as
//! a sidecar's inbound side stands. Bare Envoy; Envoy's own `adaptive_concurrency`; Seawall.
//!
//! The application has places for so many requests and works on each for a fixed time, so that its capacity C is known; what
//! finds no place waits, and what nobody waits for any more is worked on all the same, as in most programs.
//! Requests come by a Poisson process, whatever became of those before (see `offered`). Where the one who sends them was late, what
//! came was another load than was meant: it is offered once more. What was answered has no say in that.

use std::time::Duration;

use seawall_live::clock;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::offered::{Asked, Got, Load, Phase, count, p90_by_window};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use crate::support::{WORKERS, alone, anywhere, assert_no_trap};

const DEADLINE: Duration = Duration::from_secs(1);
const HEADER: &str = "x-seawall-priority";
const PRIORITIES: [&str; 4] = ["critical_plus", "critical", "sheddable_plus", "sheddable"];
/// Latency is stable where the 90th percentile of such a window is at most so many times the time of work, or that of the next
/// is: one window by itself is chance.
const WINDOW: Duration = Duration::from_millis(500);
const STABLE: u32 = 2;
/// A load is as it was meant if none of its requests was sent later than this: of a small application's important ones
/// five come meanwhile.
const LATE: Duration = Duration::from_millis(50);
/// What was sent later than this came in a bunch with what was due next, and no Poisson process has such bunches: it is no
/// part of the claim about the most important ones.
const BUNCHED: Duration = Duration::from_millis(5);
/// So often a load is offered at most; the least late counts if none was as it was meant.
const ROUNDS: usize = 3;

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

impl Plan {
    /// What it can do in a second, C.
    fn capacity(&self) -> f64 {
        self.places as f64 / self.work().as_secs_f64()
    }

    fn work(&self) -> Duration {
        Duration::from_millis(self.work_ms)
    }
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

    /// Offers this load, in parts of C, after so much of it that every lane has learned what it learns.
    async fn offer(&self, plan: &Plan, phases: &[(f64, Duration)]) -> anyhow::Result<Offered> {
        let load = Load {
            address: self.envoy.listener("inbound")?,
            header: HEADER,
            kinds: &PRIORITIES,
            deadline: DEADLINE,
            seed: 1,
        };
        let phase = |(factor, length): (f64, Duration)| Phase {
            per_second: factor * plan.capacity(),
            length,
        };
        let learning = load.offer(&[phase((0.5, Duration::from_secs(5)))]).await;
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
        let phases: Vec<Phase> = phases.iter().copied().map(phase).collect();
        self.upstream.reset_stats();
        let begin = clock::now();
        let done = async {
            tokio::time::sleep(phases.iter().map(|phase| phase.length).sum()).await;
            let answers = self.upstream.snapshot().answers.values().sum::<u64>();
            // Nothing can be done before the first is.
            let time = clock::now()
                .duration_since(begin)
                .saturating_sub(plan.work());
            answers as f64 / time.as_secs_f64()
        };
        let (asked, done) = tokio::join!(load.offer(&phases), done);
        assert_no_trap(&self.envoy);
        Ok(Offered {
            lane: self.lane,
            asked,
            done,
        })
    }
}

/// What became of a load on a lane.
struct Offered {
    lane: Lane,
    asked: Vec<Asked>,
    /// What the application did in a second, for whomever.
    done: f64,
}

/// Offers this load on each lane at the same time: each has an Envoy and an application of its own, and all meet the same
/// machine. Once more if any was sent late.
async fn offer_all(plan: &Plan, phases: &[(f64, Duration)]) -> anyhow::Result<Vec<Offered>> {
    let mut least: Option<(Duration, Vec<Offered>)> = None;
    for round in 1..=ROUNDS {
        let all = offer_once(plan, phases).await?;
        let asked = all.iter().flat_map(|offered| &offered.asked);
        let late = asked.map(|one| one.late).max().unwrap_or_default();
        println!("round {round}: the latest request was sent {late:.1?} late");
        if least.as_ref().is_none_or(|(before, _)| late < *before) {
            least = Some((late, all));
        }
        if late <= LATE {
            break;
        }
    }
    Ok(least.map(|(_, all)| all).unwrap_or_default())
}

async fn offer_once(plan: &Plan, phases: &[(f64, Duration)]) -> anyhow::Result<Vec<Offered>> {
    let mut lanes = Vec::new();
    for lane in Lane::ALL {
        let stand = Stand::start(lane, plan).await?;
        let (plan, phases) = (plan.clone(), phases.to_vec());
        lanes.push(tokio::spawn(
            async move { stand.offer(&plan, &phases).await },
        ));
    }
    let mut all = Vec::new();
    for lane in lanes {
        all.push(lane.await??);
    }
    Ok(all)
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
    /// Answered in time, in percent of what the application could do then.
    goodput: f64,
    /// Answered in time, in percent of what came, by priority.
    by_priority: [f64; 4],
    /// Sent so late that they came in a bunch, in percent of the most important.
    bunched: f64,
}

/// Offers every lane twice what the application can do.
async fn overloaded(plan: &Plan) -> anyhow::Result<Vec<Outcome>> {
    let length = Duration::from_secs(10);
    let all = offer_all(plan, &[(2.0, length)]).await?;
    // Where nobody is refused it has always enough to do: it does what it can, on this machine at this time.
    let bare = all.iter().find(|offered| offered.lane == Lane::Bare);
    let could = bare.expect("the lane").done;
    let mut table = format!(
        "{} places, {} ms, shedding {}: C = {:.0} requests/s, {could:.1} of them here; offered 2 C for 10 s in four equal priorities\n",
        plan.places,
        plan.work_ms,
        plan.shedding,
        plan.capacity()
    );
    let mut outcomes = Vec::new();
    for Offered { lane, asked, .. } in all {
        let good = count(&asked, None, Got::Good) as f64 / length.as_secs_f64();
        let most_important = || asked.iter().filter(|one| one.kind == 0);
        let bunched = most_important().filter(|one| one.late > BUNCHED);
        let outcome = Outcome {
            lane,
            bunched: share(bunched.count(), most_important().count()),
            goodput: good * 100.0 / could,
            by_priority: answered(&asked).map(|(came, good)| share(good, came)),
        };
        table.push_str(&format!(
            "{:22} goodput {:5.1} % of C; refused {:4}, no answer {:4}, failed {:4}; answered by priority {:.2?} %; {:.2} % of the first in bunches\n",
            lane.name(),
            outcome.goodput,
            count(&asked, None, Got::Refused),
            count(&asked, None, Got::Nothing),
            count(&asked, None, Got::Failed),
            outcome.by_priority,
            outcome.bunched,
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
    let lost = 100.0 - critical_plus - seawall.bunched;
    assert!(
        lost <= 0.1,
        "{critical_plus:.2} %, {:.2} % in bunches",
        seawall.bunched
    );
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

/// From the end of the spike to that of the last two windows running that were slow; nothing if none were after it.
fn slow_after(windows: &[Duration], work: Duration, spike_end: Duration) -> Option<Duration> {
    let slow = |two: &[Duration]| two.iter().all(|p90| *p90 > STABLE * work);
    let last = windows.windows(2).rposition(slow)?;
    let end = WINDOW * u32::try_from(last + 2).ok()?;
    end.checked_sub(spike_end).filter(|after| !after.is_zero())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_spike_latency_is_stable_again_and_how_long_that_takes() -> anyhow::Result<()> {
    let _alone = alone().await;
    let plan = small();
    let before = Duration::from_secs(4);
    let spike = Duration::from_secs(4);
    let after = Duration::from_secs(12);
    for (what, factor) in [("1.4 times the load before, 1.12 C", 1.12), ("1.4 C", 1.4)] {
        println!("from 0.8 C for 4 s to {what}, and back");
        let phases = [(0.8, before), (factor, spike), (0.8, after)];
        for Offered { lane, asked, .. } in offer_all(&plan, &phases).await? {
            let windows = p90_by_window(&asked, WINDOW);
            let slow = slow_after(&windows, plan.work(), before + spike);
            println!(
                "{:22} p90 of half a second at most {:.0?}, slow for {:?} after the spike; good {:.1} %, refused {}, no answer {}",
                lane.name(),
                windows.iter().max().copied().unwrap_or_default(),
                slow.unwrap_or_default(),
                share(count(&asked, None, Got::Good), asked.len()),
                count(&asked, None, Got::Refused),
                count(&asked, None, Got::Nothing),
            );
            match lane {
                // Of a little more than it can do, what waits is soon done again.
                Lane::Bare if factor < 1.4 => {}
                Lane::Bare => assert!(slow.is_some(), "{windows:?}"),
                Lane::AdaptiveConcurrency => {}
                Lane::Seawall => assert!(slow <= Some(2 * WINDOW), "{windows:?}"),
            }
        }
    }
    Ok(())
}
