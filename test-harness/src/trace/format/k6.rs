//! What k6 writes: a point for each metric of each request, as JSON or as CSV. `http_req_duration` is the request; its time
//! is that of the answer. What ended without an answer has an error code, which becomes one of Envoy's flags.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Reader;
use super::columns::Rows;
use crate::trace::record::{Found, Left, Length, Line, Moment};
use crate::trace::time::Unit;

/// The metric of which each request has one.
const DURATION: &str = "http_req_duration";

pub(super) struct K6Json;

#[derive(Deserialize)]
struct Point {
    #[serde(rename = "type")]
    kind: String,
    metric: String,
    data: Value,
}

/// Whether a line is one of k6's.
pub(super) fn looks(line: &str) -> bool {
    serde_json::from_str(line)
        .is_ok_and(|point: Point| matches!(point.kind.as_str(), "Metric" | "Point"))
}

impl Reader for K6Json {
    fn line(&mut self, text: &str) -> Result<Option<Line>, String> {
        let how =
            |error| format!("{error}: expected an object with \"type\", \"metric\" and \"data\"");
        let point: Point = serde_json::from_str(text).map_err(how)?;
        if point.kind != "Point" || point.metric != DURATION {
            return Ok(Some(Line::Left(Left::OtherMetric)));
        }
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let empty = Value::Null;
        let of = |name: &str| text(point.data.get(name).unwrap_or(&empty));
        let mut columns: BTreeMap<String, String> = BTreeMap::new();
        let tags = point.data.get("tags").and_then(Value::as_object);
        for (name, value) in tags.into_iter().flatten() {
            columns.insert(name.clone(), text(value));
        }
        request(&of("time"), &of("value"), &columns).map(Some)
    }
}

/// The rows are known by the header's names.
#[derive(Default)]
pub(super) struct K6Csv {
    header: Option<(Rows, Vec<String>)>,
}

impl Reader for K6Csv {
    fn line(&mut self, text: &str) -> Result<Option<Line>, String> {
        let Some((rows, header)) = &mut self.header else {
            let mut rows = Rows::of(text);
            let header = rows.row(text)?;
            for name in ["metric_name", "timestamp", "metric_value"] {
                if !header.iter().any(|column| column == name) {
                    return Err(format!(
                        "there is no column \"{name}\": expected what k6 run --out csv writes"
                    ));
                }
            }
            self.header = Some((rows, header));
            return Ok(None);
        };
        let row = rows.under(header.len(), text)?;
        let columns: BTreeMap<String, String> = header.iter().cloned().zip(row).collect();
        let of = |name: &str| columns.get(name).map_or("", String::as_str);
        if of("metric_name") != DURATION {
            return Ok(Some(Line::Left(Left::OtherMetric)));
        }
        request(of("timestamp"), of("metric_value"), &columns).map(Some)
    }
}

fn request(time: &str, value: &str, columns: &BTreeMap<String, String>) -> Result<Line, String> {
    let of = |name: &str| columns.get(name).map(String::as_str);
    let found = Found {
        moment: Some(Moment {
            name: "the time",
            text: time,
            end: true,
        }),
        duration: Some(Length {
            name: "the value",
            text: value,
            unit: Unit::Millis,
        }),
        method: of("method").filter(|method| !method.is_empty()),
        target: of("url").or_else(|| of("name")),
        status: of("status"),
        flags: of("error_code").and_then(flag),
        ..Found::default()
    };
    found.line()
}

/// The flag of Envoy's that says what an error of k6's says (its documentation, "Error codes").
fn flag(code: &str) -> Option<&'static str> {
    match code.parse().ok()? {
        // A request that had an answer has a status instead.
        0 | 1_400..=1_599 => None,
        1_050 | 1_211 => Some("UT"),
        1_220 | 1_221 => Some("UC"),
        1_600..=1_699 => Some("UR"),
        _ => Some("UF"),
    }
}
