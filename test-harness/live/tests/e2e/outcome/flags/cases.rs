//! For each row and phase a way to make Envoy set that flag, and the verdict that is due; or why there is none.

use Phase::{After, Before};
use serde_json::{Value, json};

/// When the flag is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before a response began.
    Before,
    /// After a response began.
    After,
}

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// Asks and reads to the end.
    Gets,
    /// The same with this line in its head.
    Header(&'static str),
    /// Closes its connection.
    Leaves,
    /// Resets its HTTP/2 stream.
    Resets,
    /// Sends nonsense in the place of a chunk.
    BreaksOff,
    /// Sends one of nine bytes, and waits.
    Uploads,
    /// Sends 64,000 bytes over HTTP/2 and does not end.
    UploadsMuch,
    /// Opens no window beyond HTTP/2's first.
    ReadsNothing,
}

/// What the upstream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// There is none.
    Nobody,
    /// Its port is closed.
    Refuses,
    Answers,
    Hangs,
    Closes,
    Nonsense,
    /// A response begins and does not end.
    Half,
    HalfNonsense,
    Large,
    /// Resets its HTTP/2 stream.
    Resets,
    HalfResets,
    /// Closes its HTTP/2 connection.
    HalfCloses,
}

impl Does {
    pub(super) fn is_http2(self) -> bool {
        matches!(self, Self::Resets | Self::HalfResets | Self::HalfCloses)
    }
}

/// What the counters of the upstream say: its outcome, and why it says nothing.
pub(super) type Verdict = (&'static str, Option<&'static str>);

/// One way to a flag.
#[derive(Debug)]
pub(super) struct Case {
    /// The row that it shows.
    pub(super) row: &'static str,
    pub(super) phase: Phase,
    /// Of its route, its cluster and the request.
    pub(super) name: &'static str,
    pub(super) asks: Asks,
    pub(super) does: Does,
    /// More of the route's action.
    pub(super) route: Value,
    /// More of the cluster; `null` takes away.
    pub(super) cluster: Value,
    /// Filters behind Seawall that are on for this route.
    pub(super) filters: &'static [&'static str],
    /// What Envoy logs: all flags, and how the code details begin.
    pub(super) flags: &'static str,
    pub(super) details: &'static str,
    pub(super) verdict: Verdict,
    /// How often it is asked, one after the other. The last one counts.
    pub(super) times: u64,
}

const SUCCESS: Verdict = ("success", None);
const FAILURE: Verdict = ("failure", None);
/// Nobody else tells whose fault it is that the response stands still.
const STALLED: Verdict = ("success", Some("stalled_after_headers"));

const fn ignored(why: &'static str) -> Verdict {
    ("ignored", Some(why))
}

/// Phases of rows that no request of a real Envoy shows.
pub(super) const NEVER: [(&[&str], Phase, &str); 3] = [
    (
        &[
            "IH", "UH", "UO", "NR", "NC", "NFCF", "LH", "DO", "UDO", "DF", "FI", "RL", "UAEX",
            "RLSE", "UF",
        ],
        After,
        "Envoy or a filter answers in the place of the upstream, whose response never begins",
    ),
    (&["URX"], After, "nothing is repeated once a response began"),
    (
        &["LR"],
        Before,
        "Envoy 1.40 resets its own side only where a whole response came before the end of its request",
    ),
];

fn case(
    row: &'static str,
    phase: Phase,
    name: &'static str,
    asks: Asks,
    does: Does,
    details: &'static str,
    verdict: Verdict,
) -> Case {
    Case {
        row,
        phase,
        name,
        asks,
        does,
        route: json!({}),
        cluster: json!({}),
        filters: &[],
        flags: row,
        details,
        verdict,
        times: 1,
    }
}

impl Case {
    fn route(self, route: Value) -> Self {
        Self { route, ..self }
    }

    fn cluster(self, cluster: Value) -> Self {
        Self { cluster, ..self }
    }

    fn filters(self, filters: &'static [&'static str]) -> Self {
        Self { filters, ..self }
    }

    fn flags(self, flags: &'static str) -> Self {
        Self { flags, ..self }
    }
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    [client(), envoy(), other_filters(), limits(), broken()]
        .into_iter()
        .flatten()
        .collect()
}

fn client() -> Vec<Case> {
    use Asks::{BreaksOff, Header, Leaves, Resets};
    let gone = ignored("client_gone");
    let left = "downstream_remote_disconnect";
    let reset = "http2.remote_reset";
    let broke = "http1.codec_error";
    vec![
        case("DC", Before, "dc", Leaves, Does::Hangs, left, gone),
        case("DC", After, "dc-after", Leaves, Does::Half, left, SUCCESS),
        case("DR", Before, "dr", Resets, Does::Hangs, reset, gone),
        case("DR", After, "dr-after", Resets, Does::Half, reset, SUCCESS),
        case(
            "DPE",
            Before,
            "dpe",
            BreaksOff,
            Does::Hangs,
            broke,
            ignored("unfinished"),
        ),
        case(
            "DPE",
            After,
            "dpe-after",
            BreaksOff,
            Does::Half,
            broke,
            SUCCESS,
        ),
        case(
            "IH",
            Before,
            "ih",
            Header("x-strict: nonsense"),
            Does::Answers,
            "request_headers_failed_strict_check",
            gone,
        ),
    ]
}

/// What Envoy says where it has no host, no route, no cluster or no room.
fn envoy() -> Vec<Case> {
    let own = |row, name, asks, does, details| {
        case(row, Before, name, asks, does, details, ignored("envoy"))
    };
    let get = |row, name, details| own(row, name, Asks::Gets, Does::Answers, details);
    let full = json!({"circuit_breakers": {"thresholds": [
        {"max_requests": 0, "max_connections": 0, "max_pending_requests": 0}
    ]}});
    let drops = |parts: u32| {
        let share = json!({"numerator": parts, "denominator": "MILLION"});
        let drop = json!({"category": "all", "drop_percentage": share});
        json!({"load_assignment": {"policy": {"drop_overloads": [drop]}}})
    };
    vec![
        own("UH", "uh", Asks::Gets, Does::Nobody, "no_healthy_upstream"),
        get(
            "UO",
            "uo",
            "upstream_reset_before_response_started{overflow}",
        )
        .cluster(full),
        // A retry that found no room leaves UO too, beside what the attempt died of.
        case(
            "UO",
            Before,
            "uo-retry",
            Asks::Gets,
            Does::Closes,
            "upstream_reset_before_response_started{connection_termination}",
            FAILURE,
        )
        .flags("UO,UC")
        .route(json!({"retry_policy": {"retry_on": "reset", "num_retries": 1}}))
        .cluster(json!({"circuit_breakers": {"thresholds": [{"max_retries": 0}]}})),
        own(
            "NR",
            "nr",
            Asks::Header("x-rewrite: /nowhere"),
            Does::Answers,
            "route_not_found",
        ),
        own(
            "NC",
            "nc",
            Asks::Header("x-rewrite: /missing"),
            Does::Answers,
            "cluster_not_found",
        ),
        get("NFCF", "nfcf", ""),
        get("LH", "lh", "health_check_failed").filters(&["health_check"]),
        get("DO", "do", "drop_overload").cluster(drops(999_999)),
        get("UDO", "udo", "unconditional_drop_overload").cluster(drops(1_000_000)),
        get("DF", "df", "dns_resolution_failure").filters(&["names"]),
        own("OM", "om", Asks::UploadsMuch, Does::Answers, "overload").filters(&["buffer"]),
        case(
            "OM",
            After,
            "om-after",
            Asks::ReadsNothing,
            Does::Large,
            "overload",
            SUCCESS,
        ),
        case(
            "LR",
            After,
            "lr-after",
            Asks::Uploads,
            Does::Answers,
            "upstream_reset_after_response_started{HTTP/1_premature_upstream_half_close}",
            SUCCESS,
        ),
    ]
}

fn other_filters() -> Vec<Case> {
    let answered = |row, name, filters, details| {
        let verdict = ignored("other_filter");
        let case = case(
            row,
            Before,
            name,
            Asks::Gets,
            Does::Answers,
            details,
            verdict,
        );
        case.filters(filters)
    };
    let passed = |row, name, filters, details| {
        let case = case(
            row,
            After,
            name,
            Asks::Gets,
            Does::Answers,
            details,
            SUCCESS,
        );
        case.filters(filters)
    };
    let limited =
        json!({"rate_limits": [{"actions": [{"generic_key": {"descriptor_value": "all"}}]}]});
    vec![
        answered("FI", "fi", &["abort"], "fault_filter_abort"),
        answered("DI", "di", &["delay", "abort"], "fault_filter_abort").flags("DI,FI"),
        passed("DI", "di-after", &["delay"], "via_upstream"),
        answered("RL", "rl", &["local_limit"], "local_rate_limited"),
        answered("UAEX", "uaex", &["authorization"], "ext_authz_error"),
        answered("RLSE", "rlse", &["limit"], "rate_limiter_error").route(limited),
        answered("RFCF", "rfcf", &["quota"], "rate_limited_by_quota"),
        // No flag is asked for where an answer is good.
        Case {
            times: 2,
            ..passed(
                "RFCF",
                "rfcf-after",
                &["cache"],
                "cache.response_from_cache_filter",
            )
        },
    ]
}

/// Limits of the operator. A response must begin before the limit, on a busy machine too.
fn limits() -> Vec<Case> {
    let before =
        |row, name, details| case(row, Before, name, Asks::Gets, Does::Hangs, details, FAILURE);
    let after =
        |row, name, details| case(row, After, name, Asks::Gets, Does::Half, details, STALLED);
    let timeout = |time: &str| json!({"timeout": time});
    let idle = |time: &str| json!({"idle_timeout": time});
    let duration = |time: &str| json!({"max_stream_duration": {"max_stream_duration": time}});
    let upstream_duration = |time: &str| {
        json!({"typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"max_stream_duration": time},
                "explicit_http_config": {"http_protocol_options": {}}
            }
        }})
    };
    let (short, long) = ("0.3s", "2s");
    let reached = "upstream_max_stream_duration_reached";
    // Envoy 1.40 sets DT for connections; of a stream it says so by the details alone.
    let unmarked = |case: Case| case.flags("-");
    let unfinished = Case {
        verdict: ignored("unfinished"),
        asks: Asks::Uploads,
        ..before("SI", "si-upload", "stream_idle_timeout")
    };
    vec![
        before("UT", "ut", "response_timeout").route(timeout(short)),
        after("UT", "ut-after", "response_timeout").route(timeout(long)),
        before("SI", "si", "stream_idle_timeout").route(idle(short)),
        after("SI", "si-after", "stream_idle_timeout").route(idle(long)),
        unfinished.route(idle(short)),
        before("UMSDR", "umsdr", reached).cluster(upstream_duration(short)),
        after("UMSDR", "umsdr-after", reached).cluster(upstream_duration(long)),
        unmarked(before("DT", "dt", "max_duration_timeout").route(duration(short))),
        unmarked(after("DT", "dt-after", "max_duration_timeout").route(duration(long))),
    ]
}

fn broken() -> Vec<Case> {
    const UNSTARTED: &str = "upstream_reset_before_response_started";
    const STARTED: &str = "upstream_reset_after_response_started";
    let before = |row, name, does| case(row, Before, name, Asks::Gets, does, UNSTARTED, FAILURE);
    let after = |row, name, does| case(row, After, name, Asks::Gets, does, STARTED, FAILURE);
    let again = json!({"retry_policy": {"retry_on": "reset", "num_retries": 1}});
    vec![
        before("UF", "uf", Does::Refuses),
        before("UC", "uc", Does::Closes),
        after("UC", "uc-after", Does::HalfCloses),
        before("UR", "ur", Does::Resets),
        after("UR", "ur-after", Does::HalfResets),
        before("UPE", "upe", Does::Nonsense),
        after("UPE", "upe-after", Does::HalfNonsense),
        before("URX", "urx", Does::Closes)
            .flags("URX,UC")
            .route(again),
    ]
}
