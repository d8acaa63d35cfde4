//! (b) Against an upstream that is well all the time no mixture of client behaviour opens it, as long as one good request a
//! second is answered: without any other response nobody can tell readers that stand still from an upstream that does.

use rand::RngExt;
use seawall_harness::random::chance;
use seawall_policy::breaker::Phase;

use crate::mixture::{MILLI, SECOND};
use crate::policies;
use crate::world::{Health, Pace, Who, World};
use crate::{Held, Run};

pub(crate) fn mixed(run: &mut Run) -> Held {
    let seed = run.seed;
    let drawn = policies::draw(seed, false);
    let mut random = chance(seed, "healthy");
    // Chance opens nothing, or nothing fails.
    let share = random.random_range(0.0..0.05);
    let share = if drawn.tolerates(share) { share } else { 0.0 };
    let mut filter = run.filter(&drawn);
    let mut world = World::new(&mut *filter, &drawn, seed);
    world.health = Health::Well(share);
    world.brisk = Some(300 * MILLI);
    world.source(
        Who::Callers,
        Pace::Regular(random.random_range(200 * MILLI..=SECOND)),
    );
    let gap = random.random_range(10 * MILLI..200 * MILLI);
    world.source(Who::Mixture, Pace::Poisson(gap));
    world.until(world.now + 75 * SECOND, |world| {
        world.filter.phase() != Phase::Closed
    });
    run.note(&world.drawings);
    match world.filter.changes() {
        [] => Held::Well,
        changes => Held::Not(format!("{changes:?}, {share} failing, {drawn:?}")),
    }
}
