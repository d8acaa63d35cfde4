//! Which hosts of an upstream were seen, and which of them failed: what host grace needs to know.
//!
//! Time is counted in ticks: slices of a time window, verdicts of a count window. Sixteen hosts are tracked; when more
//! are at work, a failing one takes the place of a healthy one, so that a failing host is never overlooked. With more
//! than sixteen failing hosts all tracked ones fail, and that is no minority.

/// How many hosts are tracked.
pub const TRACKED: usize = 16;

/// A host by a hash of its address; 0 stands for none.
pub type HostId = u32;

/// One tracked host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) id: HostId,
    /// Tick of its last verdict.
    pub(crate) seen: u32,
    /// Tick of its last failure.
    pub(crate) failed: Option<u32>,
}

/// The hosts of one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    pub(crate) tracked: [Host; TRACKED],
}

/// Ticks wrap; an age is the way from one to the other.
fn is_recent(tick: u32, now: u32, horizon: u32) -> bool {
    now.wrapping_sub(tick) < horizon
}

impl Hosts {
    /// One verdict of a host at tick `now`; what is `horizon` ticks old may be forgotten.
    pub fn note(&mut self, id: HostId, failed: bool, now: u32, horizon: u32) {
        if id == 0 {
            return;
        }
        let Some(place) = self.place(id, failed, now, horizon) else {
            return;
        };
        if place.id != id {
            *place = Host {
                id,
                seen: now,
                failed: None,
            };
        }
        place.seen = now;
        if failed {
            place.failed = Some(now);
        }
    }

    /// Whether the failures within the horizon come from under half of the hosts seen in it, of two or more.
    pub fn minority_fails(&self, now: u32, horizon: u32) -> bool {
        let mut seen: u32 = 0;
        let mut failing: u32 = 0;
        for host in self.known() {
            let failed = host
                .failed
                .is_some_and(|tick| is_recent(tick, now, horizon));
            seen = seen.saturating_add(u32::from(is_recent(host.seen, now, horizon)));
            failing = failing.saturating_add(u32::from(failed));
        }
        seen >= 2 && failing >= 1 && failing.saturating_mul(2) < seen
    }

    /// Whether any tracked host failed within the horizon.
    pub fn any_failed(&self, now: u32, horizon: u32) -> bool {
        let recent = |tick| is_recent(tick, now, horizon);
        self.known()
            .iter()
            .any(|host| host.failed.is_some_and(recent))
    }

    /// The hosts that are tracked. Places are taken from the front and never given up, so what is free comes last.
    pub(crate) fn known(&self) -> &[Host] {
        let free = self.tracked.iter().position(|host| host.id == 0);
        self.tracked
            .get(..free.unwrap_or(TRACKED))
            .unwrap_or_default()
    }

    /// Where this host stands or may stand: its own place, a free one, a forgotten one; for a failing host also that of
    /// the healthy host that was seen longest ago.
    fn place(&mut self, id: HostId, failed: bool, now: u32, horizon: u32) -> Option<&mut Host> {
        let rank = |host: &Host| {
            let age = now.wrapping_sub(host.seen);
            match host {
                host if host.id == id => Some((0, 0)),
                host if host.id == 0 => Some((1, 0)),
                _ if age >= horizon => Some((2, 0)),
                host if failed && host.failed.is_none() => Some((3, u32::MAX.wrapping_sub(age))),
                _ => None,
            }
        };
        self.tracked
            .iter_mut()
            .filter_map(|host| rank(host).map(|rank| (rank, host)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, host)| host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(verdicts: &[(HostId, bool)]) -> Hosts {
        let mut hosts = Hosts::default();
        for (id, failed) in verdicts {
            hosts.note(*id, *failed, 5, 10);
        }
        hosts
    }

    #[test]
    fn a_minority_is_under_half_of_two_or_more() {
        assert!(hosts(&[(1, true), (2, false), (3, false)]).minority_fails(5, 10));
        assert!(!hosts(&[(1, true), (2, false)]).minority_fails(5, 10));
        assert!(!hosts(&[(1, true)]).minority_fails(5, 10));
        assert!(!hosts(&[(1, true), (2, true), (3, false)]).minority_fails(5, 10));
        assert!(!hosts(&[]).minority_fails(5, 10));
    }

    #[test]
    fn what_left_the_window_is_forgotten() {
        let hosts = hosts(&[(1, true), (2, false), (3, false)]);
        assert!(hosts.minority_fails(14, 10) && hosts.any_failed(14, 10));
        assert!(!hosts.any_failed(15, 10));
        assert!(!hosts.minority_fails(15, 10));
    }

    #[test]
    fn the_ticks_may_wrap() {
        let mut hosts = Hosts::default();
        for id in 1..=3 {
            hosts.note(id, id == 1, u32::MAX, 10);
        }
        assert!(hosts.minority_fails(3, 10));
    }

    #[test]
    fn a_failing_host_is_tracked_even_when_a_hundred_healthy_ones_came_first() {
        let mut hosts = Hosts::default();
        for id in 1..=100 {
            hosts.note(id, false, 1, 10);
        }
        hosts.note(101, true, 1, 10);
        assert!(hosts.tracked.iter().any(|host| host.id == 101));
        assert!(hosts.minority_fails(1, 10));
        for id in 200..300 {
            hosts.note(id, true, 2, 10);
        }
        assert!(!hosts.minority_fails(2, 10));
    }
}
