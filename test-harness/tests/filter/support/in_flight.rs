//! Requests that hold a slot, or are told why they get none.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process, StreamId};

use super::{advance, properties};

/// A policy without a breaker.
pub(crate) fn policy(keys: &str) -> String {
    format!(
        r#"{{"version":1,"trust":{{"addresses":["10.9.0.0/16"]}},
        "policies":{{"default":{{"breaker":{{"mode":"off"}},{keys}}}}}}}"#
    )
}

/// What became of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    Went(StreamId),
    Refused { status: String, reason: String },
}

pub(crate) fn ask(process: &Process, worker: usize, more: &[(&str, &str)]) -> Asked {
    ask_from(process, worker, "10.9.0.1:1234", more)
}

pub(crate) fn ask_from(
    process: &Process,
    worker: usize,
    peer: &str,
    more: &[(&str, &str)],
) -> Asked {
    let mut properties = properties();
    properties.insert("source\0address".to_owned(), peer.as_bytes().to_vec());
    let stream = process.open(worker, properties);
    let mut request = vec![(":method", "GET"), (":path", "/")];
    request.extend(more);
    match process.request_headers(stream, headers(&request), true) {
        Flow::Continue => Asked::Went(stream),
        Flow::Pause => panic!("nothing waits"),
        Flow::Reply(reply) => {
            process.close(stream);
            let value = |name: &str| {
                let found = reply.headers.iter().find(|(key, _)| key == name.as_bytes());
                found.map_or_else(String::new, |(_, value)| {
                    String::from_utf8_lossy(value).into_owned()
                })
            };
            Asked::Refused {
                status: reply.status.to_string(),
                reason: value("x-seawall-reason"),
            }
        }
    }
}

pub(crate) fn refused(reason: &str) -> Asked {
    Asked::Refused {
        status: "503".to_owned(),
        reason: reason.to_owned(),
    }
}

#[track_caller]
pub(crate) fn went(asked: Asked) -> StreamId {
    match asked {
        Asked::Went(stream) => stream,
        refused => panic!("{refused:?}"),
    }
}

pub(crate) fn gauge(process: &Process, name: &str) -> Option<u64> {
    let metrics = process.common().metrics.borrow().values().clone();
    let found = metrics
        .into_iter()
        .find(|(known, _)| known.starts_with(name));
    found.map(|(_, value)| value)
}

pub(crate) fn tick(process: &Process, times: u32) {
    for _ in 0..times {
        advance(process, 500);
        process.tick();
    }
}
