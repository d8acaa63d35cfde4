//! Envoy's own answer in the place of every 5xx, whoever gave it: the filter `custom_response`.

use serde_json::{Value, json};

/// The name of the filter, and of its configuration for a route.
pub(crate) const NAME: &str = "envoy.filters.http.custom_response";
const TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.custom_response.v3.CustomResponse";

/// The filter in a listener's chain, which replaces nothing by itself.
pub(crate) fn filter() -> Value {
    json!({"name": NAME, "typed_config": {"@type": TYPE}})
}

/// What a route's responses are replaced by: this status, these headers, and this body where there is one.
pub(crate) fn on_route(status: u16, headers: &[(&str, &str)], body: Option<&str>) -> Value {
    let header = |(key, value): &(&str, &str)| {
        json!({
            "header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"
        })
    };
    let mut response = json!({
        "@type": "type.googleapis.com/envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy",
        "status_code": status,
        "response_headers_to_add": headers.iter().map(header).collect::<Vec<_>>()
    });
    if let Some(body) = body {
        response["body"] = json!({"inline_string": body});
    }
    json!({
        "@type": TYPE,
        "custom_response_matcher": {"matcher_list": {"matchers": [{
            "predicate": {"single_predicate": {
                "input": {
                    "name": "class",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput"
                    }
                },
                "value_match": {"exact": "5xx"}
            }},
            "on_match": {"action": {"name": "static", "typed_config": response}}
        }]}}
    })
}
