//! Retries: which answers are worth another attempt, which requests may be repeated, and who pays.
//!
//! Envoy's router sends the attempts; Seawall alone decides. Before the router, a request gets leave for a number of
//! attempts. In the upstream position each failed answer is voted on ([`attempts`]), and each retry is paid from one
//! budget over all workers ([`crate::retry_budget`], [`payment`]). An attempt that nobody paid for is not sent.

pub mod attempts;
pub mod forecast;
pub mod payment;

use crate::retry_budget;
use crate::time::Span;

/// The largest body, in bytes, with which a request is repeated: Envoy's own buffer, beyond which it drops a retry.
pub const BODY_MAX: u64 = 1024 * 1024;

/// What retries do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Seawall decides about every attempt.
    Enforce,
    /// Retries are as the route has them; Seawall counts what the budget would have refused.
    Shadow,
}

/// A condition under which an attempt is worth another one, beside HTTP statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Any status of 500 and above.
    ServerError,
    /// 502, 503, 504.
    Gateway,
    /// The connection broke before an answer.
    Reset,
    /// No connection came about: nothing was sent, so it is safe for every method.
    Connect,
    /// The upstream refused the stream before it did anything: safe for every method.
    RefusedStream,
    /// The limit of one attempt passed.
    Timeout,
}

impl Condition {
    /// Names, as Envoy's `retry_on` has them where it does.
    pub const NAMES: [(&str, Self); 6] = [
        ("5xx", Self::ServerError),
        ("gateway-error", Self::Gateway),
        ("reset", Self::Reset),
        ("connect-failure", Self::Connect),
        ("refused-stream", Self::RefusedStream),
        ("timeout", Self::Timeout),
    ];
    /// gRPC statuses by the names that Envoy's `retry_on` gives them.
    pub const GRPC_NAMES: [(&str, u8); 5] = [
        ("cancelled", 1),
        ("deadline-exceeded", 4),
        ("resource-exhausted", 8),
        ("internal", 13),
        ("unavailable", 14),
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// All conditions of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    kinds: u8,
    /// HTTP statuses.
    pub statuses: Vec<u16>,
    /// gRPC statuses, in the headers of an answer.
    pub grpc: Vec<u8>,
}

impl Conditions {
    /// One more.
    pub fn add(&mut self, condition: Condition) {
        self.kinds |= condition.bit();
    }

    /// Whether this one is among them.
    pub const fn has(&self, condition: Condition) -> bool {
        self.kinds & condition.bit() != 0
    }

    /// Whether an answer fits.
    pub fn matches(&self, status: u16, grpc: Option<u16>) -> bool {
        if let Some(grpc) = grpc.filter(|grpc| *grpc != 0) {
            return self.grpc.iter().any(|known| u16::from(*known) == grpc);
        }
        (self.has(Condition::ServerError) && status >= 500)
            || (self.has(Condition::Gateway) && (502..=504).contains(&status))
            || self.statuses.contains(&status)
    }
}

/// A delay that is given, or follows the observed latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Always this long.
    After(Span),
    /// As long as this share of the answers takes, once there are enough of them.
    Percentile(crate::deadline::Follow),
}

/// What retries are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What they do.
    pub mode: Mode,
    /// The most attempts of one request, the first included.
    pub attempts: u8,
    /// When.
    pub on: Conditions,
    /// Whether every method may be repeated, not only those that are idempotent by RFC 9110.
    pub any_method: bool,
    /// Who pays.
    pub budget: retry_budget::Settings,
    /// When a second attempt is sent beside the first.
    pub hedge: Option<Delay>,
    /// Whether the routes have a `retry_policy` that lets the upstream position decide, so that a request that may have all of its
    /// attempts needs no header for Envoy's router.
    pub by_route: bool,
}

impl Settings {
    /// The most attempts that can be asked for.
    pub const ATTEMPTS_MAX: u32 = 10;
    /// The response header by which the upstream position votes for another attempt.
    pub const VOTE: &str = "x-seawall-retry";

    /// What Envoy's router has to retry on so that Seawall decides: its words in `retry_on`.
    pub fn router_words(&self) -> Vec<&'static str> {
        let on = |kind| self.on.has(kind);
        // Envoy's "reset" is broken connections and limits of attempts in one.
        let reset = on(Condition::Reset) || on(Condition::Timeout);
        let words = [
            ("retriable-headers", true),
            ("reset", reset),
            ("connect-failure", on(Condition::Connect)),
            ("refused-stream", on(Condition::RefusedStream)),
        ];
        let words = words.into_iter();
        words
            .filter_map(|(word, counts)| counts.then_some(word))
            .collect()
    }

    /// Whether a request may be repeated at all where Seawall does not see its attempts. Envoy adds the route's own conditions
    /// to Seawall's, so that what is not safe to repeat is repeated by the route unless it has no retries. A call of gRPC is a
    /// POST whose route names gRPC's own conditions, and keeps them.
    pub const fn allows_unseen(&self, idempotent: bool, grpc: bool) -> bool {
        idempotent || grpc || self.any_method || matches!(self.mode, Mode::Shadow)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let mut on = Conditions {
            grpc: vec![14],
            ..Conditions::default()
        };
        for (_, condition) in Condition::NAMES {
            if condition != Condition::Gateway {
                on.add(condition);
            }
        }
        Self {
            mode: Mode::Enforce,
            attempts: 2,
            on,
            any_method: false,
            budget: retry_budget::Settings::default(),
            hedge: None,
            by_route: false,
        }
    }
}

/// Whether a method may be repeated without harm (RFC 9110, section 9.2.2).
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_retry_server_errors_and_what_never_arrived() {
        let on = Settings::default().on;
        assert!(on.matches(500, None) && on.matches(503, None) && on.matches(200, Some(14)));
        assert!(!on.matches(200, None) && !on.matches(429, None) && !on.matches(200, Some(13)));
        assert!(
            !on.matches(503, Some(13)),
            "a gRPC status says more than HTTP's"
        );
        assert!(on.matches(503, Some(0)));
        assert!(on.has(Condition::Timeout) && on.has(Condition::Reset));
    }

    #[test]
    fn unseen_attempts_are_for_what_is_safe_and_for_grpc() {
        let usual = Settings::default();
        for (idempotent, grpc, expected) in [
            (true, false, true),
            (false, true, true),
            (true, true, true),
            (false, false, false),
        ] {
            assert_eq!(usual.allows_unseen(idempotent, grpc), expected);
            let any = Settings {
                any_method: true,
                ..usual.clone()
            };
            let shadow = Settings {
                mode: Mode::Shadow,
                ..usual.clone()
            };
            assert!(any.allows_unseen(idempotent, grpc) && shadow.allows_unseen(idempotent, grpc));
        }
    }

    #[test]
    fn what_is_not_named_is_not_retried() {
        let mut on = Conditions::default();
        on.add(Condition::Gateway);
        on.statuses.push(409);
        assert!(on.matches(502, None) && on.matches(409, None));
        assert!(!on.matches(500, None) && !on.has(Condition::Reset));
    }
}
