//! What requests cost is what is stored: a change that makes them dearer, or cheaper, is seen where it is made.

use std::collections::BTreeMap;
use std::path::Path;

use seawall_harness::bench::baseline::Baseline;
use seawall_harness::bench::cost::Modules;
use seawall_harness::bench::rows::rows;

use crate::shipped::module;

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline.json");

#[test]
fn each_row_costs_what_the_baseline_says() {
    let modules = Modules::new(module().clone()).expect("tables that fit");
    let rows = rows().expect("rows that fit");
    let now: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let measured = modules
                .measure(row)
                .unwrap_or_else(|error| panic!("{error}"));
            (row.name.clone(), measured.cost)
        })
        .collect();
    let stored =
        Baseline::read(Path::new(STORED)).unwrap_or_else(|error| panic!("{STORED}: {error}"));
    let changes = stored.changes(&now, true);
    assert!(
        changes.is_empty(),
        "other than test-harness/benches/baseline.json:\n  {}\nIf that is meant, `make bench UPDATE=1` stores it.",
        changes.join("\n  ")
    );
}
