//! A table of samples of every format with what they say, alone and in everything that may be around them; and hostile bytes.

use std::io::Write;

use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

/// A format, lines of it, and each request: at_us, service_us, method, path, status, flags, cluster.
type Row = (
    u64,
    u64,
    &'static str,
    &'static str,
    u16,
    &'static str,
    &'static str,
);

struct Sample {
    format: Format,
    text: &'static str,
    rows: &'static [Row],
    left: &'static [(Left, u64)],
}

const SAMPLES: &[Sample] = &[
    Sample {
        // Envoy's default, from its documentation's shape.
        format: Format::Envoy,
        text: "[2026-04-05T06:00:01.000Z] \"POST /api/v1?q=1 HTTP/2\" 204 - 154 0 226 100 \"10.0.35.28\" \"nsq2http\" \"cc21\" \"locations\" \"tcp://10.0.2.1:80\"\n\
               [2026-04-05T06:00:00.500Z] \"GET /\"x\" HTTP/1.1\" 503 UF,URX 0 91 3 - \"-\" \"a \"quoted\" agent\" \"cc22\" \"locations\" \"10.0.2.1:80\"\n\
               [2026-04-05T06:00:02.000Z] \"GET /ws HTTP/1.1\" 101 - 0 0 60000 1 \"-\" \"a\" \"b\" \"c\" \"d\"\n",
        rows: &[
            (0, 3_000, "GET", "/\"x\"", 503, "UF,URX", ""),
            (500_000, 100_000, "POST", "/api/v1?q=1", 204, "", ""),
        ],
        left: &[(Left::Upgrade, 1)],
    },
    Sample {
        // Istio 1.4, 1.6 and 1.20.
        format: Format::Envoy,
        text: "[2026-04-05T06:00:00.000Z] \"GET /a HTTP/1.1\" 200 - \"-\" 0 48 5 4 \"-\" \"curl\" \"id\" \"cart:80\" \"127.0.0.1:80\" inbound|80|http|cart.shop.svc.cluster.local - 10.4.4.1:80 10.4.4.2:1 -\n\
               [2026-04-05T06:00:01.000Z] \"GET /b HTTP/1.1\" 503 UH \"-\" \"no healthy host\" 0 19 0 - \"-\" \"curl\" \"id\" \"cart:80\" \"-\" - - 10.4.4.1:80 10.4.4.2:1 - default\n\
               [2026-04-05T06:00:02.000Z] \"GET /c HTTP/2\" 503 UC upstream_reset_before_response_started{connection_termination} - \"-\" 0 95 11 - \"-\" \"curl\" \"id\" \"cart\" \"10.0.0.1:80\" outbound|80||cart.shop.svc.cluster.local; 10.0.0.1:1 10.0.0.2:2 10.0.0.3:3 - default\n\
               [2026-04-05T06:00:03.000Z] \"- - -\" 0 - - - \"-\" 22 30 63 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.4:443\" PassthroughCluster 10.0.0.93:3 10.0.0.4:443 10.0.0.93:4 - -\n\
               2026-04-05T06:00:03.904190Z\twarning\tenvoy config\tstream closed: 14\tthread=20\n",
        rows: &[
            (
                0,
                4_000,
                "GET",
                "/a",
                200,
                "",
                "inbound|80|http|cart.shop.svc.cluster.local",
            ),
            (1_000_000, 0, "GET", "/b", 503, "UH", ""),
            (
                2_000_000,
                11_000,
                "GET",
                "/c",
                503,
                "UC",
                "outbound|80||cart.shop.svc.cluster.local",
            ),
        ],
        left: &[(Left::Tcp, 1), (Left::ProxyLog, 1)],
    },
    Sample {
        // Envoy's JSON with its own names, renamed ones, numbers and texts, seconds and milliseconds since 1970.
        format: Format::Json,
        text: "{\"start_time\":\"2026-04-05T06:00:00Z\",\"duration\":9,\"upstream_service_time\":\"7\",\"method\":\"PUT\",\"path\":\"/a\",\"response_code\":200,\"response_flags\":\"-\",\"upstream_cluster\":\"c\"}\n\
               {\"startTime\":1775368801.5,\"latencyMs\":\"2.5\",\"requestMethod\":\"GET\",\"url\":\"https://shop.example/b#x\",\"status\":\"504\",\"response_flags\":\"UT\"}\n\
               {\"ts\":1775368802000,\"took_us\":70,\"http\":{\"request\":{\"method\":\"GET\"},\"response\":{\"status_code\":404}},\"uri\":\"/c\"}\n\
               {\"level\":\"info\",\"time\":\"2026-04-05T06:00:00Z\",\"msg\":\"ready\"}\n\
               {\"start_time\":\"2026-04-05T06:00:00Z\",\"duration\":63000,\"method\":\"-\",\"protocol\":\"-\",\"response_code\":0}\n",
        rows: &[
            (0, 7_000, "PUT", "/a", 200, "", "c"),
            (1_500_000, 2_500, "GET", "/b", 504, "UT", ""),
            (2_000_000, 70, "GET", "/c", 404, "", ""),
        ],
        left: &[(Left::Tcp, 1), (Left::ProxyLog, 1)],
    },
    Sample {
        // nginx's JSON: the time is that of the answer, lengths are in seconds, upstreams are a list.
        format: Format::Json,
        text: "{\"time_iso8601\":\"2026-04-05T08:00:02+02:00\",\"request_time\":\"1.000\",\"upstream_response_time\":\"0.001, 0.250\",\"request\":\"GET /a HTTP/1.1\",\"status\":\"200\"}\n\
               {\"msec\":\"1775368802.500\",\"request_time\":\"0.500\",\"upstream_response_time\":\"-\",\"request_method\":\"GET\",\"request_uri\":\"/b\",\"status\":499}\n",
        rows: &[
            (0, 250_000, "GET", "/a", 200, "", ""),
            (1_000_000, 500_000, "GET", "/b", 499, "", ""),
        ],
        left: &[],
    },
    Sample {
        format: Format::Nginx,
        text: "10.0.0.1 - - [05/Apr/2026:06:00:01 +0000] \"GET /a HTTP/1.1\" 200 612 \"-\" \"curl/8\" 0.025 0.024\n\
               10.0.0.1 - bob [05/Apr/2026:08:00:02 +0200] \"POST /b HTTP/1.1\" 502 6 \"-\" \"a b\" \"-\" rt=1.000 uct=\"0.000\" urt=\"-\"\n\
               2001:db8::1 - - [05/Apr/2026:06:00:02 +0000] \"\\x16\\x03\\x01\" 400 0 \"-\" \"-\" 0.000 -\n\
               10.0.0.1 - - [05/Apr/2026:06:00:04 +0000] \"GET /c HTTP/1.1\" 200 612 \"-\" \"curl/8\"\n",
        rows: &[
            (0, 24_000, "GET", "/a", 200, "", ""),
            (25_000, 1_000_000, "POST", "/b", 502, "", ""),
            (3_025_000, 20_000, "GET", "/c", 200, "", ""),
        ],
        left: &[(Left::Unreadable, 1)],
    },
    Sample {
        format: Format::Alb,
        text: "h2 2026-04-05T06:00:01.000000Z app/lb/1 10.0.1.1:2817 10.0.0.1:80 0.001 0.048 0.037 200 200 0 57 \"GET https://shop.example:443/a HTTP/1.1\" \"curl/7\" - - arn:aws:elasticloadbalancing:us-east-2:1:targetgroup/cart/73e2 \"Root=1\" \"-\" \"-\" 0 2026-04-05T06:00:00.914000Z \"forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \"-\" \"-\"\n\
               http 2026-04-05T06:00:05.914000Z app/lb/1 10.0.1.1:2817 10.0.0.1:80 -1 -1 -1 504 - 0 57 \"GET http://shop.example:80/b HTTP/1.1\" \"curl/7\" - - arn:aws:elasticloadbalancing:us-east-2:1:targetgroup/cart/73e2 \"Root=1\" \"-\" \"-\" 0 2026-04-05T06:00:02.914000Z \"forward\" \"-\" \"-\" \"-\" \"-\" \"-\" \"-\"\n\
               wss 2026-04-05T06:00:05.914000Z app/lb/1 10.0.1.1:2817 10.0.0.1:80 0.001 0.001 0.000 101 101 0 57 \"GET https://shop.example:443/ws HTTP/1.1\" \"a\" - - arn \"Root=1\" \"-\" \"-\" 0 2026-04-05T06:00:02.914000Z \"forward\"\n",
        rows: &[
            (0, 48_000, "GET", "/a", 200, "", "cart"),
            (2_000_000, 3_000_000, "GET", "/b", 504, "", "cart"),
        ],
        left: &[(Left::Upgrade, 1)],
    },
    Sample {
        format: Format::K6Json,
        text: "{\"type\":\"Metric\",\"metric\":\"http_req_duration\",\"data\":{\"name\":\"http_req_duration\"}}\n\
               {\"type\":\"Point\",\"metric\":\"http_reqs\",\"data\":{\"time\":\"2026-04-05T06:00:01Z\",\"value\":1,\"tags\":{}}}\n\
               {\"type\":\"Point\",\"metric\":\"http_req_duration\",\"data\":{\"time\":\"2026-04-05T06:00:01Z\",\"value\":250.5,\"tags\":{\"method\":\"GET\",\"status\":\"200\",\"url\":\"http://a.example/x\",\"name\":\"x\"}}}\n\
               {\"type\":\"Point\",\"metric\":\"http_req_duration\",\"data\":{\"time\":\"2026-04-05T06:00:02Z\",\"value\":0,\"tags\":{\"method\":\"GET\",\"status\":\"0\",\"error_code\":\"1212\",\"url\":\"http://a.example\"}}}\n",
        rows: &[
            (0, 250_500, "GET", "/x", 200, "", ""),
            (1_250_500, 0, "GET", "/", 0, "UF", ""),
        ],
        left: &[(Left::OtherMetric, 2)],
    },
    Sample {
        format: Format::K6Csv,
        text: "metric_name,timestamp,metric_value,check,error,error_code,expected_response,group,method,name,status,url,extra_tags\n\
               http_reqs,1775368801,1.0,,,,true,,GET,x,200,http://a.example/x,\n\
               http_req_duration,1775368801,250.5,,\"a, b\",,true,,GET,x,200,http://a.example/x,\n\
               http_req_duration,1775368802,2000,,timeout,1050,false,,GET,x,0,http://a.example/x,\n",
        rows: &[
            (0, 2_000_000, "GET", "/x", 0, "UT", ""),
            (749_500, 250_500, "GET", "/x", 200, "", ""),
        ],
        left: &[(Left::OtherMetric, 1)],
    },
    Sample {
        format: Format::Csv,
        text: "start;duration_ms;method;path;status;cluster\n1775368800;5;GET;\"/a;b\";200;c\n1775368801;6.5;GET;/b;500;c\n",
        rows: &[
            (0, 5_000, "GET", "/a;b", 200, "", "c"),
            (1_000_000, 6_500, "GET", "/b", 500, "", "c"),
        ],
        left: &[],
    },
];

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
