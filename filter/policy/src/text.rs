//! What is asked of texts in many places, once.
//!
//! The standard library's searches, splits and numbers are generic: each use of them is some hundred bytes of the module, and
//! those for whole words bring 2 KB more. What is read here is ASCII.

/// A decimal number of nothing but digits, a plus sign before them aside; nothing if it is more than fits.
#[inline(never)]
pub fn number(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let mut number = 0_u64;
    for byte in digits {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!digits.is_empty()).then_some(number)
}

/// A number in decimal digits.
#[inline(never)]
pub fn written(number: u64) -> String {
    number.to_string()
}

/// A text without the spaces around it.
#[inline(never)]
pub fn trimmed(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// Whether two texts are the same in any case.
#[inline(never)]
pub fn equals_ignoring_case(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// What stands before and behind the first of a character in ASCII.
#[inline(never)]
pub fn parted(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..place)?, text.get(place.saturating_add(1)..)?))
}

/// Words with something between them.
#[inline(never)]
pub fn join(words: &[&str], between: &str) -> String {
    let each = |word: &&str| word.len().saturating_add(between.len());
    let mut text = String::with_capacity(words.iter().map(each).sum());
    for word in words {
        if !text.is_empty() {
            text.push_str(between);
        }
        text.push_str(word);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_digits_that_fit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("+7", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("184467440737095516150", None),
            ("", None),
            ("+", None),
            ("-1", None),
            ("1 ", None),
            ("1e1", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn they_say_what_the_standard_library_says(text in "[+0-9a,: ]{0,22}", other in "[aA ]{0,3}") {
            prop_assert_eq!(number(text.as_bytes()), text.parse::<u64>().ok());
            prop_assert_eq!(parted(&text, b':'), text.split_once(':'));
            prop_assert_eq!(trimmed(text.as_bytes()), text.trim().as_bytes());
            prop_assert_eq!(equals_ignoring_case(text.as_bytes(), other.as_bytes()), text.eq_ignore_ascii_case(&other));
            let words: Vec<&str> = text.split(',').filter(|word| !word.is_empty()).collect();
            prop_assert_eq!(join(&words, ", "), words.join(", "));
        }
    }
}
