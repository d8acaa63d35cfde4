//! `seawall tune`: a proposal that holds where it was not searched, its files, and that threads change nothing.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

fn seawall(place: &Path, arguments: &str) -> Output {
    crate::seawall(place, &arguments.split_whitespace().collect::<Vec<_>>())
}

fn said(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    streams
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat()
}

/// A place with a trace of so many seconds.
fn place(seconds: u32) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let generate = format!("trace generate --rate 60 --for {seconds}s -o trace.jsonl");
    let made = seawall(place.path(), &generate);
    assert!(made.status.success(), "{}", said(&made));
    place
}

fn report(place: &Path, directory: &str) -> Value {
    let text = std::fs::read_to_string(place.join(directory).join("report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Values that differ by less are the same: a thousandth of the requests, a hundredth of a latency or of a load.
const RESOLUTION: [f64; 4] = [0.001, 0.01, 0.01, 0.001];

/// Success, p99, load of the sick upstream and false refusals of a lane, each as what one would have less of.
fn costs(lane: &Value) -> [f64; 4] {
    let of = |path: &str| lane.pointer(path).and_then(Value::as_f64).unwrap();
    let all = |key: &str| {
        let kinds = ["good", "degraded", "refused", "failed"];
        kinds
            .map(|kind| of(&format!("/{key}/{kind}")))
            .iter()
            .sum::<f64>()
    };
    let requests = all("answers");
    [
        1.0 - (of("/answers/good") + of("/answers/degraded")) / requests,
        of("/good_latency/p99_ms"),
        of("/reached_upstream_in_fault") / all("answers_in_fault"),
        (of("/answers/refused") - of("/answers_in_fault/refused")) / requests,
    ]
}

#[test]
fn what_was_tuned_on_one_half_with_one_outage_is_better_on_the_other_half_with_another_one() {
    let place = place(240);
    // A search of errors plays hangs too, one of latency errors.
    for (seen, judged) in [("errors", "latency"), ("latency", "hang")] {
        let arguments = format!(
            "tune --trace trace.jsonl --fault {seen},at=30s,for=20s,by=5s --holdout={judged},at=30s,for=20s,by=5s --budget 150 --out {seen}"
        );
        let done = seawall(place.path(), &arguments);
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
        let report = report(place.path(), seen);
        assert_eq!(report["faults"][0]["kind"], judged);
        let lanes = report["lanes"].as_array().unwrap();
        assert_eq!(lanes[1]["lane"], "shipped default");
        let (default, tuned) = (costs(&lanes[1]), costs(&lanes[2]));
        let mut better = 0;
        for (number, (default, tuned)) in default.into_iter().zip(tuned).enumerate() {
            let relative = number == 1 || number == 2;
            let resolution = RESOLUTION[number] * if relative { default } else { 1.0 };
            assert!(
                tuned <= default + resolution,
                "{seen}: cost {number} was {default}, is {tuned}"
            );
            better += usize::from(tuned < default - resolution);
        }
        assert!(
            better >= 2,
            "{seen}: better in {better}: {default:?} {tuned:?}"
        );
        // What it proposes is a policy that can be used.
        let policy = format!("{seen}/policy.yaml");
        let checked = seawall(place.path(), &format!("check {policy}"));
        assert!(checked.status.success(), "{}", said(&checked));
        let text = std::fs::read_to_string(place.path().join(policy)).unwrap();
        assert!(text.contains("# Without it: "), "{text}");
        let page = std::fs::read_to_string(place.path().join(seen).join("report.html")).unwrap();
        assert!(page.contains("\"trade_off\":{") && page.len() < 1_000_000);
    }
}

#[test]
fn on_any_number_of_threads_tune_and_compare_write_the_same_bytes() {
    let place = place(40);
    let commands = [
        (
            "tune",
            "tune --trace trace.jsonl --fault errors,at=10s,for=8s --budget 40",
        ),
        (
            "compare",
            "compare --trace trace.jsonl --fault hang,at=10s,for=8s",
        ),
    ];
    for (name, command) in commands {
        let written = |threads: u32| {
            let out = format!("{name}-{threads}");
            let done = seawall(
                place.path(),
                &format!("{command} --threads {threads} --out {out}"),
            );
            assert!(matches!(done.status.code(), Some(0 | 1)), "{}", said(&done));
            let mut files: Vec<_> = std::fs::read_dir(place.path().join(&out))
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            files.sort();
            let files = files.iter().map(|file| {
                let name = file.file_name().unwrap().to_owned();
                (name, std::fs::read(file).unwrap())
            });
            (done.stdout, files.collect::<Vec<_>>())
        };
        let one = written(1);
        assert_eq!(one.1.len(), if name == "tune" { 3 } else { 2 });
        assert!(one == written(4), "{name}: 1 and 4 threads");
    }
}

#[test]
fn what_cannot_be_tuned_says_why() {
    let place = place(40);
    for (arguments, told) in [
        ("--objective failed<1%", "name a figure to aim at"),
        ("--objective speed", "false_refusals"),
        ("--budget 1", "30"),
        ("--holdout", "nothing goes wrong in the first half"),
        (
            "--fault errors,at=10s,for=30s --holdout",
            "it must be over before",
        ),
        ("--fault errors,at=5s,for=5s --holdout=hang", "at="),
    ] {
        let done = seawall(
            place.path(),
            &format!("tune --trace trace.jsonl {arguments}"),
        );
        assert_eq!(done.status.code(), Some(2), "{arguments}: {}", said(&done));
        assert!(said(&done).contains(told), "{arguments}: {}", said(&done));
    }
    // Nothing goes wrong, so nothing is better than the default.
    let done = seawall(place.path(), "tune --trace trace.jsonl --budget 30");
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(
        said(&done).contains("Nothing better than the shipped default"),
        "{}",
        said(&done)
    );
}
