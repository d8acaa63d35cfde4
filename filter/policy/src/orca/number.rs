//! Fractions of a whole as basis points, rounded to the nearest; what is above nothing is at least one.
//!
//! Decimals are read by hand: the standard library's reader of floats is larger than all of ORCA's forms together.

use super::POINTS_MAX;

/// More digits than these change nothing.
const MANTISSA_MAX: u64 = 100_000_000_000_000_000;

/// Reads `0.75`, `.5`, `1e-3` or `+2.`; nothing for what is negative or no number.
pub(super) fn decimal(text: &[u8]) -> Option<u32> {
    let mut rest = text.strip_prefix(b"+").unwrap_or(text);
    // Basis points are a fraction's ten thousandths.
    let (mut mantissa, mut exponent) = (0_u64, 4_i32);
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
fn scaled(mantissa: u64, exponent: i32) -> u32 {
    let some = mantissa > 0;
    let (mut points, mut exponent) = (mantissa, exponent);
    while exponent > 0 && points > 0 && points <= u64::from(POINTS_MAX) {
        points = points.saturating_mul(10);
        exponent = exponent.saturating_sub(1);
    }
    while exponent < 0 && points > 0 {
        let half = if exponent == -1 { 5 } else { 0 };
        points = points.saturating_add(half) / 10;
        exponent = exponent.saturating_add(1);
    }
    bounded(points, some)
}

/// A double as basis points; nothing for what is negative, infinite or no number. One product and one rounding, the same
/// on every machine.
pub(super) fn double(value: f64) -> Option<u32> {
    (value.is_finite() && value >= 0.0)
        // A conversion saturates.
        .then(|| bounded((value * 10_000.0 + 0.5) as u64, value > 0.0))
}

fn bounded(points: u64, some: bool) -> u32 {
    let points = points.clamp(u64::from(some), u64::from(POINTS_MAX));
    points as u32
}
