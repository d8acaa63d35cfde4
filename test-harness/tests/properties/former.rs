//! What the filter did before, one rule at a time: each must make a property fail.
//!
//! The core is the present one. It is told of requests, or finds its record, as the earlier rule would have taken them.

use std::collections::BTreeSet;

use seawall_policy::breaker::{Breaker, Candidates, Phase, Probing, State};
use seawall_policy::policy::Policy;
use seawall_policy::shared::record::Record;
use seawall_policy::time::{Span, Timestamp};

use crate::filter::{Ask, Callback, Change, Head, Id, Kind};
use crate::mixture::flags;

/// A former behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Former {
    /// A limit that passed after the response's headers was a failure, whoever stood still.
    SlowReaders,
    /// The end of a tunnel by its server was a failure, as any broken stream.
    Tunnels,
    /// A caller's deadline that passed after `slow_call.over` was a failure, and so was the upstream's own status 4 under it.
    CallerLimits,
    /// Latency ran from the request's headers.
    Uploads,
    /// A retry of our own refusal was judged as a reset by the upstream.
    Ourselves,
    /// Silence that a client or a caller ended was ignored, whatever it had lasted.
    Silence,
    /// `half_open.wait` ran on though nobody held a permit, and opened the breaker again.
    WaitRunsOn,
    /// Permits did not lapse, and being held for `half_open.wait` opened the breaker again for twice as long.
    NoVerdict,
    /// Permits went to whoever came first, complete or not, whatever came of the peer's last one.
    AnyPeer,
}

impl Former {
    pub(crate) const ALL: [Self; 9] = [
        Self::SlowReaders,
        Self::Tunnels,
        Self::CallerLimits,
        Self::Uploads,
        Self::Ourselves,
        Self::Silence,
        Self::WaitRunsOn,
        Self::NoVerdict,
        Self::AnyPeer,
    ];

    /// How the core is told of a request's headers.
    pub(crate) fn asked(self, ask: Ask) -> Ask {
        match self {
            Self::Tunnels => as_plain(ask),
            Self::CallerLimits => without_limit(ask),
            Self::Uploads => as_complete(ask),
            _ => ask,
        }
    }

    /// How many attempts of a request that went the router is said to have made.
    pub(crate) fn attempts(self) -> u64 {
        match self {
            // None: silence is that of a filter between us and the upstream.
            Self::Silence => 0,
            _ => 1,
        }
    }

    /// How the core is told of what happens to a request.
    pub(crate) fn told(
        self,
        known: &Known,
        callback: Callback,
        slow_over: Span,
        now: u64,
    ) -> Vec<Callback> {
        match self {
            Self::SlowReaders => limit_as_break(known, callback),
            Self::CallerLimits => callers_limit_as_break(known, callback, slow_over, now),
            Self::Ourselves => vec![refusal_as_reset(callback)],
            _ => vec![callback],
        }
    }

    /// Whether the record was another one.
    pub(crate) fn keeps_other_records(self) -> bool {
        matches!(self, Self::WaitRunsOn | Self::NoVerdict | Self::AnyPeer)
    }

    /// Makes of the record what the earlier filter would have found.
    pub(crate) fn edit(self, memory: &mut Memory, record: &mut Record, now: u64) -> Option<Change> {
        let State::HalfOpen(probing) = &mut record.breaker.state else {
            return None;
        };
        let held = match self {
            Self::WaitRunsOn => probing.holders.in_flight() == 0,
            Self::NoVerdict => !memory.probes.is_empty(),
            _ => {
                forget_who_asked(probing);
                false
            }
        };
        match held {
            true => memory.trip(&mut record.breaker, now),
            false => None,
        }
    }

    /// Whether a request is refused since permits did not lapse.
    pub(crate) fn refuses(self, memory: &Memory) -> bool {
        self == Self::NoVerdict
            && memory.half_open.is_some_and(|(_, verdicts)| {
                let held = memory.probes.len() + verdicts as usize;
                held >= memory.policy.breaker.half_open.permits as usize
            })
    }
}

/// A request that went, as the world knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) ask: Ask,
    pub(crate) at: u64,
    /// Whether the headers of its response came.
    pub(crate) answered: bool,
}

/// `Tunnels`: a tunnel is a request like any other.
fn as_plain(ask: Ask) -> Ask {
    match ask.kind {
        Kind::Tunnel => Ask {
            kind: Kind::Plain,
            ..ask
        },
        _ => ask,
    }
}

/// `CallerLimits`: what the caller leaves a request is not known.
fn without_limit(ask: Ask) -> Ask {
    Ask {
        caller: None,
        ..ask
    }
}

/// `Uploads`: a request is complete at its headers.
fn as_complete(ask: Ask) -> Ask {
    Ask {
        complete: true,
        ..ask
    }
}

fn is_limit(flags: u64) -> bool {
    matches!(flags, flags::LIMIT | flags::STREAM_LIMIT)
}

/// The upstream's connection broke while the response flowed.
fn broken() -> Vec<Callback> {
    vec![Callback::Chunk, Callback::Cut(flags::SERVER_CLOSED)]
}

/// `SlowReaders`: a limit after the headers that no caller brought is a broken stream.
fn limit_as_break(known: &Known, callback: Callback) -> Vec<Callback> {
    let counts = known.answered && known.ask.caller.is_none() && !known.ask.kind.is_exempt();
    match callback {
        Callback::Cut(flags) if counts && is_limit(flags) => broken(),
        callback => vec![callback],
    }
}

/// `CallerLimits`: under `slow_call.over` nothing is said by the end of a request that has a limit of its caller's; after it, it is a
/// failure.
fn callers_limit_as_break(
    known: &Known,
    callback: Callback,
    slow_over: Span,
    now: u64,
) -> Vec<Callback> {
    let (afterwards, ends) = match callback {
        Callback::Headers(head) => (false, head.grpc == Some(4) || head.local.is_some()),
        Callback::Cut(flags) => (known.answered, is_limit(flags)),
        _ => (false, false),
    };
    if !ends || known.ask.caller.is_none() {
        return vec![callback];
    }
    match now - known.at < slow_over.as_nanos() {
        true => vec![Callback::Cut(flags::CLIENT_GONE)],
        false if afterwards => broken(),
        false => vec![callback],
    }
}

/// `Ourselves`: a retry that we refused is a reset by the upstream.
fn refusal_as_reset(callback: Callback) -> Callback {
    const RESET: u64 = 0x10;
    match callback {
        Callback::Headers(head) if head.refused => Callback::Headers(Head {
            local: Some(RESET),
            ..head
        }),
        callback => callback,
    }
}

/// `AnyPeer`: nothing is remembered of who asked.
fn forget_who_asked(probing: &mut Probing) {
    probing.candidates = Candidates::default();
}

/// What the earlier filter would have known of a half-open breaker.
pub(crate) struct Memory {
    policy: Policy,
    /// The present half-open state: its generation, and how many verdicts there are.
    half_open: Option<(u64, u32)>,
    /// When it began, or had its last verdict.
    quiet_from: Timestamp,
    /// Its requests that have no verdict yet.
    probes: BTreeSet<Id>,
}

impl Memory {
    pub(crate) fn of(policy: &Policy) -> Self {
        Self {
            policy: policy.clone(),
            half_open: None,
            quiet_from: Timestamp::ZERO,
            probes: BTreeSet::new(),
        }
    }
}

impl Memory {
    pub(crate) fn slow_over(&self) -> Span {
        self.policy.breaker.thresholds.slow_over
    }

    /// A request went.
    pub(crate) fn went(&mut self, id: Id) {
        if self.half_open.is_some() {
            self.probes.insert(id);
        }
    }

    /// A request was answered, or is over.
    pub(crate) fn over(&mut self, id: Id) {
        self.probes.remove(&id);
    }

    /// The record after something happened; its last change was made at this time.
    pub(crate) fn saw(&mut self, record: &Record, changed_at: u64, now: u64) {
        let half_open = match &record.breaker.state {
            State::HalfOpen(probing) => Some((record.breaker.generation, probing.verdicts.calls)),
            State::Closed(_) | State::Open { .. } => None,
        };
        if half_open == self.half_open {
            return;
        }
        let generation = |state: Option<(u64, u32)>| state.map(|(generation, _)| generation);
        let begins = generation(half_open) != generation(self.half_open);
        if begins {
            self.probes.clear();
        }
        self.quiet_from = Timestamp::nanos(if begins { changed_at } else { now });
        self.half_open = half_open;
    }

    /// `WaitRunsOn` and `NoVerdict`: without a verdict for `half_open.wait` it opens again, for twice as long.
    fn trip(&self, breaker: &mut Breaker, now: u64) -> Option<Change> {
        let settings = &self.policy.breaker;
        let due = self.quiet_from.after(settings.half_open.wait);
        if due > Timestamp::nanos(now) {
            return None;
        }
        let times = 1_u64.checked_shl(breaker.trips).unwrap_or(u64::MAX);
        let open_for = settings.open.base.times(times).min(settings.open.cap);
        *breaker = Breaker {
            generation: breaker.generation + 1,
            trips: breaker.trips + 1,
            state: State::Open {
                until: due.after(open_for),
            },
            ..breaker.clone()
        };
        Some(Change {
            at: due.as_nanos(),
            to: Phase::Open,
            open_for: Some(open_for.as_nanos()),
        })
    }
}
