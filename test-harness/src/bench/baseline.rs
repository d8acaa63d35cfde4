//! The stored costs, and what has changed since.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cost::{Cost, REQUESTS};

/// Fuel may differ by so much, in percent: another release of the compiler gives a slightly different module. Host calls
/// may not differ at all.
pub const FUEL_TOLERANCE: f64 = 1.0;

/// Costs by row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Of how many requests each cost is.
    pub requests: u64,
    /// By the rows' names.
    pub rows: BTreeMap<String, Cost>,
}

impl Baseline {
    /// Of these costs.
    pub fn new(rows: BTreeMap<String, Cost>) -> Self {
        Self {
            requests: REQUESTS,
            rows,
        }
    }

    /// Reads a stored one.
    ///
    /// # Errors
    /// If there is none, or it is none.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Stores it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(std::fs::write(file, format!("{text}\n"))?)
    }

    /// What is different in these costs, one line for each change; empty if nothing is. A row that was not measured is
    /// looked at only if `all` were.
    pub fn changes(&self, now: &BTreeMap<String, Cost>, all: bool) -> Vec<String> {
        let mut changes = Vec::new();
        if self.requests != REQUESTS {
            let stored = self.requests;
            return vec![format!(
                "the baseline is of {stored} requests a row, and {REQUESTS} are counted now"
            )];
        }
        for (row, cost) in now {
            let Some(stored) = self.rows.get(row) else {
                changes.push(format!("{row}: the baseline has no such row"));
                continue;
            };
            let of_row = compared(stored, cost);
            changes.extend(of_row.into_iter().map(|change| format!("{row}: {change}")));
        }
        let gone = self
            .rows
            .keys()
            .filter(|row| all && !now.contains_key(*row));
        changes.extend(gone.map(|row| format!("{row}: only the baseline has this row")));
        changes
    }
}

fn compared(stored: &Cost, now: &Cost) -> Vec<String> {
    let mut changes = Vec::new();
    let each = |all: u64| all as f64 / REQUESTS as f64;
    let fuels = [
        ("fuel a request", stored.fuel, now.fuel),
        (
            "fuel of ticks, spread over the requests",
            stored.tick_fuel,
            now.tick_fuel,
        ),
    ];
    for (what, before, after) in fuels {
        let percent = 100.0 * (after as f64 - before as f64) / (before as f64).max(1.0);
        if percent.abs() > FUEL_TOLERANCE {
            changes.push(format!(
                "{what} was {:.0}, is {:.0} ({percent:+.1} %, and {FUEL_TOLERANCE} % may be)",
                each(before),
                each(after)
            ));
        }
    }
    let mut names: Vec<&String> = stored.calls.keys().chain(now.calls.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let of = |cost: &Cost| cost.calls.get(name).copied().unwrap_or(0);
        let (before, after) = (of(stored), of(now));
        if before != after {
            changes.push(format!(
                "{name} was called {:.3} times a request, is called {:.3} times ({before} and {after} in {REQUESTS})",
                each(before),
                each(after)
            ));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(fuel: u64, calls: u64) -> Cost {
        Cost {
            fuel: fuel * REQUESTS,
            tick_fuel: 0,
            calls: BTreeMap::from([("proxy_get_property".to_owned(), calls)]),
        }
    }

    fn changes(stored: Cost, now: Cost) -> Vec<String> {
        let rows = |cost| BTreeMap::from([("row".to_owned(), cost)]);
        Baseline::new(rows(stored)).changes(&rows(now), true)
    }

    #[test]
    fn calls_are_held_exactly_and_fuel_within_its_tolerance_either_way() {
        for (fuel, calls, expected) in [
            (1_000, 400, 0),
            (1_010, 400, 0),
            (990, 400, 0),
            (1_011, 400, 1),
            (989, 400, 1),
            (1_000, 401, 1),
            (1_000, 399, 1),
            (2_000, 0, 2),
        ] {
            let found = changes(cost(1_000, 400), cost(fuel, calls));
            assert_eq!(found.len(), expected, "{fuel} {calls}: {found:?}");
        }
        let told = changes(cost(1_000, 400), cost(1_100, 800)).join("\n");
        for part in [
            "row: fuel",
            "1000",
            "1100",
            "+10.0 %",
            "proxy_get_property",
            "1.000",
            "2.000",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn a_row_that_comes_or_goes_is_a_change_but_one_that_was_not_asked_for_is_none() {
        let stored = Baseline::new(BTreeMap::from([("a".to_owned(), cost(1, 1))]));
        let other = BTreeMap::from([("b".to_owned(), cost(1, 1))]);
        assert_eq!(stored.changes(&other, true).len(), 2);
        assert_eq!(stored.changes(&other, false).len(), 1);
        assert_eq!(stored.changes(&stored.rows, true), Vec::<String>::new());
    }
}
