//! What the filter does, in the host that stands in for Envoy.
#![allow(missing_docs, reason = "tests")]

use std::process::Command;

use seawall_harness::host::{Host, Options, Request, Rule};

/// The filter with two keys, before an upstream that greets.
fn start() -> Host {
    let built = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/build.sh")).output();
    let built = built.expect("a shell");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let module = String::from_utf8(built.stdout).expect("a path");
    let options = Options::configured("k1 alice\nk2 bob").upstream(Rule::answer(200, "hello"));
    Host::start(module.trim(), options).expect("a filter that takes its configuration")
}

#[test]
fn who_has_no_key_is_refused_and_counted() {
    let mut host = start();
    let answer = host.send(Request::get("/").header("x-api-key", "stolen"));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (401, "who are you?\n")
    );
    assert_eq!(host.metric("api_keys.refused"), 1);
    assert!(host.take_seen().is_empty(), "the upstream got nothing");
}

#[test]
fn who_has_one_passes_under_a_name_and_the_key_stays_here() {
    let mut host = start();
    let answer = host.send(Request::post("/", "question").header("x-api-key", "k2"));
    assert_eq!(
        (answer.status, answer.header("x-answer-for")),
        (200, Some("bob"))
    );
    let seen = host.take_seen();
    assert_eq!(seen[0].header("x-caller"), Some("bob"));
    assert_eq!(
        (seen[0].header("x-api-key"), seen[0].body.as_str()),
        (None, "question")
    );
}

#[test]
fn a_line_without_a_name_is_refused() {
    let options = Options::configured("key");
    let module = start().module().clone();
    assert!(Host::of(&module, options).is_err());
}
