//! What is known of a request when it is admitted.

use crate::direction::Direction;
use crate::priority::Priority;

/// Which policy a request gets, and what else must be known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PolicyMatch {
    /// Index of the policy.
    pub(crate) policy: usize,
    /// Whether it has a say in anything.
    pub(crate) governs: bool,
    /// Whether its route is part of the key.
    pub(crate) by_route: bool,
    /// Whether its authority is part of the key, and for how many authorities.
    pub(crate) by_authority: Option<u32>,
    /// The upstream's number, where the cluster alone names it and it was asked for before.
    pub(crate) upstream: Option<usize>,
}

/// What is known of one request when it is admitted.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionInput {
    /// The policy.
    pub(crate) selected: PolicyMatch,
    /// The cluster.
    pub(crate) cluster: String,
    /// A route or an authority that is part of the key.
    pub(crate) part: Option<(&'static str, String)>,
    /// By which listener, as far as anybody asked.
    pub(crate) direction: Direction,
    /// Whether its headers ended it, and its silence says something: it gets a verdict for sure.
    pub(crate) complete: bool,
    /// From its id, where its peer is believed; all others get one at random.
    pub(crate) draw: Option<u32>,
    /// Whether its peer is believed, as far as anybody asked.
    pub(crate) trusted: bool,
    /// How important it is.
    pub(crate) priority: Priority,
    /// Whose slots of the bulkhead it needs, where each value of a header has its own.
    pub(crate) tag: Option<u64>,
    /// Its connection, where its body is not complete and that counts.
    pub(crate) unfinished: Option<u64>,
    /// Whether neither bulkhead nor shedding has to do with it.
    pub(crate) exempt: bool,
}

impl AdmissionInput {
    /// What names an upstream, where no request asks to be admitted.
    pub(crate) const fn naming(
        selected: PolicyMatch,
        cluster: String,
        part: Option<(&'static str, String)>,
    ) -> Self {
        Self {
            selected,
            cluster,
            part,
            direction: Direction::Unasked,
            complete: false,
            draw: None,
            trusted: false,
            priority: Priority::Critical,
            tag: None,
            unfinished: None,
            exempt: false,
        }
    }

    /// A route or an authority that is part of the key, borrowed.
    pub(crate) fn part(&self) -> Option<(&'static str, &str)> {
        self.part
            .as_ref()
            .map(|(kind, part)| (*kind, part.as_str()))
    }
}
