//! Proxies whose JSON has lengths of time in a unit of their own, under names that others use too. A line is known by its
//! keys, and read as if `--fields` said what its proxy's documentation says.

use serde_json::{Map, Value};

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Nobody's that is known.
    Plain,
    /// Caddy's access log: seconds, and the time of the answer.
    Caddy,
    /// Caddy's own log, which names requests that its access log has.
    CaddyOwn,
    /// Traefik's access log: nanoseconds.
    Traefik,
}

impl Dialect {
    /// All that are read, in the order of their numbers.
    pub(super) const READ: [Self; 3] = [Self::Plain, Self::Caddy, Self::Traefik];

    /// Whose line an object is.
    pub(super) fn of(object: &Map<String, Value>) -> Self {
        let has = |key: &str| object.contains_key(key);
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        if has("Duration") && TRAEFIK.iter().any(|key| has(key)) {
            return Self::Traefik;
        }
        if !has("duration") || !object.get("request").is_some_and(Value::is_object) {
            return Self::Plain;
        }
        let logger = text("logger");
        if logger.starts_with("http.log.access") || text("msg") == "handled request" {
            Self::Caddy
        } else if logger.starts_with("http.") {
            Self::CaddyOwn
        } else {
            Self::Plain
        }
    }

    /// What `--fields` would say of it.
    pub(super) fn fields(self) -> &'static str {
        match self {
            Self::Plain | Self::CaddyOwn => "",
            Self::Caddy => "end=ts,duration=duration:s",
            Self::Traefik => {
                "start=StartUTC,end=time,duration=Duration:ns,upstream=OriginDuration:ns,status=DownstreamStatus,cluster=ServiceName"
            }
        }
    }
}

/// Keys that Traefik alone has.
const TRAEFIK: [&str; 4] = [
    "DownstreamStatus",
    "OriginDuration",
    "StartUTC",
    "RouterName",
];
