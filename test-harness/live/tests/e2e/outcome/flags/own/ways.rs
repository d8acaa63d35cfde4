//! For each local reply of our own a way to get it.

use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

/// The cluster to which a failover would go if a route led there.
pub(super) const STANDBY: &str = "standby";

/// What the client does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asks {
    /// Asks with these headers.
    Gets(&'static [(&'static str, &'static str)]),
    /// Sends a part of a body, and waits.
    Uploads,
}

/// A gRPC call whose caller does not wait for long.
const SHORT: Asks = Asks::Gets(&[
    ("content-type", "application/grpc"),
    ("grpc-timeout", "100m"),
]);
/// One whose caller waits for longer than any limit here.
const LONG: Asks = Asks::Gets(&[("content-type", "application/grpc"), ("grpc-timeout", "9S")]);

/// One way to a reply.
#[derive(Debug)]
pub(super) struct Way {
    /// The code details. Its policy, its route and its upstream have this name too.
    pub(super) details: &'static str,
    pub(super) policy: Value,
    pub(super) asks: Asks,
    /// What its upstream does.
    pub(super) knobs: Knobs,
    /// The same once the breaker has opened, where that changes.
    pub(super) opened: Option<Knobs>,
    /// Whether the upstream opens its breaker.
    pub(super) opens: bool,
}

fn way(details: &'static str, policy: Value, knobs: Knobs) -> Way {
    Way {
        details,
        policy,
        asks: Asks::Gets(&[]),
        knobs,
        opened: None,
        opens: false,
    }
}

impl Way {
    fn asks(self, asks: Asks) -> Self {
        Self { asks, ..self }
    }

    fn opens(self) -> Self {
        Self {
            opens: true,
            ..self
        }
    }

    /// The upstream for which the outcome is counted.
    pub(super) fn counted_for(&self) -> &'static str {
        match self.details {
            "seawall_failover_misrouted" => STANDBY,
            details => details,
        }
    }
}

/// All of them.
pub(super) fn all() -> Vec<Way> {
    [refused_by_breaker(), refused_for_load(), others()]
        .into_iter()
        .flatten()
        .collect()
}

/// A breaker that opens at three failures, and is open for so long.
fn opens_for(open: &str) -> Value {
    json!({
        "consecutive": 3, "hosts": {"grace": "0s"}, "ramp": "60s", "half_open": {"permits": 1},
        "open": {"for": open, "up_to": open, "jitter": 0}
    })
}

fn refused_by_breaker() -> Vec<Way> {
    let failing = || Knobs::failing(1.0);
    let breaker = |breaker: Value| json!({"breaker": breaker});
    // A probe takes longer than the breaker is open, and others ask meanwhile.
    let slowly = Knobs {
        latency_ms: 300,
        ..failing()
    };
    vec![
        way(
            "seawall_breaker_forced_open",
            breaker(json!({"mode": "forced_open"})),
            Knobs::default(),
        ),
        way("seawall_breaker_open", breaker(opens_for("60s")), failing()).opens(),
        way(
            "seawall_breaker_half_open",
            breaker(opens_for("200ms")),
            slowly,
        )
        .opens(),
        Way {
            opened: Some(Knobs::default()),
            ..way(
                "seawall_breaker_ramp",
                breaker(opens_for("200ms")),
                failing(),
            )
            .opens()
        },
    ]
}

/// Refused for load or time. What goes upstream stays there and holds its slot.
fn refused_for_load() -> Vec<Way> {
    let reported = (
        "endpoint-load-metrics".to_owned(),
        "TEXT cpu_utilization=0.97".to_owned(),
    );
    vec![
        way(
            "seawall_deadline",
            json!({"timeout": {"total": "2s", "doomed_under": "500ms"}}),
            Knobs::default(),
        )
        .asks(SHORT),
        way(
            "seawall_bulkhead_full",
            json!({"bulkhead": {"max_concurrent": 1}}),
            Knobs::hanging(),
        ),
        way(
            "seawall_unfinished",
            json!({"bulkhead": {"max_concurrent": 4}}),
            Knobs::hanging(),
        )
        .asks(Asks::Uploads),
        way(
            "seawall_shed_limit",
            json!({"shedding": {"limit": "fixed", "max": 1, "load_over": 0}}),
            Knobs::hanging(),
        ),
        way(
            "seawall_shed_load",
            json!({"shedding": {"limit": "none", "priorities": {"default": "sheddable"}}}),
            Knobs {
                answer_headers: vec![reported],
                ..Knobs::default()
            },
        ),
    ]
}

/// What stands for another end, and what is not about an upstream.
fn others() -> Vec<Way> {
    // No failure of the upstream opens it.
    let steady = json!({"failure_rate": 0, "consecutive": 0});
    let empty = json!({"budget": {"ratio": 0, "min_per_second": 0}});
    vec![
        way(
            "seawall_failure_replaced",
            json!({"breaker": steady, "fallback": [{"on": ["failure"], "static": {"body": "[]"}}]}),
            Knobs::failing(1.0),
        ),
        way(
            "seawall_deadline_exceeded",
            json!({"breaker": steady, "timeout": {"total": "100ms"}}),
            Knobs::hanging(),
        )
        .asks(LONG),
        way(
            "seawall_retry_budget",
            json!({
                "breaker": steady, "retries": empty,
                "timeout": {"total": "10s", "per_try": "100ms"}
            }),
            Knobs::hanging(),
        ),
        way(
            "seawall_failover_misrouted",
            json!({"breaker": opens_for("60s"), "fallback": [{"cluster": STANDBY}]}),
            Knobs::failing(1.0),
        )
        .opens(),
        way("seawall_failover_header", json!({}), Knobs::default())
            .asks(Asks::Gets(&[("x-seawall-failover", STANDBY)])),
        way("seawall_page", json!({}), Knobs::default()),
    ]
}
