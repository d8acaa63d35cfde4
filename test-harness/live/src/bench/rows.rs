//! The rows of the run, as `test-harness/benches/envoy-rows.yaml` has them.

use seawall_harness::bench::BenchError;
use seawall_harness::bench::rows::{Positions, table};
use serde::Deserialize;

const ROWS: &str = include_str!("../../../benches/envoy-rows.yaml");

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What stands before the router.
    pub stands: Stands,
    /// The name of Seawall's policy.
    pub policy: Option<String>,
    /// Where Seawall stands.
    #[serde(default)]
    pub positions: Positions,
    /// Routes of the virtual host, the last of which matches.
    #[serde(default = "one")]
    pub routes: usize,
    /// Clusters that requests go to in turn.
    #[serde(default = "one")]
    pub upstreams: usize,
    /// Envoy's workers.
    #[serde(default = "one")]
    pub workers: usize,
    /// What the run must see of it.
    pub sees: Vec<Sight>,
}

/// What stands before the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stands {
    /// Only the router.
    #[serde(rename = "no filter")]
    NoFilter,
    /// A Wasm filter that does nothing.
    Nothing,
    /// A breaker in ten lines of Lua.
    Lua,
    /// Envoy's own limits and outlier detection.
    Native,
    /// Seawall.
    Seawall,
    /// The same as a dynamic module.
    Module,
}

/// What the run must see of a row when its upstream gets sick, so that a row that does nothing is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sight {
    /// All requests reach an upstream that fails.
    Passes,
    /// Hardly one does.
    Opens,
    /// Some of many requests at the same time are refused.
    Limits,
    /// A request to an upstream that hangs is ended in time.
    Ends,
    /// Failed first attempts are followed by others.
    Retries,
}

const fn one() -> usize {
    1
}

impl Row {
    /// Whether these two differ in nothing but what stands before the router.
    fn stands_beside(&self, other: &Self) -> bool {
        (self.routes, self.upstreams, self.workers)
            == (other.routes, other.upstreams, other.workers)
    }

    /// Whether it is Seawall, in one of its bodies.
    pub(super) fn is_seawall(&self) -> bool {
        matches!(self.stands, Stands::Seawall | Stands::Module)
    }

    /// The plain place: one route, one upstream, one worker.
    pub fn is_plain(&self) -> bool {
        (self.routes, self.upstreams, self.workers) == (1, 1, 1)
    }
}

/// All rows.
///
/// # Errors
/// If the table does not fit.
pub fn rows() -> Result<Vec<Row>, BenchError> {
    table("envoy-rows.yaml", ROWS)
}

/// The row without a filter that a row's own cost is counted from.
pub fn base_of(rows: &[Row], row: &Row) -> Option<usize> {
    rows.iter()
        .position(|other| other.stands == Stands::NoFilter && other.stands_beside(row))
}

/// The Lua row that a row's cost is a multiple of: the one with as many workers.
pub fn lua_of(rows: &[Row], row: &Row) -> Option<usize> {
    rows.iter()
        .position(|other| other.stands == Stands::Lua && other.workers == row.workers)
}

/// The rows of these names, and those that they are compared with; all rows where none is named.
///
/// # Errors
/// If there is no row of such a name.
pub fn chosen(all: Vec<Row>, names: &[String]) -> Result<Vec<Row>, String> {
    if names.is_empty() {
        return Ok(all);
    }
    let mut wanted = Vec::new();
    for name in names {
        let found = all.iter().position(|row| row.name == *name);
        let at = found.ok_or_else(|| format!("there is no row \"{name}\": see --list"))?;
        let lua = lua_of(&all, &all[at]);
        let compared = [Some(at), base_of(&all, &all[at]), lua];
        wanted.extend(compared.into_iter().flatten());
        wanted.extend(lua.and_then(|lua| base_of(&all, &all[lua])));
    }
    let all = all.into_iter().enumerate();
    let chosen = all.filter(|(at, _)| wanted.contains(at));
    Ok(chosen.map(|(_, row)| row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_base_a_lua_row_and_a_policy_where_it_needs_one() {
        let rows = rows().unwrap();
        let policies = seawall_harness::bench::rows::policies().unwrap();
        for (at, row) in rows.iter().enumerate() {
            assert!(base_of(&rows, row).is_some(), "{}", row.name);
            assert!(lua_of(&rows, row).is_some(), "{}", row.name);
            assert!(!row.sees.is_empty(), "{}", row.name);
            let policy = row.policy.as_ref().map(|name| policies.contains_key(name));
            let wanted = row.is_seawall().then_some(true);
            assert_eq!(policy, wanted, "{}", row.name);
            assert!(
                !rows[..at].iter().any(|other| other.name == row.name),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn a_chosen_row_brings_what_it_is_compared_with() {
        let names = |chosen: Vec<Row>| chosen.into_iter().map(|row| row.name).collect::<Vec<_>>();
        let one = chosen(rows().unwrap(), &["breaker, 1,000 routes".to_owned()]).unwrap();
        let expected = [
            "no filter",
            "Lua",
            "no filter, 1,000 routes",
            "breaker, 1,000 routes",
        ];
        assert_eq!(names(one), expected);
        assert!(
            chosen(rows().unwrap(), &["x".to_owned()])
                .unwrap_err()
                .contains("\"x\"")
        );
    }
}
