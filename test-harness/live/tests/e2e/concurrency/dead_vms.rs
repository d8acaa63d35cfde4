//! What a VM that dies held: it is free again within two seconds, whoever held it and however many die.

use std::time::Duration;

use anyhow::{Context, ensure};
use seawall_live::clock;
use seawall_live::crash;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::load::{Client, Kind};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{
    Stand, WORKERS, alone, anywhere, assert_no_trap, beside_others, left_out_on_module, policy,
    transitions, until,
};

/// From the death of a VM until its places are free again.
const FREE: Duration = Duration::from_secs(2);
/// The same for the permits of a half-open breaker: one tick more, and what a busy machine adds.
const FREE_PERMITS: Duration = Duration::from_secs(3);
/// The same if no VM of the process lives on: the first to see what is held is one that comes after.
const FREE_OF_ALL: Duration = Duration::from_secs(4);
/// How often it is asked for a free place.
const ASKED_EVERY: Duration = Duration::from_millis(5);
const PERMITS: usize = 4;

/// An upstream behind a filter that can be made to die.
pub(crate) struct Mortal {
    pub(crate) envoy: Envoy,
    pub(crate) upstream: Upstream,
    _files: TempDir,
}

impl Mortal {
    pub(crate) async fn start(policy: Value) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let wasm = crash::module(files.path())?;
        let upstream = Upstream::start("upstream", anywhere()).await?;
        let cluster = Cluster {
            name: "upstream".to_owned(),
            hosts: vec![upstream.address()],
            ..Cluster::default()
        };
        let listener = Listener {
            name: "edge".to_owned(),
            policy: Some(policy),
            upstream: true,
            routes: vec![Route {
                prefix: "/".to_owned(),
                cluster: cluster.name.clone(),
                ..Route::default()
            }],
            ..Listener::default()
        };
        let envoy = Envoy::start(&bootstrap(&wasm, &[listener], &[cluster]), WORKERS).await?;
        Ok(Self {
            envoy,
            upstream,
            _files: files,
        })
    }

    pub(crate) fn client(&self, connections: usize, patience: Duration) -> anyhow::Result<Client> {
        Ok(Client::new(
            self.envoy.listener("edge")?,
            connections,
            patience,
        ))
    }

    /// Kills the VMs of so many workers, one after the other: connections are balanced. When the last was asked for, on the
    /// upstream's clock, and what those who ask for it get.
    pub(crate) async fn kill(
        &self,
        workers: usize,
    ) -> anyhow::Result<(Duration, Vec<(u16, Kind)>)> {
        let client = self.client(workers, Duration::from_secs(2))?;
        let client = client.header(crash::HEADER, "1");
        let (mut last, mut got) = (Duration::ZERO, Vec::new());
        for worker in 0..workers {
            last = self.upstream.age();
            got.push(client.get(worker, "/").await);
        }
        Ok((last, got))
    }

    /// Sends requests that hang, each on a connection of its own, until so many have reached the upstream since its counts
    /// began.
    async fn hang(&self, reached: usize) -> anyhow::Result<JoinSet<(u16, Kind)>> {
        let mut asked = JoinSet::new();
        until("as many at the upstream", async || {
            if let Ok(client) = self.client(1, Duration::from_secs(30)) {
                asked.spawn(async move { client.get(0, "/").await });
            }
            self.upstream.snapshot().requests >= reached as u64
        })
        .await?;
        Ok(asked)
    }

    /// Asks for a place on a connection of its own, again and again, until so many have reached the upstream.
    async fn press(&self, reached: usize) -> anyhow::Result<JoinSet<(u16, Kind)>> {
        let deadline = clock::now() + Duration::from_secs(10);
        let mut asked = JoinSet::new();
        while self.upstream.snapshot().arrivals.len() < reached {
            ensure!(clock::now() < deadline, "no place is free");
            let client = self.client(1, Duration::from_secs(30))?;
            asked.spawn(async move { client.get(0, "/").await });
            tokio::time::sleep(ASKED_EVERY).await;
        }
        Ok(asked)
    }

    /// Fills all places with requests that hang, kills VMs, and asks on until another one is let in: how long that takes
    /// from just before the last death until it arrives, both on the upstream's clock.
    async fn freed_after(&self, places: usize, workers: usize) -> anyhow::Result<Duration> {
        self.upstream.set(Knobs::hanging());
        self.upstream.reset_stats();
        let held = self.hang(places).await?;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let more = self.client(4, Duration::from_secs(1))?;
        for connection in 0..4 {
            assert_eq!(more.get(connection, "/").await.1, Kind::Refused);
        }
        assert_eq!(self.upstream.snapshot().requests, places as u64);
        let (dies, got) = self.kill(workers).await?;
        let killed = |one: &(u16, Kind)| *one == (503, Kind::Failed);
        assert!(got.iter().all(killed), "{got:?}");
        let again = self.press(places + 1).await?;
        let let_in = self.upstream.snapshot().arrivals;
        let let_in = let_in.get(places).context("one more")?.at_ms;
        let free = Duration::from_millis(let_in).saturating_sub(dies);
        self.upstream.set(Knobs::default());
        // Those of dead VMs get Envoy's own 503 when their answers come, the others their answers: nobody waits for ever.
        let all = held.join_all().await;
        let went = all.iter().filter(|one| one.1 != Kind::Refused);
        assert_eq!(went.clone().count(), places, "{all:?}");
        assert!(went.clone().all(|one| killed(one) || one.1 == Kind::Good));
        assert!(went.clone().any(killed), "{all:?}");
        assert!(again.join_all().await.contains(&(200, Kind::Good)));
        Ok(free)
    }

    /// How often a VM was made anew.
    pub(crate) async fn deaths(&self) -> anyhow::Result<u64> {
        self.envoy.sum(&["wasm.seawall.vm_reload_success"]).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_filter_cannot_be_killed_by_that_header() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    assert!(
        !std::fs::read(filter()?)?
            .windows(7)
            .any(|seven| seven == crash::HEADER.as_bytes())
    );
    let stand = Stand::start(policy(json!({}))).await?;
    let client = stand.client(WORKERS).header(crash::HEADER, "1");
    for worker in 0..WORKERS {
        assert_eq!(client.get(worker, "/").await, (200, Kind::Good));
    }
    assert_no_trap(&stand.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_of_dead_vms_come_back() -> anyhow::Result<()> {
    if left_out_on_module(
        "there is no VM that could die; scripts/test-module.sh has hooks that panic",
    )? {
        return Ok(());
    }
    let _alone = alone().await;
    let breaker = json!({
        "half_open": {"permits": PERMITS, "wait": "60s"},
        "open": {"for": "1s", "up_to": "1s", "jitter": 0}
    });
    let mortal = Mortal::start(policy(breaker)).await?;
    let client = mortal.client(1, Duration::from_secs(2))?;
    for (workers, bound) in [(1, FREE_PERMITS), (WORKERS, FREE_OF_ALL)] {
        mortal.upstream.set(Knobs::failing(1.0));
        until("an open breaker", async || {
            client.get(0, "/").await.1 == Kind::Refused
        })
        .await?;
        let free = mortal.freed_after(PERMITS, workers).await?;
        println!("permits of {workers} dead VMs are free after {free:.2?}");
        assert!(free < bound, "{workers} dead VMs: {free:?}");
        until("a closed breaker", async || {
            let last = transitions(&mortal.envoy).pop();
            client.get(0, "/").await;
            last.is_some_and(|last| last == "half_open -> closed")
        })
        .await?;
    }
    // Each of the two positions counts.
    assert!(mortal.deaths().await? > WORKERS as u64);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_of_a_dead_vm_are_free_within_two_seconds() -> anyhow::Result<()> {
    if left_out_on_module(
        "there is no VM that could die; scripts/test-module.sh has hooks that panic",
    )? {
        return Ok(());
    }
    let _alone = alone().await;
    let policy = json!({"version": 1, "policies": {"default": {
        "breaker": {"mode": "off"}, "bulkhead": {"max_concurrent": PERMITS}
    }}});
    let mortal = Mortal::start(policy).await?;
    let rounds = [(1, FREE), (1, FREE), (1, FREE), (WORKERS, FREE_OF_ALL)];
    for (workers, bound) in rounds {
        let free = mortal.freed_after(PERMITS, workers).await?;
        println!("places of {workers} dead VMs are free after {free:.2?}");
        assert!(free < bound, "{workers} dead VMs: {free:?}");
        let gauge = ["wasmcustom.seawall_in_flight"];
        until("an empty gauge", async || {
            mortal.envoy.sum(&gauge).await.is_ok_and(|now| now == 0)
        })
        .await?;
    }
    Ok(())
}
