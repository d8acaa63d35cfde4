//! What counts as a failure, and what is not the upstream's: statuses, overload, dates, and refusals of our own.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process};

use crate::support::{BREAKER, advance, ask, end, process, properties, trip};

/// The breaker's configuration with more of its policy.
fn with(more: &str) -> String {
    BREAKER.replace(r#"{"breaker""#, &format!(r#"{{{more},"breaker""#))
}

/// Whether so many answers with this status open a closed breaker.
fn opens(configuration: &str, status: &str) -> bool {
    let process = process(1, configuration);
    for _ in 0..10 {
        let Some(stream) = ask(&process, 0) else {
            return true;
        };
        end(&process, stream, status);
    }
    ask(&process, 0).is_none()
}

#[test]
fn what_a_proxy_answers_for_a_dead_origin_is_a_failure_and_529_is_overload() {
    for status in 500..600 {
        let failure = matches!(status, 500 | 502..=504 | 520..=527 | 530);
        assert_eq!(opens(BREAKER, &status.to_string()), failure, "{status}");
    }
    let own = with(r#""outcomes":{"failure":{"status":["4xx","510-512",599]}}"#);
    for (status, failure) in [
        ("400", true),
        ("499", true),
        ("509", false),
        ("511", true),
        ("503", false),
        ("599", true),
        ("429", true),
    ] {
        assert_eq!(opens(&own, status), failure, "{status}");
    }
}

#[test]
fn overload_opens_a_breaker_only_where_the_policy_says_so() {
    let strict = with(r#""outcomes":{"overloaded":{"breaker":"failure"}}"#);
    for status in ["429", "529"] {
        assert!(!opens(BREAKER, status), "{status}");
        assert!(opens(&strict, status), "{status}");
    }
}

#[test]
fn an_overloaded_probe_gives_its_permit_back_or_is_a_failed_one() {
    let probed = |configuration: &str, status: &str, times: usize| {
        let process = process(1, configuration);
        trip(&process);
        advance(&process, 1_100);
        for _ in 0..times {
            let probe = ask(&process, 0).expect("a permit");
            end(&process, probe, status);
        }
        process
    };
    // Neither closes nor opens it: each gives its permit back, and the first good ones close it.
    let process = probed(BREAKER, "429", 20);
    for _ in 0..3 {
        let probe = ask(&process, 0).expect("still half-open");
        end(&process, probe, "200");
    }
    let many: Vec<_> = (0..20).map_while(|_| ask(&process, 0)).collect();
    assert_eq!(many.len(), 20, "closed");
    // As failures they open it again at the last permit's verdict.
    let strict = with(r#""outcomes":{"overloaded":{"breaker":"failure"}}"#);
    let process = probed(&strict, "429", 3);
    assert_eq!(ask(&process, 0), None, "open again");
}

/// An answer with this `retry-after` trips it; after so many milliseconds it lets a probe through.
fn probed_after(process: &Process, retry_after: &str) -> u64 {
    for _ in 0..5 {
        let stream = ask(process, 0).expect("closed passes");
        process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
        let answer = headers(&[(":status", "503"), ("retry-after", retry_after)]);
        process.response_headers(stream, answer, true);
        process.close(stream);
    }
    let mut waited = 0;
    while ask(process, 0).is_none() {
        advance(process, 500);
        waited += 500;
        assert!(waited < 120_000, "for ever");
    }
    waited
}

#[test]
fn a_retry_after_may_be_a_date() {
    // The host's wall clock is 2026-01-01T00:00:00Z and its own clock, which begins at one second.
    let long = BREAKER.replace(r#""up_to":"1s""#, r#""up_to":"60s""#);
    for (retry_after, millis) in [
        ("30", 30_000),
        ("Thu, 01 Jan 2026 00:00:31 GMT", 30_000),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 1_000),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 1_000),
        ("Thu, 01 Jan 2026 05:00:00 GMT", 60_000),
        ("Thu, 32 Jan 2026 05:00:00 GMT", 1_000),
        ("soon", 1_000),
    ] {
        let waited = probed_after(&process(1, &long), retry_after);
        assert!(
            (millis..=millis + 500).contains(&waited),
            "{retry_after}: {waited} ms"
        );
    }
}

#[test]
fn what_is_called_like_grpc_is_not_grpc() {
    let asked = |content_type: &str| {
        let process = process(1, BREAKER);
        for _ in 0..10 {
            let stream = process.open(0, properties());
            let request = [
                (":method", "POST"),
                (":path", "/"),
                ("content-type", content_type),
            ];
            if process.request_headers(stream, headers(&request), true) != Flow::Continue {
                return true;
            }
            process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
            let answer = [(":status", "200"), ("grpc-status", "14")];
            process.response_headers(stream, headers(&answer), true);
            process.close(stream);
        }
        false
    };
    for (content_type, grpc) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc;charset=utf-8", true),
        ("application/grpcx", false),
        ("application/grpc-web", false),
    ] {
        assert_eq!(asked(content_type), grpc, "{content_type}");
    }
}

#[test]
fn a_refused_retry_of_which_nothing_is_known_says_nothing_about_the_upstream() {
    let poor = with(r#""retries":{"budget":{"ratio":0,"min_per_second":0}}"#);
    // What became of the first attempt, as Envoy's flags say it, and whether ten such requests open the breaker.
    for (flags, opens) in [(0_u64, false), (0x20, true), (0x4, true), (0x40, true)] {
        let process = process(1, &poor);
        for _ in 0..10 {
            let Some(request) = ask(&process, 0) else {
                break;
            };
            let attempt = |number: u64| {
                let mut known = properties();
                let path = "upstream\0request_attempt_count".to_owned();
                known.insert(path, number.to_le_bytes().to_vec());
                known.insert("response\0flags".to_owned(), flags.to_le_bytes().to_vec());
                let stream = process.open_attempt(request, known);
                let asked = headers(&[(":method", "GET"), (":path", "/")]);
                (stream, process.request_headers(stream, asked, true))
            };
            let (first, flow) = attempt(1);
            assert_eq!(flow, Flow::Continue);
            process.close(first);
            let (second, flow) = attempt(2);
            assert!(matches!(flow, Flow::Reply(_)), "{flags:#x}: {flow:?}");
            let details = b"seawall_retry_budget".to_vec();
            process.set_property(request, "response\0code_details", details);
            process.response_headers(request, headers(&[(":status", "503")]), true);
            process.close(request);
            process.close(second);
        }
        assert_eq!(ask(&process, 0).is_none(), opens, "{flags:#x}");
    }
}
