//! The log line of a transition as a record: tests, the simulation and reports read what the filter logged.
//!
//! ```text
//! seawall: policy=default upstream=backend closed -> open for=5400ms trips=1 failures=12 calls=20 threshold="50 %" generation=1
//! ```

use std::collections::BTreeMap;
use std::fmt;

use crate::breaker::Phase;
use crate::time::Span;

/// What stands between the two states.
const ARROW: &str = " -> ";

/// One transition, as the filter logged it ([`super::Transition`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitionLine {
    /// The state before.
    pub from: Phase,
    /// The state after.
    pub to: Phase,
    /// The generation it began.
    pub generation: u64,
    /// How long the breaker is open, where it opened.
    pub open_for: Option<Span>,
    /// Trips in a row, this one included, where it opened.
    pub trips: Option<u32>,
    /// The figures of its cause, by name: `failures`, `calls`, `threshold`, ...
    pub figures: BTreeMap<String, String>,
}

impl TransitionLine {
    /// Reads a line, whatever Envoy wrote before it; `None` if no transition is logged there.
    pub fn parse(line: &str) -> Option<Self> {
        // The names of policies and upstreams stand before the arrow, and none of the figures has one.
        let (before, after) = line.rsplit_once(ARROW)?;
        let from = phase(before.rsplit(' ').next()?)?;
        let (to, rest) = after.split_once(' ')?;
        let mut figures = figures(rest)?;
        let open_for = figures.remove("for");
        let trips = figures.remove("trips");
        Some(Self {
            from,
            to: phase(to)?,
            generation: figures.remove("generation")?.parse().ok()?,
            open_for: open_for.and_then(|text| {
                let millis = text.strip_suffix("ms")?.parse().ok()?;
                Some(Span::millis(millis))
            }),
            trips: trips.and_then(|text| text.parse().ok()),
            figures,
        })
    }

    /// A figure of the cause, as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.figures.get(name)?.parse().ok()
    }
}

impl fmt::Display for TransitionLine {
    /// `closed -> open`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{ARROW}{}", self.from.name(), self.to.name())
    }
}

fn phase(name: &str) -> Option<Phase> {
    let all = [Phase::Closed, Phase::HalfOpen, Phase::Open];
    all.into_iter().find(|phase| phase.name() == name)
}

/// Reads `a=1 b="2 3"`; `None` if anything else stands there.
fn figures(text: &str) -> Option<BTreeMap<String, String>> {
    let mut figures = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        figures.insert(name.to_owned(), value.to_owned());
        rest = after.trim_start();
    }
    Some(figures)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::breaker::window::Counts;
    use crate::breaker::{Cause, Transition};
    use crate::ratio::Share;
    use crate::time::Timestamp;

    fn counts() -> impl Strategy<Value = Counts> {
        (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(calls, failures, slow)| Counts {
            calls,
            failures,
            slow,
        })
    }

    /// A cause, and the figures that its line must have.
    fn cause() -> impl Strategy<Value = (Cause, Vec<(&'static str, String)>)> {
        let threshold = Share::ALL;
        let probes = |counts: Counts| {
            vec![
                ("probes", counts.calls.to_string()),
                ("failures", counts.failures.to_string()),
                ("slow", counts.slow.to_string()),
            ]
        };
        prop_oneof![
            counts().prop_map(move |counts| (
                Cause::FailureRate { counts, threshold },
                vec![
                    ("failures", counts.failures.to_string()),
                    ("calls", counts.calls.to_string()),
                    ("threshold", threshold.to_string()),
                ]
            )),
            counts().prop_map(move |counts| (
                Cause::SlowRate { counts, threshold },
                vec![
                    ("slow", counts.slow.to_string()),
                    ("calls", counts.calls.to_string()),
                    ("threshold", threshold.to_string()),
                ]
            )),
            any::<u32>().prop_map(|failures| (
                Cause::Consecutive { failures },
                vec![("consecutive_failures", failures.to_string())]
            )),
            Just((Cause::TimeOver, vec![("open_time", "over".to_owned())])),
            Just((Cause::OwnProbe, vec![("own_probe", "good".to_owned())])),
            counts().prop_map(move |counts| (Cause::ProbesGood { counts }, probes(counts))),
            counts().prop_map(move |counts| (Cause::ProbesBad { counts }, probes(counts))),
            any::<u32>().prop_map(|good| (
                Cause::OwnProbes { good },
                vec![("own_probes_good", good.to_string())]
            )),
            Just((
                Cause::Reconfigured,
                vec![("configuration", "new".to_owned())]
            )),
            Just((Cause::Operator, vec![("operator", "reset".to_owned())])),
        ]
    }

    fn any_phase() -> impl Strategy<Value = Phase> {
        prop::sample::select(vec![Phase::Closed, Phase::HalfOpen, Phase::Open])
    }

    proptest! {
        #[test]
        fn what_was_logged_is_read_back_behind_any_name(
            (from, to) in (any_phase(), any_phase()),
            (cause, figures) in cause(),
            generation in any::<u64>(),
            open_for in prop::option::of(0..u64::MAX / 1_000_000),
            trips in any::<u32>(),
            upstream in "[ -~]{0,24}",
        ) {
            let open_for = open_for.map(Span::millis);
            let at = Timestamp::ZERO;
            let made = Transition { from, to, at, cause, generation, open_for, trips };
            let line = format!("[2026-01-31 12:00:00.123][7][warning] seawall: policy=p upstream={upstream} {made}");
            let read = TransitionLine::parse(&line);
            let figures = figures.into_iter().map(|(name, value)| (name.to_owned(), value));
            prop_assert_eq!(read, Some(TransitionLine {
                from,
                to,
                generation,
                open_for,
                trips: open_for.map(|_| trips),
                figures: figures.collect(),
            }));
        }

        #[test]
        fn any_other_line_is_none(line in "[ -~]{0,60}( -> )?[ -~=\"]{0,40}") {
            let read = TransitionLine::parse(&line);
            prop_assert!(read.is_none() || line.contains(ARROW));
        }
    }
}
