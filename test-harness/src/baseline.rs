//! What Envoy does by itself under an Istio DestinationRule: limits, retries at a time, outlier detection.
//!
//! Defaults are Istio's: no limit where nothing is said, and outlier detection only where the rule has it. Of `subsets` and
//! `portLevelSettings` nothing is taken, and a warning says so.

use seawall_policy::time::parse_duration;
use serde_json::Value;

use crate::check;
use crate::sim::{Native, Outliers};

/// What one rule says.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The service that it is for, as it is written.
    pub host: String,
    /// Limits and outlier detection.
    pub native: Native,
    /// What was not taken from it.
    pub left_out: Vec<String>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It is no YAML.
    #[error("{0}")]
    Form(String),
    /// It holds something else.
    #[error("there is no DestinationRule in it")]
    None,
    /// A key is none of Istio's: where, and which one may be meant.
    #[error("{0}: {1}")]
    Key(String, String),
    /// A value is none.
    #[error("{path}: {problem}")]
    Value {
        /// Where it stands.
        path: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// All rules in a text.
pub fn read(text: &str) -> Result<Vec<Baseline>, BaselineError> {
    let documents =
        check::parse(text).map_err(|error| BaselineError::Form(format!("{error:#}")))?;
    let rules = documents
        .iter()
        .filter(|document| document["kind"] == "DestinationRule");
    let rules: Vec<_> = rules.map(rule).collect::<Result<_, _>>()?;
    match rules.is_empty() {
        true => Err(BaselineError::None),
        false => Ok(rules),
    }
}

impl Baseline {
    /// Whether the rule is for a cluster: one of Istio's, `outbound|80||cart.shop.svc.cluster.local`, or one of the same name.
    pub fn is_for(&self, cluster: &str) -> bool {
        let host = cluster.rsplit('|').next().unwrap_or(cluster);
        match self.host.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix),
            None => host == self.host || host.starts_with(&format!("{}.", self.host)),
        }
    }
}

fn rule(document: &Value) -> Result<Baseline, BaselineError> {
    let unknown = check::unknown_keys_of_destination_rule(&document["spec"]);
    if let Some(error) = unknown.errors.into_iter().next() {
        return Err(BaselineError::Key(error.path, error.problem));
    }
    let policy = &document["spec"]["trafficPolicy"];
    let count = |path: &'static str| match policy.pointer(path) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let problem = || BaselineError::Value {
                path,
                problem: format!("{value}: expected a number of 0 or more"),
            };
            let number = value
                .as_u64()
                .and_then(|number| usize::try_from(number).ok());
            number.map(Some).ok_or_else(problem)
        }
    };
    let limit = |path| Ok::<_, BaselineError>(count(path)?.filter(|most| *most > 0));
    let left_out = [
        ("subsets", &document["spec"]["subsets"]),
        ("portLevelSettings", &policy["portLevelSettings"]),
        ("loadBalancer", &policy["loadBalancer"]),
        ("retryBudget", &policy["retryBudget"]),
    ];
    let left_out = left_out.iter().filter(|(_, value)| !value.is_null());
    let left_out = left_out.map(|(name, _)| (*name).to_owned());
    let strange = unknown.unread.into_iter().map(|finding| finding.path);
    let retries = limit("/connectionPool/http/maxRetries")?;
    Ok(Baseline {
        host: document["spec"]["host"].as_str().unwrap_or("*").to_owned(),
        native: Native {
            connections: limit("/connectionPool/tcp/maxConnections")?,
            pending: limit("/connectionPool/http/http1MaxPendingRequests")?,
            requests: limit("/connectionPool/http/http2MaxRequests")?,
            retries: retries.map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
            outliers: outliers(policy, &count)?,
            ..Native::default()
        },
        left_out: left_out.chain(strange).collect(),
    })
}

fn outliers(
    policy: &Value,
    count: &impl Fn(&'static str) -> Result<Option<usize>, BaselineError>,
) -> Result<Option<Outliers>, BaselineError> {
    if policy["outlierDetection"].is_null() {
        return Ok(None);
    }
    let span = |path: &'static str, default: u64| match policy.pointer(path) {
        None => Ok(default),
        Some(value) => {
            let read = value.as_str().and_then(|text| parse_duration(text).ok());
            let problem = || BaselineError::Value {
                path,
                problem: format!("{value}: expected a length of time such as \"30s\""),
            };
            read.map(|span| span.as_nanos()).ok_or_else(problem)
        }
    };
    let default = Outliers::DEFAULT;
    let all = count("/outlierDetection/consecutive5xxErrors")?;
    let gateway = count("/outlierDetection/consecutiveGatewayErrors")?.filter(|count| *count > 0);
    // 0 switches the first one off; the second one is off unless it is set. Where both are on, the first that is reached counts.
    let all = match all {
        None => Some(default.failures as usize),
        Some(count) => Some(count).filter(|count| *count > 0),
    };
    let (failures, gateway_only) = match (all, gateway) {
        (None, None) => return Ok(None),
        (Some(all), Some(gateway)) if gateway < all => (gateway, true),
        (Some(all), _) => (all, false),
        (None, Some(gateway)) => (gateway, true),
    };
    let percent = |path, otherwise: f64| {
        Ok::<_, BaselineError>(count(path)?.map_or(otherwise, |count| count as f64))
    };
    Ok(Some(Outliers {
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        gateway_only,
        base: span("/outlierDetection/baseEjectionTime", default.base)?,
        most: percent("/outlierDetection/maxEjectionPercent", default.most)?,
        panic_below: percent("/outlierDetection/minHealthPercent", 0.0)?,
        ..default
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart}
spec:
  host: cart.shop.svc.cluster.local
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 100}, http: {http1MaxPendingRequests: 10, maxRetries: 5}}
    outlierDetection: {consecutive5xxErrors: 7, baseEjectionTime: 1m, maxEjectionPercent: 50}
    loadBalancer: {simple: LEAST_REQUEST}
";

    #[test]
    fn a_rule_becomes_what_envoy_does_by_itself() {
        let rules = read(RULE).unwrap();
        let [rule] = rules.as_slice() else {
            panic!("one rule: {rules:?}");
        };
        let native = &rule.native;
        assert_eq!(
            (native.connections, native.pending, native.requests),
            (Some(100), Some(10), None)
        );
        let outliers = native.outliers.unwrap();
        assert_eq!(
            (outliers.failures, outliers.base, outliers.most),
            (7, 60_000_000_000, 50.0)
        );
        assert_eq!(outliers.panic_below, 0.0, "Istio sets no panic threshold");
        assert_eq!(native.retries, Some(5));
        assert_eq!(rule.left_out, ["loadBalancer"]);
        assert!(rule.is_for("outbound|80||cart.shop.svc.cluster.local"));
        assert!(rule.is_for("cart.shop.svc.cluster.local"));
        assert!(!rule.is_for("outbound|80||cart2.shop.svc.cluster.local"));
    }

    #[test]
    fn consecutive_errors_are_off_where_they_are_0() {
        for (written, expected) in [
            ("{}", Some((5, false))),
            ("{consecutive5xxErrors: 0}", None),
            (
                "{consecutive5xxErrors: 0, consecutiveGatewayErrors: 3}",
                Some((3, true)),
            ),
            ("{consecutiveGatewayErrors: 3}", Some((3, true))),
            (
                "{consecutive5xxErrors: 2, consecutiveGatewayErrors: 3}",
                Some((2, false)),
            ),
        ] {
            let text = format!(
                "kind: DestinationRule\nspec: {{host: a, trafficPolicy: {{outlierDetection: {written}}}}}"
            );
            let rules = read(&text).unwrap();
            let found = rules[0].native.outliers;
            let found = found.map(|outliers| (outliers.failures, outliers.gateway_only));
            assert_eq!(found, expected, "{written}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (text, why) in [
            ("kind: VirtualService", "no DestinationRule"),
            (
                "kind: DestinationRule\nspec: {trafficPolicy: {connectionPool: {tcp: {maxConnections: many}}}}",
                "expected a number",
            ),
            (
                "kind: DestinationRule\nspec: {trafficPolicy: {outlierDetecton: {}}}",
                "did you mean \"outlierDetection\"?",
            ),
            (
                "kind: DestinationRule\nspec: {trafficPolicy: {outlierDetection: {baseEjectionTime: 5}}}",
                "such as \"30s\"",
            ),
        ] {
            let told = read(text).unwrap_err().to_string();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
