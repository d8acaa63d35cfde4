//! What the program does where its output has no reader, its input is its output, or a time has no bound.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_seawall");

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    let command = command.args(arguments).current_dir(directory);
    command.output().expect("runs")
}

/// Every command that prints, with what it needs in [`things`].
const PRINTING: [&[&str]; 8] = [
    &["check", "--schema"],
    &["explore", "--list"],
    &["host", "run", "guest.wasm", "--requests", "requests.json"],
    &[
        "host",
        "run",
        "guest.wasm",
        "--requests",
        "requests.json",
        "--trace",
    ],
    &[
        "host",
        "run",
        "guest.wasm",
        "--requests",
        "requests.json",
        "--json",
    ],
    &["trace", "import", "trace.jsonl", "-o", "-"],
    &[
        "trace", "generate", "--rate", "10", "--for", "9s", "-o", "-",
    ],
    &[
        "replay",
        "--trace",
        "trace.jsonl",
        "--policy",
        "policy.yaml",
    ],
];

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let place = things();
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(place.path());
        let output = command.stdout(writer).output().expect("ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {said}");
        assert_eq!(said, "", "{arguments:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_an_error_and_no_crash() {
    let place = things();
    let full = || {
        let full = File::options().write(true).open("/dev/full");
        full.expect("a full device")
    };
    for arguments in PRINTING {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(place.path());
        let output = command.stdout(full()).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        let told = said.starts_with("seawall: standard output: ")
            || said.starts_with("seawall: writing standard output: ");
        assert!(told, "{arguments:?}: {said}");
        assert!(
            !said.contains("trace.jsonl"),
            "what was read is not to blame: {said}"
        );
    }
    let to_device = [
        "trace",
        "generate",
        "--rate",
        "10",
        "--for",
        "9s",
        "-o",
        "/dev/full",
    ];
    let output = run(place.path(), &to_device);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("seawall: writing /dev/full: "), "{said}");
}

#[test]
#[cfg(unix)]
fn an_import_that_is_interrupted_leaves_nothing() {
    use std::io::{Read, Write};
    use std::os::unix::process::ExitStatusExt;

    for (signal, number) in [("INT", 2), ("TERM", 15)] {
        let place = things();
        let mut command = Command::new(PROGRAM);
        command.args([
            "trace",
            "import",
            "-",
            "--format",
            "jsonl",
            "-o",
            "out.jsonl",
        ]);
        let pipes = command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.current_dir(place.path()).spawn().expect("runs");
        let mut input = child.stdin.take().expect("a pipe");
        // More than its head, so that it is past all beginnings and in the middle of its work.
        let line = b"{\"at_us\":0,\"service_us\":1}\n";
        input.write_all(&line.repeat(200_000)).expect("it reads");
        assert!(place.path().join("out.jsonl.part").exists());
        let kill = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
        let status = child.wait().expect("it ends");
        assert_eq!(status.signal(), Some(number), "as if nobody had listened");
        let mut said = String::new();
        child
            .stderr
            .take()
            .expect("a pipe")
            .read_to_string(&mut said)
            .expect("text");
        assert!(!said.contains("panic"), "{said}");
        for name in ["out.jsonl.part", "out.jsonl"] {
            assert!(!place.path().join(name).exists(), "{signal}: {name}");
        }
    }
}

#[test]
fn a_trace_without_a_request_is_not_written() {
    let place = things();
    let output = run(
        place.path(),
        &[
            "trace",
            "generate",
            "--rate",
            "0.001",
            "--for",
            "1s",
            "-o",
            "out.jsonl",
        ],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("take a larger --rate or --for"), "{said}");
    assert!(!place.path().join("out.jsonl").exists());
}

#[test]
fn a_trace_never_takes_the_place_of_its_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let line =
        "{\"start_time\":\"2026-11-01T10:00:00.000Z\",\"duration\":5,\"response_code\":200}\n";
    let log = directory.path().join("access.log");
    std::fs::write(&log, line).expect("a log");
    let output = run(
        directory.path(),
        &["trace", "import", "access.log", "-o", "./access.log"],
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(std::fs::read_to_string(&log).expect("the log"), line);
}

#[test]
fn a_time_beyond_a_day_is_refused_and_not_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let requests = directory.path().join("requests.json");
    std::fs::write(&requests, r#"[{"path":"/","at_ms":31536000000}]"#).expect("requests");
    let wasm = "(module (func (export \"proxy_abi_version_0_2_1\")))";
    std::fs::write(directory.path().join("a.wasm"), wasm).expect("a module");
    let output = run(
        directory.path(),
        &["host", "run", "a.wasm", "--requests", "requests.json"],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("[0].at_ms"), "{said}");
    assert_eq!(output.status.code(), Some(2));
    let arguments = [
        "host",
        "run",
        "a.wasm",
        "--requests",
        "requests.json",
        "--until",
        "8000h",
    ];
    assert_eq!(run(directory.path(), &arguments).status.code(), Some(2));
}

/// A directory holding a directory, a file that is no text, one request, a trace, a policy and a module.
fn things() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a directory");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(place.path().join(name), bytes).expect("a file");
    };
    std::fs::create_dir(place.path().join("folder")).expect("a directory");
    write("garbled", b"\xc3\x28\n");
    write("requests.json", b"[{\"path\":\"/\"}]");
    write("trace.jsonl", b"{\"at_us\":0,\"service_us\":1}\n");
    write("policy.yaml", b"version: 1\npolicies: {default: {}}\n");
    write("a.wasm", b"\0asm\x01\0\0\0");
    let guest = "(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\"))
        (func (export \"malloc\") (param i32) (result i32) (i32.const 1024)))";
    write("guest.wasm", &wat::parse_str(guest).expect("a module"));
    place
}

#[test]
fn what_cannot_be_read_is_told_once_with_its_name() {
    let place = things();
    let absent = "absent/x";
    for wrong in ["folder", "garbled", absent] {
        for arguments in [
            &["check", wrong][..],
            &["trace", "import", wrong, "-o", "out"],
            &["replay", "--trace", wrong, "--policy", "policy.yaml"],
            &["replay", "--trace", "trace.jsonl", "--policy", wrong],
            &[
                "replay",
                "--trace",
                "trace.jsonl",
                "--policy",
                "policy.yaml",
                "--wasm",
                wrong,
            ],
            &["explore", "permits", "--wasm", wrong],
            &["host", "run", wrong, "--requests", "requests.json"],
            &["host", "run", "a.wasm", "--requests", wrong],
            &[
                "host",
                "run",
                "a.wasm",
                "--requests",
                "requests.json",
                "--upstream",
                wrong,
            ],
            &[
                "host",
                "run",
                "a.wasm",
                "--requests",
                "requests.json",
                "--route-metadata",
                wrong,
            ],
        ] {
            let output = run(place.path(), arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{arguments:?}: {said}");
            let count = |word: &str| said.matches(word).count();
            assert_eq!(count(wrong), 1, "{arguments:?}: {said}");
            let problems = count("os error") + count("UTF-8");
            let is_read = wrong == "garbled" && problems == 0;
            assert!(problems == 1 || is_read, "{arguments:?}: {said}");
            let about = said.lines().filter(|line| line.starts_with("seawall: "));
            assert_eq!(about.count(), 1, "{arguments:?}: {said}");
        }
    }
}

#[test]
fn a_filter_that_is_none_is_told_in_one_line_with_its_name_and_what_would_be_right() {
    let place = things();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(place.path().join("dist")).expect("a directory");
        std::fs::write(place.path().join(name), bytes).expect("a file");
    };
    let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm"));
    let whole = whole.expect("make wasm");
    let mut torn = whole.clone();
    torn.iter_mut()
        .skip(5_000)
        .take(3_000)
        .for_each(|byte| *byte ^= 0x55);
    let replay = [
        "replay",
        "--trace",
        "trace.jsonl",
        "--policy",
        "policy.yaml",
    ];
    for (bytes, words) in [
        (&b""[..], "no WebAssembly"),
        (b"\0as", "no WebAssembly"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "no WebAssembly",
        ),
        (b"(module)", "no WebAssembly"),
        (b"\0asm\x0d\0\x01\0", "component"),
        (b"\0asm\x01\0\0\0", "Proxy-Wasm"),
        (&whole[..whole.len() / 2], "unexpected end"),
        (torn.as_slice(), ""),
    ] {
        file("dist/seawall.wasm", bytes);
        file("named.wasm", bytes);
        for (name, more) in [
            ("dist/seawall.wasm", &[][..]),
            ("named.wasm", &["--wasm", "named.wasm"]),
        ] {
            for command in [&replay[..], &["explore", "permits"]] {
                let output = run(place.path(), &[command, more].concat());
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(2), "{said}");
                let told: Vec<&str> = said.lines().filter(|line| !line.starts_with(' ')).collect();
                assert_eq!(told.len(), 1, "{said}");
                assert_eq!(said.lines().count(), 1, "{said}");
                for word in [name, words, "make wasm"] {
                    assert!(said.contains(word), "{word}: {said}");
                }
            }
        }
        let output = run(
            place.path(),
            &["host", "run", "named.wasm", "--requests", "requests.json"],
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(1), 1),
            "{said}"
        );
        assert!(
            said.contains("named.wasm") && said.contains(words),
            "{said}"
        );
    }
}

#[test]
fn a_trace_beyond_the_bound_is_refused_with_the_bound_before_it_is_made() {
    let place = things();
    for (rate, length) in [
        ("1e12", "120s"),
        ("1e7", "1001ms"),
        ("200000", "1h"),
        ("1e308", "8000h"),
    ] {
        let arguments = [
            "trace",
            "generate",
            "--rate",
            rate,
            "--for",
            length,
            "-o",
            "out.jsonl",
        ];
        let mut command = Command::new("sh");
        // So much memory would not hold a trace that is cut at the bound.
        command
            .args(["-c", "ulimit -v 400000; exec \"$0\" \"$@\"", PROGRAM])
            .args(arguments);
        let output = command.current_dir(place.path()).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("10000000 requests") && said.contains("--rate"),
            "{said}"
        );
        assert!(!place.path().join("out.jsonl").exists());
    }
}

#[test]
fn an_unknown_field_is_refused_by_every_command_that_reads_logs() {
    let place = things();
    for command in [
        &["trace", "import", "trace.jsonl", "-o", "out"][..],
        &[
            "replay",
            "--trace",
            "trace.jsonl",
            "--policy",
            "policy.yaml",
        ],
    ] {
        let output = run(place.path(), &[command, &["--fields", "strat=ts"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for word in [
            "did you mean \"start\"?",
            "start, end, duration, upstream, method, path",
        ] {
            assert!(said.contains(word), "{said}");
        }
    }
}
