//! What is read of each format, and what a wrong line is told.

use clap::ValueEnum;

use super::*;

fn request(at_us: u64, service_us: u64, path: &str) -> Request {
    Request {
        at_us,
        service_us,
        path: path.to_owned(),
        ..Request::default()
    }
}

/// What the first bad line is told.
#[track_caller]
fn refused(format: Format, text: &str, expected: &str) {
    let options = Options {
        format: Some(format),
        strict: true,
        ..Options::default()
    };
    let input = Input::of(text.as_bytes()).unwrap();
    let error = collect(input, &options).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn azure_gives_arrival_and_work_by_tokens() {
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n\
                2023-11-16 18:15:50.9951690,396,109\n";
    let expected = vec![request(0, 44_000, "/"), request(4_314_579, 109_000, "/")];
    assert_eq!(read(Format::Azure, text.as_bytes()).unwrap(), expected);
    refused(
        Format::Azure,
        "TIMESTAMP,GeneratedTokens\nyesterday,5\n",
        "line 2: TIMESTAMP is \"yesterday\": expected a time after the year 2000, such as 2026-01-31T12:00:00.000Z or seconds since 1970",
    );
    refused(
        Format::Azure,
        "a,b\n1,2\n",
        "line 1: there is no column \"TIMESTAMP\": expected TIMESTAMP,GeneratedTokens",
    );
}

#[test]
fn nezha_gives_arrival_operation_and_duration_in_order() {
    let text = "start_unix_ns,operation,duration_us,pod\n1661140339279142337,hipstershop.Frontend/Recv.,511941,f\n\
                1661140339209875609,hipstershop.Frontend/Recv.,362453,f\n";
    let expected = vec![
        request(0, 362_453, "/hipstershop.Frontend/Recv."),
        request(69_266, 511_941, "/hipstershop.Frontend/Recv."),
    ];
    assert_eq!(read(Format::Nezha, text.as_bytes()).unwrap(), expected);
    refused(
        Format::Nezha,
        "start_unix_ns,operation,duration_us\n1661140339279142337,a,fast\n",
        "line 2: duration_us is \"fast\": expected a length of time",
    );
}

#[test]
fn what_is_written_reads_back_and_nothing_is_refused() {
    let trace = poisson(50.0, 2.0, 20_000.0, 0.5, 3).unwrap();
    let mut bytes = Vec::new();
    write(&trace, &mut bytes).unwrap();
    assert_eq!(read(Format::Jsonl, bytes.as_slice()).unwrap(), trace);
    assert_eq!(
        poisson(50.0, 2.0, 20_000.0, 0.5, 3).unwrap(),
        trace,
        "the same seed, the same trace"
    );
    for format in Format::value_variants() {
        assert!(read(*format, "".as_bytes()).is_err(), "{format:?}");
    }
    assert!(poisson(0.0, 1.0, 1.0, 1.0, 1).is_none());
}

#[test]
fn priorities_are_drawn_by_weight_and_go_through_a_file_by_name() {
    let trace = poisson(1_000.0, 10.0, 20_000.0, 0.5, 3).unwrap();
    let weights = [(Priority::CriticalPlus, 1.0), (Priority::Sheddable, 3.0)];
    let trace = with_priorities(trace, &weights, 3).unwrap();
    let trace: Vec<_> = trace.collect();
    let of = |priority| {
        let all = trace.iter();
        all.filter(|request| request.priority == Some(priority))
            .count()
    };
    let (highest, lowest) = (of(Priority::CriticalPlus), of(Priority::Sheddable));
    assert_eq!(highest + lowest, trace.len());
    assert!(
        lowest > 5 * highest / 2 && lowest < 7 * highest / 2,
        "{highest} and {lowest}"
    );
    let mut file = Vec::new();
    write(&trace, &mut file).unwrap();
    assert_eq!(read(Format::Jsonl, file.as_slice()).unwrap(), trace);
    refused(
        Format::Jsonl,
        r#"{"at_us":0,"service_us":1,"priority":"high"}"#,
        "line 1: priority is \"high\": expected one of critical_plus, critical, sheddable_plus, sheddable at line 1 column 44",
    );
    for weights in [
        vec![],
        vec![(Priority::Critical, 0.0)],
        vec![(Priority::Critical, -1.0)],
    ] {
        assert!(
            with_priorities(trace.clone(), &weights, 3).is_none(),
            "{weights:?}"
        );
    }
}

#[test]
fn a_status_of_a_trace_is_one() {
    for status in ["0", "99", "1000", "99999"] {
        let text = format!("{{\"at_us\":0,\"service_us\":1,\"status\":{status}}}\n");
        let error = read(Format::Jsonl, text.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("line 1: ") && error.contains(status),
            "{error}"
        );
    }
    for status in [100, 599, 999] {
        let text = format!("{{\"at_us\":0,\"service_us\":1,\"status\":{status}}}\n");
        let requests = read(Format::Jsonl, text.as_bytes()).unwrap();
        assert_eq!(requests[0].status, Some(status));
    }
}
