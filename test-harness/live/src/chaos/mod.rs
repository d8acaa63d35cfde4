//! Chaos experiments on real Envoys: the same files as in the simulation, in real time.
//!
//! Each lane has an Envoy, an upstream program and users of its own. What happens and when, what users ask, and how all is judged is the
//! harness's; here faults become knobs of the upstream ([`faults`]), requests are sent ([`users`]), and what Envoy says is written
//! down ([`watch`]).

mod faults;
mod files;
mod gate;
mod lane;
mod plan;
mod play;
mod recorder;
mod users;
mod watch;
mod wire;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall_harness::chaos::{Against, Course, Stage, Target};
use seawall_harness::cli::Settings;
use seawall_harness::measure::Measure;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{crash, envoy};
use gate::Gate;
use plan::Plan;

/// Workers of each Envoy.
pub(crate) const WORKERS: usize = 2;
/// How often what waits looks whether somebody wants all to stop.
const LOOKS: Duration = Duration::from_millis(50);

/// Real Envoys, as a target of experiments.
#[derive(Debug)]
pub struct Envoys {
    runtime: Runtime,
    version: String,
    wasm: PathBuf,
    /// The filter with a way to die.
    mortal: PathBuf,
    lanes: usize,
    stop: Arc<AtomicBool>,
    gate: Gate,
    /// An Envoy that starts has much to compile: one after another.
    starting: tokio::sync::Mutex<()>,
    _files: TempDir,
}

impl Envoys {
    /// Makes ready what they have in common.
    ///
    /// # Errors
    /// If there is no Envoy.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let wasm = files.path().join("seawall.wasm");
        let mortal = files.path().join("crash.wasm");
        std::fs::write(&wasm, &settings.wasm)?;
        std::fs::write(&mortal, crash::with_crash(&settings.wasm)?)?;
        Ok(Self {
            runtime: Runtime::new()?,
            version: envoy::version()?,
            wasm,
            mortal,
            lanes: settings.lanes,
            stop: settings.stop,
            gate: Gate::new(files::connections()),
            starting: tokio::sync::Mutex::new(()),
            _files: files,
        })
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until somebody wants all to stop.
    async fn stopping(&self) {
        while !self.stopped() {
            tokio::time::sleep(LOOKS).await;
        }
    }
}

impl Target for Envoys {
    fn name(&self) -> String {
        format!("Envoy {}", self.version)
    }

    fn applies(&self, stage: &Stage<'_>) -> Result<(), String> {
        Plan::of(stage).map(drop)
    }

    fn at_once(&self) -> usize {
        self.lanes
    }

    fn play(
        &self,
        stage: &Stage<'_>,
        against: &Against,
        progress: &dyn Fn() -> ControlFlow<()>,
    ) -> anyhow::Result<Option<(Measure, Course)>> {
        let plan = Plan::of(stage).map_err(anyhow::Error::msg)?;
        let _place = self.gate.enter(plan.connections.of(stage, against));
        if self.stopped() {
            return Ok(None);
        }
        let played = play::lane(self, stage, &plan, against, progress);
        let played = self.runtime.block_on(played);
        match played {
            Err(_) if self.stopped() => Ok(None),
            Err(error) => {
                // The others would be played for nothing.
                self.stop.store(true, Ordering::Relaxed);
                Err(error)
            }
            Ok(played) => Ok(played),
        }
    }
}
