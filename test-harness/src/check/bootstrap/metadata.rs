//! What a route's metadata tells the filter: which policy, which priority, which time limit. The filter takes what it cannot
//! read for nothing, so that a slip there is a policy that does not hold.

use std::collections::BTreeSet;

use seawall_policy::priority::Priority;
use seawall_policy::route::Routing;
use seawall_policy::time::parse_duration;
use serde_json::Value;

use super::route::Route;
use crate::check::read::has_template;
use crate::check::shape::near;
use crate::check::{Findings, joined};

/// The name under which the filter looks.
const OURS: &str = "seawall";
/// The keys that it reads there.
const KEYS: [&str; 3] = ["policy", "priority", "timeout"];

/// One route, beside what the filter was told.
pub(super) fn check(
    findings: &mut Findings,
    route: &Route<'_>,
    routing: &Routing,
    told: &mut BTreeSet<String>,
) {
    let Some(all) = route.filter_metadata().and_then(Value::as_object) else {
        return;
    };
    let at = joined(&route.path, "metadata.filter_metadata");
    let mut warn = |path: String, problem: String| {
        if told.insert(format!("{path}: {problem}")) {
            findings.warning(&path, problem);
        }
    };
    let Some(ours) = all.get(OURS) else {
        let mut names = all.keys();
        if let Some(slip) = names.find(|name| near(name, &[OURS]).is_some()) {
            let problem = format!("the filter reads \"{OURS}\" alone: did you mean that?");
            warn(joined(&at, slip), problem);
        }
        return;
    };
    let at = joined(&at, OURS);
    let Some(ours) = ours.as_object() else {
        return warn(at, format!("is no object with {}", KEYS.join(", ")));
    };
    for (key, value) in ours {
        let path = joined(&at, key);
        if !KEYS.contains(&key.as_str()) {
            let near = near(key, &KEYS);
            let near = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            let problem = format!("the filter reads {} alone{near}", KEYS.join(", "));
            warn(path, problem);
            continue;
        }
        let Some(text) = value.as_str() else {
            let problem = format!(
                "{value} is no text, and is not read: write it in quotes, such as \"{}\"",
                example(key)
            );
            warn(path, problem);
            continue;
        };
        if let Some(problem) = wrong(key, text, routing).filter(|_| !has_template(text)) {
            warn(path, problem);
        }
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "timeout" => "15s",
        "priority" => "sheddable",
        _ => "default",
    }
}

fn wrong(key: &str, text: &str, routing: &Routing) -> Option<String> {
    match key {
        "policy" => {
            let names: Vec<&str> = routing
                .policies
                .iter()
                .map(|policy| policy.name.as_str())
                .collect();
            (!names.contains(&text)).then(|| {
                format!(
                    "there is no policy \"{text}\", and it is as if none was named; there are {}",
                    names.join(", ")
                )
            })
        }
        "priority" => {
            let words = [
                Priority::CriticalPlus,
                Priority::Critical,
                Priority::SheddablePlus,
                Priority::Sheddable,
            ];
            let words = words.map(Priority::name);
            (!words.contains(&text)).then(|| format!("\"{text}\" is none of {}", words.join(", ")))
        }
        _ => parse_duration(text).is_err().then(|| {
            format!("\"{text}\" is no length of time, and is not read: write one such as \"15s\"")
        }),
    }
}
