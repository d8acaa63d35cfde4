//! What the end of a stream says about the upstream: the flags' class, whose limit it was, how far the request had come.

use super::blame::{AfterHeaders, Class, class_of, row_of};
use super::exchange::GRACE;
use super::pool::PoolWait;
use super::{Ignored, Outcome, Rules, flag};
use crate::deadline::LimitSource;
use crate::time::{Span, Timestamp};

/// An outcome, and why it says nothing where it is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The outcome.
    pub outcome: Outcome,
    /// Why it says nothing, if it does not.
    pub ignored: Option<Ignored>,
}

impl Judgement {
    /// Whether a stream broke for what its client sent: that is no failure of the upstream, but its client has no response.
    pub fn is_break_of_client(&self) -> bool {
        self.ignored == Some(Ignored::OnePeer)
    }
}

impl From<Outcome> for Judgement {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            ignored: None,
        }
    }
}

impl From<Ignored> for Judgement {
    fn from(why: Ignored) -> Self {
        Self {
            outcome: Outcome::Ignored,
            ignored: Some(why),
        }
    }
}

/// The time limits of one request, from its admission on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// What the filter set on the router, and who asked for it.
    pub set: Option<(Span, LimitSource)>,
    /// What the caller brought, whoever enforces it: Envoy may do so by `max_grpc_timeout` or `grpc_timeout_header_max`.
    pub caller: Option<Span>,
}

impl TimeLimits {
    /// Whether the caller brought a limit.
    pub const fn has_caller(&self) -> bool {
        self.caller.is_some() || matches!(self.set, Some((_, LimitSource::Caller)))
    }

    /// Whose limit passed after `elapsed`: the smallest that was due. Where none of those that are known was, it was the
    /// route's own.
    pub fn owner(&self, elapsed: Span) -> LimitSource {
        let caller = self.caller.map(|limit| (limit, LimitSource::Caller));
        let due = [self.set, caller].into_iter().flatten();
        due.filter(|(limit, _)| elapsed >= earliest(*limit))
            .min_by_key(|(limit, _)| *limit)
            .map_or(LimitSource::Route, |(_, owner)| owner)
    }
}

/// When a limit may pass by our clock. Envoy's timers count from the start of a turn of its event loop, which on a busy
/// worker lies well before the callback that saw the request.
pub const fn earliest(limit: Span) -> Span {
    Span::nanos(limit.as_nanos().saturating_sub(limit.as_nanos() >> 2))
}

/// What is known of a request when it is judged.
#[derive(Clone, Copy, Debug)]
pub struct RequestTiming {
    /// A tunnel, an event stream or a long poll: silence says nothing.
    pub exempt: bool,
    /// Whether an attempt was made: a filter behind this one may hold a request for as long as it likes.
    pub sent: bool,
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// When its last byte had come; nothing where that is not known or has not happened.
    pub complete_at: Option<Timestamp>,
    /// How it stands with Envoy's connection pool.
    pub pool: PoolWait,
    /// Its time limits.
    pub limits: TimeLimits,
    /// Later than this is slow; `None` where slow calls are off.
    pub slow_over: Option<Span>,
    /// Now.
    pub now: Timestamp,
}

impl RequestTiming {
    /// How long the upstream took since the request was complete, and had a connection; nothing where it was not.
    pub fn latency(&self) -> Option<Span> {
        let complete = self.complete_at?;
        Some(self.now.since(match self.pool {
            PoolWait::Left(at) => complete.max(at),
            PoolWait::None | PoolWait::Waits => complete,
        }))
    }

    /// Whether the upstream was silent for so long that the call was slow.
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.latency()
            .zip(self.slow_over)
            .is_some_and(|(latency, over)| latency >= over)
    }

    /// Whether its client had time to complete it, and did not.
    pub(super) fn is_left_unfinished(&self) -> bool {
        self.complete_at.is_none() && self.now.since(self.admitted_at) > GRACE
    }

    /// Why a limit that passed says nothing, where the upstream may have kept to it: the caller brought it, or it follows latency. Both
    /// are passed on.
    pub(super) fn limit_passed_on(&self) -> Option<Ignored> {
        match self.limit_owner() {
            LimitSource::Caller => Some(Ignored::CallerLimit),
            LimitSource::Adaptive => Some(Ignored::Ours),
            LimitSource::Policy | LimitSource::Route => None,
        }
    }

    /// A success, or a slow one.
    pub(super) fn success(&self) -> Judgement {
        let slow = self
            .latency()
            .zip(self.slow_over)
            .is_some_and(|(latency, over)| latency > over);
        match slow && !self.exempt {
            true => Outcome::Slow.into(),
            false => Outcome::Success.into(),
        }
    }

    /// A slow call where the upstream was silent for long enough, else nothing for this reason.
    pub(super) fn slow_or(&self, why: Ignored) -> Judgement {
        if self.pool == PoolWait::Waits {
            return Ignored::Envoy.into();
        }
        match self.is_silent() && self.sent && !self.exempt {
            true => Outcome::Slow.into(),
            false => why.into(),
        }
    }

    fn limit_owner(&self) -> LimitSource {
        self.limits.owner(self.now.since(self.admitted_at))
    }
}

/// What the end of a stream after its headers says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Nothing: what its headers said stands.
    Stands(Option<Ignored>),
    /// The upstream failed.
    Failed,
    /// The response was cut while it stood still: other requests tell whose fault that is.
    AskOthers {
        /// Whether a limit of the whole request ended it. One that ended because nothing was said for long may be a quiet watch.
        limit: bool,
    },
    /// It stood still until a limit of the whole request ended it, and that is the upstream's fault.
    Stalled,
}

impl Rules {
    /// The outcome of a request that ended without a response of the upstream.
    pub fn judge_end(&self, flags: u64, request: &RequestTiming) -> Judgement {
        match class_of(flags) {
            None | Some(Class::OtherFilter) => Ignored::OtherFilter.into(),
            Some(Class::Envoy) => Ignored::Envoy.into(),
            Some(Class::Client) => request.slow_or(match request.complete_at {
                Some(_) => Ignored::ClientGone,
                None => Ignored::Unfinished,
            }),
            Some(Class::Limit) => self.limit_passed(request),
            Some(Class::Connect) => self.failure_if(flags & flag::UPSTREAM_CONNECT),
            // An upstream may well hang up on a client that does not finish.
            Some(Class::Broken) if request.complete_at.is_none() => Ignored::Unfinished.into(),
            Some(Class::Broken) => self.failure_if(flags & !flag::UPSTREAM_TIMEOUT),
        }
    }

    /// What the end of a stream says after the headers of its response. `flowing` is whether parts of the response came
    /// a moment before.
    pub fn judge_afterwards(
        &self,
        flags: u64,
        tunnel: bool,
        flowing: bool,
        request: &RequestTiming,
    ) -> Afterwards {
        let Some(row) = row_of(flags) else {
            return Afterwards::Stands(None);
        };
        if tunnel {
            return Afterwards::Stands(Some(Ignored::TunnelEnd));
        }
        match row.after {
            AfterHeaders::Stands => Afterwards::Stands(None),
            AfterHeaders::Stalled | AfterHeaders::Idle => {
                // It may be quiet for as long as nothing happens.
                if request.exempt {
                    return Afterwards::Stands(Some(Ignored::TunnelEnd));
                }
                match request.limit_passed_on() {
                    Some(why) => Afterwards::Stands(Some(why)),
                    None if self.failure_flags & flag::UPSTREAM_TIMEOUT == 0 => {
                        Afterwards::Stands(None)
                    }
                    None => Afterwards::AskOthers {
                        limit: row.after == AfterHeaders::Stalled,
                    },
                }
            }
            AfterHeaders::Cut if flags & self.failure_flags == 0 => Afterwards::Stands(None),
            AfterHeaders::Cut if flowing => Afterwards::Failed,
            AfterHeaders::Cut => Afterwards::AskOthers { limit: false },
        }
    }

    fn limit_passed(&self, request: &RequestTiming) -> Judgement {
        if request.complete_at.is_none() {
            return Ignored::Unfinished.into();
        }
        // Nothing is known of an upstream that has nothing to say.
        if request.exempt {
            return Ignored::TunnelEnd.into();
        }
        match request.limit_passed_on() {
            Some(why) => request.slow_or(why),
            None if request.pool == PoolWait::Waits => Ignored::Envoy.into(),
            None => self.failure_if(flag::UPSTREAM_TIMEOUT),
        }
    }

    fn failure_if(&self, flags: u64) -> Judgement {
        match flags & self.failure_flags != 0 {
            true => Outcome::Failure.into(),
            false => Ignored::Envoy.into(),
        }
    }
}
