//! `seawall check`: what it prints, and its exit codes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const GOOD: &str = "version: 1\npolicies: {default: {}}\n";
const BAD: &str = "version: 1\npolicies: {default: {breaker: {open: {fro: 2s}}}}\n";
const UNREAD: &str = "dynamic_resources: {lds_config: {ads: {}}}\n";
const BOTH: &str =
    "version: 1\npolicies: {default: {}}\n---\ndynamic_resources: {lds_config: {ads: {}}}\n";
const PLUGIN: &str = "kind: WasmPlugin\nmetadata: {name: seawall, namespace: shop}\nspec: {url: a, failStrategy: FAIL_RELOAD, \
                      pluginConfig: {version: 1, policies: {default: {retries: {}}}}}\n";
const RULE: &str = "kind: DestinationRule\nmetadata: {name: a, namespace: shop}\nspec: {host: a, trafficPolicy: {connectionPool: \
                    {http: {maxRetries: 3}}}}\n";

struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).expect("a file");
        }
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// What it prints, and its exit code.
fn run(files: &Files, arguments: &[&str]) -> (String, Option<i32>) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_seawall"));
    let mut command = Command::new(program);
    let command = command.arg("check").args(arguments);
    let output = command.current_dir(files.path()).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (said, output.status.code())
}

fn all() -> Files {
    Files::new(&[
        ("good", GOOD),
        ("bad", BAD),
        ("unread", UNREAD),
        ("both", BOTH),
        ("none", "kind: Service\n"),
        ("broken", "{"),
        ("plugin", PLUGIN),
        ("rule", RULE),
    ])
}

#[test]
fn the_exit_code_is_the_most_severe_of_all_files() {
    let files = all();
    for (arguments, code) in [
        (&["good"][..], 0),
        (&["bad"], 1),
        (&["none"], 1),
        (&["unread"], 3),
        (&["both"], 3),
        (&["broken"], 2),
        (&["nowhere"], 2),
        (&[], 2),
        (&["good", "both"], 3),
        (&["both", "bad"], 1),
        (&["bad", "broken"], 2),
        (&["--allow-unread", "both"], 0),
        (&["--allow-unread", "both", "bad"], 1),
        // Where nothing was read there is nothing that could be valid.
        (&["--allow-unread", "unread"], 3),
        (&["plugin", "rule"], 1),
        (&["--together", "plugin", "rule"], 0),
    ] {
        let (said, is) = run(&files, arguments);
        assert_eq!(is, Some(code), "{arguments:?}: {said}");
    }
}

#[test]
fn valid_is_said_of_nothing_that_was_not_read() {
    let files = all();
    let (said, _) = run(&files, &["both"]);
    assert!(
        said.contains("both: not read: document 2.dynamic_resources.lds_config: "),
        "{said}"
    );
    assert!(
        said.contains("both: incomplete, 1 configuration without an error; 1 place was not read"),
        "{said}"
    );
    for file in ["both", "bad", "unread", "none"] {
        let (said, _) = run(&files, &[file]);
        assert!(!said.contains(": valid"), "{said}");
    }
    let (said, _) = run(&files, &["good"]);
    assert_eq!(said, "good: valid, 1 configuration\n");
}

#[test]
fn the_json_has_verdicts_and_what_was_not_read() {
    let files = all();
    let (said, code) = run(&files, &["--json", "good", "both", "bad"]);
    assert_eq!(code, Some(1));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let verdicts = said.as_array().expect("a list").iter();
    let verdicts: Vec<_> = verdicts.map(|file| &file["verdict"]).collect();
    assert_eq!(verdicts, ["valid", "incomplete", "invalid"]);
    let unread = &said[1]["findings"]["unread"][0];
    assert_eq!(unread["path"], "document 2.dynamic_resources.lds_config");
}

#[test]
fn files_that_are_judged_together_are_named_in_what_is_found() {
    let files = all();
    let (said, _) = run(&files, &["--together", "plugin", "rule"]);
    let warning = "together: warning: rule: spec.trafficPolicy.connectionPool.http.maxRetries: is 3 at a time";
    assert!(said.contains(warning), "{said}");
    let (said, _) = run(&files, &["plugin"]);
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_hides_no_other() {
    let files = all();
    let (said, code) = run(&files, &["--json", "good", "broken", "nothere", "bad"]);
    assert_eq!(code, Some(2));
    let told: Value = serde_json::from_str(&said).expect("JSON");
    let verdicts: Vec<_> = told
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| &file["verdict"])
        .collect();
    assert_eq!(verdicts, ["valid", "unreadable", "unreadable", "invalid"]);
    let (said, code) = run(&files, &["broken", "good"]);
    assert_eq!(
        (said.as_str(), code),
        ("good: valid, 1 configuration\n", Some(2))
    );
}

#[test]
fn a_file_in_a_config_map_that_cannot_be_read_is_named() {
    let map = "kind: ConfigMap\nmetadata: {name: a}\ndata:\n  policy.yaml: |\n    version: 1\n    policies: {default: {}}\n  envoy.yaml: |\n    \
               dynamic_resources: {\n  notes.txt: |\n    {{ none of ours\n";
    let files = Files::new(&[("map", map)]);
    let (said, code) = run(&files, &["map"]);
    assert!(
        said.contains("not read: ") && said.contains("envoy.yaml"),
        "{said}"
    );
    assert!(!said.contains("notes.txt"), "{said}");
    assert_eq!(code, Some(3), "{said}");
}

#[test]
fn a_world_is_checked_as_one() {
    let shop = include_str!("../../../examples/worlds/shop.yaml");
    let wrong = "version: 1\nservices: {a: {hostz: 3}}\n";
    let files = Files::new(&[("shop.yaml", shop), ("wrong.yaml", wrong), ("good", GOOD)]);
    let (said, code) = run(&files, &["shop.yaml", "good"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("shop.yaml: valid, a world with"), "{said}");
    let (said, code) = run(&files, &["wrong.yaml", "good"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("wrong.yaml: error: ") && said.contains("hostz"),
        "{said}"
    );
    let (said, code) = run(&files, &["--json", "wrong.yaml"]);
    let read: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&read[0]["is"], code), (&Value::from("world"), Some(1)));
}
