//! Exempt requests: those that bulkhead and shedding never refuse and never count, such as checks of health.
//!
//! Whoever sheds the check of a load balancer or an orchestrator takes a healthy instance out of service, and puts its load
//! on the others. Anybody may send such a request, so only [`PER_SECOND`] of them are exempt for each upstream and worker;
//! those beyond are requests like any other.

use crate::path_pattern::Pattern;
use crate::time::{Span, Timestamp};

/// So many may go in a second, at each upstream by each worker.
pub const PER_SECOND: u64 = 10;
/// The most patterns of a policy.
pub const PATTERNS_MAX: usize = 16;
const EACH: Span = Span::millis(1_000 / PER_SECOND);

/// Which paths are exempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempt {
    /// A path, or the beginning of one.
    pub paths: Vec<Pattern>,
}

impl Exempt {
    /// Whether a request for this target is one of them; its query does not count.
    pub fn matches(&self, target: &[u8]) -> bool {
        self.paths.iter().any(|pattern| pattern.matches(target))
    }
}

/// How many may still go: a bucket that holds those of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// The bucket is full at this time, as long as nobody takes any.
    full_at: Timestamp,
}

impl Allowance {
    /// Takes one; `false` if there is none.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let full_at = self.full_at.max(now).after(EACH);
        let goes = full_at.since(now) <= Span::secs(1);
        if goes {
            self.full_at = full_at;
        }
        goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_go_in_a_second_and_never_more() {
        let mut allowance = Allowance::default();
        let mut now = Timestamp::nanos(7);
        let mut went = Vec::new();
        for step in 0..5_000_u32 {
            now = now.after(Span::millis(u64::from(step % 7)));
            if allowance.take(now) {
                went.push(now);
            }
        }
        let window = (PER_SECOND * 2) as usize;
        for many in went.windows(window + 1) {
            let [first, .., last] = many else {
                unreachable!()
            };
            assert!(last.since(*first) > Span::millis(900));
        }
        let seconds = now.since(Timestamp::nanos(7)).as_secs_ceil();
        assert!(
            went.len() as u64 >= PER_SECOND * (seconds - 1),
            "{}",
            went.len()
        );
        // After a pause the bucket is full, and holds no more than that.
        now = now.after(Span::secs(60));
        let at_once = (0..100).filter(|_| allowance.take(now)).count();
        assert_eq!(at_once as u64, PER_SECOND);
    }
}
