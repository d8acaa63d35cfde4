//! A set of status codes, HTTP's or gRPC's.

/// Codes from 0 to 639, a bit each: asked of every response, so asking costs the same however many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codes([u64; Self::WORDS]);

impl Codes {
    const WORDS: usize = 10;
    /// No codes.
    pub const NONE: Self = Self([0; Self::WORDS]);

    /// All codes of these ranges, both ends included.
    pub fn of(ranges: &[(u16, u16)]) -> Self {
        let mut codes = Self::NONE;
        for (first, last) in ranges {
            codes.add(*first, *last);
        }
        codes
    }

    /// Adds the codes from `first` to `last`; those beyond 639 are nobody's.
    pub fn add(&mut self, first: u16, last: u16) {
        for code in first..=last.min(639) {
            if let Some(word) = self.0.get_mut(usize::from(code >> 6)) {
                *word |= 1 << (code & 63);
            }
        }
    }

    /// Whether this code is among them.
    pub fn has(&self, code: u16) -> bool {
        let word = self.0.get(usize::from(code >> 6)).copied();
        word.unwrap_or(0) >> (code & 63) & 1 != 0
    }

    /// These without others.
    pub fn without(mut self, others: &Self) -> Self {
        for (word, other) in self.0.iter_mut().zip(others.0) {
            *word &= !other;
        }
        self
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..640).filter(|code| self.has(*code))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_code_is_in_it_if_a_range_holds_it(
            ranges in prop::collection::vec((0_u16..640, 0_u16..640), 0..5),
            gone in (0_u16..640, 0_u16..640),
        ) {
            let codes = Codes::of(&ranges);
            let left = codes.without(&Codes::of(&[gone]));
            for code in 0..700 {
                let within = |(first, last): &(u16, u16)| (*first..=*last).contains(&code);
                prop_assert_eq!(codes.has(code), ranges.iter().any(within), "{}", code);
                prop_assert_eq!(left.has(code), codes.has(code) && !within(&gone), "{}", code);
            }
            prop_assert!(codes.iter().all(|code| codes.has(code)));
        }

        #[test]
        fn no_code_makes_it_panic(first in any::<u16>(), last in any::<u16>(), code in any::<u16>()) {
            prop_assert!(!Codes::of(&[(first, last)]).has(code.max(640)));
        }
    }
}
