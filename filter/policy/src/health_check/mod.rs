//! The own probe of an open upstream: instead of a user's request, one of ours finds out whether it answers again.
//!
//! Each worker's tick asks; one of them gets its turn, by a claim in shared data under a key of its own. A claim says when
//! the next is due and not who lives: so one of a worker that died lapses like any other. A good answer makes the breaker
//! half-open at once and never closed, since a health check is not the traffic that failed. Only where half-open gets no
//! verdict for 20 s, three good ones in a row begin the ramp. A bad one changes nothing else, and
//! the open time leads to half-open as ever: a probe that asks the wrong question would keep the breaker open for ever,
//! while the few requests that half-open admits cost users little.
//!
//! The first probe comes `every` after the tick that sees the trip, twice as late after each further trip in a row. An upstream whose health
//! check is fine while its traffic fails is not tried more and more often than its open time allows.

pub mod settings;
pub(crate) mod turn;

use crate::breaker::{Moment, Phase, Transitions};
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::keys;
use crate::shared::state::{Change, SharedState};
use crate::shared::upstream::{StepReport, update_record};
use crate::time::Timestamp;

use settings::HealthCheck;
use turn::ProbeTurn;

impl HealthCheck {
    /// The authority that is asked. Behind the last bar of a name such as `outbound|443||payments.shop` stands its host.
    pub fn host<'a>(&'a self, cluster: &'a str, authority: Option<&'a str>) -> &'a str {
        if let Some(host) = self
            .host
            .as_deref()
            .or(authority)
            .filter(|host| !host.is_empty())
        {
            return host;
        }
        let bar = cluster.bytes().rposition(|byte| byte == b'|');
        let behind = bar.and_then(|bar| cluster.get(bar.saturating_add(1)..));
        behind.unwrap_or(cluster)
    }

    /// Whose turn it is, by the claim there is.
    fn turn(&self, claim: Option<&ProbeTurn>, open: Open, now: Timestamp) -> Turn {
        match claim.filter(|claim| claim.generation == open.generation) {
            Some(claim) if now < claim.due => Turn::Wait,
            Some(_) => Turn::Now(now.after(self.every.max(self.timeout))),
            None => {
                let doublings = open.trips.saturating_sub(1);
                let times = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
                Turn::Later(now.after(self.every.times(times)))
            }
        }
    }
}

/// Whether an answer of this status is good: what a health check means, and no redirect to a page of trouble.
pub const fn is_good(status: u16) -> bool {
    matches!(status, 200..=399)
}

/// A breaker that is worth a probe.
#[derive(Clone, Copy, Debug)]
struct Open {
    generation: u64,
    trips: u32,
}

/// What a worker does that asks, and when the next is due then.
enum Turn {
    /// Nothing.
    Wait,
    /// Nothing but saying when the first is due.
    Later(Timestamp),
    /// It probes.
    Now(Timestamp),
}

/// Asks for the turn of one worker: the generation to give to [`settle`] if it is to probe now. Without an answer of
/// shared data, or after too many lost races, nobody probes.
pub fn claim(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    settings: &HealthCheck,
    instance: u64,
    moment: Moment,
) -> Option<u64> {
    let mut open = None;
    update_record(store, upstream, moment, &mut |record| {
        let breaker = &record.breaker;
        let wanted = breaker.wants_probe(&upstream.policy.breaker, moment.now);
        open = wanted.map(|generation| Open {
            generation,
            // In half-open the first probe comes after `every`, as after a first trip.
            trips: match breaker.phase() {
                Phase::Open => breaker.trips,
                Phase::HalfOpen | Phase::Closed => 0,
            },
        });
        (Transitions::new(), Change::Nothing)
    });
    let open = open?;
    let key = keys::probe(upstream.key?);
    let mut mine = false;
    // A later version has its own idea of turns: then nobody here has one.
    let taken = store.update(&key, |stored| {
        let turn = settings.turn(stored.record.as_ref(), open, moment.now);
        mine = matches!(turn, Turn::Now(_));
        let (Turn::Later(due) | Turn::Now(due)) = turn else {
            return Change::Nothing;
        };
        stored.record = Some(ProbeTurn {
            generation: open.generation,
            due,
            instance,
        });
        Change::Store
    });
    (mine && taken == Ok(true)).then_some(open.generation)
}

/// Takes an answer in, if the breaker still is in the state that was asked about: an open one becomes half-open by a good
/// one; a half-open one that has no verdicts begins its ramp after some good ones in a row.
pub fn settle(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    generation: u64,
    good: bool,
    moment: Moment,
) -> StepReport {
    let settings = &upstream.policy.breaker;
    update_record(store, upstream, moment, &mut |record| {
        let settled = record.breaker.probed(settings, moment, generation, good);
        (settled.made, Change::stored_if(settled.changed))
    })
}

#[cfg(test)]
mod tests;
