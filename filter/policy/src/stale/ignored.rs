//! The headers of which a policy says that they shape no response: `stale.ignore_headers`.

use super::rules::{is_a_key, is_credential};

/// The most names that a policy may list.
pub const IGNORED_MAX: usize = 32;

/// Names in lower case; one with `*` at its end stands for all that begin so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(Vec<Vec<u8>>);

/// Why a name may not be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlistable {
    /// It is no name, or a pattern with a `*` elsewhere than at its end.
    #[error("write a header's name, or the beginning of one with \"*\" behind it")]
    NoName,
    /// It is one of those that say who asks.
    #[error(
        "says who asks, and decides who may see a response: it cannot be ignored (\"authorized\" and \"cookies\" keep such \
         responses, each for the same credentials alone)"
    )]
    Credential,
}

impl Ignored {
    /// No names.
    pub const NONE: Self = Self(Vec::new());

    /// Adds a name or a pattern.
    ///
    /// # Errors
    /// Why it may not be listed.
    pub fn add(&mut self, name: &str) -> Result<(), Unlistable> {
        const NEVER: [&[u8]; 5] = [
            b"authorization",
            b"cookie",
            b"cookie2",
            b"proxy-authorization",
            b"set-cookie",
        ];
        let name = name.to_ascii_lowercase().into_bytes();
        let plain = name.strip_suffix(b"*").unwrap_or(&name);
        let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(byte);
        if plain.is_empty() || !plain.iter().all(letter) {
            return Err(Unlistable::NoName);
        }
        let covers = |never: &&[u8]| matches(&name, never);
        if NEVER.iter().any(covers) || is_credential(plain) || is_a_key(plain) {
            return Err(Unlistable::Credential);
        }
        if let Err(place) = self.0.binary_search(&name) {
            self.0.insert(place, name);
        }
        Ok(())
    }

    /// Whether a name, in lower case, is listed.
    pub(super) fn holds(&self, name: &[u8]) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }

    /// All names, so that two lists never have the same: they are part of a key.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_itself_and_a_pattern_for_all_that_begin_so() {
        let mut ignored = Ignored::default();
        for name in ["X-Real-IP", "accept*", "accept*"] {
            assert_eq!(ignored.add(name), Ok(()), "{name}");
        }
        for (name, held) in [
            ("x-real-ip", true),
            ("x-real-ip2", false),
            ("x-real", false),
            ("accept", true),
            ("accept-language", true),
            ("acc", false),
        ] {
            assert_eq!(ignored.holds(name.as_bytes()), held, "{name}");
        }
        assert_eq!(ignored.names().count(), 2, "each once");
    }

    #[test]
    fn what_says_who_asks_and_what_is_no_name_cannot_be_listed() {
        let add = |name: &str| Ignored::default().add(name);
        for name in [
            "authorization",
            "Authorization",
            "cookie",
            "set-cookie",
            "proxy-authorization",
            "a*",
            "auth*",
            "C*",
            "set-*",
            "x-api-key",
            "x-session-*",
            "x-functions-key",
        ] {
            assert_eq!(add(name), Err(Unlistable::Credential), "{name}");
        }
        for name in ["", "*", "x*y", "x**", ":path", "a b", "\u{e9}", "a,b"] {
            assert_eq!(add(name), Err(Unlistable::NoName), "{name}");
        }
        for name in ["x-forwarded-for", "accept*", "x-*", "user-agent"] {
            assert_eq!(add(name), Ok(()), "{name}");
        }
    }
}
