//! How important a request is: four levels, by the names of Google's SRE book ("Handling Overload").
//!
//! A level comes by a header from peers that are trusted, from the route's metadata, or from the policy. Who is not
//! trusted may make his request less important than the policy has it, never more.

/// How important a request is, the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// What must work even when hardly anything does.
    CriticalPlus,
    /// What users see.
    Critical,
    /// What may be late: batches that are tried again.
    SheddablePlus,
    /// What may be left out.
    Sheddable,
}

impl Priority {
    /// All of them, the most important first.
    pub const ALL: [Self; 4] = [
        Self::CriticalPlus,
        Self::Critical,
        Self::SheddablePlus,
        Self::Sheddable,
    ];

    /// The name in headers, metadata and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CriticalPlus => "critical_plus",
            Self::Critical => "critical",
            Self::SheddablePlus => "sheddable_plus",
            Self::Sheddable => "sheddable",
        }
    }

    /// By its name.
    pub fn named(name: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|priority| priority.name().as_bytes() == name)
    }

    /// Its place, 0 for the most important.
    pub const fn rank(self) -> u8 {
        self as u8
    }

    /// By its place; whatever is beyond the last is the last.
    pub fn of_rank(rank: u8) -> Self {
        let known = Self::ALL.get(usize::from(rank)).copied();
        known.unwrap_or(Self::Sheddable)
    }
}

/// Where a request's level is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The header, in lower case.
    pub header: String,
    /// Of a request that says nothing.
    pub default: Priority,
}

impl Settings {
    /// The header where the configuration names none; Seawall writes it for those who come after.
    pub const HEADER: &'static str = "x-seawall-priority";

    /// The level of a request: `said` is what its header says, `kept` what was kept of the request that caused it,
    /// `route` what the route's metadata says.
    pub fn level(
        &self,
        said: Option<Priority>,
        trusted: bool,
        kept: Option<Priority>,
        route: Option<Priority>,
    ) -> Priority {
        let own = kept.or(route).unwrap_or(self.default);
        match said {
            Some(said) if trusted => said,
            Some(said) => said.max(own),
            None => own,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            header: Self::HEADER.to_owned(),
            default: Priority::Critical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Critical, CriticalPlus, Sheddable, SheddablePlus};

    #[test]
    fn names_and_ranks_go_both_ways() {
        for (rank, priority) in (0..).zip(Priority::ALL) {
            assert_eq!(Priority::named(priority.name().as_bytes()), Some(priority));
            assert_eq!(Priority::of_rank(priority.rank()), priority);
            assert_eq!(priority.rank(), rank);
        }
        assert_eq!(Priority::named(b"CRITICAL"), None);
        assert_eq!(Priority::of_rank(200), Sheddable);
    }

    #[test]
    fn nobody_who_is_not_trusted_raises_his_own_request() {
        let settings = Settings::default();
        for said in Priority::ALL {
            assert!(settings.level(Some(said), false, None, None) >= Critical);
            assert_eq!(settings.level(Some(said), true, None, None), said);
        }
        let lowered = settings.level(Some(Sheddable), false, None, None);
        assert_eq!(lowered, Sheddable);
        let route = settings.level(Some(CriticalPlus), false, None, Some(SheddablePlus));
        assert_eq!(route, SheddablePlus);
    }

    #[test]
    fn what_caused_the_request_counts_before_the_route_and_the_route_before_the_policy() {
        let settings = Settings::default();
        assert_eq!(settings.level(None, false, None, None), Critical);
        assert_eq!(
            settings.level(None, false, None, Some(Sheddable)),
            Sheddable
        );
        let kept = settings.level(None, false, Some(CriticalPlus), Some(Sheddable));
        assert_eq!(kept, CriticalPlus);
    }
}
