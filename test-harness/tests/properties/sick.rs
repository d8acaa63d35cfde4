//! (c) The same mixture beside a sick upstream: it opens within twice the time that it takes without them.
//!
//! "Without them" is the longest of three times: with nobody in their place, with as many good requests in it, and the time in
//! which the callers alone fill the window. More requests alone can make the time longer, since failures in a row are judged only
//! where the window holds few calls.
//!
//! What cannot hold is left out. A rate is one of all calls, so what is answered well by an upstream that is sick in another way
//! makes it smaller: where it is only slow, what is answered without a latency (tunnels, event streams, long polls, responses
//! before the end of their request); where it stands still after its headers, also what its client or caller ends after
//! them. And failures and slow calls are two rates: where silence may be either, both are on, at 50 % at the most.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use seawall_harness::random::chance;
use seawall_policy::breaker::Phase;
use seawall_policy::breaker::window::Geometry;
use seawall_policy::ratio::Share;
use seawall_policy::time::Span;

use crate::mixture::{Behaviour, MILLI, SECOND};
use crate::policies::{self, Drawn, pick};
use crate::world::{Drawings, Health, Pace, Who, World};
use crate::{Held, Run};

const PATIENCE: u64 = 150 * SECOND;
const SICK: [Health; 5] = [
    Health::Errors,
    Health::Resets,
    Health::Hangs,
    Health::Slow,
    Health::Stalls,
];

fn gap(random: &mut ChaCha8Rng) -> u64 {
    pick(random, &[50 * MILLI, 100 * MILLI, 300 * MILLI, SECOND])
}

/// The time in which the callers alone fill the window.
fn fills(run: &Run, drawn: &Drawn) -> u64 {
    let gap = gap(&mut chance(run.seed, "sick"));
    match drawn.policy.breaker.window {
        Geometry::Time { .. } => drawn.policy.breaker.window.over().map_or(0, Span::as_nanos),
        Geometry::Count { calls } => u64::from(calls) * gap,
    }
}

/// When it opens, from the moment it is sick.
fn opens(
    run: &Run,
    drawn: &Drawn,
    health: Health,
    beside: Option<(Who, u64)>,
    patience: u64,
) -> (Option<u64>, Drawings) {
    let mut random = chance(run.seed, "sick");
    let gap = gap(&mut random);
    let pace = match random.random_range(0..2) {
        0 => Pace::Regular(gap),
        _ => Pace::Poisson(gap),
    };
    let mut filter = run.filter(drawn);
    let mut world = World::new(&mut *filter, drawn, run.seed);
    world.brisk = Some(300 * MILLI);
    world.left_out = match health {
        Health::Slow => Behaviour::tells_no_latency,
        Health::Stalls => {
            |behaviour| behaviour.tells_no_latency() || behaviour.leaves_after_headers()
        }
        _ => |_| false,
    };
    world.source(Who::Callers, pace);
    if let Some((who, gap)) = beside {
        world.source(who, Pace::Poisson(gap));
    }
    world.until(world.now + 15 * SECOND, |_| false);
    world.health = health;
    let sick = world.now;
    // It may be open for less time than passes between two events.
    let opening = |world: &World<'_>| {
        let mut changes = world.filter.changes().iter();
        changes.find(|change| change.to == Phase::Open).copied()
    };
    world.until(sick + patience, |world| opening(world).is_some());
    let at = opening(&world).map(|opening| opening.at.saturating_sub(sick));
    (at, world.drawings)
}

/// Whether an upstream that hangs opens this by slow calls, though only clients end them: at a request a second.
fn sees_silence(drawn: &Drawn) -> bool {
    let breaker = &drawn.policy.breaker;
    let (calls, minimum) = match breaker.window {
        Geometry::Time { .. } => (
            breaker.window.over().map_or(0, Span::as_secs_ceil),
            breaker.thresholds.minimum_calls,
        ),
        Geometry::Count { calls } => (
            u64::from(calls),
            breaker.thresholds.minimum_calls.min(u32::from(calls)),
        ),
    };
    drawn.limit().is_none()
        && drawn.policy.time.per_try.is_none()
        && breaker.thresholds.slow_rate > Share::NONE
        && u64::from(minimum) * 2 <= calls.max(2)
        && calls <= 100
}

/// Whether each verdict on a sick upstream counts for a rate that half of the calls reach. Where all are bad, but some failed
/// and others were slow, neither rate may be reached otherwise.
fn decides(drawn: &Drawn, health: Health) -> bool {
    let thresholds = &drawn.policy.breaker.thresholds;
    let on = |rate: Share, most| rate > Share::NONE && rate <= Share::percent(most);
    let limited = drawn.limit().or(drawn.policy.time.per_try).is_some();
    match health {
        Health::Slow | Health::Hangs if limited => {
            on(thresholds.slow_rate, 50) && on(thresholds.failure_rate, 50)
        }
        Health::Slow | Health::Hangs => on(thresholds.slow_rate, 80),
        _ => on(thresholds.failure_rate, 50),
    }
}

pub(crate) fn mixed(run: &mut Run) -> Held {
    let mut random = chance(run.seed, "beside");
    let health = pick(&mut random, &SICK);
    let drawn = policies::draw_where(run.seed, false, |drawn| decides(drawn, health));
    let gap = random.random_range(20 * MILLI..500 * MILLI);
    let Some(alone) = opens(run, &drawn, health, None, PATIENCE).0 else {
        return match health == Health::Hangs && sees_silence(&drawn) {
            true => Held::Not(format!("silence alone does not open it: {drawn:?}")),
            false => Held::Vacuously,
        };
    };
    let Some(good) = opens(run, &drawn, health, Some((Who::InItsPlace, gap)), PATIENCE).0 else {
        return Held::Vacuously;
    };
    let most = (2 * alone.max(good)).max(fills(run, &drawn)) + SECOND;
    let (with, drawings) = opens(run, &drawn, health, Some((Who::Mixture, gap)), most);
    run.note(&drawings);
    match with {
        Some(with) if with <= most => Held::Well,
        with => Held::Not(format!(
            "{health:?}: {with:?} ns with them, {alone} alone, {good} with good ones, {drawn:?}"
        )),
    }
}
