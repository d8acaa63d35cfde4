//! One run of a suite as a line of a history: its figures with Seawall, and with no filter and Envoy's own means beside it.

use serde::{Deserialize, Serialize};

use super::overall::Overall;
use super::row::Row;
use super::suite::Suite;

/// The version of a history's lines.
const VERSION: u32 = 1;

/// One run of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The version of this format.
    pub version: u32,
    /// The day of the run, such as 2026-01-31.
    pub day: String,
    /// SHA-256 of the filter's module, in hexadecimal.
    pub wasm_sha256: String,
    /// How many experiments were played.
    pub experiments: usize,
    /// With Seawall.
    pub seawall: Overall,
    /// Without a filter; null where no experiment has such a control.
    pub no_filter: Option<Overall>,
    /// With Envoy's own means; null where they were not played.
    pub envoy: Option<Overall>,
}

impl Summary {
    /// Of a suite that was played on this day.
    pub fn of(suite: &Suite, day: &str) -> Self {
        let first = suite.rows.first();
        let digest = first.and_then(|row| row.report.wasm_sha256.clone());
        let rows = suite.rows.iter();
        Self {
            version: VERSION,
            day: day.to_owned(),
            wasm_sha256: digest.unwrap_or_default(),
            experiments: suite.rows.len(),
            seawall: Overall::of(rows.clone().map(Row::with_seawall)).unwrap_or_default(),
            no_filter: Overall::of(rows.clone().map(Row::without_filter)),
            envoy: Overall::of(rows.map(Row::with_envoy)),
        }
    }

    /// As a line of a history.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn line(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// The runs of a history, the earliest first.
    ///
    /// # Errors
    /// In words, with the number of the line that is none.
    pub fn history(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.trim().is_empty());
        let read = |(number, line)| {
            Self::read(line).map_err(|error| {
                format!(
                    "line {}: {error}; each line is one that `seawall chaos run --history` wrote: take this one out, or name another file",
                    number + 1
                )
            })
        };
        lines.map(read).collect()
    }

    fn read(line: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let of: Versioned = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if of.version != VERSION {
            return Err(format!(
                "it is of version {}, and this program writes version {VERSION}",
                of.version
            ));
        }
        let read: Self = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let day: Result<jiff::civil::Date, _> = read.day.parse();
        match day {
            Ok(_) => Ok(read),
            Err(_) => Err(format!(
                "day: expected one such as 2026-01-31, found {:?}",
                read.day
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_what_was_written_and_an_error_names_its_line() {
        let run = |day: &str| Summary {
            version: VERSION,
            day: day.to_owned(),
            wasm_sha256: "0".repeat(64),
            experiments: 3,
            seawall: Overall {
                pass_rate: 200.0 / 3.0,
                degraded_to_failed: Some(0.1 + 0.2),
                ..Overall::default()
            },
            no_filter: None,
            envoy: Some(Overall::default()),
        };
        let runs = [run("2026-01-31"), run("2026-02-01")];
        let lines: Vec<String> = runs.iter().map(|run| run.line().unwrap()).collect();
        assert_eq!(Summary::history(&lines.concat()).unwrap(), runs);
        assert_eq!(Summary::history("").unwrap(), []);
        assert_eq!(
            Summary::history(&(lines[0].clone() + "\n\n"))
                .unwrap()
                .len(),
            1
        );
        for (damaged, part) in [
            (lines[1].replace("2026-02-01", "yesterday"), "day: expected"),
            (lines[1][..40].to_owned(), "EOF"),
            (
                lines[1].replace("experiments", "experiment"),
                "unknown field",
            ),
            (
                lines[1].replace("\"version\":1", "\"version\":9"),
                "version 9",
            ),
            ("nonsense".to_owned(), "expected"),
        ] {
            let error = Summary::history(&(lines[0].clone() + &damaged)).unwrap_err();
            assert!(
                error.starts_with("line 2: ") && error.contains(part),
                "{error}"
            );
        }
    }
}
