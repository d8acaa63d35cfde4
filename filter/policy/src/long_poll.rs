//! Long polls: requests whose upstream waits for something to happen before it answers. Their silence says nothing about it,
//! and how long they take is no latency.

use crate::path_pattern::Pattern;

/// Which requests are long polls, by what a policy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongPolls {
    /// Those to these paths.
    pub paths: Vec<Pattern>,
    /// Those of these routes, by name.
    pub routes: Vec<String>,
}

impl LongPolls {
    /// The most of both together.
    pub const MOST: usize = 16;

    /// Whether a request is one of them. Its target and the name of its route are asked for only where they can decide.
    pub fn matches<'a>(
        &self,
        target: impl FnOnce() -> Option<&'a [u8]>,
        route: impl FnOnce() -> Option<String>,
    ) -> bool {
        let by_path = !self.paths.is_empty()
            && target().is_some_and(|target| self.paths.iter().any(|path| path.matches(target)));
        let by_route =
            || !self.routes.is_empty() && route().is_some_and(|route| self.routes.contains(&route));
        by_path || by_route()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_path_or_a_route_is_enough_and_nothing_is_asked_for_that_cannot_decide() {
        let path = || Pattern {
            text: "/poll".to_owned(),
            prefix: false,
        };
        for (paths, routes, expected, asked) in [
            (0, 0, [false, false, false], 0),
            (1, 0, [true, false, false], 3),
            (0, 1, [false, true, false], 3),
            (1, 1, [true, true, false], 5),
        ] {
            let polls = LongPolls {
                paths: vec![path(); paths],
                routes: vec!["watch".to_owned(); routes],
            };
            let asks = Cell::new(0);
            let fits = |target: &'static str, route: &str| {
                let ask = || asks.set(asks.get() + 1);
                polls.matches(
                    || {
                        ask();
                        Some(target.as_bytes())
                    },
                    || {
                        ask();
                        Some(route.to_owned())
                    },
                )
            };
            let found = [
                fits("/poll?since=1", "other"),
                fits("/", "watch"),
                fits("/", "watching"),
            ];
            assert_eq!((found, asks.get()), (expected, asked), "{polls:?}");
        }
    }
}
