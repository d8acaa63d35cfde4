//! The state page: for whom it is there, and what it says.

use seawall_harness::abi::stream::{LocalReply, headers};
use seawall_harness::process::{Flow, Process};
use serde_json::{Value, json};

use crate::support::{ask, end, process, properties, traps};

const PAGE: &str = r#"{"version":1,
    "page":{"path":"/seawall","trust":{"addresses":["10.1.0.0/16"],"identities":["spiffe://cluster.local/ns/ops/*"]}},
    "policies":{"default":{"retries":{},"bulkhead":{"max_concurrent":15},"breaker":{
    "minimum_calls":5,"consecutive":0,"ramp":"0s","hosts":{"grace":"0s"},"open":{"for":"9s","up_to":"9s","jitter":0}}}}}"#;

/// What a GET of this path is answered by the filter.
fn get(process: &Process, path: &str, from: &str) -> Option<LocalReply> {
    request(process, "GET", path, &[("source\0address", from)])
}

fn request(
    process: &Process,
    method: &str,
    path: &str,
    about: &[(&str, &str)],
) -> Option<LocalReply> {
    let mut properties = properties();
    for (name, value) in about {
        properties.insert((*name).to_owned(), value.as_bytes().to_vec());
    }
    let stream = process.open(0, properties);
    let asked = headers(&[(":method", method), (":path", path), (":authority", "a")]);
    let flow = process.request_headers(stream, asked, true);
    if flow == Flow::Continue {
        end(process, stream, "200");
    } else {
        process.close(stream);
    }
    match flow {
        Flow::Reply(reply) => Some(reply),
        Flow::Continue | Flow::Pause => None,
    }
}

fn page(process: &Process) -> Value {
    let reply = get(process, "/seawall", "10.1.2.3:4711").expect("a page");
    serde_json::from_slice(&reply.body).expect("JSON")
}

#[test]
fn those_who_are_trusted_see_every_upstream_as_it_is() {
    let process = process(2, PAGE);
    assert_eq!(
        page(&process)["upstreams"],
        json!([]),
        "nothing was asked for yet"
    );
    let held = ask(&process, 0).expect("closed passes");
    let other = ask(&process, 1).expect("closed passes");
    let seen = &page(&process)["upstreams"][0];
    assert_eq!(seen["state"], json!("closed"));
    assert_eq!(seen["in_flight"], json!(2), "of all workers");
    end(&process, held, "200");
    end(&process, other, "503");
    for _ in 0..3 {
        let stream = ask(&process, 1).expect("closed passes");
        end(&process, stream, "503");
    }
    let page = page(&process);
    let seen = &page["upstreams"][0];
    for (key, expected) in [
        ("policy", json!("default")),
        ("upstream", json!("upstream")),
        ("key", json!("seawall/v1/default/upstream")),
        ("mode", json!("enforce")),
        ("state", json!("open")),
        ("open_ms_left", json!(9_000)),
        ("trips", json!(1)),
        ("in_flight", json!(0)),
        ("retries_left", json!(0)),
    ] {
        assert_eq!(seen[key], expected, "{key} of {page}");
    }
    assert_eq!(page["worker"]["settlements_pending"], json!(0));
    assert_eq!(page["omitted"], json!(0));
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn it_is_json_that_nobody_keeps() {
    let process = process(1, PAGE);
    let reply = get(&process, "/seawall", "10.1.2.3:4711").expect("a page");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.details, "seawall_page");
    let header = |name| seawall_harness::abi::stream::value(&reply.headers, name);
    assert_eq!(header("content-type").as_deref(), Some("application/json"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store"));
}

#[test]
fn for_everybody_else_and_for_every_other_request_it_does_not_exist() {
    let process = process(1, PAGE);
    for (method, path, from) in [
        ("GET", "/seawall", "10.2.0.1:4711"),
        ("GET", "/seawall", ""),
        ("GET", "/seawall", "10.1.2.3:0"),
        ("GET", "/seawall", "[::ffff:10.1.2.3]:0"),
        ("POST", "/seawall", "10.1.2.3:4711"),
        ("HEAD", "/seawall", "10.1.2.3:4711"),
        ("GET", "/seawall/", "10.1.2.3:4711"),
        ("GET", "/seawall?all", "10.1.2.3:4711"),
        ("GET", "/", "10.1.2.3:4711"),
    ] {
        let answered = request(&process, method, path, &[("source\0address", from)]);
        assert_eq!(answered, None, "{method} {path} from {from:?}");
    }
    let identity = (
        "connection\0uri_san_peer_certificate",
        "spiffe://cluster.local/ns/ops/sa/x",
    );
    assert!(request(&process, "GET", "/seawall", &[identity]).is_some());
    let plain = crate::support::process(1, crate::support::BREAKER);
    assert_eq!(
        get(&plain, "/seawall", "10.1.2.3:4711"),
        None,
        "off by default"
    );
}

#[test]
fn an_open_breaker_does_not_refuse_it_and_it_counts_as_no_request() {
    let process = process(1, PAGE);
    for _ in 0..5 {
        let stream = ask(&process, 0).expect("closed passes");
        end(&process, stream, "503");
    }
    assert_eq!(ask(&process, 0), None);
    let before = page(&process);
    assert_eq!(before["upstreams"][0]["state"], json!("open"));
    assert_eq!(page(&process), before);
}

#[test]
fn a_name_that_looks_like_markup_is_a_name() {
    let process = process(1, PAGE);
    let mut properties = properties();
    let name = "\"},{\"state\":\"</script>\u{1}\u{2028}";
    properties.insert("xds\0cluster_name".to_owned(), name.as_bytes().to_vec());
    let stream = process.open(0, properties);
    let asked = headers(&[(":method", "GET"), (":path", "/")]);
    process.request_headers(stream, asked, true);
    end(&process, stream, "200");
    let page = page(&process);
    assert_eq!(page["upstreams"][0]["upstream"], json!(name));
    assert_eq!(page["upstreams"].as_array().map(Vec::len), Some(1));
}

/// The same page, by which whoever sits on a listed address may force upstreams.
fn forcing(workers: usize) -> Process {
    let mut whole: Value = serde_json::from_str(PAGE).expect("JSON");
    whole["page"]["force"] = json!({"addresses": ["10.1.2.3"]});
    process(workers, &whole.to_string())
}

fn post(process: &Process, query: &str, more: &[(&str, &str)]) -> Option<LocalReply> {
    let mut properties = properties();
    properties.insert("source\0address".to_owned(), b"10.1.2.3:4711".to_vec());
    let stream = process.open(1, properties);
    let path = format!("/seawall?{query}");
    let mut lines = vec![
        (":method", "POST"),
        (":path", path.as_str()),
        (":scheme", "http"),
        (":authority", "10.0.0.1"),
    ];
    lines.extend(more);
    let flow = process.request_headers(stream, headers(&lines), false);
    process.close(stream);
    match flow {
        Flow::Reply(reply) => Some(reply),
        Flow::Continue | Flow::Pause => None,
    }
}

#[test]
fn what_one_worker_is_told_to_force_holds_at_all_of_them_and_a_body_is_not_waited_for() {
    let process = forcing(4);
    for worker in [0, 1, 2, 0, 1, 2] {
        let stream = ask(&process, worker).expect("closed passes");
        end(&process, stream, "200");
    }
    let token = page(&process)["force"]["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let order = format!("policy=default&upstream=upstream&token={token}");
    let refused = post(
        &process,
        &format!("{order}&do=open&for=1m"),
        &[("origin", "http://evil.example")],
    );
    assert_eq!(refused.expect("an answer").status, 403);
    for (action, passes) in [
        ("open&for=1m", false),
        ("closed&for=1m", true),
        ("open&for=1m", false),
        ("reset", true),
    ] {
        let answer = post(&process, &format!("{order}&do={action}"), &[]).expect("an answer");
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        for worker in 0..4 {
            let stream = ask(&process, worker);
            assert_eq!(stream.is_some(), passes, "worker {worker} after {action}");
            if let Some(stream) = stream {
                end(&process, stream, "200");
            }
        }
    }
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn any_query_of_a_post_is_answered_and_forces_nothing() {
    let process = forcing(2);
    let stream = ask(&process, 0).expect("closed passes");
    end(&process, stream, "200");
    let token = page(&process)["force"]["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let long = "%41".repeat(4_000);
    for query in [
        "",
        "?",
        "&",
        "=",
        "do",
        "do=",
        "do=open&do=open",
        "%",
        "policy=%f",
        "upstream=%ff%00",
        "for=1e9y",
        &long,
    ] {
        let answer = post(&process, &format!("{query}&token={token}"), &[]).expect("an answer");
        assert_eq!(answer.status, 400, "{query}");
    }
    let stream = ask(&process, 1).expect("closed passes");
    end(&process, stream, "200");
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_browser_gets_a_page_without_script_in_which_a_name_is_a_name() {
    let process = forcing(1);
    let mut of_upstream = properties();
    let name = "\"><script>alert(1)</script>&do=open";
    of_upstream.insert("xds\0cluster_name".to_owned(), name.as_bytes().to_vec());
    let stream = process.open(0, of_upstream);
    process.request_headers(stream, headers(&[(":method", "GET"), (":path", "/")]), true);
    end(&process, stream, "200");
    let mut of_page = properties();
    of_page.insert("source\0address".to_owned(), b"10.1.2.3:4711".to_vec());
    let stream = process.open(0, of_page);
    let asked = [
        (":method", "GET"),
        (":path", "/seawall"),
        ("accept", "text/html"),
    ];
    let Flow::Reply(reply) = process.request_headers(stream, headers(&asked), true) else {
        panic!("no page");
    };
    let html = String::from_utf8(reply.body.clone()).expect("UTF-8");
    assert!(
        !html.contains("<script") && html.contains("&lt;script&gt;alert(1)"),
        "{html}"
    );
    assert!(
        html.contains(
            "&amp;upstream=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%26do%3Dopen&amp;"
        ),
        "{html}"
    );
    let header = |name| seawall_harness::abi::stream::value(&reply.headers, name);
    assert!(
        header("content-security-policy")
            .is_some_and(|policy| policy.starts_with("default-src 'none'"))
    );
}
