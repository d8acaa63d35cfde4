//! Envoy's access log as JSON, one object a line, with the fields of Istio's default: `start_time`
//! (`%START_TIME%`), `duration` (`%DURATION%`, ms) and, if it is there, `path`. Other fields are passed by.

use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use serde_json::Value;

use super::{Raw, TraceError, nanos};

#[derive(Deserialize)]
struct Line {
    start_time: String,
    duration: Value,
    path: Option<String>,
}

pub(super) fn read(input: impl Read) -> Result<Vec<Raw>, TraceError> {
    let mut requests = Vec::new();
    for (index, line) in BufReader::new(input).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let request = request(&line).map_err(|problem| TraceError::line(index + 1, problem))?;
        requests.push(request);
    }
    Ok(requests)
}

fn request(line: &str) -> Result<Raw, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| {
        format!("{error}: expected an object with \"start_time\" and \"duration\" (ms)")
    })?;
    let millis = match &line.duration {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let millis =
        millis.ok_or_else(|| format!("duration is {}: expected milliseconds", line.duration))?;
    let at = nanos(&line.start_time);
    Ok(Raw {
        at: at.ok_or_else(|| {
            format!(
                "start_time is \"{}\": expected a time such as 2026-01-31T12:00:00.000Z",
                line.start_time
            )
        })?,
        service_us: millis.saturating_mul(1_000),
        path: line
            .path
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| "/".to_owned()),
    })
}
