//! One worker of a process.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seawall_config::Error;
use seawall_policy::environment::effects::Effects;
use seawall_policy::environment::{
    Clock, Entropy, Environment, HealthChecks, MetricFamily, MetricId, MetricKind, Metrics, Timer,
};
use seawall_policy::position::FilterPosition;
use seawall_policy::shared::state::{Key, SharedRecord, SharedState, Step, Stored, Undecided};
use seawall_policy::stream::look_at_parked;
use seawall_policy::time::{Span, Timestamp};
use seawall_policy::worker::{Vm, Worker as Core};

use crate::effects::apply;
use crate::facts::{AtBody, AtRequest, AtResponse, AtTrailers, Headers, Phase};
use crate::process::Process;

/// The environment of one worker.
#[derive(Clone, Debug)]
pub struct Host {
    pub(crate) process: Rc<Process>,
    random: Rc<RefCell<ChaCha8Rng>>,
}

impl SharedState for Host {
    fn view<R: SharedRecord>(&self, key: &Key<R>) -> Result<Stored<R>, Undecided> {
        match &self.process.typed {
            Some(typed) => typed.view(key),
            None => self.process.shared.view(key),
        }
    }

    fn apply<R: SharedRecord>(
        &self,
        key: &Key<R>,
        step: &mut dyn Step<R>,
    ) -> Result<bool, Undecided> {
        match &self.process.typed {
            Some(typed) => typed.apply(key, step),
            None => self.process.shared.apply(key, step),
        }
    }
}

impl Clock for Host {
    fn now(&self) -> Timestamp {
        Timestamp::nanos(self.process.now())
    }

    fn since_wall(&self, nanos: u64) -> Span {
        Span::nanos(self.process.wall().saturating_sub(nanos))
    }

    fn until_wall(&self, seconds: u64) -> Span {
        let at = Span::secs(seconds).as_nanos();
        Span::nanos(at.saturating_sub(self.process.wall()))
    }
}

impl Entropy for Host {
    fn seed(&self, _salt: u64) -> u64 {
        let mut bytes = [0; 8];
        self.random.borrow_mut().fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn secret<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.random.borrow_mut().fill_bytes(&mut bytes);
        Some(bytes)
    }
}

impl Metrics for Host {
    fn define(&self, family: &'static MetricFamily, values: &[&str]) -> Option<MetricId> {
        let name = family.series(values);
        let mut names = self.process.names.borrow_mut();
        let known = names.iter().position(|(known, _)| *known == name);
        let at = known.unwrap_or_else(|| {
            names.push((name.clone(), family.kind));
            names.len() - 1
        });
        self.process.values.borrow_mut().entry(name).or_default();
        u32::try_from(at).ok().map(MetricId)
    }

    fn add(&self, metric: MetricId, count: u64) {
        let (name, _) = self.process.names.borrow()[metric.0 as usize].clone();
        if let Some(typed) = &self.process.typed {
            typed.add(&name, count);
        }
        *self.process.values.borrow_mut().entry(name).or_default() += count;
    }

    fn counted(&self, metric: MetricId) -> Option<u64> {
        let (name, _) = &self.process.names.borrow()[metric.0 as usize];
        if self.process.drops_counters() {
            return Some(0);
        }
        match &self.process.typed {
            Some(typed) => Some(typed.counted(name)),
            None => self.process.values.borrow().get(name).copied(),
        }
    }

    fn set(&self, metric: MetricId, value: u64) {
        let (name, kind) = self.process.names.borrow()[metric.0 as usize].clone();
        let mut values = self.process.values.borrow_mut();
        let stands = values.entry(name).or_default();
        *stands = match kind {
            MetricKind::Histogram => *stands + 1,
            MetricKind::Counter | MetricKind::Gauge => value,
        };
    }

    fn take_host_errors(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    fn log(&self, _level: log::Level, line: fmt::Arguments<'_>) {
        self.process.lines.borrow_mut().push(line.to_string());
    }
}

impl Timer for Host {
    fn set_tick_period(&self, _millis: u32) -> bool {
        true
    }
}

/// No cluster has hosts here that could be asked.
impl HealthChecks for Host {
    fn get(&self, _cluster: &str, _authority: &str, _path: &str, _timeout: Span) -> Option<u32> {
        None
    }
}

impl Environment for Host {
    type Headers = Headers;
    type Request = AtRequest;
    type Response = AtResponse;
    type Body = AtBody;
    type Trailers = AtTrailers;

    fn stream(&self, context: u32) -> Option<AtResponse> {
        let streams = self.process.streams.borrow();
        streams.get(&context).cloned().map(Phase)
    }

    fn keep_attempts(&self, context: u32, attempts: &[u8]) -> bool {
        let streams = self.process.streams.borrow();
        let stream = streams.get(&context).expect("a request on its way");
        *stream.borrow().attempts.borrow_mut() = Some(attempts.to_vec());
        true
    }
}

/// One worker.
#[derive(Debug)]
pub struct Worker {
    pub(crate) process: Rc<Process>,
    pub(crate) core: Core<Host>,
    vm: Rc<Vm>,
}

impl Worker {
    /// A worker with this configuration (JSON) in a process; its randomness follows from the seed.
    ///
    /// # Errors
    /// If the configuration is refused.
    pub fn new(process: &Rc<Process>, configuration: &str, seed: u64) -> Result<Self, Error> {
        Self::in_vm(process, &Rc::new(Vm::default()), configuration, seed)
    }

    /// Another root in the VM of this one.
    ///
    /// # Errors
    /// If the configuration is refused.
    pub fn beside(other: &Self, configuration: &str, seed: u64) -> Result<Self, Error> {
        Self::in_vm(&other.process, &other.vm, configuration, seed)
    }

    /// The same, all of whose streams stand there.
    #[must_use]
    pub fn at(self, position: FilterPosition) -> Self {
        Self {
            core: self.core.at(Some(position)),
            ..self
        }
    }

    fn in_vm(
        process: &Rc<Process>,
        vm: &Rc<Vm>,
        configuration: &str,
        seed: u64,
    ) -> Result<Self, Error> {
        let routing = seawall_config::parse(configuration.as_bytes())?;
        let host = Host {
            process: Rc::clone(process),
            random: Rc::new(RefCell::new(ChaCha8Rng::seed_from_u64(seed))),
        };
        Ok(Self {
            process: Rc::clone(process),
            core: Core::new(host, Rc::clone(vm), routing),
            vm: Rc::clone(vm),
        })
    }

    /// A tick.
    pub fn tick(&mut self) {
        self.process.begin("tick");
        self.core.tick();
        for context in self.core.parked() {
            let known = self.process.streams.borrow().get(&context).cloned();
            if let Some(known) = known {
                let mut out = Effects::NONE;
                let facts = (&Phase(Rc::clone(&known)), &Phase(Rc::clone(&known)));
                look_at_parked(&mut self.core, context, facts, &mut out);
                apply(&mut out, &known, |_| true);
            }
        }
        self.core.parked_seen();
    }

    /// Its configuration goes.
    pub fn done(&mut self) {
        self.core.done();
    }

    /// How often something was counted, over all series whose names hold these words. Counts are told at the tick.
    pub fn counted(&self, words: &[&str]) -> u64 {
        let values = self.process.values.borrow();
        let fits = |name: &str| words.iter().all(|word| name.contains(word));
        let fitting = values.iter().filter(|(name, _)| fits(name));
        fitting.map(|(_, value)| value).sum()
    }
}
