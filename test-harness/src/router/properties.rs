//! Whatever happens to a request, in whatever order: one answer at most, no more attempts than allowed, nothing kept.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::abi::stream::headers;
use crate::random::Seed;

#[derive(Clone, Copy, Debug)]
enum Happens {
    Answered(u32, u16),
    Failed(u32, End),
    AttemptTimedOut(u32),
    RetryDue,
    TimedOut,
    Abandoned,
}

fn happens() -> impl Strategy<Value = Happens> {
    let attempt = 1_u32..5;
    let end = prop_oneof![
        Just(End::Refused),
        Just(End::Reset),
        Just(End::StreamReset),
        Just(End::Garbage),
        Just(End::StreamRefused),
    ];
    let code = prop_oneof![Just(200), Just(404), Just(503)];
    prop_oneof![
        4 => (attempt.clone(), code).prop_map(|(attempt, code)| Happens::Answered(attempt, code)),
        4 => (attempt.clone(), end).prop_map(|(attempt, end)| Happens::Failed(attempt, end)),
        4 => attempt.prop_map(Happens::AttemptTimedOut),
        6 => Just(Happens::RetryDue),
        1 => Just(Happens::TimedOut),
        1 => Just(Happens::Abandoned),
    ]
}

fn tell(machine: &mut Machine, what: Happens, retries: &mut Retries) -> Vec<Step> {
    match what {
        Happens::Answered(attempt, code) => {
            let answer = headers(&[(":status", &code.to_string())]);
            machine.answered(attempt, code, answer, retries)
        }
        Happens::Failed(attempt, end) => machine.failed(attempt, end, retries),
        Happens::AttemptTimedOut(attempt) => machine.attempt_timed_out(attempt, retries),
        Happens::RetryDue => machine.retry_due(),
        Happens::TimedOut => machine.timed_out(retries),
        Happens::Abandoned => {
            let ended = machine.abandon(retries);
            ended.into_iter().map(Step::End).collect()
        }
    }
}

#[test]
fn whatever_happens_attempts_end_once_and_places_come_back() {
    const SEED: [u8; 32] = [23; 32];
    let config = Config {
        cases: 5_000,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
    let mut runner = TestRunner::new_with_rng(config, random);
    let cases = (
        prop::collection::vec(happens(), 0..40),
        0_u32..4,
        any::<bool>(),
        prop_oneof![Just(None), Just(Some(0)), Just(Some(1))],
    );
    let outcome = runner.run(&cases, |(events, number, hedge, limit)| {
        let mut route = Route::retrying(RetryOn::SERVER_ERROR, number);
        route.hedge = hedge;
        route.retry.per_try = Some(1_000_000);
        let orders = Orders::take(&route, &mut headers(&[]));
        let mut machine = Machine::new(orders, Seed::of(1, "property"));
        let mut retries = Retries::limited(limit);
        let mut steps = machine.start();
        for what in events {
            steps.extend(tell(&mut machine, what, &mut retries));
        }
        steps.extend(tell(&mut machine, Happens::Abandoned, &mut retries));
        let count = |wanted: fn(&Step) -> bool| steps.iter().filter(|step| wanted(step)).count();
        let sent = count(|step| matches!(step, Step::Send(_)));
        let waits = count(|step| matches!(step, Step::Wait(_)));
        prop_assert_eq!(sent, machine.attempts() as usize);
        prop_assert_eq!(sent, count(|step| matches!(step, Step::End(_))));
        prop_assert!(sent <= 1 + waits && waits <= number as usize);
        prop_assert!(count(|step| matches!(step, Step::Answer(_))) <= 1);
        prop_assert_eq!(retries, Retries::limited(limit));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
}
