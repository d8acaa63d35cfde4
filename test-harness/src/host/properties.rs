//! What a filter can read of a request and its answer, beside headers.

use crate::worker::{Properties, Surroundings};

fn path(parts: &[&str]) -> String {
    parts.join("\0")
}

/// What is known when a request comes; what follows from its headers the process knows itself.
pub(super) fn of_request(number: usize) -> Properties {
    let surroundings = Surroundings {
        connection: number as u64,
        route: "upstream".to_owned(),
        attempt: Some(0),
        ..Surroundings::default()
    };
    let mut all = surroundings.properties();
    all.insert(path(&["connection", "mtls"]), vec![0]);
    all.insert(path(&["request", "protocol"]), b"HTTP/1.1".to_vec());
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
