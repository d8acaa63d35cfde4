//! A kept answer's key: parts, each behind its length, so that no two lists of parts give the same bytes.
//!
//! Identical answers have identical key bytes and are compared in full. Values of headers stand in them as hashes of 128
//! bits under the process's key, so that no credential is in shared data in clear. A hash of the whole says only where to
//! look.

use super::Headers;
use crate::deadline::Form;
use crate::shared::process_key::ProcessKey;
use crate::text;

/// A longer key is not kept, in bytes. Browsers and servers stop at 8,000 for a URL; nobody needs half of it.
pub(super) const KEY_BYTES_MAX: usize = 4_096;
/// More names in all `Vary` lines together are too many.
pub(super) const VARY_MAX: usize = 8;
/// A longer name in a `Vary` is none that anybody sends, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Whose answers are kept apart from all others, whatever they say.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// The cluster.
    pub cluster: &'a str,
    /// What tells the way there apart, since two routes may rewrite one path to two, and one listener may be for fewer
    /// than another: the names of route, virtual host and filter chain, and the listener's port. Asked for where there is a key to make, since
    /// each costs a host call.
    pub place: &'a dyn Fn() -> [Vec<u8>; 4],
    /// Headers that carry a deadline: they differ from request to request, and no answer depends on them.
    pub deadlines: &'a [Form],
    /// The process's key, under which everything is hashed.
    pub secret: ProcessKey,
}

#[cfg(test)]
impl Scope<'static> {
    /// One for tests in which it is always the same.
    pub(super) const fn of_a_test() -> Self {
        Self {
            policy: "default",
            cluster: "shop",
            place: &|| [const { Vec::new() }; 4],
            deadlines: &[],
            secret: SECRET,
        }
    }
}

#[cfg(test)]
pub(super) const SECRET: ProcessKey = ProcessKey::from_bytes([7; 16]);

/// Puts parts together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts(Vec<u8>);

impl Parts {
    /// Nothing yet, with room for the key of a plain request.
    pub(super) fn of_a_key() -> Self {
        Self(Vec::with_capacity(256))
    }

    /// One part more.
    pub(super) fn add(&mut self, part: &[u8]) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(part);
    }

    /// All parts so far as one hash of 128 bits, whatever their length.
    pub(super) fn hashed(&self, secret: ProcessKey, purpose: &str) -> [u8; 16] {
        secret.hash128(purpose, &[&self.0])
    }

    /// How many bytes there are.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// One part more, in lower case.
    pub(super) fn add_lower(&mut self, part: &[u8]) {
        self.add(part);
        let start = self.0.len().saturating_sub(part.len());
        if let Some(added) = self.0.get_mut(start..) {
            added.make_ascii_lowercase();
        }
    }

    /// The bytes, if they are not too many.
    pub(super) fn bytes(self) -> Option<Vec<u8>> {
        (self.0.len() <= KEY_BYTES_MAX).then_some(self.0)
    }
}

/// Names that an answer's `Vary` lines hold: in lower case, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Varying(Vec<Vec<u8>>);

impl Varying {
    /// Adds what stands in one line; `false` if the answer may not be kept: a `*`, what is no name, too many names, or a
    /// name of which the upstream saw another value than stands in the request before us.
    pub(super) fn read(&mut self, line: &[u8]) -> bool {
        for name in line.split(|byte| *byte == b',') {
            let name = text::trimmed(name).to_ascii_lowercase();
            if name.is_empty() {
                continue;
            }
            let is_name = name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(byte));
            let rewritten = [&b"x-envoy-"[..], b"x-seawall-"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            if !is_name || rewritten || name.len() > NAME_BYTES_MAX {
                return false;
            }
            if let Err(place) = self.0.binary_search(&name) {
                self.0.insert(place, name);
            }
        }
        self.0.len() <= VARY_MAX
    }

    /// The names, and a hash of all values that a request has under each. Lines are kept apart: `a, b` in one and in two
    /// may mean the same, but then only an answer is not found.
    pub(super) fn of(&self, request: &dyn Headers, secret: ProcessKey) -> Option<Vec<u8>> {
        let mut parts = Parts::default();
        for wanted in &self.0 {
            parts.add(wanted);
            let mut values = Parts::default();
            request.each(&mut |name, value| {
                if text::equals_ignoring_case(name, wanted) {
                    values.add(value);
                }
            });
            parts.add(&values.hashed(secret, "stale vary"));
        }
        parts.bytes()
    }
}

/// Whether a request has all the values that stand in what [`Varying::of`] gave for another.
pub(super) fn is_same_variant(variant: &[u8], request: &dyn Headers, secret: ProcessKey) -> bool {
    let mut names = Varying::default();
    let mut rest = variant;
    while !rest.is_empty() {
        let Some((name, after)) = part(rest) else {
            return false;
        };
        let Some((_, after)) = part(after) else {
            return false;
        };
        names.0.push(name.to_vec());
        rest = after;
    }
    names.of(request, secret).is_some_and(|own| own == variant)
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(vary: &[&str], request: &[(&[u8], &[u8])]) -> Option<Vec<u8>> {
        let mut names = Varying::default();
        let fine = vary.iter().all(|line| names.read(line.as_bytes()));
        fine.then(|| names.of(&request, SECRET)).flatten()
    }

    #[test]
    fn parts_never_run_into_each_other() {
        let of = |list: &[&str]| {
            let mut parts = Parts::default();
            list.iter().for_each(|part| parts.add(part.as_bytes()));
            parts.bytes().unwrap()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", ""]), of(&["", "ab"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
    }

    #[test]
    fn a_variant_is_the_same_only_for_the_same_values_line_by_line() {
        let de: &[(&[u8], &[u8])] = &[(b"accept-language", b"de")];
        let kept = variant(&["Accept-Language, Origin"], de).unwrap();
        assert!(is_same_variant(&kept, &de, SECRET));
        assert_eq!(
            kept,
            variant(&["ORIGIN", ",accept-language,,Origin"], de).unwrap()
        );
        let others: [&[(&[u8], &[u8])]; 5] = [
            &[],
            &[(b"accept-language", b"en")],
            &[(b"accept-language", b"")],
            &[(b"accept-language", b"de"), (b"accept-language", b"de")],
            &[(b"accept-language", b"de"), (b"origin", b"")],
        ];
        for other in others {
            assert!(!is_same_variant(&kept, &other, SECRET), "{other:?}");
        }
        let shouted: &[(&[u8], &[u8])] = &[(b"ACCEPT-Language", b"de")];
        assert!(is_same_variant(&kept, &shouted, SECRET));
    }

    #[test]
    fn a_vary_that_cannot_be_followed_is_refused() {
        let many = "a,b,c,d,e,f,g,h";
        assert!(variant(&[many], &[]).is_some());
        for line in [
            "*",
            "accept, *",
            "a b",
            "\"accept\"",
            "accept;q=1",
            "\u{e9}",
            ":path",
            "x-seawall-priority",
            "X-Envoy-Attempt-Count",
            "a,b,c,d,e,f,g,h,i",
        ] {
            assert!(variant(&[line], &[]).is_none(), "{line}");
        }
        assert!(variant(&[&"n".repeat(65)], &[]).is_none());
        let long = [b'x'; KEY_BYTES_MAX];
        assert!(variant(&["a"], &[(b"a", &long)]).is_some(), "hashed");
    }

    #[test]
    fn no_value_stands_in_a_variant_in_clear() {
        let request: &[(&[u8], &[u8])] = &[(b"authorization", b"Bearer alice")];
        let bytes = variant(&["authorization"], request).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"alice"));
        let other = ProcessKey::from_bytes([8; 16]);
        assert!(is_same_variant(&bytes, &request, SECRET));
        assert!(!is_same_variant(&bytes, &request, other));
    }

    #[test]
    fn damaged_variants_fit_nobody() {
        let nobody: &[(&[u8], &[u8])] = &[];
        for damaged in [
            &b"\x01"[..],
            b"\x01\0\0\0",
            b"\xff\xff\xff\xffa",
            b"\x01\0\0\0a",
        ] {
            assert!(!is_same_variant(damaged, &nobody, SECRET), "{damaged:?}");
        }
    }
}
