//! Requests to a cluster, by a route, for an authority, under a policy that opens at once.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process};

use super::{end, properties};

/// Two failures in a row open it, for good.
pub(crate) const QUICK: &str =
    r#""breaker":{"consecutive":2,"open":{"for":"60s","up_to":"60s"},"hosts":{"grace":"0s"}}"#;

pub(crate) fn configuration(scope: &str, rest: &str) -> String {
    format!(r#"{{"version":1,"policies":{{"default":{{{scope}{QUICK}}}}}{rest}}}"#)
}

/// One request to a cluster, by a route, for an authority; whether it went.
pub(crate) fn ask(
    process: &Process,
    cluster: &str,
    route: &str,
    authority: &str,
    status: &str,
) -> bool {
    let mut properties = properties();
    properties.insert("xds\0cluster_name".to_owned(), cluster.as_bytes().to_vec());
    properties.insert("xds\0route_name".to_owned(), route.as_bytes().to_vec());
    let stream = process.open(0, properties);
    let request = headers(&[
        (":method", "GET"),
        (":authority", authority),
        (":path", "/"),
    ]);
    let went = process.request_headers(stream, request, true) == Flow::Continue;
    if went {
        end(process, stream, status);
    } else {
        process.close(stream);
    }
    went
}

/// Makes it fail twice, and says whether it is refused then.
pub(crate) fn opens(process: &Process, cluster: &str, route: &str, authority: &str) -> bool {
    ask(process, cluster, route, authority, "503");
    ask(process, cluster, route, authority, "503");
    !ask(process, cluster, route, authority, "200")
}

pub(crate) fn records(process: &Process) -> usize {
    process
        .common()
        .shared
        .borrow()
        .keys()
        .filter(|key| key.starts_with("seawall/v1/"))
        .count()
}

pub(crate) fn counted(process: &Process, name: &str) -> u64 {
    process.tick();
    process
        .common()
        .metrics
        .borrow()
        .values()
        .get(name)
        .copied()
        .unwrap_or(0)
}
