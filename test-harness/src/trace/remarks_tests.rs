//! What an import says beyond the number of requests, and what it takes for granted.

use std::fmt::Write as _;

use super::*;

fn taken(text: &str, options: &Options) -> (Vec<Request>, Summary) {
    let input = Input::of(text.as_bytes()).unwrap();
    collect(input, options).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn with_fields(fields: &str) -> Options {
    Options {
        fields: fields.parse().unwrap(),
        ..Options::default()
    }
}

/// Ten seconds at 50 requests a second, each line in whole seconds, in these formats.
fn whole_seconds() -> [(Format, String); 4] {
    let mut logs = [
        (Format::Nginx, String::new()),
        (Format::Json, String::new()),
        (
            Format::K6Csv,
            "metric_name,timestamp,metric_value,status,url\n".to_owned(),
        ),
        (Format::Csv, "start,duration_ms,status\n".to_owned()),
    ];
    for number in 0..500 {
        let second = number / 50;
        let lines = [
            format!(
                "10.0.0.1 - - [05/Apr/2026:06:00:{second:02} +0000] \"GET /a HTTP/1.1\" 200 6 \"-\" \"curl\" 0.010"
            ),
            format!(
                "{{\"start_time\":\"2026-04-05T06:00:{second:02}Z\",\"duration\":10,\"status\":200}}"
            ),
            format!(
                "http_req_duration,{},10,200,http://a/",
                1_775_368_800 + second
            ),
            format!("{},10,200", 1_775_368_800 + second),
        ];
        for ((_, log), line) in logs.iter_mut().zip(lines) {
            let _ = writeln!(log, "{line}");
        }
    }
    logs
}

#[test]
fn requests_of_one_second_do_not_come_at_one_instant() {
    for (format, log) in whole_seconds() {
        let (requests, summary) = taken(&log, &Options::default());
        assert_eq!(summary.format, format);
        let gaps: Vec<u64> = requests
            .windows(2)
            .map(|pair| pair[1].at_us - pair[0].at_us)
            .collect();
        assert!(
            gaps.iter().all(|gap| *gap == 20_000),
            "{format:?}: {gaps:?}"
        );
        let said = "the log's times are whole seconds: 500 requests are spread evenly over theirs";
        assert!(summary.remarks().contains(said), "{}", summary.remarks());
        // One line with a part of a second says that the log has better times.
        let fine =
            log.replacen("06:00:04Z", "06:00:04.5Z", 1)
                .replacen("1775368804,", "1775368804.5,", 1);
        if fine != log {
            let (requests, summary) = taken(&fine, &Options::default());
            assert!(!summary.remarks().contains("whole seconds"), "{format:?}");
            assert_eq!(requests[49].at_us, 0, "{format:?}");
        }
    }
}

#[test]
fn what_collectors_write_before_lines_changes_nothing() {
    let envoy = "[2026-03-01T10:00:00.348Z] \"GET /x HTTP/1.1\" 503 UH 0 541 7 - \"-\" \"c\" \"d\" \"c\" \"172.30.0.176:8000\" outbound|8000||c 1 2 3 - default";
    let json = "{\"start_time\":\"2026-03-01T10:00:00.000Z\",\"duration\":5,\"path\":\"/a\",\"status\":200}";
    let nginx = "10.0.0.1 - - [01/Mar/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 612 \"-\" \"curl/7\" 0.025 0.024";
    for (format, line) in [
        (Format::Envoy, envoy),
        (Format::Json, json),
        (Format::Nginx, nginx),
    ] {
        let plain = taken(line, &Options::default());
        for before in [
            "gateway-7d-abc istio-proxy ",
            "[pod/gateway-1/istio-proxy] ",
            "2026-03-01T10:00:01.348123456Z ",
            "Mar  1 10:00:01 host envoy[12]: ",
            "<165>1 2026-03-01T10:00:01Z host envoy 12 - - ",
            "envoy-1  | ",
            "envoy-1  | 2026-03-01T10:00:01.348123456Z ",
            "ACCESS ",
        ] {
            let (requests, summary) = taken(&format!("{before}{line}"), &Options::default());
            assert_eq!(summary.format, format, "{before}");
            assert_eq!(requests, plain.0, "{before}");
            let log = serde_json::json!({"log": format!("{before}{line}\n"), "stream": "stdout"});
            assert_eq!(
                taken(&log.to_string(), &Options::default()).0,
                plain.0,
                "{before}"
            );
        }
    }
    // Behind what nobody knows a line of Envoy's is still one of Envoy's, and none of nginx's.
    let (requests, summary) = taken(&format!("sometool: 17 > {envoy}"), &Options::default());
    assert_eq!(summary.format, Format::Envoy);
    assert_eq!(requests[0].flags.as_deref(), Some("UH"));
}

#[test]
fn an_object_may_have_several_lines() {
    let record = |second: u64| {
        let text = format!("/a}}{{\"{second}");
        let value = serde_json::json!({"start_time": 1_775_368_800 + second, "duration": 5, "path": text, "http": {"status": 200}});
        serde_json::to_string_pretty(&value).unwrap()
    };
    for between in ["\n", "", ",\n", "\n\n"] {
        let log = [0, 1, 2].map(record).join(between);
        for log in [log.clone(), format!("{log}\n"), log.replace('\n', "\r\n")] {
            let (requests, summary) = taken(&log, &Options::default());
            assert_eq!((summary.format, summary.bad), (Format::Json, 0), "{log}");
            let times: Vec<u64> = requests.iter().map(|request| request.at_us).collect();
            assert_eq!(times, [0, 1_000_000, 2_000_000], "{log}");
            assert_eq!(requests[2].path, "/a}{\"2");
        }
    }
    let cut = [record(0), record(1)].concat();
    let (requests, summary) = taken(&cut[..cut.len() - 5], &Options::default());
    assert_eq!((requests.len(), summary.bad), (1, 1));
    assert!(summary.named[0].problem.contains("without its }"));
}

#[test]
fn a_start_and_an_end_say_how_long_it_took() {
    let line = "{\"begun\":\"2026-03-01T10:00:00.000Z\",\"over\":\"2026-03-01T10:00:00.250Z\",\"status\":200}";
    let options = with_fields("start=begun,end=over");
    let (requests, _) = taken(line, &options);
    assert_eq!(requests[0].service_us, 250_000);
    let line = "{\"start_time\":1775368800.0,\"endTime\":1775368800.5,\"status\":200}";
    assert_eq!(taken(line, &Options::default()).0[0].service_us, 500_000);
    let with = "{\"begun\":1775368800.0,\"over\":1775368800.5,\"took\":7}";
    let (requests, _) = taken(with, &with_fields("start=begun,end=over,duration=took"));
    assert_eq!(requests[0].service_us, 7_000, "a length that is said wins");
    let wrong = "{\"begun\":1775368801.0,\"over\":1775368800.5}\n{\"begun\":1775368801.0,\"over\":1775368801.5}\n";
    let (_, summary) = taken(wrong, &options);
    assert!(
        summary.named[0]
            .problem
            .contains("before the request's start"),
        "{:?}",
        summary.named
    );
}

#[test]
fn what_is_given_or_written_in_vain_is_told() {
    let line = "{\"ts\":1775368800.5,\"duration\":5,\"status\":200,\"priority\":\"HIGH\"}";
    let options = Options {
        service_us: Some(1),
        ..Options::default()
    };
    let (requests, summary) = taken(&format!("{line}\n{line}\n"), &options);
    assert_eq!(requests[0].priority, None);
    for said in [
        "--service-time changes nothing",
        "2 requests with an unknown priority, such as \"HIGH\": expected one of critical_plus",
    ] {
        assert!(summary.remarks().contains(said), "{}", summary.remarks());
    }
    let own = "{\"at_us\":0,\"service_us\":1}\n";
    let (_, summary) = taken(own, &options);
    assert!(summary.remarks().contains("--service-time changes nothing"));
    assert_eq!(taken(own, &Options::default()).1.remarks(), "");
}

#[test]
fn a_log_without_outcomes_says_so_once_and_the_usual_names_give_them() {
    const UNKNOWN: &str = "no request says what became of it";
    for (log, status) in [
        (
            "time,duration\n2026-03-01T10:00:00.5Z,5\n2026-03-01T10:00:01.5Z,5\n",
            None,
        ),
        (
            "time,duration,elb_status_code\n2026-03-01T10:00:00.5Z,5,503\n",
            Some(503),
        ),
        (
            "_time,response_time,status,uri_path\n2026-03-01T10:00:00.5Z,5,404,/a\n",
            Some(404),
        ),
        (
            "time,duration,grpc_status\n2026-03-01T10:00:00.5Z,5,Unavailable\n",
            Some(503),
        ),
        (
            "time,duration,status,grpc_status_number\n2026-03-01T10:00:00.5Z,5,200,4\n",
            Some(504),
        ),
        (
            "time,duration,status,grpc_status\n2026-03-01T10:00:00.5Z,5,200,OK\n",
            Some(200),
        ),
        (
            "time,duration,status,grpc_status\n2026-03-01T10:00:00.5Z,5,502,-\n",
            Some(502),
        ),
    ] {
        let (requests, summary) = taken(log, &Options::default());
        assert_eq!(requests[0].status, status, "{log}");
        let told = summary.remarks().matches(UNKNOWN).count();
        assert_eq!(told, usize::from(status.is_none()), "{log}");
    }
}

#[test]
fn what_another_program_packed_is_named() {
    for (bytes, name) in [
        (&b"\x28\xB5\x2F\xFD\0\0"[..], "zstd -dc"),
        (b"PK\x03\x04\x14\0", "unzip -p"),
        (b"\xFD7zXZ\0\0", "xz -dc"),
        (b"BZh91AY", "bzip2 -dc"),
    ] {
        let error = Input::of(bytes).map(drop).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
