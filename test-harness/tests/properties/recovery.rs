//! (a) Refusals end: from the moment the upstream is well, at most one open interval with its jitter, then as many complete
//! requests as there are permits and two more, then the ramp; and nothing is refused any more.

use rand::RngExt;
use seawall_harness::random::chance;
use seawall_policy::breaker::Phase;

use crate::filter::{Change, Told};
use crate::mixture::{Behaviour, MILLI, SECOND};
use crate::policies::{self, Drawn, pick};
use crate::world::{Health, Pace, Who, World};
use crate::{Held, Run};

/// A response that goes on is counted a second after its headers, at a tick.
const COUNTED: u64 = 1_500 * MILLI;
const SICK: [Health; 5] = [
    Health::Errors,
    Health::Resets,
    Health::Hangs,
    Health::Slow,
    Health::Stalls,
];

/// How the changes stand after the upstream is well.
struct Since {
    /// Openings after that.
    openings: usize,
    /// When the last open interval was over.
    refused_until: u64,
    /// When it closed; nothing if it is not closed.
    closed: Option<u64>,
}

fn since(changes: &[Change], before: usize, well: u64) -> Since {
    let later = changes.iter().skip(before);
    let openings = later.filter(|change| change.to == Phase::Open).count();
    let mut open = changes.iter().filter(|change| change.to == Phase::Open);
    let until = open
        .next_back()
        .map_or(well, |change| change.at + change.open_for.unwrap_or(0));
    let refused_until = until.max(well);
    let closed = changes.last().filter(|change| change.to == Phase::Closed);
    Since {
        openings,
        refused_until,
        closed: closed.map(|change| change.at.max(well)),
    }
}

/// An upstream that got sick until it opened, and for a while longer. `None` if it does not open.
fn opened(world: &mut World<'_>, seed: u64, drawn: &Drawn, keeps_asking: bool) -> Option<()> {
    let mut random = chance(seed, "sickness");
    let burst = world.source(Who::Callers, Pace::Regular(SECOND / 30));
    world.until(world.now + 2 * SECOND, |_| false);
    world.health = pick(&mut random, &SICK);
    if !world.until(world.now + 150 * SECOND, |world| {
        world.filter.phase() == Phase::Open
    }) {
        return None;
    }
    if !keeps_asking && random.random_range(0..2) == 0 {
        world.stop(burst);
    }
    let more = random.random_range(0..=3 * drawn.open_for(0).min(30 * SECOND));
    world.until(world.now + more, |_| false);
    world.stop(burst);
    Some(())
}

pub(crate) fn plain(run: &mut Run) -> Held {
    let seed = run.seed;
    let drawn = policies::draw(seed, false);
    let mut random = chance(seed, "callers");
    let gap = pick(
        &mut random,
        &[
            100 * MILLI,
            250 * MILLI,
            SECOND,
            5 * SECOND,
            21 * SECOND,
            30 * SECOND,
            60 * SECOND,
            600 * SECOND,
        ],
    );
    let pace = match random.random_range(0..2) {
        0 => Pace::Regular(gap),
        _ => Pace::Poisson(gap),
    };
    let mut filter = run.filter(&drawn);
    let mut world = World::new(&mut *filter, &drawn, seed);
    if opened(&mut world, seed, &drawn, false).is_none() {
        return Held::Vacuously;
    }
    world.recovers();
    let well = world.now;
    let before = world.filter.changes().len();
    let may_open = usize::from(world.filter.phase() != Phase::Open);
    world.source(Who::Callers, pace);
    let permits = drawn.policy.breaker.half_open.permits as usize;
    let ramp = drawn.policy.breaker.ramp.as_nanos();
    let deadline = |world: &World<'_>, since: &Since| {
        let asked = world.asked.iter().rev();
        let after: Vec<u64> = asked
            .map(|asked| asked.at)
            .take_while(|at| *at > since.refused_until)
            .collect();
        let last = after.len().checked_sub(permits + 2).map(|at| after[at]);
        last.map(|at| at + drawn.latency.1.as_nanos() + COUNTED)
    };
    let told = |world: &World<'_>| {
        let since = since(world.filter.changes(), before, well);
        if since.openings > may_open {
            return Some(Err(format!(
                "it opened {} times after it was well",
                since.openings
            )));
        }
        if let Some(closed) = since.closed {
            let open = closed + ramp;
            let later = world.asked.iter().rev().take_while(|asked| asked.at > open);
            let later: Vec<_> = later.collect();
            if later.iter().any(|asked| asked.told == Told::Refused) {
                return Some(Err(format!(
                    "refused though closed since {closed} and ramp {ramp}"
                )));
            }
            // Failures of before may still stand in the window: it must have had the time to open.
            return (later.len() > permits + 5).then_some(Ok(()));
        }
        let late = deadline(world, &since).is_some_and(|deadline| world.now > deadline);
        late.then(|| {
            let changes = &world.filter.changes()[before.saturating_sub(2)..];
            Err(format!(
                "well at {well}, not closed at {}: {changes:?}",
                world.now
            ))
        })
    };
    world.until(u64::MAX, |world| told(world).is_some());
    run.note(&world.drawings);
    match told(&world) {
        Some(Ok(())) => Held::Well,
        Some(Err(problem)) => Held::Not(format!("{problem}; callers {pace:?}, {drawn:?}")),
        None => Held::Not("nothing happens any more".to_owned()),
    }
}

/// Ten pollers that abort, upload or hang, beside 20 good requests a second, with the default policy: closed within 30 s,
/// which are an open interval of ten at the most and 20.
pub(crate) fn pollers(run: &mut Run) -> Held {
    let seed = run.seed;
    let drawn = policies::default(seed);
    let mut random = chance(seed, "pollers");
    let mut filter = run.filter(&drawn);
    let mut world = World::new(&mut *filter, &drawn, seed);
    let kinds = [
        Behaviour::Abort,
        Behaviour::UnfinishedUpload,
        Behaviour::LongPoll,
        Behaviour::EventStream,
    ];
    let only = pick(
        &mut random,
        &[None, None, Some(kinds[0]), Some(kinds[1]), Some(kinds[2])],
    );
    for _ in 0..10 {
        let kind = only.unwrap_or_else(|| pick(&mut random, &kinds));
        let pause = random.random_range(MILLI..20 * MILLI);
        world.source(Who::Poller(kind), Pace::Regular(pause));
    }
    if opened(&mut world, seed, &drawn, true).is_none() {
        return Held::Vacuously;
    }
    world.recovers();
    let well = world.now;
    let before = world.filter.changes().len();
    let may_open = usize::from(world.filter.phase() != Phase::Open);
    // At times there are uploads alone. Beside long polls alone nobody would go first, and chance would decide for how long.
    let good = match only {
        Some(Behaviour::LongPoll) => Who::Callers,
        _ => pick(&mut random, &[Who::Callers, Who::Callers, Who::Uploaders]),
    };
    world.source(good, Pace::Regular(SECOND / 20));
    // Uploads and long polls go after others alike, so that nobody goes first here.
    let patience = match good {
        Who::Uploaders => 60 * SECOND,
        _ => 20 * SECOND,
    };
    let changed = |world: &World<'_>| since(world.filter.changes(), before, well);
    world.until(well + 300 * SECOND, |world| {
        let since = changed(world);
        since.closed.is_some()
            || since.openings > may_open
            || world.now > since.refused_until + patience
    });
    let reached = changed(&world);
    let Some(closed) = reached.closed.filter(|_| reached.openings <= may_open) else {
        let changes = &world.filter.changes()[before.saturating_sub(2)..];
        return Held::Not(format!(
            "well at {well}, not closed at {}, pollers {only:?} beside {good:?}: {changes:?}",
            world.now
        ));
    };
    let open = closed + drawn.policy.breaker.ramp.as_nanos();
    world.until(open + 20 * SECOND, |_| false);
    run.note(&world.drawings);
    let good = world.asked.iter().filter(|asked| asked.who == good);
    // Those of the end are still on their way.
    let good = good.filter(|asked| asked.at > open && asked.at < open + 15 * SECOND);
    let (all, answered) = good.fold((0, 0), |(all, answered), asked| {
        (all + 1, answered + usize::from(asked.answered))
    });
    match answered * 100 >= all * 95 {
        true => Held::Well,
        false => Held::Not(format!("{answered} of {all} were answered")),
    }
}
