//! What a probe asks: a figure, a criterion, or the state of the breakers, over the last seconds.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::measure::{Figures, Measure};
use crate::report::{Criterion, Figure};

/// A breaker's states, the worst one first.
const STATES: [&str; 3] = ["open", "half_open", "closed"];

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A figure: its bare value is the answer.
    Figure(Figure),
    /// Whether a criterion is met.
    Criterion(Criterion),
    /// The state of the breakers; of several the worst.
    State,
    /// Whether it is this one.
    StateIs(&'static str),
}

/// What a program answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Its exit code.
    pub status: i64,
    /// What it prints.
    pub stdout: String,
    /// What it says of errors.
    pub stderr: String,
}

/// The time of which a probe tells, in nanoseconds since the trace began.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its beginning.
    pub from: u64,
    /// Its end: when it is asked.
    pub to: u64,
    /// When something was wrong, as far as that is known then.
    pub fault: Option<(u64, u64)>,
}

impl Ask {
    /// What the answer is in a lane.
    pub fn answer(&self, measure: &Measure, window: Window) -> Answer {
        let figures = || window.figures(measure);
        let state = || state(measure, window.to);
        let (met, stdout) = match self {
            Self::Figure(figure) => match figure.of(&figures()) {
                Some(value) => (true, rounded(value)),
                None => (false, "none".to_owned()),
            },
            Self::Criterion(criterion) => {
                let judged = criterion.judge(&figures());
                (
                    judged.met,
                    format!("{}: {}", judged.criterion, judged.shown()),
                )
            }
            Self::State => (true, state().to_owned()),
            Self::StateIs(expected) => (state() == *expected, state().to_owned()),
        };
        Answer {
            status: i64::from(!met),
            stdout: format!("{stdout}\n"),
            stderr: String::new(),
        }
    }
}

impl Window {
    /// The figures of this time, with what is known of the whole run until then.
    pub fn figures(&self, measure: &Measure) -> Figures {
        let times = measure.times(self.fault);
        Figures {
            time_to_detect_ms: times.detect_ms,
            time_to_recover_ms: times.recover_ms,
            recovered: times.recovered,
            ..measure.window("", self.from, self.to)
        }
    }
}

/// The worst state of all breakers.
fn state(measure: &Measure, at: u64) -> &'static str {
    let states = measure.not_closed_at(at / 1_000_000);
    let mut worst = STATES.into_iter();
    worst
        .find(|state| states.contains(state))
        .unwrap_or(STATES[2])
}

fn rounded(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl FromStr for Ask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "state" {
            return Ok(Self::State);
        }
        if let Some(state) = text.strip_prefix("state=") {
            let known = STATES.into_iter().find(|known| *known == state);
            return known.map(Self::StateIs).ok_or_else(|| {
                format!(
                    "\"{state}\" is no state: expected one of {}",
                    STATES.join(", ")
                )
            });
        }
        let mut figures = Figure::ALL.into_iter();
        if let Some(figure) = figures.find(|figure| figure.name() == text) {
            return Ok(Self::Figure(figure));
        }
        let criterion = text.parse().map(Self::Criterion);
        criterion.map_err(|error| format!("{error}; or `state`, or `state=closed`"))
    }
}

impl fmt::Display for Ask {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Figure(figure) => f.write_str(figure.name()),
            Self::Criterion(criterion) => criterion.fmt(f),
            Self::State => f.write_str("state"),
            Self::StateIs(state) => write!(f, "state={state}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read_and_written_the_same() {
        for text in [
            "state",
            "state=half_open",
            "success",
            "p99<500ms",
            "amplification",
        ] {
            let ask: Ask = text.parse().unwrap();
            assert_eq!(ask.to_string(), text);
        }
        for (text, why) in [
            ("state=well", "half_open"),
            ("speed", "compares nothing"),
            ("", "state"),
        ] {
            let told = text.parse::<Ask>().unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
        assert_eq!([99.9512, 100.0, 0.0].map(rounded), ["99.951", "100", "0"]);
    }
}
