//! A path, or the beginning of one, as a policy writes it: `/healthz`, `/v1/watch/*`.

/// A path, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Without the `*` at its end.
    pub text: String,
    /// Whether there was one.
    pub prefix: bool,
}

impl Pattern {
    /// Whether it stands for the path of this request target; its query does not count.
    pub fn matches(&self, target: &[u8]) -> bool {
        let path = target.split(|byte| matches!(byte, b'?' | b'#')).next();
        path.is_some_and(|path| match self.prefix {
            true => path.starts_with(self.text.as_bytes()),
            false => path == self.text.as_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_exact_or_begins_so_and_the_query_does_not_count() {
        let fits = |text: &str, prefix, target: &str| {
            let text = text.to_owned();
            Pattern { text, prefix }.matches(target.as_bytes())
        };
        for (target, exact, begins) in [
            ("/poll", true, true),
            ("/poll?since=1", true, true),
            ("/poll#x", true, true),
            ("/poll/", false, true),
            ("/polls", false, true),
            ("/pol", false, false),
            ("/?/poll", false, false),
            ("*", false, false),
            ("", false, false),
        ] {
            assert_eq!(fits("/poll", false, target), exact, "{target}");
            assert_eq!(fits("/poll", true, target), begins, "{target}");
        }
    }
}
