//! What the hosts of an upstream report, as one VM hears it: one number that no single host decides.
//!
//! A host may say what it likes: 990 %, by a fault or on purpose, or nearly nothing. So each counts with its last report, and
//! with no more than [`MOST`] of the threshold, which is enough to shed at full speed if all say so. Of three hosts or
//! more the highest and the lowest are left out of the mean; of two the lower counts.

use crate::time::Timestamp;

use super::FRESH;

/// The most hosts that are kept apart; beyond, the one that was silent for longest gives way.
pub const HOSTS_MAX: usize = 16;
/// What a report counts for at most, in hundredths of the threshold.
const MOST: u64 = 125;

/// The last report of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Host {
    id: u32,
    utilisation: u32,
    at: Timestamp,
}

/// The last reports of the hosts that reported of late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

impl Hosts {
    /// A host reports so many basis points where `threshold` are wanted at most; says what all hosts together do.
    pub fn report(&mut self, id: u32, utilisation: u32, threshold: u32, now: Timestamp) -> u32 {
        self.0
            .retain(|host| host.id != id && now.since(host.at) <= FRESH);
        if self.0.len() >= HOSTS_MAX {
            // They stand in the order in which they reported.
            self.0.remove(0);
        }
        let at = now;
        self.0.push(Host {
            id,
            utilisation,
            at,
        });
        self.together(threshold)
    }

    fn together(&self, threshold: u32) -> u32 {
        let most = u64::from(threshold).saturating_mul(MOST) / 100;
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let (mut lowest, mut highest, mut sum) = (u64::MAX, 0, 0_u64);
        for host in &self.0 {
            let value = u64::from(host.utilisation.min(most));
            (lowest, highest) = (lowest.min(value), highest.max(value));
            sum = sum.saturating_add(value);
        }
        // Of two the lower one, of more those between the lowest and the highest.
        let (aside, count) = match self.0.len() as u64 {
            count @ 0..=1 => (0, count),
            2 => (highest, 1),
            more => (lowest.saturating_add(highest), more.saturating_sub(2)),
        };
        let mean = sum.saturating_sub(aside).checked_div(count).unwrap_or(0);
        u32::try_from(mean).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use proptest::prelude::*;

    const THRESHOLD: u32 = 8_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::nanos(1_000_000_000).after(Span::millis(millis))
    }

    fn together(reports: &[u32]) -> u32 {
        let mut hosts = Hosts::default();
        let all = (0..)
            .zip(reports)
            .map(|(id, said)| hosts.report(id, *said, THRESHOLD, at(0)));
        all.last().unwrap_or(0)
    }

    #[test]
    fn the_highest_and_the_lowest_do_not_count_and_none_counts_for_too_much() {
        for (reports, expected) in [
            (&[5_000][..], 5_000),
            (&[99_000], 10_000),
            (&[99_000, 5_000], 5_000),
            (&[1, 9_000], 1),
            (&[99_000, 5_000, 1], 5_000),
            (&[9_000, 99_000, 9_500, 9_100], 9_300),
            (
                &[
                    5_000, 5_000, 5_000, 5_000, 5_000, 5_000, 5_000, 5_000, 5_000, 99_000,
                ],
                5_000,
            ),
            (&[1, 9_000, 9_000, 9_000, 9_000], 9_000),
            // Two of ten are not enough either, where the others are well.
            (
                &[
                    6_000, 6_000, 6_000, 6_000, 6_000, 6_000, 6_000, 6_000, 99_000, 99_000,
                ],
                6_500,
            ),
        ] {
            assert_eq!(together(reports), expected, "{reports:?}");
        }
    }

    #[test]
    fn the_last_report_of_a_host_counts_as_long_as_it_is_fresh() {
        let mut hosts = Hosts::default();
        assert_eq!(hosts.report(1, 9_000, THRESHOLD, at(0)), 9_000);
        assert_eq!(hosts.report(1, 5_000, THRESHOLD, at(10)), 5_000);
        assert_eq!(hosts.report(2, 9_000, THRESHOLD, at(20)), 5_000);
        let later = 11 + FRESH.as_millis();
        assert_eq!(
            hosts.report(2, 9_000, THRESHOLD, at(later)),
            9_000,
            "one is silent"
        );
    }

    proptest! {
        #[test]
        fn no_single_host_decides_and_there_are_not_too_many(
            said in prop::collection::vec(0_u32..12_000, 2..40),
            liar in any::<u32>(),
        ) {
            let mut hosts = Hosts::default();
            for (id, utilisation) in (0..).zip(&said) {
                hosts.report(id, *utilisation, THRESHOLD, at(0));
                prop_assert!(hosts.0.len() <= HOSTS_MAX);
            }
            let kept = said.iter().rev().take(HOSTS_MAX - 1).copied();
            let (low, high) = (kept.clone().min().unwrap(), kept.max().unwrap());
            let together = hosts.report(u32::MAX, liar, THRESHOLD, at(0));
            // Whatever it says, the result lies among what the others say.
            prop_assert!(together <= high);
            prop_assert!(together >= low.min(10_000) || said.len() < 2);
        }
    }
}
