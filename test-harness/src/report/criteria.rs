//! What a run must reach: `p99<500ms`, judged on one lane.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figure::{Figure, Unit};
use crate::measure::Figures;

/// How a figure is held against its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// Below.
    #[serde(rename = "<")]
    Below,
    /// At most.
    #[serde(rename = "<=")]
    AtMost,
    /// Above.
    #[serde(rename = ">")]
    Above,
    /// At least.
    #[serde(rename = ">=")]
    AtLeast,
}

/// One criterion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criterion {
    figure: Figure,
    operator: Operator,
    /// In the figure's unit.
    target: f64,
}

/// A criterion with what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// As it was asked for.
    pub criterion: String,
    /// The lane that was judged.
    pub lane: String,
    /// The figure.
    pub figure: Figure,
    /// How it is held against the target.
    pub operator: Operator,
    /// The target, in the unit.
    pub target: f64,
    /// The value, in the unit; null where the lane has none, and then the criterion is missed.
    pub value: Option<f64>,
    /// What both are counted in.
    pub unit: Unit,
    /// Whether it was met.
    pub met: bool,
}

impl Operator {
    /// The longer ones first: `<=` begins with `<`.
    const ALL: [Self; 4] = [Self::AtMost, Self::AtLeast, Self::Below, Self::Above];

    const fn sign(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        }
    }

    fn holds(self, value: f64, target: f64) -> bool {
        match self {
            Self::Below => value < target,
            Self::AtMost => value <= target,
            Self::Above => value > target,
            Self::AtLeast => value >= target,
        }
    }
}

impl Criterion {
    /// Judges a lane.
    pub fn judge(&self, lane: &Figures) -> Judged {
        let value = self.figure.of(lane);
        Judged {
            criterion: self.to_string(),
            lane: lane.lane.clone(),
            figure: self.figure,
            operator: self.operator,
            target: self.target,
            value,
            unit: self.figure.unit(),
            met: value.is_some_and(|value| self.operator.holds(value, self.target)),
        }
    }
}

impl Judged {
    /// The value as a reader is told.
    pub fn shown(&self) -> String {
        let none = match self.figure {
            Figure::TimeToDetect => "never noticed",
            Figure::TimeToRecover => "not recovered, or there was no fault",
            _ => "no good answer",
        };
        let value = self.value.map(|value| self.unit.shown(value));
        value.unwrap_or_else(|| none.to_owned())
    }
}

impl fmt::Display for Criterion {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, sign) = (self.figure.name(), self.operator.sign());
        let unit = match self.figure.unit() {
            Unit::Millis => "ms",
            Unit::Percent => "%",
            Unit::PerSecond => "/s",
            Unit::Times => "",
        };
        write!(f, "{name}{sign}{}{unit}", self.target)
    }
}

impl FromStr for Criterion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let signs = Operator::ALL.into_iter();
        let found = signs
            .filter_map(|operator| Some((text.find(operator.sign())?, operator)))
            .min_by_key(|(at, _)| *at);
        let Some((at, operator)) = found else {
            return Err(format!("\"{text}\" compares nothing: {}", how()));
        };
        let (name, target) = (text[..at].trim(), text[at + operator.sign().len()..].trim());
        let mut all = Figure::ALL.into_iter();
        let Some(figure) = all.find(|figure| figure.name() == name) else {
            return Err(format!("\"{name}\" is no figure: {}", how()));
        };
        let number = target.trim_end_matches(|last: char| !last.is_ascii_digit() && last != '.');
        let suffix = target[number.len()..].trim();
        let value = number.trim().parse::<f64>().ok();
        let value = value.filter(|value| value.is_finite() && *value >= 0.0);
        let Some(value) = value else {
            return Err(format!("\"{target}\" is no target of {name}: {}", how()));
        };
        let target = match (figure.unit(), suffix) {
            (Unit::Millis, "ms") | (Unit::Percent, "%") => value,
            (Unit::Millis, "s") => value * 1_000.0,
            (Unit::PerSecond, "" | "/s") | (Unit::Times, "" | "x") => value,
            (unit, _) => {
                let example = match unit {
                    Unit::Millis => "500ms or 2s",
                    Unit::Percent => "1%",
                    Unit::PerSecond => "150 or 150/s",
                    Unit::Times => "1.2",
                };
                return Err(format!(
                    "\"{target}\" has not the unit of {name}: write it such as {example}"
                ));
            }
        };
        Ok(Self {
            figure,
            operator,
            target,
        })
    }
}

fn how() -> String {
    let names = Figure::ALL.map(Figure::name).join(", ");
    format!(
        "write FIGURE, one of < <= > >=, and a target, such as p99<500ms or failed<1%; figures are {names}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_criterion_is_read_and_written_the_same() {
        for (text, written) in [
            ("p99<500ms", "p99<500ms"),
            ("p99.9 <= 2s", "p99.9<=2000ms"),
            ("failed < 1 %", "failed<1%"),
            ("success>=99.5%", "success>=99.5%"),
            ("goodput>150", "goodput>150/s"),
            ("amplification<=1.2x", "amplification<=1.2"),
            ("time_to_detect<2s", "time_to_detect<2000ms"),
        ] {
            let read: Criterion = text.parse().unwrap();
            assert_eq!(read.to_string(), written);
            assert_eq!(written.parse(), Ok(read));
        }
    }

    #[test]
    fn a_wrong_one_says_what_would_be_right() {
        let names = Figure::ALL.map(Figure::name);
        for text in [
            "",
            "p99",
            "p98<1s",
            "p99=1s",
            "<1s",
            "P99<1s",
            "p99<",
            "failed<x%",
        ] {
            let told = text.parse::<Criterion>().unwrap_err();
            assert!(
                names.iter().all(|name| told.contains(name)),
                "{text}: {told}"
            );
        }
        for (text, unit) in [
            ("p99<500", "500ms or 2s"),
            ("failed<1", "1%"),
            ("failed<1ms", "1%"),
            ("goodput>1%", "150/s"),
            ("amplification<2s", "1.2"),
            ("p99<1é", "500ms"),
        ] {
            let told = text.parse::<Criterion>().unwrap_err();
            assert!(told.contains(unit), "{text}: {told}");
        }
        for text in ["p99<-1ms", "p99<nanms", "p99<infs", "p99<1e400ms"] {
            assert!(text.parse::<Criterion>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_operator_holds_where_it_should() {
        for (operator, below, at, above) in [
            (Operator::Below, true, false, false),
            (Operator::AtMost, true, true, false),
            (Operator::Above, false, false, true),
            (Operator::AtLeast, false, true, true),
        ] {
            let holds = [1.0, 2.0, 3.0].map(|value| operator.holds(value, 2.0));
            assert_eq!(holds, [below, at, above], "{}", operator.sign());
        }
    }
}
