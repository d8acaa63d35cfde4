//! What a filter can read of a request and its answer, beside headers.

use super::Options;
use crate::abi::stream::{HeaderMap, value};
use crate::worker::Properties;

fn path(parts: &[&str]) -> String {
    parts.join("\0")
}

/// What is known when a request comes.
pub(super) fn of_request(headers: &HeaderMap, options: &Options, number: usize) -> Properties {
    let text = |name: &str| value(headers, name).unwrap_or_default().into_bytes();
    let mut all = Properties::new();
    let mut put = |parts: &[&str], value: Vec<u8>| {
        all.insert(path(parts), value);
    };
    let whole = value(headers, ":path").unwrap_or_default();
    let (url_path, query) = whole.split_once('?').unwrap_or((&whole, ""));
    put(&["request", "path"], text(":path"));
    put(&["request", "url_path"], url_path.as_bytes().to_vec());
    put(&["request", "query"], query.as_bytes().to_vec());
    put(&["request", "host"], text(":authority"));
    put(&["request", "method"], text(":method"));
    put(&["request", "scheme"], text(":scheme"));
    put(&["request", "id"], text("x-request-id"));
    put(&["request", "protocol"], b"HTTP/1.1".to_vec());
    for (known, name) in [("referer", "referer"), ("useragent", "user-agent")] {
        if let Some(value) = value(headers, name) {
            put(&["request", known], value.into_bytes());
        }
    }
    for (name, value) in headers {
        let name = String::from_utf8_lossy(name).into_owned();
        put(&["request", "headers", &name], value.clone());
    }
    put(&["source", "address"], b"127.0.0.1:40000".to_vec());
    put(&["source", "port"], 40_000_u64.to_le_bytes().to_vec());
    put(&["destination", "address"], b"127.0.0.1:10000".to_vec());
    put(&["destination", "port"], 10_000_u64.to_le_bytes().to_vec());
    put(&["connection", "mtls"], vec![0]);
    put(
        &["connection", "id"],
        (number as u64).to_le_bytes().to_vec(),
    );
    put(&["xds", "cluster_name"], b"upstream".to_vec());
    put(&["xds", "route_name"], b"upstream".to_vec());
    put(&["xds", "listener_direction"], 2_u64.to_le_bytes().to_vec());
    put(&["plugin_root_id"], options.root_id.clone().into_bytes());
    put(&["plugin_name"], b"filter".to_vec());
    put(
        &["upstream", "request_attempt_count"],
        0_u64.to_le_bytes().to_vec(),
    );
    all
}

/// What is known once there is an answer.
pub(super) fn of_answer(status: u32, flags: u64, details: &str) -> [(String, Vec<u8>); 3] {
    let code = u64::from(status).to_le_bytes().to_vec();
    [
        (path(&["response", "code"]), code),
        (path(&["response", "flags"]), flags.to_le_bytes().to_vec()),
        (
            path(&["response", "code_details"]),
            details.as_bytes().to_vec(),
        ),
    ]
}
