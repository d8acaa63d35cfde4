//! Many small guests in one module and one Envoy: the second byte of a request's path says which of them it is for.

use seawall_harness::host::{Request, Rule};

use crate::guest::{self, CALLBACKS};
use crate::{Case, check};

/// Small guests, what they are asked, and how their upstream answers.
#[derive(Debug, Default)]
pub(crate) struct Group {
    functions: String,
    /// What each callback does, by its place in the list of all.
    callbacks: Vec<String>,
    case: Case,
    parts: u8,
}

impl Group {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            callbacks: vec![String::new(); CALLBACKS.len()],
            ..Self::default()
        }
    }

    /// One more guest. Paths of requests and rules are its own: they begin with `/`.
    pub(crate) fn part(
        mut self,
        name: &str,
        callbacks: &[(&str, &str)],
        requests: Vec<Request>,
        upstream: Vec<Rule>,
    ) -> Self {
        let letter = b'A' + self.parts;
        self.parts += 1;
        let own = |path: &str| format!("/{}-{name}{path}", char::from(letter));
        for request in requests {
            let path = own(&request.path);
            self.case.requests.push(Request { path, ..request });
        }
        for rule in upstream {
            let path_prefix = own(&rule.path_prefix);
            self.case.upstream.push(Rule {
                path_prefix,
                ..rule
            });
        }
        for (callback, body) in callbacks {
            let place = CALLBACKS.iter().position(|(known, _)| known == callback);
            let place = place.expect("a callback of the interface");
            let shape = CALLBACKS[place].1;
            let count = shape.matches("i32").count() - usize::from(shape.contains("result"));
            let give: String = (0..count).map(|at| format!("(local.get {at}) ")).collect();
            self.functions += &format!("(func $p{letter}c{place} {shape} {body})\n");
            self.callbacks[place] += &format!(
                "(if (i32.eq (global.get $part) (i32.const {letter})) (then (return (call $p{letter}c{place} {give}))))\n"
            );
        }
        self
    }

    /// The same with another case around the requests.
    pub(crate) fn within(mut self, case: Case) -> Self {
        self.case = Case {
            requests: self.case.requests,
            upstream: self.case.upstream,
            ..case
        };
        self
    }

    /// Runs all of it on both sides and compares.
    pub(crate) async fn check(self) -> anyhow::Result<()> {
        let mut callbacks = Vec::new();
        for ((name, _), own) in CALLBACKS.iter().zip(&self.callbacks) {
            let begin = match *name {
                "proxy_on_request_headers" => {
                    r#"(if (i32.eqz (call $get (i32.const 0) $":path" (i32.const 256) (i32.const 260)))
                        (then (global.set $part (i32.load8_u (i32.add (i32.load (i32.const 256)) (i32.const 1))))))
                    (call $say_out)"#
                }
                _ => "",
            };
            if !own.is_empty() || !begin.is_empty() {
                let silent = guest::silent(name).unwrap_or_default();
                callbacks.push((*name, format!("{begin} {own} {silent}")));
            }
        }
        let callbacks: Vec<_> = callbacks
            .iter()
            .map(|(name, body)| (*name, &**body))
            .collect();
        let more = format!("(global $part (mut i32) (i32.const 0))\n{}", self.functions);
        check(self.case, &guest::module(&more, &callbacks)).await
    }
}
