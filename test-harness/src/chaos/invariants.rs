//! What must hold in every storm, whatever it is made of.

use std::ops::ControlFlow;

use seawall_policy::route::Routing;
use serde::Serialize;
use serde_json::Value;

use super::document::Experiment;
use super::healing::Healing;
use super::play::{PlayError, Stage};
use super::storm::{Gust, Storm};
use crate::document::DocumentError;
use crate::fault::Kind;
use crate::module::Module;

const SECOND: u64 = 1_000_000_000;
/// Beyond the longest open interval and the ramp a system has so much time to heal, in nanoseconds.
const HEALS: u64 = WORKS_OFF + 20 * SECOND;
/// An upstream that is not through with its queue so long after the storm is not healthy in it, in nanoseconds.
const WORKS_OFF: u64 = 30 * SECOND;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// Before anything is wrong every request gets a good answer.
    Calm,
    /// No VM of the filter traps.
    NoTrap,
    /// Once nothing is wrong any more and the upstream has worked off what it had, each breaker closes, after no more than what is
    /// left of its open interval, the latency of its
    /// probes, and two seconds.
    Closes,
    /// After the ramp no request to the healthy upstream is refused, and none fails.
    Admits,
    /// No more requests are in flight than the bulkhead has slots.
    InFlight,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub problem: String,
}

/// A policy that storms are played under.
#[derive(Clone, Debug)]
pub struct Tried {
    policy: Value,
    routing: Routing,
    heals: u64,
    /// Slots of the bulkhead, where there is one.
    slots: Option<usize>,
}

/// Why a storm cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum StormError {
    /// The policy is none.
    #[error(transparent)]
    Experiment(#[from] DocumentError),
    /// The filter does not start.
    #[error(transparent)]
    Play(#[from] PlayError),
}

impl Tried {
    /// A policy, as it stands in a file.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(policy: Value) -> Result<Self, String> {
        let routing = seawall_config::from_value(&policy);
        let routing = routing.map_err(|error| error.to_string())?;
        let policies = routing.policies.iter();
        let longest =
            policies.map(|one| one.breaker.open.longest().plus(one.breaker.ramp).as_nanos());
        let slots = match routing.policies.as_slice() {
            [only] => only
                .bulkhead
                .as_ref()
                .map(|bulkhead| bulkhead.max_concurrent as usize),
            _ => None,
        };
        Ok(Self {
            heals: longest.max().unwrap_or(0) + HEALS,
            policy,
            slots,
            routing,
        })
    }

    /// A storm as a file that `seawall chaos run` plays.
    pub fn document(&self, storm: &Storm) -> Value {
        storm.document(&self.policy, self.heals)
    }

    /// Plays a storm; what did not hold, if anything.
    ///
    /// # Errors
    /// If the filter does not start.
    pub fn broken(&self, storm: &Storm, module: &Module) -> Result<Option<Broken>, StormError> {
        let experiment = storm.experiment(&self.policy, self.heals)?;
        self.judge(storm, &experiment, module)
    }

    fn judge(
        &self,
        storm: &Storm,
        experiment: &Experiment,
        module: &Module,
    ) -> Result<Option<Broken>, StormError> {
        let stage = Stage::new(experiment, module)?;
        let played = stage.run(&experiment.seawall(), || ControlFlow::Continue(()))?;
        let measure = played.measure;
        // A queue that is still long is no healthy upstream.
        let over = stage.trouble().map_or(experiment.warm_up(), |(_, end)| end);
        let end = measure.worked_off(over, experiment.warm_up());
        if end > over.saturating_add(WORKS_OFF) {
            return Ok(None);
        }
        let healing = Healing::of(&measure, end, stage.timeline.clock, &self.routing);
        let broken = |invariant, problem| Ok(Some(Broken { invariant, problem }));
        let seconds = |millis: u64| millis as f64 / 1_000.0;
        if measure.traps() > 0 {
            return broken(Invariant::NoTrap, format!("{} traps", measure.traps()));
        }
        let calm = measure.window("", 0, experiment.warm_up()).answers;
        if calm.all() > calm.good {
            let bad = calm.all() - calm.good;
            return broken(
                Invariant::Calm,
                format!("{bad} of {} got no good answer", calm.all()),
            );
        }
        if healing
            .closed_ms
            .is_none_or(|closed| closed > healing.closed_by_ms)
        {
            let closed = healing
                .closed_ms
                .map_or_else(|| "never".to_owned(), |at| format!("{} s", seconds(at)));
            let by = seconds(healing.closed_by_ms);
            return broken(
                Invariant::Closes,
                format!("closed {closed} after the end, and {by} s are allowed"),
            );
        }
        if !healing.met {
            let admitted = healing
                .admitted_ms
                .map_or_else(|| "never".to_owned(), |at| format!("{} s", seconds(at)));
            let by = seconds(healing.admitted_by_ms);
            return broken(
                Invariant::Admits,
                format!("all well {admitted} after the end, and {by} s are allowed"),
            );
        }
        // Where VMs or records die, slots do; what held them goes on.
        let harms = |gust: &Gust| matches!(gust, Gust::Fault(fault) if matches!(fault.kind, Kind::KillVm | Kind::CorruptState));
        if let Some(slots) = self.slots
            && measure.most_held() > slots
            && !storm.gusts.iter().any(harms)
        {
            let held = measure.most_held();
            return broken(
                Invariant::InFlight,
                format!("{held} in flight, and there are {slots} slots"),
            );
        }
        Ok(None)
    }
}
