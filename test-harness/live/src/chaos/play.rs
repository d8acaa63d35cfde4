//! One lane from its start to its end, in real time.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use seawall_harness::chaos::{Against, Course, Stage};
use seawall_harness::fault::Fault;
use seawall_harness::measure::Measure;
use tokio::task::{JoinHandle, JoinSet};

use super::faults::{changes, deaths};
use super::plan::Plan;
use super::recorder::{Recorder, nanos};
use super::users::Users;
use super::watch::{LOG, Watch};
use super::{Envoys, WORKERS, lane};
use crate::envoy::Envoy;
use crate::pool::{Pool, Protocol};
use crate::upstream::Upstream;
use crate::{clock, crash};

/// From when all has started until the trace begins.
const SOON: Duration = Duration::from_millis(200);
/// How often Envoy is looked at.
const EVERY: u64 = 250_000_000;
const SECOND: u64 = 1_000_000_000;
/// What ended at a time is written down so much later at the latest.
const WRITTEN: u64 = 100_000_000;

/// A task that ends with whoever started it.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Plays a lane. Whatever ends it, also an error or an interruption, ends all that was started for it: the rollback of
/// everything that goes wrong. Nothing comes of one that was stopped before its Envoy was ready.
pub(super) async fn lane(
    envoys: &Envoys,
    stage: &Stage<'_>,
    plan: &Plan,
    against: &Against,
    progress: &dyn Fn() -> ControlFlow<()>,
) -> anyhow::Result<Option<(Measure, Course)>> {
    let mut upstreams = Vec::new();
    for door in plan.doors() {
        let name = format!("{}-{}-{}", plan.cluster, door.host, door.number);
        let upstream = Upstream::start(&name, ([127, 0, 0, 1], 0).into()).await?;
        upstream.set(plan.well.clone());
        upstreams.push(upstream);
    }
    let upstreams = Arc::new(upstreams);
    let hosts = upstreams.iter().map(Upstream::address).collect();
    let wasm = if plan.kills {
        &envoys.mortal
    } else {
        &envoys.wasm
    };
    let route_timeout = Duration::from_nanos(stage.experiment().route_timeout());
    let bootstrap = lane::of(wasm, against, plan, route_timeout, &stage.means(), hosts)?;
    let envoy = {
        let _turn = envoys.starting.lock().await;
        // Others may have started meanwhile for as long as somebody has wanted all to stop.
        if envoys.stopped() {
            return Ok(None);
        }
        tokio::select! {
            started = Envoy::start_with(&bootstrap, WORKERS, &LOG) => started?,
            () = envoys.stopping() => return Ok(None),
        }
    };
    let address = envoy.listener(lane::EDGE)?;
    let recorder = Recorder::new(clock::now() + SOON);
    let began = clock::wall() + SOON;
    let faults = stage.scenario().faults.clone();
    let users = Arc::new(Users::new(stage, address));
    let mut users = Task(tokio::spawn(users.ask(recorder.clone())));
    let sick = Sick {
        plan: plan.clone(),
        faults: faults.clone(),
        upstreams: Arc::clone(&upstreams),
        recorder: recorder.clone(),
    };
    let _sick = Task(tokio::spawn(sick.follow()));
    let kills = match against {
        Against::Seawall(_) => deaths(&faults),
        Against::Other(_) => Vec::new(),
    };
    let _killer = Task(tokio::spawn(kill(
        Pool::new(address, Protocol::Http1),
        kills,
        recorder.clone(),
    )));
    let mut watch = Watch::new(&plan.cluster, &faults, began);
    let mut interrupted = follow(envoys, stage, &envoy, &recorder, &mut watch, progress).await?;
    for upstream in upstreams.iter() {
        upstream.set(plan.well.clone());
    }
    if interrupted.is_none() {
        // Nobody waits longer for an answer than the route does.
        let answered = tokio::time::timeout(route_timeout + Duration::from_secs(1), &mut users.0);
        tokio::select! {
            _ = answered => watch.look(&envoy, &recorder).await?,
            () = envoys.stopping() => interrupted = Some(recorder.now().min(stage.timeline.clock)),
        }
    }
    drop(users);
    let course = Course {
        platform: format!("Envoy {}", envoys.version),
        began: nanos(began),
        interrupted,
        late_ms: Some(recorder.late_ms()),
    };
    Ok(Some((recorder.take(), course)))
}

/// Follows a lane until its end, or until it need not go on: the hypothesis did not hold before the method, a condition to abort was
/// met, or somebody stopped it. When that was, in nanoseconds since the trace began, if somebody stopped it.
async fn follow(
    envoys: &Envoys,
    stage: &Stage<'_>,
    envoy: &Envoy,
    recorder: &Recorder,
    watch: &mut Watch,
    progress: &dyn Fn() -> ControlFlow<()>,
) -> anyhow::Result<Option<u64>> {
    let end = stage.timeline.clock;
    let warm = stage.experiment().warm_up();
    let (mut next, mut second, mut asked) = (EVERY, 0, warm);
    while recorder.now() < end + WRITTEN {
        tokio::time::sleep_until(recorder.at(next.min(end + WRITTEN))).await;
        next += EVERY;
        let looked = watch.look(envoy, recorder).await;
        // Ctrl-C in a terminal reaches Envoy too, which then ends by itself.
        if envoys.stopped() {
            return Ok(Some(recorder.now().min(end)));
        }
        looked?;
        let now = recorder.now();
        while second + SECOND <= now.min(end) {
            second += SECOND;
            if progress().is_break() {
                return Ok(Some(recorder.now().min(end)));
            }
        }
        if asked + WRITTEN > now {
            continue;
        }
        let goes_on = recorder.with(|measure| match asked == warm {
            true => stage.holds_before(measure),
            false => !stage.aborts(measure, asked),
        });
        if !goes_on {
            return Ok(None);
        }
        asked += SECOND;
    }
    Ok(None)
}

/// The upstream, as it gets sick and well.
struct Sick {
    plan: Plan,
    faults: Vec<Fault>,
    upstreams: Arc<Vec<Upstream>>,
    recorder: Recorder,
}

impl Sick {
    async fn follow(self) {
        for at in changes(&self.faults) {
            tokio::time::sleep_until(self.recorder.at(at)).await;
            for (upstream, door) in self.upstreams.iter().zip(self.plan.doors()) {
                upstream.set(self.plan.knobs(&self.faults, door, at));
            }
        }
    }
}

/// Kills the VM of each worker at these times: Envoy gives each worker as many of the connections that are opened together.
async fn kill(pool: Pool, times: Vec<u64>, recorder: Recorder) {
    let pool = Arc::new(pool);
    for at in times {
        tokio::time::sleep_until(recorder.at(at)).await;
        let mut killers = JoinSet::new();
        for _ in 0..WORKERS {
            let pool = Arc::clone(&pool);
            killers.spawn(async move {
                let _ = pool.send(&Method::GET, "/", &[(crash::HEADER, "1")]).await;
            });
        }
        killers.join_all().await;
    }
}
