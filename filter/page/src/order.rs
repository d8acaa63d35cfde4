//! What a POST asks: its query. No body is read, so that it can be answered when its headers are there.
//!
//! `policy=default&upstream=payments&do=open&for=10m&token=...`

use crate::problem::Problem;
use crate::url::decode;

/// No value is longer, in bytes.
pub const VALUE_MAX: usize = 512;
/// No query is.
const QUERY_MAX: usize = 8_192;
/// The parameters, in the order in which [`Order::read`] takes them.
const NAMES: [&str; 7] = [
    "policy",
    "upstream",
    "route",
    "authority",
    "do",
    "for",
    "token",
];

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Every request is refused for a time.
    Open,
    /// Every request passes for a time.
    Closed,
    /// Nothing is forced any more.
    Release,
    /// The same, and the breaker begins closed and empty.
    Reset,
}

impl Action {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Open, Self::Closed, Self::Release, Self::Reset];

    /// The word in a query, in metrics and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Release => "release",
            Self::Reset => "reset",
        }
    }

    /// Whether it is for a time.
    pub const fn lasts(self) -> bool {
        matches!(self, Self::Open | Self::Closed)
    }
}

/// What a POST asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The policy's name.
    pub policy: String,
    /// The cluster.
    pub upstream: String,
    /// The route, where the state is one route's.
    pub route: Option<String>,
    /// The authority, where the state is one authority's.
    pub authority: Option<String>,
    /// What is to be done.
    pub action: Action,
    /// For how long, as it was written; there where the action is for a time, and only there.
    pub lasts: Option<String>,
    /// The page's token, as it was sent.
    pub token: String,
}

impl Order {
    /// Reads a query.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline(never)]
    pub fn read(query: &[u8]) -> Result<Self, Problem> {
        if query.len() > QUERY_MAX {
            return Err(Problem::TooLong);
        }
        let mut found: [Option<String>; NAMES.len()] = Default::default();
        let pairs = query.split(|byte| *byte == b'&');
        for pair in pairs.filter(|_| !query.is_empty()) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next());
            let value = value.ok_or(Problem::Malformed)?;
            let mut slots = NAMES.iter().zip(&mut found);
            let known = slots.find(|(known, _)| known.as_bytes() == name);
            let (_, slot) = known.ok_or(Problem::Parameter)?;
            if slot.is_some() {
                return Err(Problem::Twice);
            }
            *slot = Some(decode(value, VALUE_MAX)?);
        }
        let [policy, upstream, route, authority, action, lasts, token] = found;
        let (Some(policy), Some(upstream), Some(action)) = (policy, upstream, action) else {
            return Err(Problem::Missing);
        };
        let mut actions = Action::ALL.into_iter();
        let named = actions.find(|known| known.name() == action);
        let action = named.ok_or(Problem::Action)?;
        if action.lasts() != lasts.is_some() {
            return Err(Problem::Time);
        }
        Ok(Self {
            policy,
            upstream,
            route,
            authority,
            action,
            lasts,
            token: token.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_says_all_of_it() {
        let read = Order::read(
            b"do=open&policy=p&for=10m&upstream=outbound%7C80%7C%7Ca+b&token=00ff&route=r",
        );
        let expected = Order {
            policy: "p".to_owned(),
            upstream: "outbound|80||a b".to_owned(),
            route: Some("r".to_owned()),
            authority: None,
            action: Action::Open,
            lasts: Some("10m".to_owned()),
            token: "00ff".to_owned(),
        };
        assert_eq!(read, Ok(expected));
        for action in Action::ALL {
            let lasts = if action.lasts() { "&for=1s" } else { "" };
            let query = format!("policy=p&upstream=u&do={}{lasts}", action.name());
            assert_eq!(
                Order::read(query.as_bytes()).map(|read| read.action),
                Ok(action)
            );
        }
    }

    #[test]
    fn whatever_else_a_query_says_is_refused_with_its_reason() {
        let long = "x".repeat(VALUE_MAX + 1);
        for (query, expected) in [
            (String::new(), Problem::Missing),
            ("policy=p&upstream=u".to_owned(), Problem::Missing),
            ("upstream=u&do=reset".to_owned(), Problem::Missing),
            ("policy=p&do=reset".to_owned(), Problem::Missing),
            (
                "policy=p&upstream=u&do=reset&by=me".to_owned(),
                Problem::Parameter,
            ),
            (
                "policy=p&upstream=u&do=reset&Do=open".to_owned(),
                Problem::Parameter,
            ),
            (
                "policy=p&upstream=u&%64o=reset".to_owned(),
                Problem::Parameter,
            ),
            (
                "policy=p&upstream=u&do=reset&do=reset".to_owned(),
                Problem::Twice,
            ),
            (
                "policy=p&policy=&upstream=u&do=reset".to_owned(),
                Problem::Twice,
            ),
            (
                "policy=p&upstream=u&do=reset&".to_owned(),
                Problem::Malformed,
            ),
            (
                "policy=p&&upstream=u&do=reset".to_owned(),
                Problem::Malformed,
            ),
            ("policy=p&upstream=u&do".to_owned(), Problem::Malformed),
            (
                "policy=%&upstream=u&do=reset".to_owned(),
                Problem::Malformed,
            ),
            (
                "policy=p&upstream=u%ff&do=reset".to_owned(),
                Problem::Malformed,
            ),
            (
                "policy=p&upstream=u&do=Open&for=1s".to_owned(),
                Problem::Action,
            ),
            ("policy=p&upstream=u&do=".to_owned(), Problem::Action),
            ("policy=p&upstream=u&do=open".to_owned(), Problem::Time),
            ("policy=p&upstream=u&do=closed".to_owned(), Problem::Time),
            (
                "policy=p&upstream=u&do=release&for=1s".to_owned(),
                Problem::Time,
            ),
            (
                "policy=p&upstream=u&do=reset&for=".to_owned(),
                Problem::Time,
            ),
            (
                format!("policy=p&upstream={long}&do=reset"),
                Problem::TooLong,
            ),
            (
                format!("policy=p&upstream=u&do=reset&token={long}"),
                Problem::TooLong,
            ),
            ("&".repeat(9_000), Problem::TooLong),
        ] {
            assert_eq!(Order::read(query.as_bytes()), Err(expected), "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_order_or_a_problem(query in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Order::read(&query);
        }

        #[test]
        fn any_name_comes_back_as_it_was(policy in any::<String>(), upstream in any::<String>()) {
            let mut query = "policy=".to_owned();
            crate::url::encode(&mut query, &policy);
            query.push_str("&upstream=");
            crate::url::encode(&mut query, &upstream);
            query.push_str("&do=reset");
            let fits = policy.len() <= VALUE_MAX && upstream.len() <= VALUE_MAX;
            let read = Order::read(query.as_bytes()).map(|read| (read.policy, read.upstream));
            prop_assert_eq!(read.ok(), fits.then_some((policy, upstream)));
        }
    }
}
