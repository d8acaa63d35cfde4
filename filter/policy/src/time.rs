//! Points in time and lengths of time, in nanoseconds.
//!
//! Both are one `u64`, so that a record in shared data holds them as they are. Arithmetic saturates: a hostile or
//! broken clock can make a decision odd, never a panic. A [`Timestamp`] is a reading of the process's monotonic clock
//! and means nothing outside it.

use std::fmt;

use crate::text;

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest length there is, about 584 years.
    pub const MAX: Self = Self(u64::MAX);

    /// `count` nanoseconds.
    pub const fn nanos(count: u64) -> Self {
        Self(count)
    }

    /// `count` milliseconds.
    pub const fn millis(count: u64) -> Self {
        Self(count.saturating_mul(1_000_000))
    }

    /// `count` seconds.
    pub const fn secs(count: u64) -> Self {
        Self(count.saturating_mul(1_000_000_000))
    }

    /// The length in nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The length in whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The length in whole seconds, rounded up: what a `Retry-After` header can say.
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(1_000_000_000)
    }

    /// Both lengths one after the other.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left of it without `other`; nothing if that is longer.
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `times` times as long.
    pub const fn times(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }

    /// The share `numerator / denominator` of this length, rounded down; the whole length for a denominator of zero.
    #[inline(never)]
    pub const fn share(self, numerator: u64, denominator: u64) -> Self {
        match (self.0 as u128)
            .saturating_mul(numerator as u128)
            .checked_div(denominator as u128)
        {
            Some(part) if part <= u64::MAX as u128 => Self(part as u64),
            Some(_) => Self::MAX,
            None => self,
        }
    }
}

impl fmt::Display for Span {
    /// In whole hours, or the largest other unit that needs no more than three decimals: `250ms`, `5s`, `1.5s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOUR: u64 = 3_600 * 1_000_000_000;
        let (whole, thousandths, name) = match self.0 {
            nanos @ 0..1_000 => return write!(f, "{nanos}ns"),
            nanos @ 1_000..1_000_000 => (nanos / 1_000, nanos % 1_000, "us"),
            nanos @ 1_000_000..1_000_000_000 => {
                (nanos / 1_000_000, nanos % 1_000_000 / 1_000, "ms")
            }
            nanos if nanos % HOUR == 0 => (nanos / HOUR, 0, "h"),
            nanos => (
                nanos / 1_000_000_000,
                nanos % 1_000_000_000 / 1_000_000,
                "s",
            ),
        };
        match (thousandths, thousandths % 10, thousandths % 100) {
            (0, ..) => write!(f, "{whole}{name}"),
            (_, _, 0) => write!(f, "{whole}.{}{name}", thousandths / 100),
            (_, 0, _) => write!(f, "{whole}.{:02}{name}", thousandths / 10),
            _ => write!(f, "{whole}.{thousandths:03}{name}"),
        }
    }
}

/// A point in time: nanoseconds on the monotonic clock that all VMs of one process share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The clock's own beginning.
    pub const ZERO: Self = Self(0);

    /// The point `count` nanoseconds after the clock's beginning.
    pub const fn nanos(count: u64) -> Self {
        Self(count)
    }

    /// Nanoseconds since the clock's beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The point `span` later.
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long ago `earlier` was; nothing if it lies in the future.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// Why a duration in a configuration cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number without a unit.
    #[error("\"{0}\" has no unit: write for example \"{0}s\" or \"{0}ms\"")]
    NoUnit(String),
    /// A unit that is not one of `ns`, `us`, `ms`, `s`, `m`, `h`.
    #[error("unknown unit \"{0}\": the units are ns, us, ms, s, m and h")]
    UnknownUnit(String),
    /// Not a number with a unit at all.
    #[error("\"{0}\" is not a duration: write for example \"250ms\", \"1.5s\" or \"2m\"")]
    NotANumber(String),
    /// Longer than a year.
    #[error("\"{0}\" is longer than a year")]
    TooLong(String),
}

/// Reads a duration such as `250ms`, `1.5s` or `2m`: a decimal number and one unit.
pub fn parse_duration(duration: &str) -> Result<Span, DurationError> {
    const YEAR: u64 = 365 * 24 * 3_600 * 1_000_000_000;
    let trimmed = duration.trim_ascii();
    let digits = trimmed.bytes();
    let digits = digits.take_while(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    let (number, unit) = trimmed.split_at_checked(digits.count()).unwrap_or_default();
    let not_a_number = || wrong(DurationError::NotANumber, trimmed);
    if number.is_empty() {
        return Err(not_a_number());
    }
    let nanos_per_unit: u64 = match unit.trim_ascii() {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        "" => return Err(wrong(DurationError::NoUnit, trimmed)),
        other => return Err(wrong(DurationError::UnknownUnit, other)),
    };
    let (whole, fraction) = text::parted(number, b'.').unwrap_or((number, "0"));
    if fraction.len() > 9 {
        return Err(not_a_number());
    }
    let too_long = || wrong(DurationError::TooLong, trimmed);
    let whole = text::number(whole.as_bytes()).ok_or_else(not_a_number)?;
    let numerator = text::number(fraction.as_bytes()).ok_or_else(not_a_number)?;
    let denominator = u32::try_from(fraction.len())
        .ok()
        .and_then(|digits| 10_u64.checked_pow(digits))
        .ok_or_else(not_a_number)?;
    let nanos = whole
        .checked_mul(nanos_per_unit)
        .ok_or_else(too_long)?
        .saturating_add(Span(nanos_per_unit).share(numerator, denominator).0);
    if nanos > YEAR {
        return Err(too_long());
    }
    Ok(Span(nanos))
}

#[cold]
#[inline(never)]
fn wrong(error: fn(String) -> DurationError, text: &str) -> DurationError {
    error(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Span, &str>) {
        let read = parse_duration(text).map_err(|error| error.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "for {text:?}");
    }

    #[test]
    fn durations_carry_a_unit() {
        check("250ms", Ok(Span::millis(250)));
        check("1.5s", Ok(Span::millis(1_500)));
        check(" 2m ", Ok(Span::secs(120)));
        check("0.25us", Ok(Span::nanos(250)));
        check(
            "10",
            Err("\"10\" has no unit: write for example \"10s\" or \"10ms\""),
        );
        check(
            "10 parsecs",
            Err("unknown unit \"parsecs\": the units are ns, us, ms, s, m and h"),
        );
    }

    #[test]
    fn what_is_no_duration_is_refused_without_a_panic() {
        for text in [
            "",
            "s",
            "-1s",
            "1.s",
            "1..2s",
            ".5s",
            "1e3s",
            "9999999h",
            "1.0000000001s",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_span_reads_back_as_it_is_written() {
        for text in [
            "250ms", "5s", "1.5s", "1.05s", "1.005ms", "1.25us", "999us", "12ns", "61s", "3601s",
            "24h",
        ] {
            assert_eq!(parse_duration(text).unwrap().to_string(), text);
        }
    }
}
