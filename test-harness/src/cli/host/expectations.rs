//! What requests were expected to lead to, and did not: as text, as JSON, as JUnit.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use crate::abi::LogLine;
use crate::host::{Came, Host, Request, Response, Seen};
use crate::stdout::say;

/// The name of the suite.
const SUITE: &str = "seawall host run";

/// A request with expectations.
struct Judged {
    number: usize,
    /// As in `GET /path`.
    name: String,
    wrong: Vec<String>,
}

/// All requests with expectations, and what was taken from the host to judge them.
#[derive(Default)]
pub(super) struct Expectations {
    judged: Vec<Judged>,
    /// What the upstream got, in order.
    pub(super) seen: Vec<Seen>,
    /// What was logged, in order.
    pub(super) log: Vec<LogLine>,
}

impl Expectations {
    /// Runs requests. Each is judged once its answer is there, by what came to the log and to the upstream since the request
    /// before it was over, or since the first one began.
    pub(super) fn run(host: &mut Host, requests: Vec<Request>) -> (Self, Vec<Response>) {
        let mut all = Self {
            log: host.take_log(),
            ..Self::default()
        };
        let expected = requests.iter().map(|request| {
            let name = format!("{} {}", request.method, request.path);
            (name, request.expect.clone())
        });
        let expected: Vec<_> = expected.collect();
        let responses = host.run_told(requests, |host, number, response| {
            let (seen, log) = (host.take_seen(), host.take_log());
            if let Some((name, Some(expect))) = expected.get(number) {
                let wrong = expect.wrong(Came {
                    response,
                    seen: &seen,
                    log: &log,
                    metrics: &host.metrics(),
                });
                all.judged.push(Judged {
                    number,
                    name: name.clone(),
                    wrong,
                });
            }
            all.seen.extend(seen);
            all.log.extend(log);
        });
        all.judged.sort_by_key(|judged| judged.number);
        (all, responses)
    }

    /// Whether all came as expected.
    pub(super) fn are_met(&self) -> bool {
        self.judged.iter().all(|judged| judged.wrong.is_empty())
    }

    /// As JSON; none if nothing was expected.
    pub(super) fn json(&self) -> Option<Value> {
        let all = self.judged.iter();
        let all: Vec<Value> = all
            .map(|judged| json!({"request": judged.number, "met": judged.wrong.is_empty(), "wrong": judged.wrong}))
            .collect();
        (!all.is_empty()).then(|| json!(all))
    }

    /// As text.
    pub(super) fn print(&self) {
        for judged in &self.judged {
            for wrong in &judged.wrong {
                say!(
                    "MISSED request {} ({}): {wrong}",
                    judged.number,
                    judged.name
                );
            }
        }
        if !self.judged.is_empty() {
            let met = self.judged.iter().filter(|judged| judged.wrong.is_empty());
            say!(
                "{} of {} requests as expected",
                met.count(),
                self.judged.len()
            );
        }
    }

    /// As JUnit's XML: the start of the module is a test, and each request with expectations is one. After a start that failed there are no requests.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn junit(
        &self,
        module: &str,
        seed: u64,
        refused: Option<&str>,
    ) -> Result<String, quick_junit::SerializeError> {
        let mut suite = TestSuite::new(module);
        suite.add_property(("seed", seed.to_string().as_str()));
        let failed = |kind: &str, said: &str| {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(kind).set_message(said.to_owned());
            status
        };
        let mut start = TestCase::new(
            "the module starts",
            refused.map_or_else(TestCaseStatus::success, |reason| failed("start", reason)),
        );
        start.set_classname(SUITE);
        suite.add_test_case(start);
        for judged in &self.judged {
            let status = match judged.wrong.is_empty() {
                true => TestCaseStatus::success(),
                false => failed("expectation", &judged.wrong.join("; ")),
            };
            let name = format!("request {}: {}", judged.number, judged.name);
            let mut case = TestCase::new(name, status);
            case.set_classname(SUITE);
            suite.add_test_case(case);
        }
        let mut all = quick_junit::Report::new(SUITE);
        all.add_test_suite(suite);
        all.to_string()
    }
}
