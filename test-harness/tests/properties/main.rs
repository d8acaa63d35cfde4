//! What must hold for every policy, whatever clients do: refusals end, a healthy upstream is never cut off, a sick one is.
//!
//! Each seed draws a policy that `seawall check` calls valid, an upstream, and clients. *Well* is an upstream that sends headers to
//! each complete request within `slow_call.over` (and within an operator's limit, where that is shorter), and its body as
//! fast as it is read. The filter is its core as it ships, on the native body (`body.rs`).
//!
//! A share of the seeds runs with the other tests. All of them, and one again:
//!
//! ```text
//! SEAWALL_PROPERTY_SEEDS=10000 cargo test --workspace --release --locked --test properties
//! SEAWALL_PROPERTY_SEED=123 cargo test --workspace --release --locked --test properties
//! ```

mod body;
mod equality;
mod filter;
mod former;
mod healthy;
mod mixture;
mod policies;
mod recovery;
#[path = "../shipped/mod.rs"]
mod shipped;
mod sick;
mod world;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use body::Body;
use filter::Filter;
use former::Former;
use mixture::Behaviour;
use policies::Drawn;
use world::Drawings;

/// How many seeds run with the other tests.
const SHARE: u64 = 500;
/// A former behaviour is found within so many seeds.
const FOUND_WITHIN: u64 = 300;

/// What came of one seed.
#[derive(Debug)]
enum Held {
    Well,
    /// There was nothing to see: the policy does not open for what was drawn.
    Vacuously,
    Not(String),
}

/// One seed of one property.
struct Run {
    seed: u64,
    former: Option<Former>,
    drawings: Drawings,
}

impl Run {
    fn filter(&self, drawn: &Drawn) -> Box<dyn Filter> {
        Box::new(Body::new(drawn, self.seed, self.former))
    }

    fn note(&mut self, drawings: &Drawings) {
        for (behaviour, times) in drawings {
            *self.drawings.entry(*behaviour).or_default() += times;
        }
    }
}

type Property = fn(&mut Run) -> Held;

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().expect(name))
}

fn seeds() -> Range<u64> {
    match number("SEAWALL_PROPERTY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEAWALL_PROPERTY_SEEDS").unwrap_or(SHARE),
    }
}

/// What comes of each seed, in order: as many at a time as there are cores.
fn each_seed(property: Property) -> Vec<(Run, Held)> {
    let next = AtomicU64::new(seeds().start);
    let some = || {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds().contains(&seed) {
                return done;
            }
            let mut run = Run {
                seed,
                former: None,
                drawings: Drawings::new(),
            };
            let held = property(&mut run);
            done.push((run, held));
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(some)).collect();
        let done = threads.into_iter().map(|thread| thread.join());
        done.flat_map(|done| done.expect("no seed panics"))
            .collect()
    });
    all.sort_by_key(|(run, _)| run.seed);
    all
}

/// Runs a property; a share of the seeds must show something.
fn holds(name: &str, property: Property) -> Drawings {
    let mut drawings = Drawings::new();
    let (mut vacuous, mut broken) = (0, Vec::new());
    for (run, held) in each_seed(property) {
        match held {
            Held::Well => {}
            Held::Vacuously => vacuous += 1,
            Held::Not(problem) => broken.push((run.seed, problem)),
        }
        for (behaviour, times) in run.drawings {
            *drawings.entry(behaviour).or_default() += times;
        }
    }
    let all = seeds().count();
    println!("{name}: {all} seeds, {vacuous} of them with nothing to see, {drawings:?}");
    if let Some((seed, problem)) = broken.first() {
        panic!(
            "{name}: {} of {all} seeds fail. The first is {seed}: {problem}\nRepeat it: SEAWALL_PROPERTY_SEED={seed} \
             cargo test --workspace --release --locked --test properties {name}\nAll: {:?}",
            broken.len(),
            broken
                .iter()
                .map(|(seed, _)| seed)
                .take(40)
                .collect::<Vec<_>>()
        );
    }
    assert!(
        all == 1 || vacuous * 2 < all,
        "{name}: {vacuous} of {all} seeds show nothing"
    );
    drawings
}

fn draws_all(drawings: &Drawings) {
    for behaviour in Behaviour::ALL {
        assert!(
            drawings.contains_key(behaviour),
            "{behaviour:?} is never drawn"
        );
    }
}

#[test]
fn refusals_end() {
    holds("refusals_end", recovery::plain);
}

#[test]
fn refusals_end_beside_pollers() {
    holds("refusals_end_beside_pollers", recovery::pollers);
}

#[test]
fn nothing_that_clients_do_opens_a_healthy_upstream() {
    draws_all(&holds(
        "nothing_that_clients_do_opens_a_healthy_upstream",
        healthy::mixed,
    ));
}

#[test]
fn nothing_that_clients_do_keeps_a_sick_upstream_closed() {
    draws_all(&holds(
        "nothing_that_clients_do_keeps_a_sick_upstream_closed",
        sick::mixed,
    ));
}

/// The first seed with which a property fails as the filter was before.
fn found(former: Former, property: Property) -> Option<(u64, String)> {
    (0..FOUND_WITHIN).find_map(|seed| {
        let mut run = Run {
            seed,
            former: Some(former),
            drawings: Drawings::new(),
        };
        match property(&mut run) {
            Held::Not(problem) => Some((seed, problem)),
            Held::Well | Held::Vacuously => None,
        }
    })
}

#[test]
fn each_former_behaviour_is_found() {
    let mut missed = Vec::new();
    for former in Former::ALL {
        let property: Property = match former {
            Former::WaitRunsOn => recovery::plain,
            Former::NoVerdict | Former::AnyPeer => recovery::pollers,
            Former::Silence => sick::mixed,
            _ => healthy::mixed,
        };
        match found(former, property) {
            Some((seed, problem)) => {
                println!("{former:?}: seed {seed}: {problem:.200}");
                let mut run = Run {
                    seed,
                    former: None,
                    drawings: Drawings::new(),
                };
                let held = property(&mut run);
                assert!(
                    !matches!(held, Held::Not(_)),
                    "{former:?}: it fails without it: {held:?}"
                );
            }
            None => missed.push(former),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
