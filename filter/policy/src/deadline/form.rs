//! The headers in which time that is left comes and goes.

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

    /// The time a header's value asks for; `None` if it asks for none or cannot be read. Where a header came several times,
    /// Envoy may have joined the values by commas: the smallest counts.
    pub fn read(&self, value: &[u8]) -> Option<Span> {
        let parts = value.split(|byte| *byte == b',');
        let times = parts.filter_map(|part| match self {
            Self::Grpc => grpc_timeout(part),
            Self::Expected | Self::Header(_) => millis(part),
        });
        times.min()
    }

    /// The time that all lines of this header together ask for: the smallest.
    pub fn least<'a>(&self, headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<Span> {
        let lines = headers.filter(|(name, _)| *name == self.name().as_bytes());
        lines.filter_map(|(_, value)| self.read(value)).min()
    }

    /// A value that asks for at most this time, but for one unit at least: to many 0 means that there is no limit.
    pub fn write(&self, left: Span) -> String {
        match self {
            Self::Grpc => grpc_text(left.max(Span::nanos(1))),
            Self::Expected | Self::Header(_) => text::written(left.as_millis().max(1)),
        }
    }

    /// What a later attempt has to say in this header, whose lines are among `headers`, where so much time is left;
    /// `None` if it may go as it is: it does not carry this header, or one that asks for no more.
    pub fn lessened<'a>(
        &self,
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        left: Span,
    ) -> Option<String> {
        let mut lines = headers.filter(|(name, _)| *name == self.name().as_bytes());
        let fits = |(_, value): (&[u8], &[u8])| self.read(value).is_some_and(|time| time <= left);
        let more = lines.find(|line| !fits(*line));
        more.map(|_| self.write(left))
    }
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

    #[test]
    fn of_several_lines_the_smallest_counts() {
        let all = |form: &Form, values: &[&str]| {
            let lines = values
                .iter()
                .map(|value| (form.name().as_bytes(), value.as_bytes()));
            form.least(lines.chain([(&b"x-other"[..], &b"1"[..])]))
        };
        let own = Form::of("x-left".to_owned());
        assert_eq!(all(&own, &["500", "20", "900"]), Some(Span::millis(20)));
        assert_eq!(all(&own, &["500,20 ,900"]), Some(Span::millis(20)));
        assert_eq!(all(&own, &["soon", "0", "7, "]), Some(Span::millis(7)));
        assert_eq!(all(&own, &["soon", "0", ""]), None);
        assert_eq!(all(&Form::Grpc, &["1S", "2m,3S"]), Some(Span::millis(2)));
        assert_eq!(all(&Form::Grpc, &[]), None);
    }

    #[test]
    fn a_later_attempt_says_what_is_left_then() {
        let left = Span::millis(120);
        for (form, lines, expected) in [
            (Form::Grpc, &["1S"][..], Some("120000u")),
            (Form::Grpc, &["100m"], None),
            (Form::Grpc, &[], None),
            // The router wrote the limit of an attempt, which is shorter.
            (Form::Expected, &["50"], None),
            (Form::Expected, &["120"], None),
            (Form::Expected, &["121"], Some("120")),
            (Form::Expected, &["50", "500"], Some("120")),
            (Form::Expected, &["0"], Some("120")),
            (Form::Expected, &["never"], Some("120")),
        ] {
            let lines = lines
                .iter()
                .map(|value| (form.name().as_bytes(), value.as_bytes()));
            let written = form.lessened(lines, left);
            assert_eq!(written.as_deref(), expected, "{form:?}");
        }
        let gone = |form: Form, value: &[u8]| {
            let line = (form.name().as_bytes(), value);
            form.lessened([line].into_iter(), Span::ZERO)
        };
        assert_eq!(gone(Form::Grpc, b"1S").as_deref(), Some("1n"));
        assert_eq!(gone(Form::Expected, b"9").as_deref(), Some("1"));
    }

    proptest! {
        #[test]
        fn what_goes_out_is_never_more_than_what_is_left(nanos in any::<u64>()) {
            let left = Span::nanos(nanos);
            for form in [Form::Grpc, Form::Expected] {
                let text = form.write(left);
                let read = form.read(text.as_bytes()).unwrap();
                let unit = if form == Form::Grpc { Span::nanos(1) } else { Span::millis(1) };
                prop_assert!(read > Span::ZERO && read <= left.max(unit), "{text}");
            }
            let text = grpc_text(left);
            prop_assert!(text.len() <= 9);
            let read = grpc_timeout(text.as_bytes()).unwrap();
            prop_assert!(left.as_nanos() - read.as_nanos() <= left.as_nanos() / 1_000);
        }
    }
}
