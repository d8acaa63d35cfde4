//! Time limits: the smallest of what the policy allows, what came in with the request, and what latency suggests.
//!
//! A deadline comes in as a length of time that was left when the caller sent the request, so what passed since is taken
//! off. It goes out in the same forms. A filter cannot read the route's own limit; what is set here takes its place,
//! which is why a route may repeat its limit in its metadata.

mod form;

pub use form::{Form, grpc_timeout};

use crate::ratio::Share;
use crate::time::Span;

/// A limit that follows a percentile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Which.
    pub percentile: Share,
    /// Times so much, in hundredths.
    pub factor: u32,
    /// Never less.
    pub min: Span,
    /// Never more.
    pub max: Span,
    /// Nothing is said before so many samples.
    pub samples: u32,
}

/// What a policy says of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a whole request.
    pub total: Option<Span>,
    /// For each attempt, until its headers.
    pub per_try: Option<Span>,
    /// The headers in which time comes and goes.
    pub propagate: Vec<Form>,
    /// A request with less time left is refused at once.
    pub doomed_under: Span,
    /// A limit that follows the observed latency.
    pub adaptive: Option<Follow>,
}

impl Limits {
    /// The most headers that can be asked for.
    pub const FORMS_MAX: usize = 8;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: None,
            per_try: None,
            propagate: vec![Form::Grpc, Form::Expected],
            doomed_under: Span::ZERO,
            adaptive: None,
        }
    }
}

/// What is known of one request's time.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadlineInputs {
    /// The smallest limit that came in, as it stood when the request came.
    pub incoming: Option<Span>,
    /// What passed since.
    pub spent: Span,
    /// What is left of a deadline that the inbound side kept.
    pub kept: Option<Span>,
    /// The route's own limit, as its metadata repeats it.
    pub route: Option<Span>,
    /// What the observed latency suggests.
    pub adaptive: Option<Span>,
    /// Upgrades, CONNECT, event streams, gRPC without a limit: nobody knows when they end.
    pub open_ended: bool,
}

/// What follows for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// It may take its time, or as long as its route allows.
    None,
    /// It has to end within this time.
    Within {
        /// The time.
        total: Span,
        /// Whose limit it is.
        by: LimitSource,
    },
    /// It cannot end in time.
    Doomed,
}

impl Limit {
    /// Whether a request has to end within some time.
    pub const fn is_set(&self) -> bool {
        matches!(self, Self::Within { .. })
    }
}

/// Whose limit is the smallest. Where two are equally small, the one that stands first here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitSource {
    /// `timeout.total` of the policy: an operator's.
    Policy,
    /// The route's own, as its metadata repeats it: an operator's too.
    Route,
    /// `timeout.adaptive`: it follows the observed latency, so no operator chose this value. A request that it ends is no
    /// failure. If the limit is at least `slow_call.over`, the call was slow; else its end is no evidence.
    Adaptive,
    /// The caller's: what it ends says nothing about the upstream.
    Caller,
}

impl LimitSource {
    /// Whether an operator wrote this limit down.
    pub const fn is_operators(self) -> bool {
        matches!(self, Self::Policy | Self::Route)
    }
}

impl Limits {
    /// The limit of one request.
    pub fn resolve(&self, asked: &DeadlineInputs) -> Limit {
        let left = asked.incoming.map(|limit| minus(limit, asked.spent));
        let callers = smaller(left, asked.kept);
        let own = |limit: Option<Span>| limit.filter(|_| !asked.open_ended);
        let all = [
            (own(self.total), LimitSource::Policy),
            (own(asked.route), LimitSource::Route),
            (own(asked.adaptive), LimitSource::Adaptive),
            (callers, LimitSource::Caller),
        ];
        let known = all.into_iter().filter_map(|(limit, by)| Some((limit?, by)));
        // Of equally small ones the first is taken.
        let Some((total, by)) = known.min_by_key(|(limit, _)| *limit) else {
            return Limit::None;
        };
        let by_caller = by == LimitSource::Caller;
        match by_caller && (total == Span::ZERO || total < self.doomed_under) {
            true => Limit::Doomed,
            false => Limit::Within { total, by },
        }
    }
}

fn smaller(one: Option<Span>, other: Option<Span>) -> Option<Span> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn minus(whole: Span, part: Span) -> Span {
    Span::nanos(whole.as_nanos().saturating_sub(part.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use LimitSource::{Adaptive, Caller, Policy, Route};

    fn within(millis: u64, by: LimitSource) -> Limit {
        let total = Span::millis(millis);
        Limit::Within { total, by }
    }

    #[test]
    fn the_smallest_wins_and_time_spent_is_taken_off() {
        let limits = Limits {
            total: Some(Span::secs(1)),
            doomed_under: Span::millis(20),
            ..Limits::default()
        };
        let ms = |millis| Some(Span::millis(millis));
        let spent = Span::millis(50);
        for (asked, expected) in [
            (DeadlineInputs::default(), within(1_000, Policy)),
            (
                DeadlineInputs {
                    incoming: ms(300),
                    spent,
                    ..DeadlineInputs::default()
                },
                within(250, Caller),
            ),
            (
                DeadlineInputs {
                    incoming: ms(5_000),
                    spent,
                    ..DeadlineInputs::default()
                },
                within(1_000, Policy),
            ),
            (
                DeadlineInputs {
                    incoming: ms(300),
                    kept: ms(100),
                    ..DeadlineInputs::default()
                },
                within(100, Caller),
            ),
            (
                DeadlineInputs {
                    route: ms(700),
                    ..DeadlineInputs::default()
                },
                within(700, Route),
            ),
            (
                DeadlineInputs {
                    adaptive: ms(90),
                    ..DeadlineInputs::default()
                },
                within(90, Adaptive),
            ),
            (
                DeadlineInputs {
                    incoming: ms(69),
                    spent,
                    ..DeadlineInputs::default()
                },
                Limit::Doomed,
            ),
            (
                DeadlineInputs {
                    incoming: ms(70),
                    spent,
                    ..DeadlineInputs::default()
                },
                within(20, Caller),
            ),
            (
                DeadlineInputs {
                    incoming: ms(50),
                    spent,
                    ..DeadlineInputs::default()
                },
                Limit::Doomed,
            ),
            (
                DeadlineInputs {
                    incoming: ms(1_000),
                    ..DeadlineInputs::default()
                },
                within(1_000, Policy),
            ),
            (
                DeadlineInputs {
                    open_ended: true,
                    ..DeadlineInputs::default()
                },
                Limit::None,
            ),
            (
                DeadlineInputs {
                    open_ended: true,
                    incoming: ms(80),
                    ..DeadlineInputs::default()
                },
                within(80, Caller),
            ),
        ] {
            assert_eq!(limits.resolve(&asked), expected, "{asked:?}");
        }
    }

    #[test]
    fn whose_limit_it_is_is_known_and_an_operators_counts_first() {
        let ms = |millis| Some(Span::millis(millis));
        let limits = |total| Limits {
            total,
            ..Limits::default()
        };
        for (total, route, adaptive, incoming, expected) in [
            (ms(50), ms(50), ms(50), ms(50), within(50, Policy)),
            (None, ms(50), ms(50), ms(50), within(50, Route)),
            (None, None, ms(50), ms(50), within(50, Adaptive)),
            (None, None, None, ms(50), within(50, Caller)),
            (ms(50), ms(49), ms(48), ms(47), within(47, Caller)),
            (ms(50), ms(49), ms(48), ms(60), within(48, Adaptive)),
        ] {
            let asked = DeadlineInputs {
                route,
                adaptive,
                incoming,
                ..DeadlineInputs::default()
            };
            assert_eq!(limits(total).resolve(&asked), expected, "{asked:?}");
        }
        assert!(Policy.is_operators() && Route.is_operators());
        assert!(!Adaptive.is_operators() && !Caller.is_operators());
    }

    #[test]
    fn no_time_left_is_doomed_even_where_nothing_is_said() {
        let asked = DeadlineInputs {
            kept: Some(Span::ZERO),
            ..DeadlineInputs::default()
        };
        assert_eq!(Limits::default().resolve(&asked), Limit::Doomed);
        assert_eq!(
            Limits::default().resolve(&DeadlineInputs::default()),
            Limit::None
        );
    }
}
