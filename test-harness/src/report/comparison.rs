//! A report beside an earlier one: which figures moved, and whether that is better.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figure::{Figure, Unit};
use super::{Report, VERSION};

/// What changed since an earlier report, in lanes of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The command of the earlier report.
    pub reproduce: String,
    /// The filter of the earlier report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm_sha256: Option<String>,
    /// Lane by lane, figure by figure.
    pub figures: Vec<Delta>,
}

/// One figure of one lane, then and now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delta {
    /// The lane.
    pub lane: String,
    /// The figure.
    pub figure: Figure,
    /// What it was; null where it had no value.
    pub before: Option<f64>,
    /// What it is.
    pub now: Option<f64>,
    /// What both are counted in.
    pub unit: Unit,
    /// Whether it is better now; null where it is the same, one of both has no value, or it depends.
    pub better: Option<bool>,
}

/// Reads an earlier report.
///
/// # Errors
/// If it is none, or one of another version, in words.
pub fn earlier(text: &str) -> Result<Report, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(format!(
                "it is a report of version {version}, and this program writes version {VERSION}: repeat the earlier run \
                 with its command"
            ));
        }
        None => return Err("it is no report of this program: it has no version".to_owned()),
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// What changed from one report to the other.
pub fn compared(before: &Report, now: &Report) -> Comparison {
    let pairs = now.lanes.iter().filter_map(|lane| {
        let mut earlier = before.lanes.iter();
        Some((earlier.find(|earlier| earlier.lane == lane.lane)?, lane))
    });
    let figures = pairs.flat_map(|(before, now)| {
        Figure::ALL.map(|figure| {
            let (was, is) = (figure.of(before), figure.of(now));
            let both = was.zip(is).filter(|(was, is)| was != is);
            Delta {
                lane: now.lane.clone(),
                figure,
                before: was,
                now: is,
                unit: figure.unit(),
                better: both
                    .zip(figure.more_is_better())
                    .map(|((was, is), more)| (is > was) == more),
            }
        })
    });
    Comparison {
        reproduce: before.reproduce.clone(),
        wasm_sha256: before.wasm_sha256.clone(),
        figures: figures.collect(),
    }
}
