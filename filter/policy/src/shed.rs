//! Who goes first where there are fewer places than requests: four priorities, each with its share of the limit.
//!
//! The four are those of the SRE book (Beyer et al., "Site Reliability Engineering", 2016, chapter 21). A share bounds how
//! full the upstream may be for a request of that priority to get in, not how many of that priority are in it: so the
//! lower ones are refused first as it fills, and any of them may use it alone up to its share.

use crate::share::Share;

/// How much a request matters. The greatest is refused last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// May fail for hours.
    Sheddable,
    /// May fail for a while, and is tried again later.
    SheddablePlus,
    /// What users see; what is not told is this.
    #[default]
    Critical,
    /// What must not fail.
    CriticalPlus,
}

impl Priority {
    /// All, the least first.
    pub const ALL: [Self; 4] = [
        Self::Sheddable,
        Self::SheddablePlus,
        Self::Critical,
        Self::CriticalPlus,
    ];

    /// The name in configurations, headers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sheddable => "sheddable",
            Self::SheddablePlus => "sheddable_plus",
            Self::Critical => "critical",
            Self::CriticalPlus => "critical_plus",
        }
    }

    /// The priority of that name.
    pub fn named(name: &[u8]) -> Option<Self> {
        let same = |priority: &Self| priority.name().as_bytes() == name;
        Self::ALL.into_iter().find(same)
    }
}

/// Up to which share of the limit requests of a priority get in. The highest may fill the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Of [`Priority::Sheddable`].
    pub sheddable: Share,
    /// Of [`Priority::SheddablePlus`].
    pub sheddable_plus: Share,
    /// Of [`Priority::Critical`].
    pub critical: Share,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            sheddable: Share::percent(50),
            sheddable_plus: Share::percent(70),
            critical: Share::percent(90),
        }
    }
}

impl Shares {
    /// Of how many places a request of this priority may take the last one, where there are `limit`: rounded up, and at
    /// least one, so that every priority gets in where nothing is in flight.
    pub const fn places(&self, priority: Priority, limit: u32) -> u32 {
        let share = match priority {
            Priority::Sheddable => self.sheddable,
            Priority::SheddablePlus => self.sheddable_plus,
            Priority::Critical => self.critical,
            Priority::CriticalPlus => Share::ALL,
        };
        let scaled = (limit as u64).saturating_mul(share.as_basis_points() as u64);
        match scaled.div_ceil(10_000) {
            0 => 1,
            places => places as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_priority_never_has_more_places_and_each_has_one() {
        let shares = Shares::default();
        for limit in [0, 1, 2, 3, 7, 10, 99, 1_000, u32::MAX] {
            let places = Priority::ALL.map(|priority| shares.places(priority, limit));
            assert!(places.is_sorted() && places[0] >= 1, "{limit}: {places:?}");
            assert_eq!(places[3], limit.max(1));
        }
        let of_ten = Priority::ALL.map(|priority| shares.places(priority, 10));
        assert_eq!(of_ten, [5, 7, 9, 10]);
        let of_three = Priority::ALL.map(|priority| shares.places(priority, 3));
        assert_eq!(of_three, [2, 3, 3, 3], "rounded up");
    }

    #[test]
    fn names_are_read_back() {
        for priority in Priority::ALL {
            assert_eq!(Priority::named(priority.name().as_bytes()), Some(priority));
        }
        assert_eq!(Priority::named(b"Critical"), None);
    }
}
