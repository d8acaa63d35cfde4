//! Time limits: the smallest of what the policy allows, what came in with the request, and what latency suggests.
//!
//! A deadline comes in as a length of time that was left when the caller sent the request, so what passed since is taken
//! off. It goes out in the same forms. A filter cannot read the route's own limit; what is set here takes its place,
//! which is why a route may repeat its limit in its metadata.

use crate::latency::Follow;
use crate::text;
use crate::time::Span;

/// A header in which time that is left comes and goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `grpc-timeout`, on gRPC requests only.
    Grpc,
    /// `x-envoy-expected-rq-timeout-ms`, which Envoy's router sets itself where it does not hide.
    Expected,
    /// Another one, in milliseconds.
    Header(String),
}

impl Form {
    /// The header's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Grpc => "grpc-timeout",
            Self::Expected => "x-envoy-expected-rq-timeout-ms",
            Self::Header(name) => name,
        }
    }

    /// The form that this header is.
    pub fn of(name: String) -> Self {
        match name.as_str() {
            "grpc-timeout" => Self::Grpc,
            "x-envoy-expected-rq-timeout-ms" => Self::Expected,
            _ => Self::Header(name),
        }
    }

    /// The time a header's value asks for; `None` if it asks for none or cannot be read.
    pub fn read(&self, value: &[u8]) -> Option<Span> {
        match self {
            Self::Grpc => grpc_timeout(value),
            Self::Expected | Self::Header(_) => millis(value),
        }
    }

    /// A value that asks for at most this time.
    pub fn write(&self, left: Span) -> String {
        match self {
            Self::Grpc => grpc_text(left),
            Self::Expected | Self::Header(_) => text::written(left.as_millis()),
        }
    }
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
pub struct Asked {
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
        /// Whether a caller's limit is the smallest: then it says nothing about the upstream when it passes.
        by_caller: bool,
    },
    /// It cannot end in time.
    Doomed,
}

impl Limits {
    /// The limit of one request.
    pub fn resolve(&self, asked: &Asked) -> Limit {
        let left = asked.incoming.map(|limit| minus(limit, asked.spent));
        let callers = smaller(left, asked.kept);
        let own = if asked.open_ended {
            None
        } else {
            smaller(smaller(self.total, asked.route), asked.adaptive)
        };
        let Some(total) = smaller(callers, own) else {
            return Limit::None;
        };
        let by_caller = callers.is_some_and(|callers| own.is_none_or(|own| callers < own));
        match by_caller && (total == Span::ZERO || total < self.doomed_under) {
            true => Limit::Doomed,
            false => Limit::Within { total, by_caller },
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

/// A whole number of milliseconds; 0 is no limit, as in Envoy.
fn millis(value: &[u8]) -> Option<Span> {
    let count = text::number(text::trimmed(value))?;
    (count > 0).then(|| Span::millis(count))
}

/// Units of `grpc-timeout`, largest first, in nanoseconds.
const UNITS: [(u8, u64); 6] = [
    (b'H', 3_600_000_000_000),
    (b'M', 60_000_000_000),
    (b'S', 1_000_000_000),
    (b'm', 1_000_000),
    (b'u', 1_000),
    (b'n', 1),
];

/// `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2, "Timeout").
pub fn grpc_timeout(value: &[u8]) -> Option<Span> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = text::number(digits)?;
    let (_, nanos) = UNITS.iter().find(|(name, _)| name == unit)?;
    Some(Span::nanos(*nanos).times(count))
}

/// In the smallest unit that needs no more than eight digits, rounded down.
fn grpc_text(left: Span) -> String {
    const COUNT_MAX: u64 = 99_999_999;
    let fits = |(_, nanos): &&(u8, u64)| {
        left.as_nanos()
            .checked_div(*nanos)
            .is_some_and(|count| count <= COUNT_MAX)
    };
    let (unit, nanos) = UNITS
        .iter()
        .rev()
        .find(fits)
        .unwrap_or(&(b'H', 3_600_000_000_000));
    let count = left.as_nanos().checked_div(*nanos).unwrap_or(0);
    format!("{}{}", count.min(COUNT_MAX), char::from(*unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn within(millis: u64, by_caller: bool) -> Limit {
        Limit::Within {
            total: Span::millis(millis),
            by_caller,
        }
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
            (Asked::default(), within(1_000, false)),
            (
                Asked {
                    incoming: ms(300),
                    spent,
                    ..Asked::default()
                },
                within(250, true),
            ),
            (
                Asked {
                    incoming: ms(5_000),
                    spent,
                    ..Asked::default()
                },
                within(1_000, false),
            ),
            (
                Asked {
                    incoming: ms(300),
                    kept: ms(100),
                    ..Asked::default()
                },
                within(100, true),
            ),
            (
                Asked {
                    route: ms(700),
                    ..Asked::default()
                },
                within(700, false),
            ),
            (
                Asked {
                    adaptive: ms(90),
                    ..Asked::default()
                },
                within(90, false),
            ),
            (
                Asked {
                    incoming: ms(69),
                    spent,
                    ..Asked::default()
                },
                Limit::Doomed,
            ),
            (
                Asked {
                    incoming: ms(70),
                    spent,
                    ..Asked::default()
                },
                within(20, true),
            ),
            (
                Asked {
                    incoming: ms(50),
                    spent,
                    ..Asked::default()
                },
                Limit::Doomed,
            ),
            (
                Asked {
                    incoming: ms(1_000),
                    ..Asked::default()
                },
                within(1_000, false),
            ),
            (
                Asked {
                    open_ended: true,
                    ..Asked::default()
                },
                Limit::None,
            ),
            (
                Asked {
                    open_ended: true,
                    incoming: ms(80),
                    ..Asked::default()
                },
                within(80, true),
            ),
        ] {
            assert_eq!(limits.resolve(&asked), expected, "{asked:?}");
        }
    }

    #[test]
    fn no_time_left_is_doomed_even_where_nothing_is_said() {
        let asked = Asked {
            kept: Some(Span::ZERO),
            ..Asked::default()
        };
        assert_eq!(Limits::default().resolve(&asked), Limit::Doomed);
        assert_eq!(Limits::default().resolve(&Asked::default()), Limit::None);
    }

    #[test]
    fn every_unit_of_grpc_is_read_and_rubbish_is_not() {
        for (text, nanos) in [
            ("1H", 3_600_000_000_000),
            ("2M", 120_000_000_000),
            ("3S", 3_000_000_000),
            ("250m", 250_000_000),
            ("7u", 7_000),
            ("99999999n", 99_999_999),
            ("0n", 0),
        ] {
            assert_eq!(
                grpc_timeout(text.as_bytes()),
                Some(Span::nanos(nanos)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "m",
            "123456789m",
            "5h",
            "-5m",
            "+5m",
            "5 m",
            "5.0S",
        ] {
            assert_eq!(grpc_timeout(text.as_bytes()), None, "{text}");
        }
        assert_eq!(grpc_timeout(b"\xff5m"), None);
    }

    #[test]
    fn other_forms_are_milliseconds_and_zero_is_no_limit() {
        assert_eq!(Form::Expected.read(b"250"), Some(Span::millis(250)));
        assert_eq!(
            Form::of("x-left".to_owned()).read(b" 9 "),
            Some(Span::millis(9))
        );
        for text in ["0", "", "5s", "-1", "99999999999999999999"] {
            assert_eq!(Form::Expected.read(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_out_is_never_more_than_what_is_left(nanos in any::<u64>()) {
            let left = Span::nanos(nanos);
            for form in [Form::Grpc, Form::Expected] {
                let text = form.write(left);
                prop_assert!(form.read(text.as_bytes()).unwrap_or(Span::ZERO) <= left, "{text}");
            }
            let text = grpc_text(left);
            prop_assert!(text.len() <= 9);
            let read = grpc_timeout(text.as_bytes()).unwrap();
            prop_assert!(left.as_nanos() - read.as_nanos() <= left.as_nanos() / 1_000);
        }
    }
}
