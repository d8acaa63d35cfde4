//! What came of a request, against what was expected of it.

use std::collections::BTreeMap;

use serde_json::json;

use super::expect::{AtUpstream, Expect, UpstreamRequest, Wanted, WantedRule, finds};
use super::message::{Headers, Response, Seen};
use crate::abi::LogLine;

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    /// The answer.
    pub response: &'a Response,
    /// What the upstream got meanwhile.
    pub seen: &'a [Seen],
    /// What was logged meanwhile.
    pub log: &'a [LogLine],
    /// All metrics once it was over.
    pub metrics: &'a BTreeMap<String, u64>,
}

impl Wanted {
    /// What is wrong, given all texts among which one is looked for.
    fn wrong(&self, what: &str, found: &[&str]) -> Option<String> {
        let rule = self.rule();
        let regex = match rule.regex.as_deref().map(finds).transpose() {
            Ok(regex) => regex,
            Err(error) => return Some(format!("{what}: {error}")),
        };
        let fits = |text: &&str| {
            let exact = rule.exact.as_ref().is_none_or(|exact| exact == text);
            exact && regex.as_ref().is_none_or(|one| one.is_valid(&json!(text)))
        };
        if found.iter().any(fits) != rule.absent {
            return None;
        }
        let told = match found {
            [] => "there is none".to_owned(),
            [only] => format!("{only:?}"),
            [.., last] => format!("{} of them, the last one {last:?}", found.len()),
        };
        Some(format!("{what}: {told}; expected {}", rule.words()))
    }
}

impl WantedRule {
    fn words(&self) -> String {
        let none = if self.absent { "none" } else { "one" };
        match (&self.exact, &self.regex) {
            (None, None) => none.to_owned(),
            (Some(exact), None) if !self.absent => format!("{exact:?}"),
            (Some(exact), None) => format!("none that is {exact:?}"),
            (None, Some(regex)) => format!("{none} with /{regex}/"),
            (Some(exact), Some(regex)) => format!("{none} that is {exact:?}, with /{regex}/"),
        }
    }
}

impl Expect {
    /// What did not come as expected.
    pub fn wrong(&self, came: Came<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        let response = came.response;
        if let Some(status) = self.status.filter(|status| *status != response.status) {
            wrong.push(format!("status: {}; expected {status}", response.status));
        }
        if let Some(reset) = self.reset.filter(|reset| *reset != response.reset) {
            let told = |cut| if cut { "cut off" } else { "not cut off" };
            let (found, wanted) = (told(response.reset), told(reset));
            wrong.push(format!("the stream: {found}; expected {wanted}"));
        }
        wrong.extend(headers("header", &self.headers, &response.headers));
        if let Some(body) = &self.body {
            wrong.extend(body.wrong("body", &[&response.body]));
        }
        let lines: Vec<&str> = came.log.iter().map(|line| line.text.as_str()).collect();
        wrong.extend(self.log.iter().filter_map(|line| line.wrong("log", &lines)));
        for (name, value) in &self.metrics {
            let found = came.metrics.get(name).copied().unwrap_or(0);
            if found != *value {
                wrong.push(format!("metric {name}: {found}; expected {value}"));
            }
        }
        match &self.upstream {
            None => {}
            Some(AtUpstream::Came(true)) if came.seen.is_empty() => {
                wrong.push("upstream: it got nothing; expected a request".to_owned());
            }
            Some(AtUpstream::Came(false)) if !came.seen.is_empty() => {
                let count = came.seen.len();
                wrong.push(format!("upstream: it got {count}; expected none"));
            }
            Some(AtUpstream::Came(_)) => {}
            Some(AtUpstream::Request(request)) => wrong.extend(request.wrong(came.seen)),
        }
        wrong
    }
}

impl UpstreamRequest {
    /// What no request that came has; of several that came the one that is nearest is told of.
    fn wrong(&self, seen: &[Seen]) -> Vec<String> {
        let of = |one: &Seen| {
            let mut wrong = headers("upstream header", &self.headers, &one.headers);
            for (what, wanted, found) in [
                ("upstream method", &self.method, &one.method),
                ("upstream path", &self.path, &one.path),
                ("upstream body", &self.body, &one.body),
            ] {
                wrong.extend(
                    wanted
                        .as_ref()
                        .and_then(|wanted| wanted.wrong(what, &[found])),
                );
            }
            wrong
        };
        let nearest = seen.iter().map(of).min_by_key(Vec::len);
        nearest.unwrap_or_else(|| vec!["upstream: it got nothing; expected a request".to_owned()])
    }
}

fn headers(what: &str, wanted: &BTreeMap<String, Wanted>, found: &Headers) -> Vec<String> {
    let of = |(name, wanted): (&String, &Wanted)| {
        let values = found
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
        wanted.wrong(&format!("{what} {name}"), &values)
    };
    wanted.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(expect: serde_json::Value) -> Vec<String> {
        let expect: Expect = serde_json::from_value(expect).expect("an expectation");
        expect.check().expect("regular expressions");
        let response = Response {
            status: 401,
            headers: vec![
                ("x-a".to_owned(), "1".to_owned()),
                ("x-a".to_owned(), "22".to_owned()),
            ],
            body: "no key\n".to_owned(),
            ..Response::default()
        };
        let seen = ["/a?b=1", "/c"].map(|path| Seen {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: vec![("x-user".to_owned(), "alice".to_owned())],
            body: "x".to_owned(),
            ..Seen::default()
        });
        let log = [LogLine {
            at: 0,
            vm: 1,
            level: 2,
            text: "refused: no key of 3".to_owned(),
        }];
        expect.wrong(Came {
            response: &response,
            seen: &seen,
            log: &log,
            metrics: &BTreeMap::from([("refused".to_owned(), 2)]),
        })
    }

    #[test]
    fn what_came_as_expected_is_told_nothing_of() {
        for expect in [
            json!({}),
            json!({"status": 401, "reset": false}),
            json!({"headers": {"X-A": "22", "x-b": {"absent": true}}}),
            json!({"headers": {"x-a": {"regex": "^2+$"}, "x-c": {"regex": ".", "absent": true}}}),
            json!({"headers": {"x-a": {"exact": "3", "absent": true}}}),
            json!({"body": "no key\n"}),
            json!({"body": {"regex": "key"}}),
            json!({"log": ["refused: no key of 3", {"regex": "of [0-9]$"}, {"regex": "panic", "absent": true}]}),
            json!({"metrics": {"refused": 2, "never": 0}}),
            json!({"upstream": true}),
            json!({"upstream": {"method": "POST", "path": {"regex": "^/a\\?"}, "headers": {"x-user": "alice"}, "body": "x"}}),
            json!({"upstream": {"path": "/c"}}),
        ] {
            assert_eq!(wrong(expect.clone()), Vec::<String>::new(), "{expect}");
        }
    }

    #[test]
    fn what_did_not_says_what_came_and_what_was_expected() {
        for (expect, told) in [
            (json!({"status": 200}), "status: 401; expected 200"),
            (
                json!({"reset": true}),
                "the stream: not cut off; expected cut off",
            ),
            (
                json!({"headers": {"x-a": "2"}}),
                "header x-a: 2 of them, the last one \"22\"; expected \"2\"",
            ),
            (
                json!({"headers": {"x-b": "2"}}),
                "header x-b: there is none; expected \"2\"",
            ),
            (
                json!({"headers": {"x-a": {"absent": true}}}),
                "header x-a: 2 of them, the last one \"22\"; expected none",
            ),
            (
                json!({"body": {"regex": "^key"}}),
                "body: \"no key\\n\"; expected one with /^key/",
            ),
            (
                json!({"log": ["refused"]}),
                "log: \"refused: no key of 3\"; expected \"refused\"",
            ),
            (
                json!({"log": [{"regex": "refused", "absent": true}]}),
                "log: \"refused: no key of 3\"; expected none with /refused/",
            ),
            (
                json!({"metrics": {"refused": 1}}),
                "metric refused: 2; expected 1",
            ),
            (
                json!({"upstream": false}),
                "upstream: it got 2; expected none",
            ),
            (
                json!({"upstream": {"path": "/d", "method": "POST"}}),
                "upstream path: \"/a?b=1\"; expected \"/d\"",
            ),
        ] {
            assert_eq!(wrong(expect.clone()), [told], "{expect}");
        }
        let expect = Expect {
            body: Some(Wanted::Rule(WantedRule {
                regex: Some("(".to_owned()),
                ..WantedRule::default()
            })),
            ..Expect::default()
        };
        assert!(
            expect
                .check()
                .is_err_and(|error| error.contains("\"regex\": \"(\""))
        );
    }
}
