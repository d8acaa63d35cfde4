//! Configurations: what is written once is one, however often Envoy loads it.
//!
//! Envoy makes an instance for each filter that it loads: the listener's, and the one behind the router. Instances with the same name and
//! the same bytes share one [`Configuration`], and so the workers that threads have for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use seawall_policy::position::FilterPosition;
use seawall_policy::route::Routing;

use crate::abi::{Config, Filter, MainScheduler};
use crate::metrics::{Families, Series};

/// A number that no two configurations of a process share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(u64);

/// One configuration.
#[derive(Debug)]
pub(crate) struct Configuration {
    number: Number,
    name: Vec<u8>,
    written: Vec<u8>,
    routing: Routing,
    /// Where Envoy has loaded it.
    instances: Mutex<Vec<Instance>>,
}

#[derive(Debug)]
struct Instance {
    config: Config,
    families: Families,
    scheduler: Option<MainScheduler>,
}

/// All of them that are loaded. Held before the lock of a thread and before the lock of instances, never after.
static ALL: Mutex<Vec<Weak<Configuration>>> = Mutex::new(Vec::new());

fn all() -> MutexGuard<'static, Vec<Weak<Configuration>>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Loads a configuration in a new instance.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn load(
    config: Config,
    name: &[u8],
    written: &[u8],
) -> Result<Arc<Configuration>, seawall_config::Error> {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let mut known = all();
    known.retain(|known| known.strong_count() > 0);
    let same = |known: &Arc<Configuration>| known.name == name && known.written == written;
    let configuration = match known.iter().filter_map(Weak::upgrade).find(same) {
        Some(found) => found,
        None => {
            let new = Arc::new(Configuration {
                number: Number(NUMBERS.fetch_add(1, Ordering::Relaxed)),
                name: name.to_vec(),
                written: written.to_vec(),
                routing: seawall_config::parse(written)?,
                instances: Mutex::default(),
            });
            known.push(Arc::downgrade(&new));
            new
        }
    };
    configuration.instances().push(Instance {
        config,
        families: Families::define(config),
        scheduler: MainScheduler::new(config),
    });
    Ok(configuration)
}

impl Configuration {
    fn instances(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.instances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Its number.
    pub(crate) const fn number(&self) -> Number {
        self.number
    }

    /// What it says.
    pub(crate) const fn routing(&self) -> &Routing {
        &self.routing
    }

    /// Where its streams stand, if its name says it.
    pub(crate) fn position(&self) -> Option<FilterPosition> {
        FilterPosition::of_root(&self.name)
    }

    /// Tells Envoy of a measurement, by an instance that is loaded: metrics of one name are one in all instances.
    pub(crate) fn measure(&self, stream: Option<Filter>, series: &Series, value: u64) -> bool {
        let instances = self.instances();
        let instance = instances.first();
        instance.is_some_and(|instance| {
            let by = (instance.config, stream);
            instance.families.measure(by, series, value)
        })
    }

    /// Does something on an instance that is loaded, on the main thread. The caller keeps the instance from going meanwhile.
    pub(crate) fn with_instance<T>(&self, run: impl FnOnce(Config) -> Option<T>) -> Option<T> {
        let config = self.instances().first().map(|instance| instance.config)?;
        run(config)
    }
}

/// A configuration that is loaded.
pub(crate) fn by_number(number: Number) -> Option<Arc<Configuration>> {
    let known = all();
    let mut known = known.iter().filter_map(Weak::upgrade);
    known.find(|known| known.number == number)
}

/// Wakes the main thread; `false` if no instance can.
pub(crate) fn wake_main() -> bool {
    let known: Vec<_> = all().iter().filter_map(Weak::upgrade).collect();
    known.iter().any(|configuration| {
        let instances = configuration.instances();
        let scheduler = instances
            .iter()
            .find_map(|instance| instance.scheduler.as_ref());
        scheduler.is_some_and(|scheduler| {
            scheduler.wake(0);
            true
        })
    })
}

/// An instance goes. If it is the last one, `last` is done before.
pub(crate) fn unload(configuration: &Configuration, config: Config, last: impl FnOnce(Number)) {
    let known = all();
    let is_last = configuration.instances().len() <= 1;
    if is_last {
        last(configuration.number);
    }
    configuration
        .instances()
        .retain(|instance| instance.config != config);
    drop(known);
}
