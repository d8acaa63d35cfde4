//! Which responses are failures of the upstream, and which say that it has too much to do.

use super::{Codes, Outcome, flag};

/// What is a failure, and what is overload. The default: what a dead or sick process answers, and what a proxy before it
/// answers for it (520 to 527 and 530: the origin is down, times out, or gives nonsense). Where both name a code, it is overload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// HTTP statuses that are failures.
    pub failure_status: Codes,
    /// gRPC statuses that are failures.
    pub failure_grpc: Codes,
    /// Response flags that are failures, OR-ed.
    pub failure_flags: u64,
    /// HTTP statuses that say "too much to do".
    pub overloaded_status: Codes,
    /// gRPC statuses that say "too much to do".
    pub overloaded_grpc: Codes,
    /// Whether the breaker takes overload for a failure; for limits and retries it stays overload.
    pub overloaded_fails: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            failure_status: Codes::of(&[(500, 500), (502, 504), (520, 527), (530, 530)]),
            failure_grpc: Codes::of(&[(2, 2), (4, 4), (13, 15)]),
            failure_flags: flag::FAILURES.iter().fold(0, |all, (_, bit)| all | bit),
            overloaded_status: Codes::of(&[(429, 429), (529, 529)]),
            overloaded_grpc: Codes::of(&[(8, 8)]),
            overloaded_fails: false,
        }
    }
}

impl Rules {
    /// Whether this HTTP status is a failure.
    pub fn failure_status(&self, status: u16) -> bool {
        self.failure_status.has(status)
    }

    /// Whether this gRPC status is a failure.
    pub fn failure_grpc(&self, status: u16) -> bool {
        self.failure_grpc.has(status)
    }

    /// Whether this HTTP status says "too much to do".
    pub fn overloaded_status(&self, status: u16) -> bool {
        self.overloaded_status.has(status)
    }

    /// Whether this gRPC status says "too much to do".
    pub fn overloaded_grpc(&self, status: u16) -> bool {
        self.overloaded_grpc.has(status)
    }

    /// What the breaker is told of an outcome: overload counts as a failure where the policy says so.
    pub const fn verdict(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Overloaded if self.overloaded_fails => Outcome::Failure,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_no_code_is_both_and_these_are_failures() {
        let rules = Rules::default();
        let failures: Vec<u16> = rules.failure_status.iter().collect();
        assert_eq!(
            failures,
            [
                500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530
            ]
        );
        assert!(rules.overloaded_status.iter().eq([429, 529]));
        assert!(rules.failure_grpc.iter().eq([2, 4, 13, 14, 15]));
        assert!(rules.overloaded_grpc.iter().eq([8]));
    }

    #[test]
    fn overload_is_a_failure_for_the_breaker_where_the_policy_says_so_and_nothing_else_changes() {
        let (usual, strict) = (
            Rules::default(),
            Rules {
                overloaded_fails: true,
                ..Rules::default()
            },
        );
        for outcome in Outcome::ALL {
            assert_eq!(usual.verdict(outcome), outcome);
            let expected = match outcome {
                Outcome::Overloaded => Outcome::Failure,
                other => other,
            };
            assert_eq!(strict.verdict(outcome), expected);
        }
    }
}
