//! What retries add to the load of an upstream that fails by chance, and what they win.

use seawall_harness::router::{RetryOn, Route};
use seawall_harness::sim::{Clients, Lane, Native, Scenario, Tokens, play};

use crate::{even, near, scenario};

const SEED: u64 = 3;

fn three_retries<'a>() -> Lane<'a> {
    Lane::bare(Route::retrying(RetryOn::SERVER_ERROR, 3))
}

fn failing(percent: u32) -> Scenario {
    let fault = format!("errors,at=0s,for=1h,share={percent}");
    let faults = [fault.as_str()];
    // None at all is no fault.
    scenario(SEED, if percent == 0 { &[] } else { &faults })
}

#[test]
fn three_naive_retries_cost_and_win_what_theory_says() {
    let trace = even(200, 100, 1_000);
    for percent in [0, 10, 25, 50, 75, 100] {
        let p = f64::from(percent) / 100.0;
        let (load, success) = (1.0 + p + p.powi(2) + p.powi(3), 1.0 - p.powi(4));
        // In the route, and in a client that tries four times: the same.
        let route = play(&failing(percent), &trace, &three_retries(), || ());
        let mut stubborn = failing(percent);
        stubborn.clients = Clients::trying(4);
        let client = play(&stubborn, &trace, &Lane::default(), || ());
        for (who, measure) in [("route", route), ("client", client)] {
            near(
                &format!("{who}, load at p={p}"),
                measure.load(),
                load,
                0.02 * load,
            );
            near(
                &format!("{who}, success at p={p}"),
                measure.success(),
                success,
                0.01,
            );
        }
    }
}

#[test]
fn layers_multiply() {
    let mut dead = failing(100);
    dead.clients = Clients::trying(4);
    let measure = play(&dead, even(100, 10, 1_000), &three_retries(), || ());
    near("four tries of four attempts", measure.load(), 16.0, 0.0);
}

#[test]
fn one_retry_saves_what_fails_only_at_first() {
    let first = scenario(SEED, &["errors,at=0s,for=1h,attempts=1"]);
    let measure = play(&first, even(100, 10, 1_000), &three_retries(), || ());
    near("load", measure.load(), 2.0, 0.0);
    near("success", measure.success(), 1.0, 0.0);
}

#[test]
fn each_kind_of_failure_is_tried_again_under_its_own_condition() {
    for (fault, condition) in [
        ("errors", "gateway-error"),
        ("refuse", "connect-failure"),
        ("reset", "reset"),
        ("refuse_stream", "refused-stream"),
        ("reset_stream", "reset"),
        ("not_found", "retriable-status-codes"),
    ] {
        for (on, load) in [(condition, 2.0), ("retriable-4xx", 1.0)] {
            let mut route = Route::retrying(RetryOn::parse(on), 1);
            route.retry.codes = vec![404];
            let faults = [&*format!("{fault},at=0s,for=1h,attempts=1")];
            let scenario = scenario(SEED, &faults);
            let measure = play(&scenario, even(10, 1, 1_000), &Lane::bare(route), || ());
            near(&format!("{fault} under {on}"), measure.load(), load, 0.0);
        }
    }
}

#[test]
fn an_attempt_that_hangs_is_tried_again_after_its_limit() {
    let mut route = Route::retrying(RetryOn::RESET, 1);
    route.retry.per_try = Some(200_000_000);
    route.back_off = None;
    let hangs = scenario(SEED, &["hang,at=0s,for=1h,attempts=1"]);
    let measure = play(&hangs, even(10, 10, 1_000), &Lane::bare(route), || ());
    near("load", measure.load(), 2.0, 0.0);
    near("success", measure.success(), 1.0, 0.0);
    near("p50 in ms", measure.good_latency_ms(0.5), 202.0, 1.0);
}

#[test]
fn the_clusters_default_limit_leaves_most_retries_out() {
    let lane = Lane {
        native: Native {
            retries: Some(3),
            ..Native::default()
        },
        ..three_retries()
    };
    // 30 at the same time, every second.
    let mut trace = even(30, 10, 1_000);
    trace
        .iter_mut()
        .for_each(|request| request.at_us -= request.at_us % 1_000_000);
    let first = scenario(SEED, &["errors,at=0s,for=1h,attempts=1"]);
    let measure = play(&first, &trace, &lane, || ());
    near("load", measure.load(), 1.1, 0.0);
    near("success", measure.success(), 0.1, 0.0);
}

#[test]
fn retry_tokens_of_10_percent_hold_the_load_down() {
    // 100 clients with 10 requests a second each for 10 s: a tenth, and 4 of the 5 tokens that each begins with.
    let mut scenario = failing(50);
    scenario.clients = Clients {
        count: 100,
        tries: u32::MAX,
        back_off: None,
        tokens: Some(Tokens {
            size: 5.0,
            deposit: 0.1,
        }),
        ..Clients::default()
    };
    let measure = play(&scenario, even(1_000, 10, 1_000), &Lane::default(), || ());
    near("load", measure.load(), 1.14, 0.01);
    near("success", measure.success(), 0.57, 0.01);
}
