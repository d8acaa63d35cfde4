//! What was told in the closed state, and what of it counts.

use seawall_policy::breaker::Settings;
use seawall_policy::breaker::window::Geometry;
use seawall_policy::outcome::Outcome;

/// One verdict of the closed state, or the word that came later of one.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: u64,
    /// Which request it is of; each has one verdict.
    pub(super) id: u64,
    pub(super) outcome: Outcome,
    pub(super) host: u32,
    /// Whether it takes the place of the verdict that was counted before.
    pub(super) late: bool,
}

/// The verdicts in the window, each request with its last word. In a time window a failure that was told late stands where
/// it was told, in a count window where the call stands.
pub(super) fn recent(settings: &Settings, seen: &[Seen], now: u64) -> Vec<Seen> {
    let mut verdicts: Vec<Seen> = Vec::new();
    for verdict in seen {
        if verdict.late {
            let before = verdicts.iter().position(|before| before.id == verdict.id);
            let before = before.expect("it was counted");
            match settings.window {
                Geometry::Time { .. } => {
                    verdicts.remove(before);
                    verdicts.push(verdict.clone());
                }
                Geometry::Count { .. } => verdicts[before] = verdict.clone(),
            }
        } else {
            verdicts.push(verdict.clone());
        }
    }
    match settings.window {
        Geometry::Time { slice } => {
            let slice = slice.as_nanos();
            verdicts.retain(|seen| seen.at / slice + 10 > now / slice);
        }
        Geometry::Count { calls } => {
            let more = verdicts.len().saturating_sub(usize::from(calls));
            verdicts.drain(..more);
        }
    }
    verdicts
}

/// What was told within the window, with what took its place later.
pub(super) fn told_lately<'a>(settings: &Settings, seen: &'a [Seen], now: u64) -> Vec<&'a Seen> {
    match settings.window {
        Geometry::Time { slice } => {
            let slice = slice.as_nanos();
            let lately = |seen: &&Seen| seen.at / slice + 10 > now / slice;
            seen.iter().filter(lately).collect()
        }
        Geometry::Count { calls } => {
            let calls_so_far = seen.iter().filter(|seen| !seen.late).count();
            let mut call = 0;
            let mut told = Vec::new();
            for seen in seen {
                call += usize::from(!seen.late);
                if calls_so_far - call < usize::from(calls) {
                    told.push(seen);
                }
            }
            told
        }
    }
}

/// Failures in a row, as they were told. One that is told late stands before the failures that came since its verdict,
/// where nothing else came since; else it is one more.
pub(super) fn row(seen: &[Seen], over: Option<u64>) -> u32 {
    let mut row = 0;
    let mut last_failure: Option<u64> = None;
    // By request: failures in a row before it, and verdicts up to it.
    let mut before: Vec<(u64, u32, u32)> = Vec::new();
    let mut calls = 0;
    for seen in seen {
        if seen.late {
            let (_, row_then, calls_then) = before
                .iter()
                .find(|(id, ..)| *id == seen.id)
                .expect("it was counted");
            if row == calls - calls_then {
                row += row_then;
            }
        } else {
            calls += 1;
            before.push((seen.id, row, calls));
        }
        if seen.outcome != Outcome::Failure {
            row = 0;
            continue;
        }
        let gap = last_failure.is_some_and(|last| over.is_some_and(|over| seen.at - last > over));
        row = if gap { 1 } else { row + 1 };
        last_failure = Some(seen.at);
    }
    row
}
