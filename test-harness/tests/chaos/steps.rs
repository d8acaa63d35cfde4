//! The program: steps one by one say what a run in one go says, and a run says the same again.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::directory;

fn seawall(place: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(arguments)
        .env("SEAWALL_CHAOS_SESSION", place.join("session.json"))
        .env(
            "SEAWALL_WASM",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm"),
        )
        .output()
        .expect("seawall runs")
}

fn journal(place: &Path, file: &str) -> Value {
    let out = place.join("journal.json");
    let said = seawall(
        place,
        &["chaos", "run", file, "--journal", out.to_str().unwrap()],
    );
    let errors = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(0), "{errors}");
    serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap()
}

#[test]
fn steps_that_are_called_one_by_one_say_what_a_run_in_one_go_says() {
    let place = tempfile::tempdir().unwrap();
    let file = directory().join("error-burst.yaml");
    let file = file.to_str().unwrap();
    let journal = journal(place.path(), file);
    assert_eq!(
        (&journal["status"], &journal["deviated"]),
        (&Value::from("completed"), &Value::from(false))
    );
    let of = |pointer: &str| {
        journal
            .pointer(pointer)
            .and_then(Value::as_array)
            .cloned()
            .unwrap()
    };
    let entries = [
        of("/steady_states/before/probes"),
        of("/run"),
        of("/steady_states/after/probes"),
        of("/rollbacks"),
    ];
    let mut asked = 0;
    for entry in entries.iter().flatten() {
        let arguments = entry["activity"]["provider"]["arguments"]
            .as_array()
            .unwrap();
        let arguments = arguments.iter().map(|word| match word.as_str().unwrap() {
            "${experiment}" => file,
            word => word,
        });
        let arguments: Vec<&str> = arguments.collect();
        let said = seawall(place.path(), &arguments);
        let stdout = String::from_utf8_lossy(&said.stdout);
        assert_eq!(
            stdout,
            entry["output"]["stdout"].as_str().unwrap(),
            "{arguments:?}"
        );
        assert_eq!(
            said.status.code().map(i64::from),
            entry["output"]["status"].as_i64(),
            "{arguments:?}"
        );
        asked += usize::from(arguments[1] == "probe");
    }
    assert_eq!(asked, 8);
    assert!(
        !place.path().join("session.json").exists(),
        "the session is over"
    );
}

#[test]
fn a_run_says_the_same_again_and_its_exit_code_says_whether_all_passed() {
    let place = tempfile::tempdir().unwrap();
    let file = directory().join("kill-instance.yaml");
    let run = || {
        seawall(
            place.path(),
            &["chaos", "run", file.to_str().unwrap(), "--json"],
        )
    };
    let (first, second) = (run(), run());
    assert_eq!(first.stdout, second.stdout);
    let suite: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(
        (&suite["passed"], first.status.code()),
        (&Value::from(1), Some(0))
    );
    // The same without its retries does not pass.
    let text = std::fs::read_to_string(&file).unwrap();
    let broken = place.path().join("kill-instance.yaml");
    std::fs::write(&broken, text.replace("attempts: 4", "attempts: 1")).unwrap();
    let junit = place.path().join("junit.xml");
    let arguments = [
        "chaos",
        "run",
        broken.to_str().unwrap(),
        "--junit",
        junit.to_str().unwrap(),
    ];
    let said = seawall(place.path(), &arguments);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(
        text.contains("kill-instance: missed: users notice nothing"),
        "{text}"
    );
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(
        junit.contains("failures=\"1\"") && junit.contains("users notice nothing"),
        "{junit}"
    );
}

#[test]
fn what_ships_is_listed_and_what_is_wrong_is_told() {
    let place = tempfile::tempdir().unwrap();
    let listed = seawall(
        place.path(),
        &["chaos", "list", directory().to_str().unwrap(), "--json"],
    );
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert!(listed.as_array().unwrap().len() >= 15);
    let said = seawall(place.path(), &["chaos", "run", "nothing.yaml"]);
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("nothing.yaml"));
}

#[test]
fn on_envoy_another_program_plays_that_stands_beside_this_one() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("seawall");
    std::fs::copy(env!("CARGO_BIN_EXE_seawall"), &program).unwrap();
    let run = || {
        let arguments = ["chaos", "run", "a.yaml", "--on", "envoy", "--seed", "7"];
        Command::new(&program).args(arguments).output().unwrap()
    };
    let missing = run();
    let told = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        told.contains("seawall-chaos-envoy") && told.contains("make harness"),
        "{told}"
    );
    let beside = place.path().join("seawall-chaos-envoy");
    std::fs::write(&beside, "#!/bin/sh\necho \"$@\"\nexit 1\n").unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o755)).unwrap();
    let played = run();
    let said = String::from_utf8_lossy(&played.stdout);
    assert_eq!(
        (said.trim(), played.status.code()),
        ("a.yaml --on envoy --seed 7", Some(1))
    );
}

#[test]
fn the_command_of_the_cron_job_plays_a_mounted_config_map_without_a_shell() {
    let file = directory().join("kubernetes/cronjob.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let job: Value = serde_saphyr::from_str(&text).unwrap();
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let command = container["command"].as_array().unwrap().iter();
    let command: Vec<&str> = command.map(|word| word.as_str().unwrap()).collect();
    let mounted = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    assert_eq!((command[0], command.last()), ("/seawall", Some(&mounted)));
    // As Kubernetes mounts a ConfigMap: a directory of that time, a link to it, and a link for each file.
    let place = tempfile::tempdir().unwrap();
    let of_today = place.path().join("..2026_01_31");
    std::fs::create_dir(&of_today).unwrap();
    std::os::unix::fs::symlink(&of_today, place.path().join("..data")).unwrap();
    for name in ["kill-instance.yaml", "README.md"] {
        std::fs::copy(directory().join(name), of_today.join(name)).unwrap();
        std::os::unix::fs::symlink(of_today.join(name), place.path().join(name)).unwrap();
    }
    let here = place.path().to_str().unwrap();
    let arguments: Vec<&str> = command[1..]
        .iter()
        .map(|word| if *word == mounted { here } else { word })
        .collect();
    let said = seawall(place.path(), &arguments);
    let text = String::from_utf8_lossy(&said.stdout);
    let errors = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(0), "{errors}");
    assert!(text.contains("(1 of 1)"), "{text}");
}
