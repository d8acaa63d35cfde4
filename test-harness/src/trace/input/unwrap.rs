//! What docker's `json-file` and Kubernetes' runtimes (CRI) put around each line.

use serde::Deserialize;

/// A line without what was around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing was around it.
    Whole(String),
    /// It was wrapped: a line, or a part of one.
    Part {
        stream: String,
        text: String,
        last: bool,
    },
}

/// Docker's line: the text ends with a line's end, or is cut.
#[derive(Deserialize)]
struct Docker {
    log: String,
    #[serde(default)]
    stream: String,
}

/// Takes off what is around a line.
pub(super) fn unwrap(line: String) -> Piece {
    cri(&line)
        .or_else(|| docker(&line))
        .unwrap_or(Piece::Whole(line))
}

/// `2026-03-01T10:00:00.006Z stdout F text`; P is a part.
fn cri(line: &str) -> Option<Piece> {
    let mut parts = line.splitn(4, ' ');
    let time = parts.next()?.as_bytes();
    let stream = parts
        .next()
        .filter(|stream| matches!(*stream, "stdout" | "stderr"))?;
    let tag = parts.next()?;
    if !time.first()?.is_ascii_digit() || !time.contains(&b'T') {
        return None;
    }
    let last = match tag.split(':').next() {
        Some("F") => true,
        Some("P") => false,
        _ => return None,
    };
    Some(Piece::Part {
        stream: stream.to_owned(),
        text: parts.next().unwrap_or_default().to_owned(),
        last,
    })
}

fn docker(line: &str) -> Option<Piece> {
    if !line.starts_with('{') || !line.contains("\"log\"") {
        return None;
    }
    let Docker { mut log, stream } = serde_json::from_str(line).ok()?;
    // A shipper that rewrites docker's lines drops the end; only docker itself says what is cut.
    let last = log.ends_with('\n') || !line.contains("\"stream\"");
    let end = log.trim_end_matches(['\n', '\r']).len();
    log.truncate(end);
    Some(Piece::Part {
        stream,
        text: log,
        last,
    })
}
