//! Why a POST is not done: a name for metrics, a status, and a sentence that says what would be right.

/// Why a POST is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A browser sent it for another site.
    CrossSite,
    /// A browser sent it to a name, over plain HTTP: another site may have that name point here.
    Name,
    /// Its peer may read the page, and no more.
    Reader,
    /// Its peer is known by an address alone, and did not send the page's token.
    Token,
    /// The query cannot be read.
    Malformed,
    /// Something in the query is too long.
    TooLong,
    /// A parameter that does not exist.
    Parameter,
    /// A parameter stands there twice.
    Twice,
    /// `policy`, `upstream` or `do` is missing.
    Missing,
    /// `do` is none of its words.
    Action,
    /// `for` is missing, no time, out of bounds, or not for this action.
    Time,
    /// `route` or `authority` do not fit the policy.
    Part,
    /// There is no such policy.
    Policy,
    /// This process has no state for that upstream.
    Upstream,
    /// The breaker is off.
    Off,
    /// It could not be stored.
    Unstored,
}

impl Problem {
    /// Every one.
    pub const ALL: [Self; 16] = [
        Self::CrossSite,
        Self::Name,
        Self::Reader,
        Self::Token,
        Self::Malformed,
        Self::TooLong,
        Self::Parameter,
        Self::Twice,
        Self::Missing,
        Self::Action,
        Self::Time,
        Self::Part,
        Self::Policy,
        Self::Upstream,
        Self::Off,
        Self::Unstored,
    ];

    /// The label in metrics, and the word in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrossSite => "cross_site",
            Self::Name => "name",
            Self::Reader => "reader",
            Self::Token => "token",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Parameter => "parameter",
            Self::Twice => "twice",
            Self::Missing => "missing",
            Self::Action => "action",
            Self::Time => "time",
            Self::Part => "part",
            Self::Policy => "policy",
            Self::Upstream => "upstream",
            Self::Off => "off",
            Self::Unstored => "unstored",
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::CrossSite | Self::Name | Self::Reader | Self::Token => 403,
            Self::Policy | Self::Upstream => 404,
            Self::Off => 409,
            Self::Unstored => 503,
            _ => 400,
        }
    }

    /// What is wrong, and what would be right.
    #[inline(never)]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::CrossSite => "sent by a page of another site; open the state page itself",
            Self::Name => {
                "a browser must ask for an IP address, localhost or https: another site can let its name point here"
            }
            Self::Reader => "you may read this page; page.force does not list you",
            Self::Token => {
                "token is missing or not this process's for your address: read it from the state page"
            }
            Self::Malformed => "write name=value&name=value with percent-encoding, in UTF-8",
            Self::TooLong => "a value may have 512 bytes",
            Self::Parameter => {
                "the parameters are policy, upstream, route, authority, do, for and token"
            }
            Self::Twice => "write each parameter once",
            Self::Missing => "write policy, upstream and do into the query; a body is not read",
            Self::Action => "do is open, closed, release or reset",
            Self::Time => {
                "with open and closed write for, such as 10m, from 1s to 24h; without for otherwise"
            }
            Self::Part => {
                "write route where the policy has a state for each route, authority where it has one for each authority"
            }
            Self::Policy => "no policy has this name",
            Self::Upstream => {
                "this process has no state for it under that policy: no request has come yet, or it is misspelt"
            }
            Self::Off => "the policy's breaker is off: it is not asked, and cannot be forced",
            Self::Unstored => "it could not be stored; try again",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_a_name_of_its_own_and_the_status_of_an_error() {
        let names: BTreeSet<_> = Problem::ALL.iter().map(|problem| problem.name()).collect();
        assert_eq!(names.len(), Problem::ALL.len());
        for problem in Problem::ALL {
            assert!((400..=599).contains(&problem.status()), "{problem:?}");
            assert!(problem.sentence().is_ascii());
        }
    }
}
