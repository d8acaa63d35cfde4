//! Traces that are made or read while they are played: what a run holds of them, and that it makes no difference.

use std::process::{Command, Stdio};
use std::rc::{Rc, Weak};

use seawall_harness::sim::{Lane, Scenario, play};
use seawall_harness::trace::{Request, arrivals};
use serde_json::Value;

use crate::environment;

#[test]
fn a_run_holds_the_requests_that_are_on_their_way_however_long_the_trace_is() {
    let scenario = Scenario::from(environment(&["latency,at=20s,for=20s,by=500ms"], None));
    let most = [100.0, 1_000.0].map(|seconds| {
        let mut live: Vec<Weak<Request>> = Vec::new();
        let mut most = 0;
        let trace = arrivals(500.0, seconds, 20_000.0, 0.5, 1).expect("a trace");
        let trace = trace.map(|request| {
            let request = Rc::new(request);
            live.retain(|request| request.strong_count() > 0);
            live.push(Rc::downgrade(&request));
            most = most.max(live.len());
            request
        });
        let measure = play(&scenario, trace, &Lane::default(), || ());
        let all = measure.counts().all() as f64;
        assert!((all / seconds - 500.0).abs() < 10.0, "{all} in {seconds} s");
        most
    });
    // 500 a second that take half a second and more, in 64 servers and their queue, and one ahead.
    assert_eq!(most[0], most[1], "held of 50,000 and of 500,000 requests");
    assert!((300..20_000).contains(&most[0]), "{most:?}");
}

#[test]
fn a_long_trace_that_is_read_anew_for_each_lane_gives_the_report_of_one_that_is_held() {
    let place = tempfile::tempdir().unwrap();
    let seawall = |arguments: &str, input: Stdio| {
        let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
            .args(arguments.split_whitespace())
            .current_dir(place.path())
            .env("SEAWALL_WASM", crate::shipped::wasm())
            .stdin(input)
            .output()
            .expect("seawall runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments}: {said}");
        output.stdout
    };
    let generate = "trace generate --rate 900 --for 80s -o trace.jsonl";
    seawall(generate, Stdio::null());
    std::fs::write(
        place.path().join("p.yaml"),
        "version: 1\npolicies: {default: {}}",
    )
    .unwrap();
    let replay =
        "replay --policy p.yaml --fault errors,at=20s,for=10s --speed 2 --scale 0.5 --json";
    let read = |output: Vec<u8>| {
        let mut report: Value = serde_json::from_slice(&output).unwrap();
        assert!(
            report["requests"].as_u64() > Some(65_536),
            "it is held: it shows nothing"
        );
        report["reproduce"] = Value::Null;
        report
    };
    let streamed = seawall(&format!("{replay} --trace trace.jsonl"), Stdio::null());
    let trace = std::fs::File::open(place.path().join("trace.jsonl")).unwrap();
    let held = seawall(&format!("{replay} --trace -"), trace.into());
    assert!(read(streamed) == read(held));
    // The same requests out of order: all of them are needed at once.
    let text = std::fs::read_to_string(place.path().join("trace.jsonl")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    std::fs::write(place.path().join("back.jsonl"), lines.join("\n")).unwrap();
    let back = seawall(&format!("{replay} --trace back.jsonl"), Stdio::null());
    assert!(
        read(back)["lanes"][1]["transitions"]
            .as_array()
            .is_some_and(|all| all.len() > 1)
    );
}
