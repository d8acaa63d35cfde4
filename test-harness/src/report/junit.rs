//! A report as JUnit's XML: each criterion is a test, for pipelines that show them.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::Report;

/// The name of the suite, and of the class of its tests.
const SUITE: &str = "seawall";

/// The criteria as tests. A run without criteria is one test that passed: it was run.
///
/// # Errors
/// If it cannot be written.
pub fn junit(report: &Report) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(SUITE);
    suite.add_property(("seed", report.seed.to_string().as_str()));
    suite.add_property(("reproduce", report.reproduce.as_str()));
    if let Some(digest) = &report.wasm_sha256 {
        suite.add_property(("wasm_sha256", digest.as_str()));
    }
    for judged in &report.criteria {
        let said = format!("{}: {} ({})", judged.criterion, judged.shown(), judged.lane);
        let status = if judged.met {
            TestCaseStatus::success()
        } else {
            let mut missed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            missed.set_type("criterion").set_message(said.clone());
            missed
        };
        let mut case = TestCase::new(judged.criterion.clone(), status);
        case.set_classname(SUITE).set_system_out(said);
        suite.add_test_case(case);
    }
    if report.criteria.is_empty() {
        let mut case = TestCase::new("the trace was replayed", TestCaseStatus::success());
        case.set_classname(SUITE);
        suite.add_test_case(case);
    }
    let mut all = quick_junit::Report::new(SUITE);
    all.add_test_suite(suite);
    all.to_string()
}
