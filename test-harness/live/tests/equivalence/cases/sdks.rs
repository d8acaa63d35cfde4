//! Modules as their authors build them: of the Rust SDK and of the AssemblyScript SDK.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use seawall_harness::host::{Request, Rule};
use seawall_live::envoy::repository;

use crate::{Case, check_file};

fn requests() -> Vec<Request> {
    vec![
        Request::get("/").header("x-api-key", "k"),
        Request::get("/refused"),
        Request::post("/", "question").header("x-api-key", "k"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_of_the_rust_sdk() -> anyhow::Result<()> {
    let built = Command::new(repository().join("examples/filter-test/build.sh")).output()?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "the example is not built: {said}");
    let file = String::from_utf8(built.stdout)?;
    let case = Case {
        configuration: "k alice",
        requests: requests(),
        upstream: vec![Rule::answer(200, "answer")],
        ..Case::default()
    };
    check_file(case, Path::new(file.trim())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_of_the_assemblyscript_sdk() -> anyhow::Result<()> {
    let module = match assemblyscript() {
        Ok(module) => module,
        Err(error) => {
            // Past the capture of a test's output, so that it is seen.
            writeln!(std::io::stderr(), "SKIPPED AssemblyScript: {error:#}")?;
            return Ok(());
        }
    };
    let case = Case {
        root_id: "root",
        configuration: "conf",
        requests: requests(),
        upstream: vec![Rule::answer(200, "answer")],
        ..Case::default()
    };
    check_file(case, &module).await
}

/// Builds the guest with npm, in `target/`. What goes wrong before the compiler runs is a reason to skip.
fn assemblyscript() -> anyhow::Result<PathBuf> {
    let root = repository();
    let sources = root.join("test-harness/live/tests/equivalence/assemblyscript");
    let place = root.join("target/assemblyscript");
    std::fs::create_dir_all(&place)?;
    for file in ["package.json", "package-lock.json", "guest.ts"] {
        std::fs::copy(sources.join(file), place.join(file))?;
    }
    let compiler = place.join("node_modules/assemblyscript/bin/asc");
    if !compiler.exists() {
        let installed = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--fetch-retries=1"])
            .current_dir(&place)
            .output()
            .context("there is no npm")?;
        let said = String::from_utf8_lossy(&installed.stderr).into_owned();
        let last = said.lines().next_back().unwrap_or_default().to_owned();
        ensure!(installed.status.success(), "npm cannot get the SDK: {last}");
    }
    let compiled = Command::new("node")
        .arg(&compiler)
        .args([
            "guest.ts",
            "-b",
            "guest.wasm",
            "--use",
            "abort=abort_proc_exit",
            "--optimize",
        ])
        .current_dir(&place)
        .output()
        .context("there is no node")?;
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    Ok(place.join("guest.wasm"))
}
