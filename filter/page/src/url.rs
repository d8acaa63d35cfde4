//! Texts in a query: percent-encoding, both ways.

use crate::json::digit;
use crate::problem::Problem;

/// Writes a text so that it is one value of a query, whatever it holds.
pub(crate) fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(digit(byte >> 4).to_ascii_uppercase());
            out.push(digit(byte & 15).to_ascii_uppercase());
        }
    }
}

/// Reads a value of a query, of at most so many bytes: `%xx`, and `+` for a space, as forms and curl write it.
pub(crate) fn decode(value: &[u8], most: usize) -> Result<String, Problem> {
    // Nobody needs more than three bytes for one.
    if value.len() > most.saturating_mul(3) {
        return Err(Problem::TooLong);
    }
    let mut bytes = Vec::new();
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'+', _) => (b' ', after),
            (b'%', [high, low, after @ ..]) => {
                let half = |digit: &u8| char::from(*digit).to_digit(16).ok_or(Problem::Malformed);
                let byte = half(high)?.wrapping_mul(16).wrapping_add(half(low)?);
                (byte as u8, after)
            }
            (b'%', _) => return Err(Problem::Malformed),
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    if bytes.len() > most {
        return Err(Problem::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Problem::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_percent_encoding_is_malformed_and_what_is_too_long_is_refused() {
        for (value, expected) in [
            (&b"a+b%20c%2B"[..], Ok("a b c+")),
            (b"%e2%82%AC", Ok("\u{20ac}")),
            (b"", Ok("")),
            (b"%", Err(Problem::Malformed)),
            (b"%4", Err(Problem::Malformed)),
            (b"%zz", Err(Problem::Malformed)),
            (b"%+1", Err(Problem::Malformed)),
            (b"%ff", Err(Problem::Malformed)),
            (b"\xff", Err(Problem::Malformed)),
            (b"12345678", Ok("12345678")),
            (b"123456789", Err(Problem::TooLong)),
            (b"%31%32%33%34%35%36%37%38", Ok("12345678")),
            (b"%31%32%33%34%35%36%37%38%39", Err(Problem::TooLong)),
            (&[b'1'; 100_000], Err(Problem::TooLong)),
        ] {
            assert_eq!(
                decode(value, 8).as_deref(),
                expected.as_ref().copied(),
                "{value:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_is_one_value(text in any::<String>()) {
            let mut out = String::new();
            encode(&mut out, &text);
            prop_assert!(out.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            prop_assert_eq!(decode(out.as_bytes(), text.len()), Ok(text));
        }
    }
}
