//! How much time a request has, and what users get instead.

use seawall_live::upstream::Knobs;
use serde_json::{Value, json};

use super::{Plan, Stand, typed};

pub(super) const DEADLINES: &str = "each hop has its own; with `respect_expected_rq_timeout` the caller's, \
     where the application passes the header on";
pub(super) const MEANWHILE: &str =
    "an error, or by `custom_response` a fixed answer or another cluster's";

const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";

pub(super) fn plans() -> Vec<Plan> {
    let slow = |name, router| Plan {
        name,
        knobs: Knobs::slow(400),
        router,
        // Envoy takes the header from nobody else.
        manager: json!({
            "internal_address_config": {"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}
        }),
        ..Plan::default()
    };
    let answering = |name, knobs, on_route| Plan {
        name,
        knobs,
        action: json!({"timeout": "0.2s"}),
        filters: vec![json!({
            "name": "custom_response",
            "typed_config": typed("extensions.filters.http.custom_response.v3.CustomResponse", &json!({}))
        })],
        on_route,
        ..Plan::default()
    };
    vec![
        slow("own-deadline", json!({})),
        slow(
            "caller-s-deadline",
            json!({"respect_expected_rq_timeout": true}),
        ),
        answering("error", Knobs::failing(1.0), Value::Null),
        answering("fixed", Knobs::failing(1.0), instead(&fixed())),
        answering("fixed-late", Knobs::hanging(), instead(&fixed())),
        answering("fixed-down", Knobs::down(), instead(&fixed())),
        answering("redirected", Knobs::failing(1.0), instead(&elsewhere())),
        Plan {
            name: "elsewhere",
            ..Plan::default()
        },
    ]
}

fn fixed() -> Value {
    typed(
        "extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy",
        &json!({
            "status_code": 200,
            "body": {"inline_string": "instead"},
            "response_headers_to_add": [{"header": {"key": "x-degraded", "value": "static"}}]
        }),
    )
}

fn elsewhere() -> Value {
    typed(
        "extensions.http.custom_response.redirect_policy.v3.RedirectPolicy",
        &json!({"uri": "http://seawall.test/elsewhere", "status_code": 200}),
    )
}

/// This policy for every 5xx.
fn instead(policy: &Value) -> Value {
    let class = typed(
        "type.matcher.v3.HttpResponseStatusCodeClassMatchInput",
        &json!({}),
    );
    let matcher = json!({"matcher_list": {"matchers": [{
        "predicate": {"single_predicate": {
            "input": {"name": "class", "typed_config": class}, "value_match": {"exact": "5xx"}
        }},
        "on_match": {"action": {"name": "instead", "typed_config": policy}}
    }]}});
    let whole = typed(
        "extensions.filters.http.custom_response.v3.CustomResponse",
        &json!({"custom_response_matcher": matcher}),
    );
    json!({"custom_response": whole})
}

pub(super) async fn deadlines(stand: &Stand) -> anyhow::Result<()> {
    let internal = ("x-forwarded-for", "10.0.0.1");
    let caller = [internal, (EXPECTED, "100")];
    let own = stand.answer("own-deadline", &caller).await?;
    assert_eq!(own.status, 200, "it has 15 s, whatever the caller has");
    let taken = stand.answer("caller-s-deadline", &caller).await?;
    assert_eq!(taken.status, 504, "it has 100 ms, as the caller");
    // An application that knows nothing of the header does not send it.
    let lost = stand.answer("caller-s-deadline", &[internal]).await?;
    assert_eq!(lost.status, 200);
    Ok(())
}

pub(super) async fn meanwhile(stand: &Stand) -> anyhow::Result<()> {
    assert_eq!(stand.answer("error", &[]).await?.status, 503);
    for lane in ["fixed", "fixed-late", "fixed-down"] {
        let answer = stand.answer(lane, &[]).await?;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &b"instead"[..]),
            "{lane}"
        );
        assert_eq!(answer.headers["x-degraded"], "static", "{lane}");
    }
    let answer = stand.answer("redirected", &[]).await?;
    assert_eq!(answer.status, 200);
    let arrivals = stand.upstream("elsewhere").snapshot().arrivals;
    let paths: Vec<&str> = arrivals
        .iter()
        .map(|arrival| arrival.path.as_str())
        .collect();
    assert_eq!(paths, ["/elsewhere"], "by a path of its own");
    Ok(())
}
