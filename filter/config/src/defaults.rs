//! Defaults that yield: where a bound was written and the other one was not, the default follows what was written.
//!
//! Only two written values can contradict each other. So a default is never the reason why a configuration is refused.

/// A lower and an upper bound, each as it was written and with its default. What was written stands as it is.
pub(super) fn range<T: Copy + Ord>(lower: (Option<T>, T), upper: (Option<T>, T)) -> (T, T) {
    let least = match lower {
        (Some(written), _) => written,
        (None, default) => upper.0.map_or(default, |upper| default.min(upper)),
    };
    let most = match upper {
        (Some(written), _) => written,
        (None, default) => default.max(least),
    };
    (least, most)
}

/// Values that may not grow from one to the next, each as it was written and with its default: a default is brought
/// between the written ones before and behind it.
pub(super) fn falling<T: Copy + Ord, const N: usize>(values: [(Option<T>, T); N]) -> [T; N] {
    let mut fitted = values.map(|(written, default)| written.unwrap_or(default));
    let mut least = None;
    for ((written, _), value) in values.iter().zip(&mut fitted).rev() {
        least = least.max(*written);
        if written.is_none() {
            *value = least.map_or(*value, |least| (*value).max(least));
        }
    }
    let mut most: Option<T> = None;
    for ((written, _), value) in values.iter().zip(&mut fitted) {
        match (written, most) {
            (Some(written), before) => {
                most = Some(before.map_or(*written, |most| most.min(*written)));
            }
            (None, Some(most)) => *value = (*value).min(most),
            (None, None) => {}
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_stands_and_a_default_never_contradicts_it(
            lower in prop::option::of(0_u8..20), upper in prop::option::of(0_u8..20),
            usual in (0_u8..20, 0_u8..20),
        ) {
            let usual = (usual.0.min(usual.1), usual.0.max(usual.1));
            let (least, most) = range((lower, usual.0), (upper, usual.1));
            prop_assert_eq!(lower.unwrap_or(least), least);
            prop_assert_eq!(upper.unwrap_or(most), most);
            if lower.is_none() || upper.is_none() {
                prop_assert!(least <= most, "{} to {}", least, most);
            }
            if lower.is_none_or(|lower| lower <= usual.1) && upper.is_none() {
                prop_assert_eq!(most, usual.1, "a default that fits stays");
            }
        }

        #[test]
        fn falling_values_fall_where_the_written_ones_do(
            written in prop::array::uniform4(prop::option::of(0_u8..20)),
            mut usual in prop::array::uniform4(0_u8..20),
        ) {
            usual.sort_unstable_by(|a, b| b.cmp(a));
            let fitted = falling(std::array::from_fn(|index| (written[index], usual[index])));
            for (written, fitted) in written.iter().zip(fitted) {
                prop_assert_eq!(written.unwrap_or(fitted), fitted);
            }
            let said: Vec<u8> = written.iter().copied().flatten().collect();
            if said.is_sorted_by(|a, b| a >= b) {
                prop_assert!(fitted.is_sorted_by(|a, b| a >= b), "{:?}", fitted);
            }
            if said.is_empty() {
                prop_assert_eq!(fitted, usual);
            }
        }
    }
}
