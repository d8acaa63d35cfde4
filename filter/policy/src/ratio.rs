//! A share of a whole in basis points: an integer, so that records and decisions are exact on every machine.

use std::fmt;

/// A share between nothing and all, in basis points (1/100 of a percent).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The whole.
    pub const ALL: Self = Self(10_000);

    /// `percent` of the whole; more than 100 is the whole.
    pub const fn percent(percent: u16) -> Self {
        Self::basis_points(percent.saturating_mul(100))
    }

    /// `points` basis points; more than 10,000 is the whole.
    pub const fn basis_points(points: u16) -> Self {
        Self(if points > 10_000 { 10_000 } else { points })
    }

    /// The share in basis points, 0 to 10,000.
    pub const fn as_basis_points(self) -> u16 {
        self.0
    }

    /// Whether `part` of `whole` is at least this share; never for an empty whole.
    pub const fn is_reached_by(self, part: u32, whole: u32) -> bool {
        let reached = (part as u64).saturating_mul(10_000);
        let needed = (whole as u64).saturating_mul(self.0 as u64);
        whole > 0 && reached >= needed
    }

    /// Whether a draw, uniform over all of `u32`, falls into this share.
    pub const fn samples(self, draw: u32) -> bool {
        // The draw is scaled down to 0..10_000; a share of 0 takes none and a share of 10,000 takes all.
        ((draw as u64).saturating_mul(10_000) >> 32) < self.0 as u64
    }
}

/// Draws for what else is decided about a request than whether its policy is enforced for it.
pub const RAMP: u32 = 0;
/// Whether it is shed for its upstream's reports.
pub const LOAD: u32 = 1;
/// When it may come again.
pub const RETRY_AFTER: u32 = 2;

/// A draw for another concern of the same request, so that who is chosen for one thing is not thereby chosen for another:
/// the finaliser of MurmurHash3.
pub const fn derive(draw: u32, concern: u32) -> u32 {
    let draw = draw ^ concern.wrapping_mul(0x9e37_79b9);
    let draw = (draw ^ (draw >> 16)).wrapping_mul(0x85eb_ca6b);
    let draw = (draw ^ (draw >> 13)).wrapping_mul(0xc2b2_ae35);
    draw ^ (draw >> 16)
}

/// What a policy does with a request that it would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Refuses this share of them, chosen by a draw; marks the rest.
    Enforce(Share),
    /// Marks them.
    Shadow,
}

impl Enforcement {
    /// Whether a request with this draw is refused, and not only marked.
    pub const fn refuses(self, draw: u32) -> bool {
        match self {
            Self::Enforce(share) => share.samples(draw),
            Self::Shadow => false,
        }
    }
}

impl fmt::Display for Share {
    /// In percent with as many decimals as needed: `50 %`, `12.5 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match (hundredths, hundredths % 10) {
            (0, _) => write!(f, "{whole} %"),
            (_, 0) => write!(f, "{whole}.{} %", hundredths / 10),
            _ => write!(f, "{whole}.{hundredths:02} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_reached_at_equality_and_never_by_nothing() {
        assert!(Share::percent(50).is_reached_by(10, 20));
        assert!(!Share::percent(50).is_reached_by(9, 20));
        assert!(!Share::percent(50).is_reached_by(0, 0));
        assert!(Share::percent(50).is_reached_by(u32::MAX, u32::MAX));
    }

    #[test]
    fn a_share_takes_its_part_of_the_draws_and_the_ends_are_exact() {
        assert!(!Share::NONE.samples(0));
        assert!(Share::ALL.samples(u32::MAX));
        let taken = (0..10_000_u32)
            .filter(|i| Share::percent(5).samples(i * (u32::MAX / 10_000)))
            .count();
        assert!((499..=501).contains(&taken), "{taken}");
    }

    #[test]
    fn a_share_is_written_in_percent() {
        assert_eq!(Share::percent(50).to_string(), "50 %");
        assert_eq!(Share::basis_points(1_250).to_string(), "12.5 %");
        assert_eq!(Share::basis_points(1_205).to_string(), "12.05 %");
    }

    #[test]
    fn draws_for_different_concerns_have_nothing_to_do_with_each_other() {
        // Of the twentieth that one concern chooses, another one chooses a twentieth.
        let share = Share::percent(5);
        let draws = || (0..200_000_u32).map(|number| derive(number, 77));
        for (one, other) in [(RAMP, LOAD), (LOAD, RETRY_AFTER), (RAMP, RETRY_AFTER)] {
            let both = draws().filter(|draw| {
                share.samples(derive(*draw, one)) && share.samples(derive(*draw, other))
            });
            let both = both.count();
            assert!((400..=600).contains(&both), "{one}, {other}: {both}");
            let enforced =
                draws().filter(|draw| share.samples(*draw) && share.samples(derive(*draw, one)));
            let enforced = enforced.count();
            assert!((400..=600).contains(&enforced), "{one}: {enforced}");
        }
    }
}
