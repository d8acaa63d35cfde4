//! Values with a meaning: lengths of time, shares, decimals, statuses. Each is read from a number or a text ([`Scalar`]).

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use seawall_policy::decimal::{self, ONE};
use seawall_policy::json;
use seawall_policy::ratio::Share;
use seawall_policy::time::{DurationError, Span, parse_duration};

/// A number or a text; what is neither is told by its name.
#[derive(Clone, Copy, Debug)]
pub enum Scalar<'a> {
    /// In billionths; nothing for what is negative or too large.
    Number(Option<u64>),
    /// A text.
    Text(&'a str),
    /// What stands there instead.
    Other(&'static str),
}

/// Why a number or a text is not what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is something else.
    #[error("expected {wanted}, got {got}")]
    Other {
        /// What is wanted, with examples.
        wanted: &'static str,
        /// What there is.
        got: String,
    },
    /// It should be a duration and is none.
    #[error(transparent)]
    Duration(#[from] DurationError),
}

impl Scalar<'_> {
    #[cold]
    #[inline(never)]
    fn unfit(self, wanted: &'static str) -> Unfit {
        let got = match self {
            Self::Number(_) => "a number".to_owned(),
            Self::Text(text) => format!("\"{text}\""),
            Self::Other(kind) => kind.to_owned(),
        };
        Unfit::Other { wanted, got }
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    #[inline(never)]
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or text")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(json::billionths(&number.into())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(json::billionths(&number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        let number = Number::from_f64(number);
        Ok(Scalar::Number(number.as_ref().and_then(json::billionths)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(text))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other("a truth value"))
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other("nothing"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Scalar<'de>, A::Error> {
        Ok(Scalar::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Scalar<'de>, A::Error> {
        Ok(Scalar::Other("an object"))
    }
}

/// Makes a type that is read from a [`Scalar`] by a function, or refused with what it should be.
macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($($inner:ty),+), $read:expr, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "Scalar<'de>")]
        pub struct $name($(pub(super) $inner),+);

        impl TryFrom<Scalar<'_>> for $name {
            type Error = Unfit;

            fn try_from(scalar: Scalar<'_>) -> Result<Self, Unfit> {
                let read: Option<Self> = $read(&scalar);
                read.ok_or_else(|| scalar.unfit($wanted))
            }
        }
    };
}

unit!(
    /// A whole number. It may come as `1.0`, since a protobuf Struct knows no other numbers.
    Whole(u32),
    |scalar| whole(scalar).map(Self),
    "a whole number"
);
unit!(
    /// A number with at most four decimals, in parts of ten thousand.
    Decimal(u32),
    |scalar| of(scalar, ONE / 10_000, 1_000_000_000).map(Self),
    "a number from 0 to 100000 with at most four decimals, such as 2 or 0.1"
);
unit!(
    /// A share in percent: a number from 0 to 100, or text such as `5%`.
    Percent(Share),
    |scalar| percent(scalar).map(Self),
    "a percentage from 0 to 100 with at most two decimals, such as 50 or \"5%\""
);
unit!(
    /// What is paid in for another thing, in percent of it: a number from 0 to 1,000, or text such as `150%`.
    Ratio(u32),
    |scalar| points(scalar, 100_000).map(Self),
    "a percentage from 0 to 1000 with at most two decimals, such as 20 or \"150%\""
);
unit!(
    /// One or several HTTP statuses, the first and the last of them: a number, or text such as `5xx` or `520-527`.
    HttpStatus(u16, u16),
    |scalar| http_statuses(scalar).map(|(first, last)| Self(first, last)),
    "a status from 100 to 599, or several, such as 503, \"5xx\" or \"520-527\""
);
unit!(
    /// A gRPC status that says that something failed: a number or a name.
    GrpcStatus(u16),
    |scalar| grpc_status(scalar).filter(|status| *status != 0).map(Self),
    "a gRPC status from 1 to 16, or its name, such as 14 or \"unavailable\""
);
unit!(
    /// A gRPC status that may be 0.
    AnyGrpcStatus(u16),
    |scalar| grpc_status(scalar).map(Self),
    "a gRPC status from 0 to 16, or its name, such as 0, \"ok\" or \"unavailable\""
);

/// A length of time with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar<'de>")]
pub struct Duration(pub(super) Span);

impl TryFrom<Scalar<'_>> for Duration {
    type Error = Unfit;

    fn try_from(scalar: Scalar<'_>) -> Result<Self, Unfit> {
        match scalar {
            Scalar::Text(text) => Ok(Self(parse_duration(text)?)),
            other => {
                Err(other.unfit("a duration with its unit, such as \"250ms\", \"5s\" or \"2m\""))
            }
        }
    }
}

/// The name of the gRPC status 0.
const GRPC_OK: &str = "ok";

/// The names of gRPC statuses, from 1 on.
const GRPC_NAMES: [&str; 16] = [
    "cancelled",
    "unknown",
    "invalid-argument",
    "deadline-exceeded",
    "not-found",
    "already-exists",
    "permission-denied",
    "resource-exhausted",
    "failed-precondition",
    "aborted",
    "out-of-range",
    "unimplemented",
    "internal",
    "unavailable",
    "data-loss",
    "unauthenticated",
];

/// The first and the last of one or several HTTP statuses.
fn http_statuses(scalar: &Scalar<'_>) -> Option<(u16, u16)> {
    let (first, last) = match scalar {
        Scalar::Text(text) => match text.trim().as_bytes() {
            [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => {
                let first = u16::from(class.wrapping_sub(b'0')).saturating_mul(100);
                (first, first.saturating_add(99))
            }
            _ => match text.split_once('-') {
                Some((first, last)) => (status(first)?, status(last)?),
                None => (status(text)?, status(text)?),
            },
        },
        other => {
            let status = u16::try_from(whole(other)?).ok()?;
            (status, status)
        }
    };
    let known = 100 <= first && first <= last && last <= 599;
    known.then_some((first, last))
}

fn status(text: &str) -> Option<u16> {
    text.trim().parse().ok()
}

/// A gRPC status; a name may be written as in gRPC's own constants, too.
fn grpc_status(scalar: &Scalar<'_>) -> Option<u16> {
    let status = match scalar {
        Scalar::Text(text) => {
            let name = text.trim().replace('_', "-").to_ascii_lowercase();
            let known = GRPC_NAMES.iter().position(|known| *known == name);
            match known {
                Some(place) => u16::try_from(place.checked_add(1)?).ok()?,
                None if name == GRPC_OK => 0,
                None => status(text)?,
            }
        }
        other => u16::try_from(whole(other)?).ok()?,
    };
    (usize::from(status) <= GRPC_NAMES.len()).then_some(status)
}

/// A whole number.
fn whole(scalar: &Scalar<'_>) -> Option<u32> {
    of(scalar, ONE, u32::MAX)
}

/// A share.
fn percent(scalar: &Scalar<'_>) -> Option<Share> {
    let points = points(scalar, 10_000)?;
    u16::try_from(points).ok().map(Share::basis_points)
}

/// Basis points of a number, or of text such as `5%`.
fn points(scalar: &Scalar, max: u32) -> Option<u32> {
    match scalar {
        Scalar::Text(text) => of(&number(text)?, ONE / 100, max),
        other => of(other, ONE / 100, max),
    }
}

/// The number in a text such as `5%`.
fn number(text: &str) -> Option<Scalar<'_>> {
    let text = text.trim();
    let text = text.strip_suffix('%').unwrap_or(text).trim();
    let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'.' | b'+');
    let digits = Some(text.as_bytes()).filter(|_| text.bytes().all(plain))?;
    Some(Scalar::Number(decimal::billionths(digits)))
}

/// A number in parts so large, each so many billionths, where it is a whole number of them and no more than `max`.
fn of(scalar: &Scalar, part: u64, max: u32) -> Option<u32> {
    let Scalar::Number(Some(number)) = scalar else {
        return None;
    };
    let parts = number.checked_div(part)?;
    let whole = parts.saturating_mul(part) == *number;
    u32::try_from(parts)
        .ok()
        .filter(|parts| whole && *parts <= max)
}

#[cfg(feature = "schema")]
mod schema;
