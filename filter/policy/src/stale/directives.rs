//! Words in a header's value, for `Cache-Control` as it is written and not as it should be.
//!
//! Seen in the wild: `no-cache; no-store`, `private max-age=0`, a quote that never ends. A parser that follows the grammar
//! would find one unknown directive in the first. Here every run of letters, digits, `-` and `_` is a word, quoted or
//! not: a word that forbids is found wherever it stands, at the price of finding it where it was only an argument.

use crate::text;

/// One word, and what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    text: &'a [u8],
    /// Behind an equals sign that follows at once, and that is a word again; it comes once more as a word of its own.
    argument: Option<&'a [u8]>,
}

impl Word<'_> {
    /// Whether it is this word, in any case.
    pub(super) fn is(&self, word: &str) -> bool {
        text::equals_ignoring_case(self.text, word.as_bytes())
    }

    /// Whether it is one of these.
    pub(super) fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Its argument in seconds; what cannot be read is 0 (RFC 9111, 4.2.1: treat it as stale).
    pub(super) fn seconds(&self) -> u64 {
        self.argument.and_then(decimal).unwrap_or(0)
    }
}

/// All words of a value.
pub(super) fn words(value: &[u8]) -> impl Iterator<Item = Word<'_>> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| is_part(*byte))?;
        let (text, after) = run(rest.get(start..)?);
        rest = after;
        let argument = after.strip_prefix(b"=").map(|after| run(after).0);
        Some(Word { text, argument })
    })
}

/// The directives of a value as the grammar has them (RFC 9111, 5.2): a name, and its argument if it is a number. For what
/// permits something: only what is written as it should be counts, and nothing where a quote stands.
pub(super) fn directives(value: &[u8]) -> impl Iterator<Item = (&[u8], Option<u64>)> {
    let value = match value.contains(&b'"') {
        true => &[],
        false => value,
    };
    value.split(|byte| *byte == b',').map(|item| {
        let item = text::trimmed(item);
        let at = item.iter().position(|byte| *byte == b'=');
        let parted = at.and_then(|at| Some((item.get(..at)?, item.get(at.saturating_add(1)..)?)));
        match parted {
            Some((name, argument)) => (name, decimal(argument)),
            None => (item, None),
        }
    })
}

/// Whether a value is written in plain bytes, so that what was read in it is all there is to read.
pub(super) fn is_plain(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

/// A decimal number of nothing but digits; more than fits is the most that fits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = digits.iter().map(|digit| u64::from(digit & 0xf));
    Some(digits.fold(0, |sum: u64, digit| {
        sum.saturating_mul(10).saturating_add(digit)
    }))
}

const fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn run(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !is_part(*byte));
    let at = end.unwrap_or(bytes.len());
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_however_it_is_fenced() {
        for value in [
            "no-store",
            "max-age=1,NO-STORE",
            "no-cache; no-store",
            "private max-age=0 no-store",
            "a=\"b, no-store",
            ",,no-store,,",
            "x=no-store",
        ] {
            let found = words(value.as_bytes()).any(|word| word.is("no-store"));
            assert!(found, "{value}");
        }
        assert!(!words(b"no-stored, xno-store").any(|word| word.is("no-store")));
    }

    #[test]
    fn what_permits_counts_only_as_it_should_be_written() {
        let says = |value: &str, wanted: &str| {
            directives(value.as_bytes())
                .any(|(name, _)| text::equals_ignoring_case(name, wanted.as_bytes()))
        };
        for value in ["public", "max-age=1, Public", " public ,x", "x=1,public"] {
            assert!(says(value, "public"), "{value}");
        }
        for value in [
            "x=public",
            "a=\"b, public\"",
            "public; max-age=1",
            "public max-age=1",
            "publicly",
            "x-public",
            "public, a=\"b\"",
        ] {
            assert!(!says(value, "public"), "{value}");
        }
        let mut numbers = directives(b"s-maxage=60, stale-if-error=x");
        assert_eq!(numbers.next(), Some((&b"s-maxage"[..], Some(60))));
        assert_eq!(numbers.next(), Some((&b"stale-if-error"[..], None)));
    }

    #[test]
    fn an_argument_is_digits_or_nothing() {
        let seconds = |value: &'static str| {
            let mut found = words(value.as_bytes());
            found.find(|word| word.is("max-age")).unwrap().seconds()
        };
        assert_eq!(seconds("max-age=60"), 60);
        assert_eq!(seconds("Max-Age=060, x"), 60);
        assert_eq!(seconds("max-age=99999999999999999999999"), u64::MAX);
        for odd in [
            "max-age",
            "max-age=",
            "max-age= 60",
            "max-age=-1",
            "max-age=1x",
        ] {
            assert_eq!(seconds(odd), 0, "{odd}");
        }
    }
}
