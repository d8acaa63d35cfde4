//! The two positions of the filter: before Envoy's router and behind it.

/// Where a root's streams stand, where its name says it: a call of the host less for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterPosition {
    /// Before the router.
    Downstream,
    /// Behind it.
    Upstream,
}

impl FilterPosition {
    /// The position of a root with this `root_id`; nothing where each stream has to tell.
    pub fn of_root(root_id: &[u8]) -> Option<Self> {
        match root_id {
            b"seawall-down" => Some(Self::Downstream),
            b"seawall-up" => Some(Self::Upstream),
            _ => None,
        }
    }
}
