//! Chaos experiments on a real Envoy: the simulation's verdicts, controls that fail, and nothing left behind when somebody stops.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use seawall_live::envoy::filter;
use serde_json::{Value, json};

use crate::support::processes::{below, command};
use crate::support::{beside_others, left_out_on_module, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_seawall-chaos-envoy");

fn step(kind: &str, name: &str, arguments: &[&str]) -> Value {
    let words = [&["chaos"], arguments].concat();
    json!({"type": kind, "name": name, "provider": {"type": "process", "path": "seawall", "arguments": words}})
}

fn probe(name: &str, ask: &str, range: [f64; 2]) -> Value {
    let mut probe = step("probe", name, &["probe", "x", ask, "--over", "4s"]);
    probe["tolerance"] = json!({"type": "range", "target": "stdout", "range": range});
    probe
}

/// Twenty seconds: three to warm up, five with a fault, and then it heals.
fn document(faults: &[&str]) -> Value {
    let fault = |text: &&str| step("action", text, &["fault", "x", *text]);
    let mut method: Vec<Value> = faults.iter().map(fault).collect();
    method.extend([
        step("action", "time", &["wait", "x", "5s"]),
        probe("users still get an answer", "success", [99.0, 100.0]),
        probe("the upstream is spared", "amplification", [0.0, 0.6]),
        step("action", "heal", &["heal", "x", "14s"]),
    ]);
    json!({
        "title": faults.join(", "),
        "description": "a short one",
        "steady-state-hypothesis": {"title": "well", "probes": [probe("users get an answer", "success", [100.0, 100.0])]},
        "method": method,
        "rollbacks": [step("action", "the end", &["end", "x"])],
        "extensions": [{
            "name": "seawall",
            "workload": {"rate": 60},
            "warm_up": "3s",
            "policy": {"version": 1, "policies": {"default": {
                "breaker": {"consecutive": 5, "open": {"for": "1s", "up_to": "1s", "jitter": 0}, "ramp": "1s"},
                "fallback": [{"static": {"body": "[]"}}]
            }}},
            "control": [{"name": "without Seawall", "fails": ["users still get an answer", "the upstream is spared"]}],
        }],
    })
}

/// Writes these experiments, by their names.
fn written(place: &Path, all: &[(&str, &[&str])]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (name, faults) in all {
        let file = place.join(format!("{name}.yaml"));
        std::fs::write(&file, document(faults).to_string())?;
        files.push(file);
    }
    Ok(files)
}

fn of(file: &Path) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn experiments_end_on_envoy_as_in_the_simulation_and_their_controls_fail()
-> anyhow::Result<()> {
    if left_out_on_module("an experiment's Envoys run the .wasm")? {
        return Ok(());
    }
    let _turn = beside_others().await;
    let place = tempfile::tempdir()?;
    let all: [(&str, &[&str]); 3] = [
        ("errors", &["errors,for=5s"]),
        ("refused", &["refuse,for=5s"]),
        ("corrupted", &["errors,for=5s", "corrupt_state,for=1ms"]),
    ];
    let files = written(place.path(), &all)?;
    let played = tokio::process::Command::new(PROGRAM)
        .args(&files)
        .arg("--out")
        .arg(place.path())
        .env("SEAWALL_WASM", filter()?)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&played.stdout).into_owned();
    let errors = String::from_utf8_lossy(&played.stderr);
    assert_eq!(played.status.code(), Some(0), "{said}{errors}");
    let suite = of(&place.path().join("suite.json"))?;
    let counts = ["played", "passed", "not_applicable", "different"].map(|key| suite[key].as_u64());
    assert_eq!(counts, [2, 2, 1, 0].map(Some), "{said}");
    assert!(
        said.contains("corrupted: not applicable: nothing outside of the filter"),
        "{said}"
    );
    for name in ["errors", "refused"] {
        let journal = of(&place.path().join(format!("{name}.journal.json")))?;
        assert_eq!(
            (&journal["status"], &journal["deviated"]),
            (&json!("completed"), &json!(false))
        );
        let platform = journal["platform"].as_str().unwrap_or_default();
        assert!(platform.starts_with("Envoy 1."), "{platform}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_an_experiment_has_a_journal_and_no_process_is_left() -> anyhow::Result<()> {
    if left_out_on_module("an experiment's Envoys run the .wasm")? {
        return Ok(());
    }
    let _turn = beside_others().await;
    let place = tempfile::tempdir()?;
    let files = written(place.path(), &[("errors", &["errors,for=5s"])])?;
    let mut program = Command::new(PROGRAM)
        .args(&files)
        .arg("--out")
        .arg(place.path())
        .env("SEAWALL_WASM", filter()?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let mut envoys = Vec::new();
    until("an Envoy for Seawall and one for the control", async || {
        envoys = below(program.id());
        let is_envoy = |pid: &u32| {
            command(*pid).contains("--log-format") && !command(*pid).contains("setpriv")
        };
        envoys.len() == 2 && envoys.iter().all(is_envoy)
    })
    .await?;
    // As a terminal does it: to all of them.
    let group = format!("-{}", program.id());
    Command::new("kill")
        .args(["-s", "INT", "--", &group])
        .status()?;
    let mut ended = None;
    until("the program's end", async || {
        ended = program.try_wait().ok().flatten();
        ended.is_some()
    })
    .await?;
    assert_eq!(ended.and_then(|status| status.code()), Some(130));
    assert!(
        envoys.iter().all(|pid| command(*pid).is_empty()),
        "an Envoy is left"
    );
    let journal = of(&place.path().join("errors.journal.json"))?;
    assert_eq!(journal["status"], "interrupted");
    assert_eq!(journal["rollbacks"].as_array().map(Vec::len), Some(1));
    Ok(())
}
