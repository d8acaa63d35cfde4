//! What a search saw: for each policy that was tried, the figures that it was searched by.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figure::{Figure, Unit};
use super::words::counted;

/// What a search of `seawall tune` saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TradeOff {
    /// What was aimed at.
    pub aims: Vec<Aim>,
    /// Plays of the trace, with the core natively.
    pub plays: usize,
    /// Policies that no other one is at least as good as in everything and better in something, and the shipped default.
    pub points: Vec<TradeOffPoint>,
    /// How many more were tried.
    pub others: usize,
}

/// One figure that was aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Aim {
    /// The figure.
    pub figure: Figure,
    /// What it is counted in.
    pub unit: Unit,
    /// Its weight.
    pub weight: f64,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TradeOffPoint {
    /// What is written in it beyond the default, as `breaker.open.for: 1s`.
    pub settings: Vec<String>,
    /// The figures, in the order of the aims; null where one has no value.
    pub values: Vec<Option<f64>>,
    /// How it got here.
    pub role: Role,
}

/// What a policy is in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The shipped default.
    Default,
    /// What is proposed.
    Proposal,
    /// Another one that nothing beats.
    Front,
}

impl TradeOff {
    /// The curve as a table, sorted by the first aim.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let heads = self.aims.iter().map(|aim| aim.figure.name().to_owned());
        let head = [String::new()].into_iter().chain(heads);
        table.set_header(head.chain(["what it says".to_owned()]));
        for point in &self.points {
            let word = match point.role {
                Role::Default => "shipped default",
                Role::Proposal => "PROPOSED",
                Role::Front => "",
            };
            let values = self.aims.iter().zip(&point.values);
            let values = values.map(|(aim, value)| {
                value.map_or_else(|| "none".to_owned(), |value| aim.unit.shown(value))
            });
            let row = [word.to_owned()].into_iter().chain(values);
            table.add_row(row.chain([lines(&point.settings)]));
        }
        for column in table.column_iter_mut().skip(1).take(self.aims.len()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut text = format!("{table}\n");
        let _ = writeln!(
            text,
            "{} with the core natively; policies that no other one beats in everything, and {} more that some other one beats",
            counted(self.plays as u64, "play"),
            self.others
        );
        text
    }
}

/// Settings in lines of a readable length.
fn lines(settings: &[String]) -> String {
    const WIDTH: usize = 64;
    let mut text = String::new();
    let mut line = 0;
    for (number, setting) in settings.iter().enumerate() {
        if number > 0 && line + setting.len() > WIDTH {
            text.push_str(",\n");
            line = 0;
        } else if number > 0 {
            text.push_str(", ");
        }
        text.push_str(setting);
        line += setting.len() + 2;
    }
    text
}
