//! Patterns in which `*` stands for any run of characters.

/// Whether `name` matches `pattern`, in which `*` stands for any run of characters, none included.
///
/// Linear in the product of both lengths at worst: the last star is the only one that is ever moved.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (name, mut parts) = (
        name.as_bytes(),
        pattern.as_bytes().split(|byte| *byte == b'*'),
    );
    let Some(first) = parts.next() else {
        return name.is_empty();
    };
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            match after(rest, middle) {
                Some(after) => rest = after,
                None => return false,
            }
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

/// What stands behind the first `part`. Names are short: the standard library's search would be a hundredth of the filter.
fn after<'a>(text: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        match rest.strip_prefix(part) {
            Some(after) => return Some(after),
            None => (_, rest) = rest.split_first()?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("*", "", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("*aa", "a", false),
            ("a*a", "a", false),
            (
                "outbound|443||payments.*",
                "outbound|443||payments.shop",
                true,
            ),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern:?} {name:?}");
        }
    }
}
