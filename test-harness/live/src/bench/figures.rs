//! What rounds come to: medians, and how far apart the rounds were.

use serde::Serialize;

use super::rows::{Row, Stands, base_of, lua_of};
use super::stand::Slice;

/// A median with the quartiles around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// A quarter of the rounds was below.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// A quarter of the rounds was above.
    pub high: f64,
}

/// The figures of one row.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The row.
    pub row: String,
    /// Envoy's CPU time for each request, in microseconds.
    pub cpu_us: Spread,
    /// What of it is the row's own, beyond the row without a filter in the same round; none for that row itself.
    pub added_us: Option<Spread>,
    /// That as a multiple of what the Lua row adds.
    pub to_lua: Option<f64>,
    /// The same of each round.
    pub rounds_us: Vec<f64>,
    /// Requests a second, as fast as they were answered.
    pub per_second: f64,
    /// At half of the least rate of all: the latencies' median and 99th percentile, in milliseconds.
    pub half_load_ms: Option<(f64, f64)>,
}

/// The figures of all rows, given their slices round by round.
pub(super) fn figures(
    rows: &[Row],
    slices: &[Vec<Slice>],
    latencies: &[Option<(f64, f64)>],
) -> Vec<Figures> {
    let cpu = |at: usize| slices[at].iter().map(|slice| slice.cpu_us);
    let added = |at: usize| -> Option<Spread> {
        let base = base_of(rows, &rows[at])?;
        spread(
            cpu(at)
                .zip(cpu(base))
                .map(|(own, base)| own - base)
                .collect(),
        )
    };
    let mut figures = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let Some(cpu_us) = spread(cpu(at).collect()) else {
            continue;
        };
        let is_base = row.stands == Stands::NoFilter;
        let own = added(at).filter(|_| !is_base);
        let lua = lua_of(rows, row).and_then(added);
        let rates = slices[at].iter().map(|slice| slice.per_second);
        figures.push(Figures {
            row: row.name.clone(),
            cpu_us,
            added_us: own,
            to_lua: own.zip(lua).map(|(own, lua)| own.median / lua.median),
            rounds_us: cpu(at).collect(),
            per_second: spread(rates.collect()).map_or(0.0, |rates| rates.median),
            half_load_ms: latencies.get(at).copied().flatten(),
        });
    }
    figures
}

/// Of values in any order; none of none.
pub(super) fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    Some(Spread {
        low: quantile(&values, 0.25)?,
        median: quantile(&values, 0.5)?,
        high: quantile(&values, 0.75)?,
    })
}

/// Of sorted values, between two of them where it falls there.
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len().checked_sub(1)?) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows::{chosen, rows};

    #[test]
    fn quartiles_lie_between_values() {
        assert_eq!(spread(Vec::new()), None);
        let spread = spread(vec![4.0, 1.0, 3.0, 2.0, 5.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
        assert_eq!(quantile(&[1.0, 2.0], 0.5), Some(1.5));
    }

    #[test]
    fn what_is_added_is_counted_within_a_round_and_as_a_multiple_of_lua() {
        let rows = chosen(rows().unwrap(), &["breaker".to_owned()]).unwrap();
        let slices = |cpu: [f64; 3]| {
            cpu.map(|cpu_us| Slice {
                cpu_us,
                per_second: 1.0,
                others: 0.0,
            })
            .to_vec()
        };
        // The machine is slower in the second round, for all.
        let all = [
            slices([30.0, 60.0, 30.0]),
            slices([34.0, 64.0, 34.0]),
            slices([36.0, 66.0, 36.0]),
        ];
        let figures = figures(&rows, &all, &[]);
        assert_eq!(figures[0].added_us, None);
        assert_eq!(figures[1].added_us.unwrap().median, 4.0);
        assert_eq!(figures[2].added_us.unwrap().low, 6.0);
        assert_eq!(figures[2].to_lua, Some(1.5));
    }
}
