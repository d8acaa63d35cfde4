//! From a storm that breaks an invariant to the smallest one that still breaks it.

use serde::Serialize;

use super::invariants::{Broken, StormError, Tried};
use super::storm::{Gust, Storm};
use crate::module::Module;

/// No more storms are tried.
const TRIES_MAX: usize = 300;
/// No gust gets shorter, in nanoseconds.
const SHORTEST: u64 = 1_000_000_000;

/// The smallest storm that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Shrunk {
    /// It.
    pub storm: Storm,
    /// What it breaks.
    pub broken: Broken,
    /// How many storms were tried.
    pub tried: usize,
}

/// Makes a storm smaller for as long as it breaks the same invariant; nothing if it breaks none. `progress` is told of each storm
/// that is tried.
///
/// # Errors
/// If the filter does not start.
pub fn shrink(
    tried: &Tried,
    storm: &Storm,
    module: &Module,
    mut progress: impl FnMut(),
) -> Result<Option<Shrunk>, StormError> {
    let Some(broken) = tried.broken(storm, module)? else {
        return Ok(None);
    };
    let mut best = Shrunk {
        storm: storm.clone(),
        broken,
        tried: 1,
    };
    'smaller: loop {
        for storm in smaller(&best.storm) {
            if best.tried >= TRIES_MAX {
                break 'smaller;
            }
            best.tried += 1;
            progress();
            let found = tried.broken(&storm, module)?;
            if let Some(broken) = found.filter(|found| found.invariant == best.broken.invariant) {
                best = Shrunk {
                    storm,
                    broken,
                    ..best
                };
                continue 'smaller;
            }
        }
        break;
    }
    Ok(Some(best))
}

/// Storms that are a step smaller, the smallest ones first.
fn smaller(storm: &Storm) -> Vec<Storm> {
    let mut all = Vec::new();
    for number in 0..storm.gusts.len() {
        let mut fewer = storm.clone();
        fewer.gusts.remove(number);
        all.push(fewer);
    }
    let mut with = |change: &dyn Fn(&mut Storm)| {
        let mut changed = storm.clone();
        change(&mut changed);
        if changed != *storm {
            all.push(changed);
        }
    };
    with(&|storm| storm.tries = 1);
    with(&|storm| storm.hosts = 1);
    with(&|storm| storm.workers = 1);
    for number in 0..storm.gusts.len() {
        with(&|storm| storm.gusts[number] = shorter(&storm.gusts[number]));
        with(&|storm| storm.gusts[number] = sooner(&storm.gusts[number]));
    }
    // A host that is gone cannot be hit.
    for storm in &mut all {
        for gust in &mut storm.gusts {
            if let Gust::Fault(fault) = gust
                && fault.hosts.is_some_and(|(_, last)| last >= storm.hosts)
            {
                fault.hosts = None;
            }
        }
    }
    all
}

/// Half as long.
fn shorter(gust: &Gust) -> Gust {
    let half = |length: u64| (length / 2).max(SHORTEST).min(length);
    let mut gust = gust.clone();
    match &mut gust {
        Gust::Fault(fault) => fault.length = half(fault.length),
        Gust::Surge(surge) => surge.length = half(surge.length),
    }
    gust
}

/// From the beginning.
fn sooner(gust: &Gust) -> Gust {
    let mut gust = gust.clone();
    match &mut gust {
        Gust::Fault(fault) => fault.at = 0,
        Gust::Surge(surge) => surge.at = 0,
    }
    gust
}
