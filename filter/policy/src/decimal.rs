//! Numbers as whole billionths: what a configuration and a report can hold, without floats.
//!
//! Nine decimals count and the rest is rounded, so that 0.1 is the same from a text and from a double, and that
//! 0.30000000000000004 is 0.3. Decimals are read by hand: the standard library's reader of floats is larger than all that
//! reads them here.

/// One, in billionths.
pub const ONE: u64 = 1_000_000_000;
/// More digits than these change nothing.
const MANTISSA_MAX: u64 = 100_000_000_000_000_000;

/// Reads `0.75`, `.5`, `1e-3` or `+2.` as billionths; nothing for what is negative or no number. What is too large is the
/// most there is, and what is above nothing is at least one.
pub fn billionths(text: &[u8]) -> Option<u64> {
    let mut rest = text.strip_prefix(b"+").unwrap_or(text);
    let (mut mantissa, mut exponent) = (0_u64, 9_i32);
    let (mut digits, mut point) = (false, false);
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'0'..=b'9' => {
                digits = true;
                if mantissa < MANTISSA_MAX {
                    let digit = u64::from(byte.wrapping_sub(b'0'));
                    mantissa = mantissa.saturating_mul(10).saturating_add(digit);
                    exponent = exponent.saturating_sub(i32::from(point));
                } else {
                    exponent = exponent.saturating_add(i32::from(!point));
                }
            }
            b'.' if !point => point = true,
            b'e' | b'E' if digits => {
                exponent = exponent.saturating_add(power(after)?);
                rest = &[];
                break;
            }
            _ => return None,
        }
        rest = after;
    }
    (digits && rest.is_empty()).then(|| scaled(mantissa, exponent))
}

/// A double in billionths; nothing for what is negative, infinite or no number. One product and one rounding, the same on
/// every machine.
pub fn of_double(value: f64) -> Option<u64> {
    // A conversion saturates.
    let rounded = (value * 1e9 + 0.5) as u64;
    (value.is_finite() && value >= 0.0).then(|| rounded.max(u64::from(value > 0.0)))
}

/// The power of ten behind an `e`; beyond what a double holds it is cut.
fn power(text: &[u8]) -> Option<i32> {
    const ENOUGH: i32 = 400;
    let (down, text) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if text.is_empty() {
        return None;
    }
    let mut power = 0_i32;
    for byte in text {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        power = power.saturating_mul(10).saturating_add(i32::from(digit));
    }
    let power = power.min(ENOUGH);
    Some(if down { power.saturating_neg() } else { power })
}

/// `mantissa * 10^exponent`, rounded and bounded.
fn scaled(mantissa: u64, exponent: i32) -> u64 {
    let (mut value, mut exponent) = (mantissa, exponent);
    while exponent > 0 && value > 0 && value < u64::MAX {
        value = value.saturating_mul(10);
        exponent = exponent.saturating_sub(1);
    }
    while exponent < 0 && value > 0 {
        let half = if exponent == -1 { 5 } else { 0 };
        value = value.saturating_add(half) / 10;
        exponent = exponent.saturating_add(1);
    }
    value.max(u64::from(mantissa > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nine_decimals_count() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7", Some(7 * ONE)),
            ("+0.1", Some(ONE / 10)),
            ("0.30000000000000004", Some(3 * ONE / 10)),
            (".5", Some(ONE / 2)),
            ("5.", Some(5 * ONE)),
            ("25E-4", Some(2_500_000)),
            ("0.000000000000000000000000001e+27", Some(ONE)),
            ("123456789012345678901234567890e-30", Some(123_456_789)),
            ("0.0000000015", Some(2)),
            ("1e-99999999999999999999", Some(1)),
            ("0e999", Some(0)),
            ("1e999", Some(u64::MAX)),
            (".", None),
            ("e1", None),
            ("1e", None),
            ("1e+", None),
            ("1.2.3", None),
            ("1x", None),
            ("+-1", None),
            ("-1", None),
            ("", None),
            ("0x1p3", None),
        ] {
            assert_eq!(billionths(text.as_bytes()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_text_and_a_double_say_the_same(whole in 0..u32::MAX, points in 0..10_000_u32) {
            let text = format!("{whole}.{points:04}");
            let double: f64 = text.parse().unwrap();
            let exact = u64::from(whole) * ONE + u64::from(points) * ONE / 10_000;
            prop_assert_eq!(billionths(text.as_bytes()), Some(exact));
            let written = of_double(double).unwrap();
            let bound = if points == 0 { 0 } else { u64::from(whole) / 1_000_000 + 1 };
            prop_assert!(written.abs_diff(exact) <= bound, "{written} {exact}");
            if whole <= 100_000 {
                prop_assert_eq!(written, exact);
            }
        }
    }
}
