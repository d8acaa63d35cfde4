//! Times and lengths of time as logs write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::SPAN_MAX_US;

/// What is earlier is no time of a request, in seconds since 1970: the year 2000.
const EARLIEST: u64 = 946_684_800;
/// So many of a unit are more than three thousand years, so the number is in a smaller unit.
const UNIT_END: u64 = 100_000_000_000;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// By its short name, or a long one.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "s" | "sec" | "secs" | "seconds" => Some(Self::Seconds),
            "ms" | "msec" | "millis" | "milliseconds" => Some(Self::Millis),
            "us" | "µs" | "μs" | "usec" | "micros" | "microseconds" => Some(Self::Micros),
            "ns" | "nsec" | "nanos" | "nanoseconds" => Some(Self::Nanos),
            _ => None,
        }
    }

    fn micros(self) -> f64 {
        match self {
            Self::Seconds => 1e6,
            Self::Millis => 1e3,
            Self::Micros => 1.0,
            Self::Nanos => 1e-3,
        }
    }
}

/// A length of time in microseconds: a number in this unit, or one with its own (`1.5s`). `None` if it is none, or
/// longer than a year.
pub(super) fn micros(text: &str, unit: Unit) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|letter: char| !matches!(letter, '0'..='9' | '.' | '+' | '-' | 'e' | 'E'));
    let (number, own) = text.split_at(end.unwrap_or(text.len()));
    let unit = match own.trim() {
        "" => unit,
        own => Unit::named(own)?,
    };
    let micros = number.trim().parse::<f64>().ok()? * unit.micros();
    let fits = (0.0..=SPAN_MAX_US as f64).contains(&micros);
    fits.then(|| micros.round() as u64)
}

/// Whether a time is written in whole seconds, without any part of one: there may be many at each second.
pub(super) fn is_whole(text: &str) -> bool {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    match text.parse::<u64>() {
        Ok(number) => number < UNIT_END,
        Err(_) => !text.contains(['.', ',']),
    }
}

/// A time in nanoseconds since 1970: RFC 3339 (without a zone it is UTC), nginx's, or seconds, milliseconds, microseconds
/// or nanoseconds since 1970, told apart by their size.
pub(super) fn instant(text: &str) -> Option<u64> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    let nanos = epoch(text).or_else(|| written(text))?;
    (nanos >= EARLIEST * 1_000_000_000).then_some(nanos)
}

fn written(text: &str) -> Option<u64> {
    let read = text.parse::<Timestamp>().ok();
    let read = read.or_else(|| {
        let plain = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC);
        Some(plain.ok()?.timestamp())
    });
    let read = read.or_else(|| {
        let parts = strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
        parts.to_timestamp().ok()
    });
    u64::try_from(read?.as_nanosecond()).ok()
}

fn epoch(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return None;
    }
    let mut number: u64 = whole.parse().ok()?;
    let mut unit: u64 = 1_000_000_000;
    let mut end = UNIT_END;
    while number >= end && unit > 1 {
        unit /= 1_000;
        end = end.saturating_mul(1_000);
    }
    number = number.checked_mul(unit)?;
    let mut rest = unit;
    for digit in part.bytes() {
        rest /= 10;
        number = number.checked_add(u64::from(digit - b'0') * rest)?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_time_is_the_same_time() {
        for text in [
            "2026-01-01T00:00:00.123456Z",
            "2026-01-01T01:00:00.123456+01:00",
            "2026-01-01 00:00:00.123456",
            "1767225600.123456",
            "1767225600123.456",
            "1767225600123456",
            "1767225600123456000",
        ] {
            assert_eq!(instant(text), Some(1_767_225_600_123_456_000), "{text}");
        }
        let nginx = instant("[01/Jan/2026:01:00:00 +0100]");
        assert_eq!(nginx, Some(1_767_225_600_000_000_000));
        for text in [
            "",
            "-",
            "0",
            "12",
            "yesterday",
            "1.2.3",
            "1970-01-01T00:00:00Z",
            "99999999999999999999",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_whole_only_where_no_part_of_a_second_can_be_written() {
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01 00:00:00",
            "01/Jan/2026:01:00:00 +0100",
            "1767225600",
        ] {
            assert!(is_whole(text) && instant(text).is_some(), "{text}");
        }
        for text in [
            "2026-01-01T00:00:00.000Z",
            "2026-01-01 00:00:00,000",
            "1767225600.0",
            "1767225600000",
            "1767225600000000",
        ] {
            assert!(!is_whole(text), "{text}");
        }
    }

    #[test]
    fn a_length_is_read_in_its_unit() {
        for (text, unit, micros_expected) in [
            ("5", Unit::Millis, 5_000),
            ("0.025", Unit::Seconds, 25_000),
            ("1.2e-5", Unit::Seconds, 12),
            ("12.5ms", Unit::Seconds, 12_500),
            ("350µs", Unit::Millis, 350),
            ("1500", Unit::Nanos, 2),
        ] {
            assert_eq!(micros(text, unit), Some(micros_expected), "{text}");
        }
        for text in ["", "-", "-1", "inf", "NaN", "1e30", "fast", "5 parsecs"] {
            assert_eq!(micros(text, Unit::Millis), None, "{text}");
        }
    }
}
