//! Rows as JSON. What HTML could take for markup is written with escapes, so that the page is harmless whoever shows it.

use crate::row::{Field, Row};

/// Writes a text with its quotes.
pub(crate) fn text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\0'..='\x1f' | '<' | '>' | '&' | '\x7f' => {
                let byte = character as u8;
                out.push_str("\\u00");
                out.push(digit(byte >> 4));
                out.push(digit(byte & 15));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// A hexadecimal digit.
pub(crate) const fn digit(half: u8) -> char {
    let begin = if half < 10 { b'0' } else { b'a' - 10 };
    begin.wrapping_add(half) as char
}

/// Bytes as hexadecimal digits.
#[inline(never)]
pub fn hex(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.map(digit).collect()
}

/// Writes a number.
pub(crate) fn number(out: &mut String, number: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = number;
    let mut begin = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.wrapping_add((rest % 10) as u8);
        rest /= 10;
        begin = place;
        if rest == 0 {
            break;
        }
    }
    let digits = digits.get(begin..).unwrap_or_default();
    out.extend(digits.iter().copied().map(char::from));
}

/// Writes a row as an object.
pub(crate) fn object(out: &mut String, row: &Row<'_>) {
    out.push('{');
    for (place, (name, field)) in row.fields().iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        text(out, name);
        out.push(':');
        match field {
            Field::Text(value) => text(out, value),
            Field::Number(value) => number(out, *value),
            Field::Row(row) => object(out, row),
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    proptest! {
        #[test]
        fn any_text_and_any_number_are_read_back_and_hold_nothing_of_html(word in any::<String>(), value in any::<u64>()) {
            let mut row = Row::default();
            row.text("text", &word);
            row.number("number", value);
            let mut inner = Row::default();
            inner.own("text", word.clone());
            row.row("row", inner);
            let mut out = String::new();
            object(&mut out, &row);
            prop_assert!(out.bytes().all(|byte| byte >= b' ' && !b"<>&\x7f".contains(&byte)));
            let read: Value = serde_json::from_str(&out).expect("JSON");
            prop_assert_eq!(&read["text"], &Value::from(word.as_str()));
            prop_assert_eq!(&read["row"]["text"], &Value::from(word.as_str()));
            prop_assert_eq!(&read["number"], &Value::from(value));
        }
    }

    #[test]
    fn a_number_has_all_its_digits() {
        for value in [0, 7, 10, 999, 1_000, u64::MAX] {
            let mut out = String::new();
            number(&mut out, value);
            assert_eq!(out, value.to_string());
        }
    }
}
