//! The usual names of keys and columns: what they say, and in which unit.

use super::roles::{Place, ROLES, Role};
use super::time::Unit;

/// The usual names, in small letters and without anything between words; those before win.
const USUAL: [(Role, &[&str]); ROLES] = [
    (
        Role::Start,
        &[
            "starttime",
            "start",
            "starteddatetime",
            "startedat",
            "startutc",
            "starttimestamp",
            "startunix",
            "requeststarttime",
            "requeststart",
            "requestcreationtime",
            "eventstart",
            "timestamp",
            "time",
            "datetime",
            "date",
            "ts",
            "eventtime",
            "at",
        ],
    ),
    (
        Role::End,
        &[
            "endtime",
            "end",
            "finishedat",
            "timelocal",
            "timeiso8601",
            "msec",
            "eventend",
        ],
    ),
    (
        Role::Duration,
        &[
            "duration",
            "requesttime",
            "requestduration",
            "totalduration",
            "totaltime",
            "latency",
            "responsetime",
            "elapsed",
            "took",
            "timetaken",
            "eventduration",
        ],
    ),
    (
        Role::Upstream,
        &[
            "upstreamservicetime",
            "xenvoyupstreamservicetime",
            "upstreamresponsetime",
            "upstreamtime",
            "upstreamduration",
            "targetprocessingtime",
            "servicetime",
            "service",
        ],
    ),
    (
        Role::Method,
        &[
            "method",
            "requestmethod",
            "httpmethod",
            "httprequestmethod",
            "verb",
        ],
    ),
    (
        Role::Path,
        &[
            "xenvoyoriginalpath",
            "originalpath",
            "path",
            "requesturi",
            "requestpath",
            "uripath",
            "uri",
            "url",
            "urlpath",
            "urloriginal",
            "httppath",
            "httptarget",
            "requesturl",
            "operation",
        ],
    ),
    (Role::Request, &["request", "requestline"]),
    (
        Role::Protocol,
        &[
            "protocol",
            "serverprotocol",
            "httpprotocol",
            "requestprotocol",
        ],
    ),
    (
        Role::Status,
        &[
            "responsecode",
            "status",
            "statuscode",
            "responsestatus",
            "httpstatus",
            "httpstatuscode",
            "httpresponsestatuscode",
            "responsestatuscode",
            "elbstatuscode",
        ],
    ),
    (
        Role::GrpcStatus,
        &[
            "grpcstatus",
            "grpcstatusnumber",
            "grpcstatuscode",
            "grpccode",
            "rpcgrpcstatuscode",
        ],
    ),
    (Role::Flags, &["responseflags", "flags"]),
    (
        Role::Cluster,
        &[
            "upstreamcluster",
            "upstreamclusterraw",
            "cluster",
            "clustername",
            "proxyupstreamname",
        ],
    ),
    (
        Role::Priority,
        &["xseawallpriority", "seawallpriority", "priority"],
    ),
    (Role::Upgrade, &["httpupgrade", "upgrade"]),
    (
        Role::ContentType,
        &[
            "responsecontenttype",
            "senthttpcontenttype",
            "contenttype",
            "mimetype",
            "respheaderscontenttype",
            "downstreamcontenttype",
            "origincontenttype",
        ],
    ),
];

/// What a key says by its name.
pub(super) fn usual(key: &str) -> Option<Place> {
    let whole = squeezed(key);
    let (base, unit) = by_suffix(key);
    let base = squeezed(base);
    for (role, names) in USUAL {
        let timed = matches!(role, Role::Duration | Role::Upstream);
        let moment = matches!(role, Role::Start | Role::End);
        let name = if timed || moment { &base } else { &whole };
        let rank = names
            .iter()
            .position(|usual| usual == name || *usual == whole);
        if let Some(rank) = rank {
            let unit = unit.filter(|_| timed);
            return Some(Place { role, rank, unit });
        }
    }
    None
}

/// A key without the unit at its end, and the unit: `took_ms`, `tookMs`.
pub(super) fn by_suffix(key: &str) -> (&str, Option<Unit>) {
    if let Some((base, last)) = key.rsplit_once(['_', '-', '.'])
        && let Some(unit) = Unit::named(last)
    {
        return (base, Some(unit));
    }
    for suffix in ["Ms", "Us", "Ns", "Seconds", "Millis", "Micros", "Nanos"] {
        if let Some(base) = key.strip_suffix(suffix)
            && !base.is_empty()
        {
            return (base, Unit::named(suffix));
        }
    }
    (key, None)
}

/// A name in small letters, without what stands between its words.
pub(super) fn squeezed(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_found_however_they_are_written() {
        for (key, role, unit) in [
            ("start_time", Role::Start, None),
            ("@timestamp", Role::Start, None),
            ("startTime", Role::Start, None),
            ("start_unix_ns", Role::Start, None),
            ("time_local", Role::End, None),
            ("duration", Role::Duration, None),
            ("latencyMs", Role::Duration, Some(Unit::Millis)),
            ("took_us", Role::Duration, Some(Unit::Micros)),
            ("event.duration", Role::Duration, None),
            ("x-envoy-upstream-service-time", Role::Upstream, None),
            ("http.response.status_code", Role::Status, None),
            ("responseCode", Role::Status, None),
            ("upstream_cluster", Role::Cluster, None),
        ] {
            let place = usual(key).unwrap_or_else(|| panic!("{key}"));
            assert_eq!((place.role, place.unit), (role, unit), "{key}");
        }
        for key in [
            "bytes",
            "user_agent",
            "response_code_details",
            "x_forwarded_for",
        ] {
            assert_eq!(usual(key), None, "{key}");
        }
    }
}
