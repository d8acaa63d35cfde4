//! A table of samples of every format with what they say, alone and in everything that may be around them; and hostile bytes.

mod samples;

use std::io::Write;

use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use samples::{Row, SAMPLES, Sample};

fn har() -> &'static str {
    "{\n \"log\" : { \"version\": \"1.2\", \"pages\": [], \"entries\": [\n\
     {\"startedDateTime\":\"2026-04-05T06:00:00.000Z\",\"time\":90.5,\"request\":{\"method\":\"GET\",\"url\":\"https://a.example/x?y=1\"},\"response\":{\"status\":200,\"content\":{\"mimeType\":\"text/html\",\"text\":\"...\"}},\"timings\":{\"wait\":40.25}},\n\
     {\"startedDateTime\":\"2026-04-05T06:00:01.000Z\",\"time\":5,\"request\":{\"method\":\"GET\",\"url\":\"wss://a.example/s\"},\"response\":{\"status\":101},\"_resourceType\":\"websocket\"},\n\
     {\"startedDateTime\":\"2026-04-05T06:00:01.000Z\",\"time\":5,\"request\":{\"method\":\"GET\",\"url\":\"https://a.example/s\"},\"response\":{\"status\":0}},\n\
     {\"startedDateTime\":\"2026-04-05T06:00:02.000Z\",\"time\":\"?\",\"request\":7,\"response\":{\"status\":200}},\n\
     {\"startedDateTime\":\"2026-04-05T06:00:03.000Z\",\"time\":5,\"request\":{\"method\":\"POST\",\"url\":\"https://a.example\"},\"response\":{\"status\":503},\"timings\":{\"wait\":-1}}\n\
     ] } }"
}

fn expected(rows: &[Row]) -> Vec<Request> {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let request = |(at_us, service_us, method, path, status, flags, cluster): &Row| Request {
        at_us: *at_us,
        service_us: *service_us,
        method: some(method),
        path: (*path).to_owned(),
        status: Some(*status).filter(|status| *status > 0),
        flags: some(flags),
        cluster: some(cluster),
        priority: None,
    };
    rows.iter().map(request).collect()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Everything that may be around a log.
fn wrapped(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let lines = |around: &dyn Fn(&str) -> String| -> Vec<u8> {
        text.lines().map(around).collect::<String>().into_bytes()
    };
    let docker = lines(&|line| {
        let log = format!("{line}\n");
        format!(
            "{}\n",
            serde_json::json!({"log": log, "stream": "stdout", "time": "2026-04-05T06:00:00Z"})
        )
    });
    let cri = lines(&|line| format!("2026-04-05T06:00:00.006Z stdout F {line}\n"));
    let parts = lines(&|line| {
        let middle = (0..=line.len() / 2)
            .rev()
            .find(|end| line.is_char_boundary(*end))
            .unwrap_or(0);
        let (one, two) = line.split_at(middle);
        format!("2026-04-05T06:00:00Z stdout P {one}\n2026-04-05T06:00:00Z stdout F {two}\n")
    });
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n")).into_bytes();
    let (head, tail) = text.split_at(text.find('\n').map_or(0, |end| end + 1));
    vec![
        ("plain", text.as_bytes().to_vec()),
        ("no last line's end", text.trim_end().as_bytes().to_vec()),
        (
            "two gzip members",
            [gz(head.as_bytes()), gz(tail.as_bytes())].concat(),
        ),
        ("gzip around docker", gz(&docker)),
        ("byte order mark and CRLF", windows),
        ("docker", docker),
        ("CRI", cri),
        ("CRI in parts", parts),
    ]
}

fn taken(bytes: &[u8], options: &Options) -> Result<(Vec<Request>, Summary), TraceError> {
    collect(Input::of(bytes)?, options)
}

#[test]
fn every_format_is_found_and_read_whatever_is_around_it() {
    for sample in SAMPLES {
        for (around, bytes) in wrapped(sample.text) {
            for format in [None, Some(sample.format)] {
                let options = Options {
                    format,
                    ..Options::default()
                };
                let (requests, summary) = taken(&bytes, &options)
                    .unwrap_or_else(|error| panic!("{:?} {around}: {error}", sample.format));
                assert_eq!(summary.format, sample.format, "{around}");
                assert_eq!(
                    requests,
                    expected(sample.rows),
                    "{:?} {around}",
                    sample.format
                );
                let left: Vec<_> = summary.left.into_iter().collect();
                assert_eq!(left, sample.left, "{:?} {around}", sample.format);
                assert_eq!(
                    (summary.bad, summary.late),
                    (0, 0),
                    "{:?} {around}: {:?}",
                    sample.format,
                    summary.named
                );
            }
        }
    }
}

#[test]
fn a_har_file_is_read_entry_by_entry() {
    for bytes in [har().as_bytes().to_vec(), gz(har().as_bytes())] {
        let (requests, summary) = taken(&bytes, &Options::default()).unwrap();
        let rows = [
            (0, 40_250, "GET", "/x?y=1", 200, "", ""),
            (3_000_000, 5_000, "POST", "/", 503, "", ""),
        ];
        assert_eq!(requests, expected(&rows));
        let left: Vec<_> = summary.left.into_iter().collect();
        assert_eq!(left, [(Left::Upgrade, 1), (Left::Unsent, 1)]);
        assert_eq!(
            (summary.bad, summary.named[0].line),
            (1, 4),
            "{:?}",
            summary.named
        );
    }
    let cut = &har()[..har().len() - 40];
    let (requests, summary) = taken(cut.as_bytes(), &Options::default()).unwrap();
    assert_eq!(
        (requests.len(), summary.bad),
        (1, 2),
        "what stands before the cut is there"
    );
}

#[test]
fn what_fields_say_wins_over_what_is_known_of_a_proxy() {
    let caddy = "{\"logger\":\"http.log.access\",\"ts\":1775368800,\"begun\":1775368700,\"request\":{\"uri\":\"/a\"},\"duration\":7000,\"took\":3}";
    let traefik = "{\"RouterName\":\"a\",\"StartUTC\":\"2026-04-05T06:00:00Z\",\"Duration\":9000,\"OriginDuration\":7000,\"Overhead\":2000,\"RequestPath\":\"/a\"}";
    for (line, fields, service_us) in [
        (caddy, "", 7_000_000_000),
        (caddy, "duration=duration:ns", 7),
        (caddy, "duration=duration:ms,start=begun", 7_000_000),
        (caddy, "duration=took", 3_000),
        (traefik, "", 7),
        (traefik, "upstream=Overhead:ns", 2),
        (traefik, "upstream=none,duration=Duration:us", 9_000),
    ] {
        let options = Options {
            fields: fields.parse().unwrap(),
            ..Options::default()
        };
        let (requests, _) = taken(line.as_bytes(), &options).unwrap();
        let got = (requests[0].service_us, requests[0].path.as_str());
        assert_eq!(got, (service_us, "/a"), "{line} {fields}");
    }
}

#[test]
fn a_key_that_fields_names_in_vain_is_told_in_every_format() {
    for sample in SAMPLES {
        let fields = "priority=nowhere,cluster=neither".parse().unwrap();
        let options = Options {
            fields,
            ..Options::default()
        };
        let (_, summary) = taken(sample.text.as_bytes(), &options).unwrap();
        assert_eq!(
            summary.unmet,
            ["nowhere", "neither"],
            "{}",
            sample.format.name()
        );
        assert!(summary.remarks().contains("\"nowhere\""));
    }
    let line = "{\"ts\":1775368800,\"took_ms\":5,\"level_of_service\":\"critical\"}";
    let options = Options {
        fields: "priority=level_of_service,path=nowhere".parse().unwrap(),
        ..Options::default()
    };
    let (requests, summary) = taken(line.as_bytes(), &options).unwrap();
    assert_eq!(summary.unmet, ["nowhere"]);
    assert!(requests[0].priority.is_some());
}

/// Its lines as one JSON array, in every way that arrays are written; none where they are no objects.
fn arrays(sample: &Sample) -> Vec<Vec<u8>> {
    let records: Option<Vec<serde_json::Value>> = sample
        .text
        .lines()
        .map(|line| serde_json::from_str(line).ok())
        .collect();
    let Some(records) = records else {
        return Vec::new();
    };
    let pretty = serde_json::to_string_pretty(&records).unwrap();
    let lines: Vec<&str> = sample.text.lines().collect();
    vec![
        serde_json::to_vec(&records).unwrap(),
        format!("\u{feff} \r\n{}\r\n", pretty.replace('\n', "\r\n")).into_bytes(),
        format!("[\n{}\n]\n", lines.join(",\n")).into_bytes(),
        format!("[ {}\n]", lines.join("\n, ")).into_bytes(),
        gz(pretty.as_bytes()),
        // Files put behind each other.
        format!("[{}]\n[{}]", lines[0], lines[1..].join(",")).into_bytes(),
    ]
}

#[test]
fn a_json_array_is_read_record_by_record_however_it_is_written() {
    let mut count = 0;
    for sample in SAMPLES {
        for (way, bytes) in arrays(sample).into_iter().enumerate() {
            for format in [None, Some(sample.format)] {
                let options = Options {
                    format,
                    strict: true,
                    ..Options::default()
                };
                let (requests, summary) = taken(&bytes, &options)
                    .unwrap_or_else(|error| panic!("{:?} {way}: {error}", sample.format));
                assert_eq!(summary.format, sample.format, "{way}");
                assert_eq!(requests, expected(sample.rows), "{:?} {way}", sample.format);
                let left: Vec<_> = summary.left.into_iter().collect();
                assert_eq!(left, sample.left, "{:?} {way}", sample.format);
                count += 1;
            }
        }
    }
    assert_eq!(count, 5 * 6 * 2, "every format whose lines are objects");
}

#[test]
fn a_bad_record_of_an_array_is_named_by_its_number_and_a_cut_array_is_told() {
    let record = "{\"start_time\":1775368800,\"duration\":1,\"path\":\"/[a],{b}\\\"\"}";
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024));
    for (text, requests, problems) in [
        (
            format!("[{record}, 7, {record}]"),
            2,
            vec![(2, "JSON object")],
        ),
        (
            format!("[{record}, {{\"start_time\":}}, {record}, {{\"start_time\":1775368800}}]"),
            2,
            vec![(2, "expected"), (4, "--service-time")],
        ),
        (
            format!("[{record},\n{long},\n{record}]"),
            2,
            vec![(2, "longer than")],
        ),
        (
            format!("[{record}, {record}"),
            2,
            vec![(3, "without its ]")],
        ),
        (
            format!("[{record}, {{\"start_time\""),
            1,
            vec![(2, "without its ]")],
        ),
        (format!("[{record}] behind"), 1, vec![(2, "JSON object")]),
    ] {
        let (taken, summary) = taken(text.as_bytes(), &Options::default()).unwrap();
        assert_eq!(taken.len(), requests, "{summary}");
        assert_eq!(taken[0].path, "/[a],{b}\"");
        let named: Vec<_> = summary.named.iter().map(|bad| bad.line).collect();
        let lines: Vec<_> = problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(named, lines, "{summary}");
        for (bad, (_, words)) in summary.named.iter().zip(problems) {
            assert!(bad.problem.contains(words), "{}", bad.problem);
        }
    }
    let empty = taken(b"[\n]\n", &Options::default()).unwrap_err();
    assert!(empty.to_string().contains("empty"), "{empty}");
}

/// Lines that a proxy writes of itself, as many as are asked for.
fn own_log(lines: usize) -> String {
    const LINES: [&str; 4] = [
        "[2026-04-05 06:00:00.000][1][info][main] [source/server/server.cc:427] initializing epoch 0",
        "2026-04-05T06:00:00.000000Z\tinfo\tFLAG: --concurrency=\"0\"",
        "{\"level\":\"debug\",\"time\":\"2026-04-05T06:00:00Z\",\"scope\":\"main\",\"msg\":\"ready\"}",
        "    at some.Class(Line.java:7)",
    ];
    (0..lines)
        .map(|number| format!("{}\n", LINES[number % LINES.len()]))
        .collect()
}

#[test]
fn the_format_is_found_behind_a_proxys_own_log_and_the_bound_of_that_is_said() {
    for sample in SAMPLES {
        // A CSV file begins with the names of its columns.
        if matches!(sample.format, Format::Csv | Format::K6Csv) {
            continue;
        }
        for before in [1, 201, 20_000] {
            let text = format!("{}{}", own_log(before), sample.text);
            let (requests, summary) = taken(text.as_bytes(), &Options::default())
                .unwrap_or_else(|error| panic!("{:?} {before}: {error}", sample.format));
            assert_eq!(summary.format, sample.format, "{before}");
            assert_eq!(
                requests,
                expected(sample.rows),
                "{:?} {before}",
                sample.format
            );
        }
    }
    let beyond = own_log(90_000);
    let error = taken(
        format!("{beyond}{}", SAMPLES[0].text).as_bytes(),
        &Options::default(),
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("first 4 MiB") && error.contains("--format"),
        "{error}"
    );
}

#[test]
fn bad_lines_are_counted_the_first_ten_named_and_strict_ends_at_the_first() {
    for sample in SAMPLES {
        let (head, tail) = sample
            .text
            .split_at(sample.text.rfind("\n").map_or(0, |end| {
                sample.text[..end].rfind('\n').map_or(0, |end| end + 1)
            }));
        let before = head.lines().count() as u64;
        let text = format!("{head}{}{tail}", "\u{fffd}{\"broken\n".repeat(12));
        let options = Options {
            format: Some(sample.format),
            ..Options::default()
        };
        let (requests, summary) = taken(text.as_bytes(), &options).unwrap();
        assert_eq!(requests, expected(sample.rows), "{:?}", sample.format);
        assert_eq!(
            (summary.bad, summary.named.len()),
            (12, 10),
            "{:?}",
            sample.format
        );
        assert_eq!(summary.named[0].line, before + 1, "{:?}", sample.format);
        assert!(summary.to_string().contains("and 2 more"), "{summary}");
        let strict = Options {
            strict: true,
            ..options
        };
        let error = taken(text.as_bytes(), &strict).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("line {}: ", before + 1)),
            "{error}"
        );
    }
}

#[test]
fn what_is_cut_or_lacks_something_is_told() {
    let packed = gz("{\"start_time\":\"2026-04-05T06:00:00Z\",\"duration\":1}\n"
        .repeat(500)
        .as_bytes());
    let cut = &packed[..packed.len() - 9];
    let (requests, summary) = taken(cut, &Options::default()).unwrap();
    assert!(
        requests.len() <= 500 && summary.bad == 1,
        "{}",
        requests.len()
    );
    assert!(
        summary.named[0].problem.contains("gzip"),
        "{:?}",
        summary.named
    );
    let said = |text: &str| {
        taken(text.as_bytes(), &Options::default())
            .unwrap_err()
            .to_string()
    };
    assert!(said("{\"begin\":1775368800,\"duration\":1}\n").contains("--fields start=KEY"));
    assert!(said("{\"start_time\":1775368800}\n").contains("--service-time"));
    assert!(said("hello\n").contains("--format names it"));
    assert!(said("").contains("empty"));
    assert!(said("{\"seawall_trace\":3}\n{\"at_us\":0,\"service_us\":1}\n").contains("version 3"));
    let options = Options {
        fields: "start=begin,duration=spent:us".parse().unwrap(),
        ..Options::default()
    };
    let (requests, _) = taken(b"{\"begin\":1775368800,\"spent\":7}\n", &options).unwrap();
    assert_eq!(requests[0].service_us, 7);
}

#[test]
fn packed_bytes_with_a_wrong_checksum_are_told_however_short_they_are() {
    let line = "{\"start_time\":\"2026-04-05T06:00:00Z\",\"duration\":1}\n";
    for lines in [1, 20_000] {
        let mut packed = gz(line.repeat(lines).as_bytes());
        let checksum = packed.len() - 8;
        packed[checksum] ^= 1;
        let (requests, summary) = taken(&packed, &Options::default()).expect("requests");
        assert_eq!(requests.len(), lines);
        assert!(summary.named[0].problem.contains("gzip"), "{summary}");
        let strict = Options {
            strict: true,
            ..Options::default()
        };
        assert!(taken(&packed, &strict).is_err(), "{lines}");
    }
}

#[test]
fn a_trace_keeps_all_of_a_request_and_old_ones_are_read() {
    let (requests, _) = taken(SAMPLES[1].text.as_bytes(), &Options::default()).unwrap();
    let mut bytes = Vec::new();
    write(&requests, &mut bytes).unwrap();
    assert!(bytes.starts_with(b"{\"seawall_trace\":2}\n"));
    assert_eq!(taken(&bytes, &Options::default()).unwrap().0, requests);
    let urgent =
        "{\"start_time\":1775368800,\"duration\":1,\"x-seawall-priority\":\"sheddable\"}\n";
    let (urgent, _) = taken(urgent.as_bytes(), &Options::default()).unwrap();
    assert_eq!(urgent[0].priority, Some(Priority::Sheddable));
    let old = b"{\"at_us\":5,\"service_us\":7,\"path\":\"/a\"}\n";
    let (old, summary) = taken(old, &Options::default()).unwrap();
    assert_eq!(
        (old[0].at_us, old[0].path.as_str(), summary.format),
        (5, "/a", Format::Jsonl)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Pieces of real lines, cut and mixed with any bytes, never end a reader otherwise than by an answer.
    #[test]
    fn no_bytes_make_a_reader_panic(
        pieces in proptest::collection::vec((0..SAMPLES.len(), 0..900_usize, 0..900_usize, proptest::collection::vec(any::<u8>(), 0..12)), 0..8),
        format in proptest::option::of(0..Format::value_variants().len()),
        packed in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        for (sample, from, length, noise) in pieces {
            let text = SAMPLES[sample].text.as_bytes();
            let from = from.min(text.len());
            bytes.extend_from_slice(&text[from..(from + length).min(text.len())]);
            bytes.extend_from_slice(&noise);
        }
        let bytes = if packed { gz(&bytes) } else { bytes };
        let format = format.map(|index| Format::value_variants()[index]);
        let options = Options { format, ..Options::default() };
        if let Ok((requests, summary)) = taken(&bytes, &options) {
            prop_assert_eq!(requests.len() as u64, summary.requests);
        }
    }
}
