//! The filter over traces, on the virtual clock: what an outage does, what must do nothing, and the same bytes again.

mod adaptive;
mod idle;
mod logs;
mod native;
mod overload;
mod recorded;
mod sessions;
mod shadow;
#[path = "../shipped/mod.rs"]
mod shipped;
mod streamed;
mod toxics;
mod worlds;
mod zones;

use std::process::{Command, Output};

use seawall_harness::fault::Fault;
use seawall_harness::measure::Figures;
use seawall_harness::process::{Process, ProcessOptions};
use seawall_harness::sim::{self, Environment, START};
use seawall_harness::trace::{Request, poisson};

/// The shipped defaults.
const DEFAULTS: &str = r#"{"version":1,"policies":{"default":{}}}"#;

fn run(policy: &str, environment: &Environment) -> Figures {
    run_for(60.0, policy, environment)
}

fn run_for(seconds: f64, policy: &str, environment: &Environment) -> Figures {
    let trace = poisson(200.0, seconds, 20_000.0, 0.5, environment.seed).expect("a trace");
    run_trace(policy, &trace, environment)
}

fn run_trace(policy: &str, trace: &[Request], environment: &Environment) -> Figures {
    let module = shipped::module();
    let options = ProcessOptions {
        workers: 4,
        configuration: policy.as_bytes().to_vec(),
        seed: environment.seed,
        ..ProcessOptions::default()
    };
    let process = Process::start(module, options, START).expect("the filter starts");
    sim::run(environment, trace, Some(&process), || ())
        .figures("with", sim::faulty(&environment.faults))
}

fn environment(faults: &[&str], patience: Option<u64>) -> Environment {
    Environment {
        servers: 64,
        queue: 10_000,
        faults: faults
            .iter()
            .map(|fault| fault.parse::<Fault>().expect("a fault"))
            .collect(),
        patience,
        seed: 5,
    }
}

#[test]
fn no_false_alarm() {
    // A rolling restart of ten hosts: a tenth of the requests is refused, for a second each.
    let restarts: Vec<String> = (0..10)
        .map(|host| format!("refuse,at={}s,for=1s,share=10", 10 + 2 * host))
        .collect();
    let restarts: Vec<&str> = restarts.iter().map(String::as_str).collect();
    for (what, environment) in [
        ("no fault", environment(&[], None)),
        ("a rolling restart", environment(&restarts, None)),
        (
            "one host of ten is dead until it is ejected",
            environment(&["refuse,at=10s,for=5s,share=10"], None),
        ),
        (
            "5 % errors",
            environment(&["errors,at=0s,for=60s,share=5"], None),
        ),
        (
            "95 % not found",
            environment(&["not_found,at=0s,for=60s,share=95"], None),
        ),
        (
            "clients that give up",
            environment(&["latency,at=0s,for=60s,by=1s"], Some(100_000_000)),
        ),
    ] {
        let figures = run(DEFAULTS, &environment);
        assert_eq!(figures.transitions, vec![], "{what}");
        assert_eq!(figures.answers.refused, 0, "{what}");
    }
}

#[test]
fn every_kind_of_outage_is_noticed_spared_and_over_by_itself() {
    // Half of the window has to fail, and what hangs or is late fails or shows after a while.
    for (fault, late_ms) in [
        ("errors", 0),
        ("refuse", 0),
        ("reset", 0),
        ("hang", 2_500),
        ("latency", 2_500),
    ] {
        let most_ms = 5_500 + late_ms;
        let fault = format!("{fault},at=10s,for=20s,by=5s");
        let mut environment = environment(&[&fault], None);
        environment.servers = 4_096;
        let policy = r#"{"version":1,"policies":{"default":{"timeout":{"total":"2500ms"}}}}"#;
        // The third open time in a row may be 40 s.
        let figures = run_for(120.0, policy, &environment);
        let of_4000 = figures.reached_upstream_in_fault;
        assert!(
            of_4000 < most_ms * 11 / 50,
            "{fault}: {of_4000} requests reached the sick upstream"
        );
        assert!(
            figures
                .time_to_detect_ms
                .is_some_and(|millis| millis < most_ms),
            "{fault}: {figures:?}"
        );
        let last = figures.transitions.last().map(|made| made.change.as_str());
        assert_eq!(
            last,
            Some("half_open -> closed"),
            "{fault}: {:#?}",
            figures.transitions
        );
    }
}

#[test]
fn a_fallback_turns_refusals_into_degraded_answers() {
    let policy = r#"{"version":1,"policies":{"default":{"fallback":[{"static":{"body":"{}"}}]}}}"#;
    let figures = run(policy, &environment(&["errors,at=10s,for=20s"], None));
    assert_eq!((figures.answers.refused, figures.answers.failed), (0, 0));
    assert!(figures.answers.degraded > 3_000, "{:?}", figures.answers);
}

fn seawall(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(arguments)
        .env("SEAWALL_WASM", shipped::wasm())
        .output()
        .expect("the program runs")
}

#[test]
fn a_trace_with_priorities_is_reported_by_priority() {
    let files = tempfile::tempdir().expect("a directory");
    let trace = files.path().join("overload.jsonl").display().to_string();
    let made = "trace generate --rate 400 --for 10s --service 100ms --priorities critical_plus=1,sheddable=3 -o";
    let made: Vec<&str> = made.split(' ').chain([trace.as_str()]).collect();
    assert!(seawall(&made).status.success());
    let policy = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/policies/overload.yaml"
    );
    let replay = [
        "replay",
        "--trace",
        &trace,
        "--policy",
        policy,
        "--servers",
        "20",
        "--patience",
        "1s",
    ];
    let table = seawall(&replay);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        table.contains("good, critical_plus") && table.contains("good, sheddable"),
        "{table}"
    );
    let json = seawall(&[&replay[..], &["--json"]].concat());
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let of = |lane: usize, priority: &str| {
        let all = report["lanes"][lane]["answers_by_priority"].as_array();
        let of = all
            .into_iter()
            .flatten()
            .find(|of| of["priority"] == priority);
        let answers = &of.expect("it is there")["answers"];
        ["good", "refused", "failed"].map(|got| answers[got].as_u64().unwrap_or_default())
    };
    let [good, refused, failed] = of(1, "critical_plus");
    assert!(
        good > 900 && refused + failed == 0,
        "{good}, {refused}, {failed}"
    );
    let [_, refused, _] = of(1, "sheddable");
    assert!(refused > 1_000, "{refused}");
    let [_, _, failed] = of(0, "critical_plus");
    assert!(failed > 500, "without the filter: {failed}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let files = tempfile::tempdir().expect("a directory");
    let at = |name: &str| files.path().join(name).display().to_string();
    let (trace, policy) = (at("trace.jsonl"), at("policy.json"));
    std::fs::write(&policy, DEFAULTS).expect("written");
    let made = seawall(&[
        "trace", "generate", "--rate", "50", "--for", "30s", "-o", &trace,
    ]);
    assert!(made.status.success());
    let replay = |seed: &str| {
        let fault = "errors,at=5s,for=10s,share=70";
        let arguments = [
            "replay", "--trace", &trace, "--policy", &policy, "--fault", fault, "--json", "--seed",
            seed,
        ];
        let output = seawall(&arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let first = replay("1");
    assert_eq!(first, replay("1"));
    assert_ne!(first, replay("2"));
    let report: serde_json::Value = serde_json::from_slice(&first).expect("JSON");
    assert_eq!(
        report["lanes"][1]["transitions"][0]["change"],
        "closed -> open"
    );
}

#[test]
fn bad_input_is_told_with_its_place_and_ends_with_2() {
    let files = tempfile::tempdir().expect("a directory");
    let at = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let policy = at(
        "policy.yaml",
        "version: 1\npolicies: {default: {breaker: {failure_rte: 5}}}\n",
    );
    let trace = at(
        "trace.jsonl",
        "{\"at_us\":0,\"service_us\":1}\n{\"at_us\":\n",
    );
    let output = seawall(&["replay", "--trace", &trace, "--policy", &policy]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("trace.jsonl: line 2: "), "{said}");
    for (name, text) in [
        ("late", r#"{"at_us":18446744073709551615,"service_us":1}"#),
        ("long", r#"{"at_us":0,"service_us":18446744073709551615}"#),
    ] {
        let output = seawall(&["replay", "--trace", &at(name, text), "--policy", &policy]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(
            said.contains("request 1 comes or takes more than a year"),
            "{said}"
        );
    }
    let output = seawall(&["check", &policy]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains(
            "policies.default.breaker.failure_rte: unknown key, did you mean \"failure_rate\"?"
        ),
        "{said}"
    );
    assert_eq!(seawall(&["check", "/nowhere"]).status.code(), Some(2));
    assert_eq!(seawall(&["replay"]).status.code(), Some(2));
}
