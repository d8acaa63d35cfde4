//! Page views at a rate: three requests at the same time, one page.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};

use crate::clock;
use crate::load::{self, Client};

/// What a user saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everything, from the upstreams.
    Good,
    /// Everything, with an answer that stands in for the optional part.
    Degraded,
    /// An error.
    Failed,
}

/// One page view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// When it was asked for, since the load began.
    pub(super) at: Duration,
    /// Until its last part was there.
    pub(super) latency: Duration,
    /// What the user saw.
    pub(super) kind: Kind,
}

/// The page views of one lane, until they are finished or dropped.
pub(super) struct Pages {
    lane: &'static str,
    done: Arc<Mutex<Vec<Page>>>,
    task: JoinHandle<()>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Pages {
    /// Starts a lane's page views.
    pub(super) fn start(
        lane: &'static str,
        client: Client,
        begin: Instant,
        per_second: f64,
    ) -> Self {
        let done = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(views(
            lane,
            client,
            begin,
            per_second,
            Arc::clone(&done),
            stopped,
        ));
        Self {
            lane,
            done,
            task,
            stop,
        }
    }

    /// Which lane.
    pub(super) fn lane(&self) -> &'static str {
        self.lane
    }

    /// The pages that were done after `since`, good, degraded and failed.
    pub(super) fn counts(&self, since: Duration) -> (usize, usize, usize) {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = done
            .iter()
            .rev()
            .take(1_000)
            .filter(|page| page.at + page.latency > since);
        recent.fold((0, 0, 0), |(good, degraded, failed), page| {
            match page.kind {
                Kind::Good => (good + 1, degraded, failed),
                Kind::Degraded => (good, degraded + 1, failed),
                Kind::Failed => (good, degraded, failed + 1),
            }
        })
    }

    /// Ends the load and gives all pages.
    pub(super) async fn finish(self) -> Vec<Page> {
        self.stop.send_replace(true);
        let _ = self.task.await;
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn views(
    lane: &'static str,
    client: Client,
    begin: Instant,
    per_second: f64,
    done: Arc<Mutex<Vec<Page>>>,
    stopped: tokio::sync::watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    let mut number = 0;
    while !*stopped.borrow() {
        let at = Duration::from_secs_f64(number as f64 / per_second);
        tokio::time::sleep_until((begin + at).into()).await;
        let (client, done) = (client.clone(), Arc::clone(&done));
        tasks.spawn(async move {
            let kind = view(lane, &client, number).await;
            let latency = clock::now().duration_since(begin).saturating_sub(at);
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Page { at, latency, kind });
        });
        number += 1;
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
}

async fn view(lane: &str, client: &Client, number: usize) -> Kind {
    let slot = number * 3;
    let path = |part: &str| format!("/{part}?lane={lane}");
    let (users, orders, recommendations) = (path("users"), path("orders"), path("recommendations"));
    let (users, orders, recommendations) = tokio::join!(
        client.get(slot, &users),
        client.get(slot + 1, &orders),
        client.get(slot + 2, &recommendations)
    );
    match (users.1, orders.1, recommendations.1) {
        (load::Kind::Good, load::Kind::Good, load::Kind::Good) => Kind::Good,
        (load::Kind::Good, load::Kind::Good, load::Kind::Degraded) => Kind::Degraded,
        _ => Kind::Failed,
    }
}
