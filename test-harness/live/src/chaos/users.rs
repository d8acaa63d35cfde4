//! The users of a lane: they ask when the trace says so, whatever became of what they asked before, and try again as the experiment's
//! clients do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use seawall_harness::chaos::Stage;
use seawall_harness::fault::Fault;
use seawall_harness::measure::{Answer, ClientOutcome, is_refusal};
use seawall_harness::random::chance;
use seawall_harness::sim::{Clients, ServiceTime};
use seawall_harness::trace::{PRIORITY, Request};
use tokio::task::JoinSet;

use super::recorder::Recorder;
use super::wire::Wire;
use crate::upstream::WORK;

/// Users, and what they ask.
#[derive(Debug)]
pub(super) struct Users {
    wire: Wire,
    trace: Vec<Request>,
    clients: Clients,
    patience: Option<Duration>,
    time: ServiceTime,
    cluster: String,
    faults: Vec<Fault>,
    seed: u64,
}

impl Users {
    /// Those of an experiment, before this listener.
    pub(super) fn new(stage: &Stage<'_>, address: SocketAddr) -> Self {
        let scenario = stage.scenario();
        Self {
            wire: Wire::new(address),
            trace: stage.trace.clone(),
            clients: scenario.clients,
            patience: scenario.patience.map(Duration::from_nanos),
            time: scenario.service(&scenario.cluster).time,
            cluster: scenario.cluster.clone(),
            faults: scenario.faults.clone(),
            seed: scenario.seed,
        }
    }

    /// All of them, until the last one has an answer. Who drops this future ends all that is on its way.
    pub(super) async fn ask(self: Arc<Self>, recorder: Recorder) {
        let mut asked = JoinSet::new();
        for (number, request) in self.trace.iter().enumerate() {
            let at = request.at_us * 1_000;
            tokio::time::sleep_until(recorder.at(at)).await;
            recorder.waits(true);
            recorder.with(|measure| measure.offered(at));
            let (users, recorder) = (Arc::clone(&self), recorder.clone());
            asked.spawn(async move { users.request(&recorder, number).await });
            while asked.try_join_next().is_some() {}
        }
        asked.join_all().await;
    }

    /// One request with all its tries.
    async fn request(&self, recorder: &Recorder, number: usize) {
        let Some(request) = self.trace.get(number) else {
            return;
        };
        let at = request.at_us * 1_000;
        recorder.sent(at);
        let mut failed = 0;
        let outcome = loop {
            let outcome = self.once(recorder, number, request).await;
            let bad = matches!(outcome, ClientOutcome::Failed | ClientOutcome::Refused);
            failed += 1;
            if !bad || failed >= self.clients.tries {
                break outcome;
            }
            if let Some(back_off) = self.clients.back_off {
                let mut random = chance(self.seed, format!("request {number} wait {failed}"));
                let wait = back_off.wait(failed, &mut random);
                tokio::time::sleep(Duration::from_nanos(wait)).await;
            }
        };
        recorder.waits(false);
        let latency = recorder.now().saturating_sub(at);
        recorder.with(|measure| {
            measure.answered(Answer {
                at,
                latency,
                outcome,
                cluster: request.cluster.as_deref().unwrap_or(&self.cluster),
                priority: request.priority,
                zone: None,
                in_fault: self.faults.iter().any(|fault| fault.holds(at)),
            });
        });
    }

    /// One try.
    async fn once(&self, recorder: &Recorder, number: usize, request: &Request) -> ClientOutcome {
        let mut random = chance(self.seed, format!("request {number} work"));
        let work = self.time.draw(request.service_us * 1_000, &mut random) / 1_000;
        let (work, id) = (work.to_string(), format!("{number:08x}"));
        let mut headers = vec![(WORK, work.as_str()), ("x-request-id", id.as_str())];
        headers.extend(request.priority.map(|priority| (PRIORITY, priority.name())));
        let method = request.method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        let sent = self.wire.send(&method, &request.path, &headers);
        let answer = match self.patience {
            None => sent.await.ok(),
            Some(patience) => tokio::time::timeout(patience, sent)
                .await
                .ok()
                .and_then(Result::ok),
        };
        let Some((status, headers)) = answer else {
            return ClientOutcome::Failed;
        };
        let value = |name: &str| headers.get(name)?.to_str().ok();
        let reason = value("x-seawall-reason");
        if let Some(reason) = reason {
            let now = recorder.now();
            recorder.with(|measure| {
                measure.refused(now, reason);
                if is_refusal(reason) {
                    measure.kept(now);
                }
            });
        }
        let degraded = value("x-seawall-degraded").is_some();
        ClientOutcome::of(status.into(), degraded, reason)
    }
}
