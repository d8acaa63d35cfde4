//! What both filter positions know of the attempts of one request, and what follows from it.
//!
//! It travels as a property of the stream, since the two positions may be two VMs. The downstream position writes it
//! when it lets a request go; the upstream position counts attempts, payments and failures in it.
//!
//! **Architecture invariant:** an attempt beyond the first starts only if it was paid for, once: by the vote on the
//! answer before it, or at its own start where there was no answer to vote on.

use super::{Condition, Conditions};
use crate::time::{Span, Timestamp};

/// The version of the layout; an other one is as nothing. 2 has flags of two bytes.
const VERSION: u8 = 2;

/// What the last attempt without an answer died of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttemptFailure {
    /// None did.
    #[default]
    None,
    /// No connection came about.
    Connect,
    /// The connection broke.
    Reset,
    /// Its time was over.
    Timeout,
}

impl AttemptFailure {
    const ALL: [Self; 4] = [Self::None, Self::Connect, Self::Reset, Self::Timeout];

    /// The condition under which it is retried. Without a death there was an answer, which was voted on, or a hedge.
    const fn condition(self) -> Option<Condition> {
        match self {
            Self::None => None,
            Self::Connect => Some(Condition::Connect),
            Self::Reset => Some(Condition::Reset),
            Self::Timeout => Some(Condition::Timeout),
        }
    }

    /// The status that Envoy gives for it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Timeout => 504,
            _ => 503,
        }
    }
}

/// Truths about the request, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// Repeating it does no harm.
    pub const SAFE: u16 = 1;
    /// It is a retry of somebody's before us.
    pub const MARKED: u16 = 2;
    /// The upstream position put `x-envoy-ratelimited` on the answer.
    pub const VETOED: u16 = 4;
    /// The downstream position wants to know whether there is an upstream position.
    pub const ASKED: u16 = 8;
    /// The upstream position saw it.
    pub const SEEN: u16 = 16;
    /// A second attempt may start beside the first.
    pub const HEDGED: u16 = 32;
    /// An attempt was refused; the death before it is the request's outcome.
    pub const REFUSED: u16 = 64;
    /// Nothing is refused.
    pub const SHADOW: u16 = 128;
    /// It went to another cluster than its route says.
    pub const ELSEWHERE: u16 = 256;
    /// The route retries as it likes; all that is asked for is that later attempts say how much time is left. Set
    /// together with [`Flags::SHADOW`], which is what an older module in the upstream position knows.
    pub const ROUTES: u16 = 512;
    /// The upstream position is in the VM that wrote this.
    pub const HERE: u16 = 1024;
    /// It paid into the budget when it was admitted.
    pub const DEPOSITED: u16 = 2048;

    /// Whether this one is set, or any of these.
    pub const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    /// Sets it.
    pub fn set(&mut self, bit: u16) {
        self.0 |= bit;
    }
}

/// The attempts of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// The most there may be.
    pub max: u8,
    /// The highest that started.
    pub started: u8,
    /// The highest that is paid for; the first costs nothing.
    pub paid: u8,
    /// How many are under way.
    pub live: u8,
    /// What the last one without an answer died of.
    pub death: AttemptFailure,
    /// Truths.
    pub flags: Flags,
    /// Why no retry was allowed from the start.
    pub denied: Option<Denial>,
    /// When its time is over; zero if nobody knows.
    pub deadline: Timestamp,
    /// The policy's name.
    pub policy: String,
    /// The upstream's cluster.
    pub cluster: String,
    /// What parts the upstream from others of its cluster: kind and value, or nothing.
    pub part: Option<(String, String)>,
    /// The number of the VM that wrote it; 0 if a release wrote it that did not say so.
    pub vm: u64,
}

/// Why an attempt is not made or not paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The answer or the failure is not among the conditions, or repeating would not be safe.
    NotRetriable,
    /// There were enough attempts.
    Attempts,
    /// The upstream said so.
    Upstream,
    /// The request is itself a retry.
    Marked,
    /// Another attempt is on its way.
    Overtaken,
    /// There is too little time left.
    Deadline,
    /// The breaker is not closed.
    Breaker,
    /// The budget is spent.
    Budget,
    /// The account could not be read or written.
    Undecided,
    /// Repeating would not be safe, and without the upstream position nobody but the route would decide.
    UnsafeCoarse,
}

impl Denial {
    /// The label in metrics and code details.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotRetriable => "not_retriable",
            Self::Attempts => "attempts",
            Self::Upstream => "upstream",
            Self::Marked => "marked",
            Self::Overtaken => "overtaken",
            Self::Deadline => "deadline",
            Self::Breaker => "breaker",
            Self::Budget => "budget",
            Self::Undecided => "undecided",
            Self::UnsafeCoarse => "unsafe_coarse",
        }
    }
}

/// A failed answer, as far as a vote asks.
#[derive(Clone, Copy, Debug)]
pub struct AttemptResponse {
    /// HTTP status.
    pub status: u16,
    /// gRPC status in the headers.
    pub grpc: Option<u16>,
    /// The upstream asked not to be tried again now: Retry-After, pushback, `x-envoy-ratelimited`, a no-retry mark.
    pub unwilling: bool,
}

impl Attempts {
    /// Whether an answer to attempt `number` may be followed by another attempt, were it paid for.
    pub fn may_follow(
        &self,
        number: u8,
        answer: &AttemptResponse,
        on: &Conditions,
        left: RemainingTime,
    ) -> Result<(), Denial> {
        if !on.matches(answer.status, answer.grpc) || !self.flags.has(Flags::SAFE) {
            return Err(Denial::NotRetriable);
        }
        if answer.unwilling {
            return Err(Denial::Upstream);
        }
        if self.paid > number || self.started > number {
            return Err(Denial::Overtaken);
        }
        self.may_start(number.saturating_add(1), left)
    }

    /// Whether attempt `number`, which nobody voted for, may start, were it paid for.
    pub fn may_start_unvoted(
        &self,
        number: u8,
        on: &Conditions,
        left: RemainingTime,
    ) -> Result<(), Denial> {
        let safe = self.flags.has(Flags::SAFE);
        let fits = match self.death.condition() {
            Some(condition) => on.has(condition) && (safe || self.death == AttemptFailure::Connect),
            // A hedge; or a retry of the route's own on an answer that nobody voted on: its operator asked for it.
            None => safe || !self.flags.has(Flags::HEDGED),
        };
        if !fits {
            return Err(Denial::NotRetriable);
        }
        self.may_start(number, left)
    }

    fn may_start(&self, number: u8, left: RemainingTime) -> Result<(), Denial> {
        if self.flags.has(Flags::MARKED) {
            return Err(Denial::Marked);
        }
        if number > self.max {
            return Err(self.denied.unwrap_or(Denial::Attempts));
        }
        let enough =
            self.deadline == Timestamp::ZERO || self.deadline.since(left.now) > left.needed;
        enough.then_some(()).ok_or(Denial::Deadline)
    }

    /// How many attempts were paid for and never started.
    pub const fn unused(&self) -> u8 {
        self.paid
            .saturating_sub(if self.started > 1 { self.started } else { 1 })
    }

    /// The bytes of the property.
    pub fn encode(&self) -> Vec<u8> {
        let death = AttemptFailure::ALL
            .iter()
            .position(|death| *death == self.death);
        let [low, high] = self.flags.0.to_le_bytes();
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[
            VERSION,
            self.max,
            self.started,
            self.paid,
            self.live,
            death.unwrap_or(0) as u8,
            low,
            high,
            match self.denied {
                Some(Denial::Breaker) => 1,
                Some(_) => 2,
                None => 0,
            },
        ]);
        bytes.extend_from_slice(&self.deadline.as_nanos().to_le_bytes());
        let (kind, part) = match &self.part {
            Some((kind, part)) => (kind.as_str(), part.as_str()),
            None => ("", ""),
        };
        for text in [&self.policy, &self.cluster, kind, part] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
        // A text too, since earlier releases pass over what stands behind the others: each letter is four bits.
        for place in (0..64).step_by(4) {
            bytes.push(b'@' | (self.vm >> place) as u8 & 0xf);
        }
        bytes
    }

    /// Reads what [`Attempts::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<9>()?;
        let [version, max, started, paid, live, death, low, high, denied] = *head;
        let (deadline, rest) = rest.split_first_chunk::<8>()?;
        if version != VERSION {
            return None;
        }
        let mut texts = std::str::from_utf8(rest).ok()?.split('\0');
        let mut next = || texts.next();
        let (policy, cluster, kind, part) = (next()?, next()?, next()?, next()?);
        Some(Self {
            max,
            started,
            paid,
            live,
            death: *AttemptFailure::ALL.get(usize::from(death))?,
            flags: Flags(u16::from_le_bytes([low, high])),
            denied: match denied {
                0 => None,
                1 => Some(Denial::Breaker),
                _ => Some(Denial::Budget),
            },
            deadline: Timestamp::nanos(u64::from_le_bytes(*deadline)),
            policy: policy.to_owned(),
            cluster: cluster.to_owned(),
            part: (!kind.is_empty()).then(|| (kind.to_owned(), part.to_owned())),
            vm: texts.next().map_or(0, number),
        })
    }
}

/// The number that these letters stand for.
fn number(letters: &str) -> u64 {
    let letters = letters.bytes().rev();
    letters.fold(0, |number, letter| number << 4 | u64::from(letter & 0xf))
}

/// The time that is left.
#[derive(Clone, Copy, Debug)]
pub struct RemainingTime {
    /// Now.
    pub now: Timestamp,
    /// What an attempt needs at least.
    pub needed: Span,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Settings;
    use proptest::prelude::*;

    const NOW: RemainingTime = RemainingTime {
        now: Timestamp::nanos(1_000_000_000),
        needed: Span::millis(10),
    };
    const SICK: AttemptResponse = AttemptResponse {
        status: 503,
        grpc: None,
        unwilling: false,
    };

    fn safe() -> Attempts {
        Attempts {
            max: 3,
            started: 1,
            paid: 1,
            flags: Flags(Flags::SAFE),
            ..Attempts::default()
        }
    }

    #[track_caller]
    fn follow(
        attempts: &Attempts,
        number: u8,
        answer: AttemptResponse,
        expected: Result<(), Denial>,
    ) {
        let on = Settings::default().on;
        assert_eq!(attempts.may_follow(number, &answer, &on, NOW), expected);
    }

    #[test]
    fn a_failed_answer_may_be_followed_as_long_as_nothing_speaks_against_it() {
        follow(&safe(), 1, SICK, Ok(()));
        follow(&safe(), 2, SICK, Ok(()));
        follow(&safe(), 3, SICK, Err(Denial::Attempts));
        let good = AttemptResponse {
            status: 404,
            ..SICK
        };
        follow(&safe(), 1, good, Err(Denial::NotRetriable));
        let unwilling = AttemptResponse {
            unwilling: true,
            ..SICK
        };
        follow(&safe(), 1, unwilling, Err(Denial::Upstream));
        let unsafe_one = Attempts {
            flags: Flags(0),
            ..safe()
        };
        follow(&unsafe_one, 1, SICK, Err(Denial::NotRetriable));
        let marked = Attempts {
            flags: Flags(Flags::SAFE | Flags::MARKED),
            ..safe()
        };
        follow(&marked, 1, SICK, Err(Denial::Marked));
        for overtaken in [
            Attempts { paid: 2, ..safe() },
            Attempts {
                started: 2,
                ..safe()
            },
        ] {
            follow(&overtaken, 1, SICK, Err(Denial::Overtaken));
        }
    }

    #[test]
    fn no_attempt_starts_that_could_not_finish_in_time() {
        let late = |millis| Attempts {
            deadline: NOW.now.after(Span::millis(millis)),
            ..safe()
        };
        follow(&late(10), 1, SICK, Err(Denial::Deadline));
        follow(&late(11), 1, SICK, Ok(()));
    }

    #[test]
    fn what_never_arrived_is_safe_for_every_method() {
        let on = Settings::default().on;
        for (death, flags, expected) in [
            (AttemptFailure::Connect, 0, Ok(())),
            (AttemptFailure::Reset, 0, Err(Denial::NotRetriable)),
            (AttemptFailure::Timeout, 0, Err(Denial::NotRetriable)),
            (AttemptFailure::Reset, Flags::SAFE, Ok(())),
            (AttemptFailure::None, 0, Ok(())),
            (
                AttemptFailure::None,
                Flags::HEDGED,
                Err(Denial::NotRetriable),
            ),
            (AttemptFailure::None, Flags::SAFE | Flags::HEDGED, Ok(())),
        ] {
            let attempts = Attempts {
                death,
                flags: Flags(flags),
                live: 1,
                ..safe()
            };
            assert_eq!(
                attempts.may_start_unvoted(2, &on, NOW),
                expected,
                "{death:?} {flags}"
            );
        }
    }

    #[test]
    fn what_was_paid_and_never_started_is_known() {
        assert_eq!(safe().unused(), 0);
        assert_eq!(Attempts { paid: 2, ..safe() }.unused(), 1);
        assert_eq!(
            Attempts {
                paid: 2,
                started: 0,
                ..safe()
            }
            .unused(),
            1
        );
        assert_eq!(
            Attempts {
                paid: 2,
                started: 2,
                ..safe()
            }
            .unused(),
            0
        );
        assert_eq!(
            Attempts {
                paid: 1,
                started: 3,
                ..safe()
            }
            .unused(),
            0
        );
    }

    proptest! {
        #[test]
        fn it_reads_back_and_rubbish_is_nothing(
            numbers in any::<[u8; 4]>(),
            flags in any::<u16>(),
            death in 0..4_usize,
            denied in prop::sample::select(vec![None, Some(Denial::Breaker), Some(Denial::Budget)]),
            deadline in any::<u64>(),
            vm in any::<u64>(),
            names in prop::array::uniform3("[^\0]{0,20}"),
            part in prop::option::of("[^\0]{0,20}"),
            cut in 0..80_usize,
            rubbish in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let [max, started, paid, live] = numbers;
            let [policy, cluster, _] = names;
            let attempts = Attempts {
                max, started, paid, live, death: AttemptFailure::ALL[death], flags: Flags(flags), denied,
                deadline: Timestamp::nanos(deadline), policy, cluster,
                part: part.map(|part| ("route".to_owned(), part)),
                vm,
            };
            let bytes = attempts.encode();
            prop_assert_eq!(Attempts::decode(&bytes), Some(attempts));
            let _ = Attempts::decode(&bytes[..cut.min(bytes.len())]);
            let _ = Attempts::decode(&rubbish);
        }
    }
}
