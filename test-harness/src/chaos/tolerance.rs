//! What a probe may answer, in Chaos Toolkit's words: an exit code, several of them, or a range of numbers.

use serde_json::Value;

use super::ask::{Answer, Ask};
use crate::report::{Judged, Operator, Unit};

/// A tolerance of a process probe.
#[derive(Clone, Debug, PartialEq)]
pub enum Tolerance {
    /// One of these exit codes.
    Status(Vec<i64>),
    /// What is printed is a number from the first to the last.
    Range(f64, f64),
}

const HOW: &str = "expected an exit code such as 0, a list of them, or {type: range, target: stdout, range: [FROM, TO]}";

impl Tolerance {
    /// Reads one.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn read(value: &Value) -> Result<Self, String> {
        let codes = match value {
            Value::Array(codes) => codes.iter().map(Value::as_i64).collect(),
            code => code.as_i64().map(|code| vec![code]),
        };
        if let Some(codes) = codes {
            return Ok(Self::Status(codes));
        }
        let bounds = value["range"].as_array().map(Vec::as_slice);
        let is_range = value["type"] == "range" && value["target"] == "stdout";
        match bounds {
            Some([from, to]) if is_range => {
                let bounds = from.as_f64().zip(to.as_f64());
                let (from, to) = bounds.ok_or_else(|| format!("range: {HOW}"))?;
                Ok(Self::Range(from, to))
            }
            _ => Err(format!("{value}: {HOW}")),
        }
    }

    /// What a report tells of a probe that was asked then: the bound that matters, and the value. Nothing where no figure was asked.
    pub(super) fn judged(&self, probe: &str, ask: &Ask, answer: &Answer) -> Option<Judged> {
        let (Self::Range(from, to), Ask::Figure(figure)) = (self, ask) else {
            return None;
        };
        let unit = figure.unit();
        let is_least = *from > 0.0 && (unit != Unit::Percent || *to >= 100.0);
        let (operator, target) = match is_least && figure.more_is_better() == Some(true) {
            true => (Operator::AtLeast, *from),
            false => (Operator::AtMost, *to),
        };
        Some(Judged {
            criterion: probe.to_owned(),
            lane: "Seawall".to_owned(),
            figure: *figure,
            operator,
            target,
            value: answer.stdout.trim().parse().ok(),
            unit,
            met: self.holds(answer),
        })
    }

    /// Whether an answer is within it.
    pub fn holds(&self, answer: &Answer) -> bool {
        match self {
            Self::Status(codes) => codes.contains(&answer.status),
            Self::Range(from, to) => {
                let number = answer.stdout.trim().parse::<f64>();
                number.is_ok_and(|number| (*from..=*to).contains(&number))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_held_against_codes_and_ranges() {
        let answer = |status, stdout: &str| Answer {
            status,
            stdout: stdout.to_owned(),
            stderr: String::new(),
        };
        let range = json!({"type": "range", "target": "stdout", "range": [99, 100]});
        for (tolerance, answer, holds) in [
            (json!(0), answer(0, ""), true),
            (json!(0), answer(1, ""), false),
            (json!([0, 2]), answer(2, ""), true),
            (range.clone(), answer(0, "99.5\n"), true),
            (range.clone(), answer(0, "98.9\n"), false),
            (range, answer(1, "none\n"), false),
        ] {
            let read = Tolerance::read(&tolerance).unwrap();
            assert_eq!(read.holds(&answer), holds, "{tolerance} {answer:?}");
        }
        for wrong in [
            json!("closed"),
            json!(true),
            json!({"type": "regex", "pattern": "x"}),
            json!({"type": "range", "range": [1, 2]}),
            json!({"type": "range", "target": "stdout", "range": [1]}),
        ] {
            let told = Tolerance::read(&wrong).unwrap_err();
            assert!(told.contains("exit code"), "{told}");
        }
    }
}
