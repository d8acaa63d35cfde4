//! A guest in a real Envoy with one worker: its trace, its log, what the client and what the upstream got.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use seawall_harness::host::{Bytes, Headers, Request, Response, Rule, Seen};
use seawall_live::envoy::Envoy;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::raw;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Case;

/// What one side did.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// The main thread's calls: the base's, the canary's and its own VM's.
    pub(crate) main: Vec<String>,
    /// The worker's calls.
    pub(crate) worker: Vec<String>,
    /// What the worker's VM logged.
    pub(crate) log: Vec<String>,
    /// What clients got.
    pub(crate) responses: Vec<Response>,
    /// What the upstream got.
    pub(crate) seen: Vec<Seen>,
}

type Arrivals = Arc<Mutex<Vec<Seen>>>;

pub(crate) async fn run(case: &Case, module: &Path) -> anyhow::Result<Run> {
    let arrivals = Arrivals::default();
    let upstream = serve(case.upstream.clone(), Arc::clone(&arrivals)).await?;
    let mut envoy = start(case, module, upstream).await?;
    let at = envoy.listener("filter")?;
    until(&envoy, "[host->vm] proxy_on_tick(", case.ticks_before).await?;
    let mut responses = Vec::new();
    for request in &case.requests {
        let answer = raw::exchange(at, &wire(request), Duration::from_secs(10)).await?;
        responses.push(parse(&answer, request.method == "HEAD"));
        if !case.dies {
            until(&envoy, "[host->vm] proxy_on_delete(", responses.len()).await?;
        }
    }
    if let Some((part, count)) = case.ends_with {
        until(&envoy, part, count).await?;
    }
    if case.ends {
        envoy.admin_post("/quitquitquit").await?;
        ended(&mut envoy).await?;
    }
    let mut run = lines(&envoy.log());
    run.responses = responses;
    run.seen = std::mem::take(&mut *arrivals.lock().unwrap());
    Ok(run)
}

async fn start(case: &Case, module: &Path, upstream: SocketAddr) -> anyhow::Result<Envoy> {
    let configuration = configuration(case, module, upstream);
    let trace = ["--component-log-level", "wasm:trace"];
    Envoy::start_with(&configuration, 1, &trace).await
}

async fn ended(envoy: &mut Envoy) -> anyhow::Result<()> {
    for _ in 0..1_000 {
        if envoy.has_ended()? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("Envoy goes on:\n{}", envoy.log())
}

/// Waits until Envoy has died of the first request; what it logged.
pub(crate) async fn killed(case: &Case, module: &Path) -> anyhow::Result<String> {
    let upstream = serve(case.upstream.clone(), Arrivals::default()).await?;
    let mut envoy = start(case, module, upstream).await?;
    let at = envoy.listener("filter")?;
    let request = case.requests.first().context("a request")?;
    let _ = raw::exchange(at, &wire(request), Duration::from_secs(10)).await;
    ended(&mut envoy).await?;
    Ok(envoy.log())
}

/// Waits until the log holds a line so many times. Main thread and worker both tick.
async fn until(envoy: &Envoy, part: &str, count: usize) -> anyhow::Result<()> {
    for _ in 0..500 {
        if envoy.log().matches(part).count() >= count {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("no {count} lines with {part} in:\n{}", envoy.log())
}

fn configuration(case: &Case, module: &Path, upstream: SocketAddr) -> Value {
    let text = |value: &str| json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value});
    let filter = json!({
        "name": "guest",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "filter",
                "root_id": case.root_id,
                "failure_policy": "FAIL_CLOSED",
                "vm_config": {
                    "vm_id": "vm",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module}},
                    "configuration": text(case.vm_configuration)
                },
                "configuration": text(case.configuration)
            }
        }
    });
    let listener = Listener {
        name: "filter".to_owned(),
        filters: vec![filter],
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: "upstream".to_owned(),
            ..Route::default()
        }],
        ..Listener::default()
    };
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream],
        more: json!({"typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}}
            }
        }}),
        ..Cluster::default()
    };
    let mut all = bootstrap(module, &[listener], &[cluster]);
    let manager = &mut all["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    manager["typed_config"]["http_protocol_options"] = json!({"enable_trailers": true});
    if let Some(idle) = case.idle_ms {
        let idle = format!("{}.{:03}s", idle / 1_000, idle % 1_000);
        manager["typed_config"]["stream_idle_timeout"] = json!(idle);
    }
    manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"][0]["name"] =
        json!("upstream");
    all
}

/// Envoy's log, thread by thread: the thread that speaks first is the main thread.
fn lines(log: &str) -> Run {
    let mut run = Run::default();
    let mut main = None;
    for line in log.lines().filter(|line| line.contains("[wasm]")) {
        let thread = line
            .split('[')
            .nth(2)
            .map(|part| part.trim_end_matches(']'));
        let is_main = thread == *main.get_or_insert(thread);
        if let Some((_, said)) = line.split_once("wasm log") {
            let text = said.split_once(": ").map_or(said, |(_, text)| text);
            if !is_main {
                run.log.push(text.to_owned());
            }
        }
        let call = ["[host->vm]", "[host<-vm]", "[vm->host]", "[vm<-host]"]
            .iter()
            .find_map(|mark| line.find(mark))
            .map(|at| line[at..].to_owned());
        match (call, is_main) {
            (Some(call), true) => run.main.push(call),
            (Some(call), false) => run.worker.push(call),
            (None, _) => {}
        }
    }
    run
}

/// A request as bytes.
fn wire(request: &Request) -> Vec<u8> {
    let mut bytes = format!(
        "{} {} HTTP/1.1\r\nhost: seawall.test\r\n",
        request.method, request.path
    )
    .into_bytes();
    for (name, value) in &request.headers {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    for (name, value) in &request.headers_base64 {
        bytes.extend([name.as_bytes(), b": ", &value.0, b"\r\n"].concat());
    }
    bytes.extend(b"connection: close\r\n");
    bytes.extend(framed(request.payload(), &request.trailers, false));
    bytes
}

/// The rest of a message: what frames its body, the body, its trailers.
fn framed(body: &[u8], trailers: &Headers, always: bool) -> Vec<u8> {
    if trailers.is_empty() {
        let length = match body.is_empty() && !always {
            true => String::new(),
            false => format!("content-length: {}\r\n", body.len()),
        };
        return [length.as_bytes(), b"\r\n", body].concat();
    }
    let trailers: String = trailers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let chunk = match body.is_empty() {
        true => Vec::new(),
        false => [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat(),
    };
    let end = format!("0\r\n{trailers}\r\n");
    [
        &b"transfer-encoding: chunked\r\n\r\n"[..],
        &chunk,
        end.as_bytes(),
    ]
    .concat()
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = bytes.windows(at.len()).position(|part| part == at)?;
    Some((&bytes[..place], &bytes[place + at.len()..]))
}

/// A message from its bytes: first line, headers, body, trailers. The answer to a HEAD has no body.
fn message(bytes: &[u8], is_head: bool) -> Option<(String, Headers, Vec<u8>, Headers)> {
    let (head, mut rest) = split(bytes, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(head).into_owned();
    let (first, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
    let pairs = |text: &str| -> Headers {
        let lines = text.split("\r\n").filter_map(|line| line.split_once(": "));
        lines
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect()
    };
    let headers = pairs(headers);
    let has = |name: &str| headers.iter().find(|(known, _)| known == name);
    if is_head {
        return Some((first.to_owned(), headers, Vec::new(), Headers::new()));
    }
    if has("transfer-encoding").is_none() {
        let length = has("content-length").and_then(|(_, value)| value.parse().ok());
        let body = rest.get(..length.unwrap_or(0))?.to_vec();
        return Some((first.to_owned(), headers, body, Headers::new()));
    }
    let mut body = Vec::new();
    loop {
        let (size, after) = split(rest, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            let trailers = match after.strip_prefix(b"\r\n") {
                Some(_) => b"",
                None => split(after, b"\r\n\r\n")?.0,
            };
            let trailers = pairs(&String::from_utf8_lossy(trailers));
            return Some((first.to_owned(), headers, body, trailers));
        }
        body.extend(after.get(..size)?);
        rest = after.get(size + 2..)?;
    }
}

fn text(body: Vec<u8>) -> (String, Option<Bytes>) {
    match String::from_utf8(body) {
        Ok(text) => (text, None),
        Err(error) => (String::new(), Some(Bytes(error.into_bytes()))),
    }
}

fn parse(bytes: &[u8], is_head: bool) -> Response {
    let Some((first, headers, body, trailers)) = message(bytes, is_head) else {
        let status = raw::status(bytes).unwrap_or(0);
        return Response {
            status: u32::from(status),
            reset: true,
            ..Response::default()
        };
    };
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let (body, body_base64) = text(body);
    Response {
        status: status.unwrap_or(0),
        headers,
        body,
        body_base64,
        trailers,
        ..Response::default()
    }
}

/// An upstream that answers by rules and adds nothing of its own but the length.
async fn serve(rules: Vec<Rule>, arrivals: Arrivals) -> anyhow::Result<SocketAddr> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let (rules, arrivals) = (rules.clone(), Arc::clone(&arrivals));
            tokio::spawn(async move { connection(stream, &rules, &arrivals).await });
        }
    });
    Ok(address)
}

async fn connection(
    mut stream: TcpStream,
    rules: &[Rule],
    arrivals: &Arrivals,
) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4_096];
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&buffer[..read]);
        let Some((first, headers, body, trailers)) = message(&bytes, false) else {
            continue;
        };
        bytes.clear();
        let mut words = first.split(' ').map(str::to_owned);
        let method = words.next().context("a method")?;
        let path = words.next().context("a path")?;
        let rule = rules
            .iter()
            .find(|rule| path.starts_with(&rule.path_prefix));
        let rule = rule.cloned().unwrap_or_default();
        let is_head = method == "HEAD";
        let (body, body_base64) = text(body);
        arrivals.lock().unwrap().push(Seen {
            method,
            path,
            headers,
            body,
            body_base64,
            trailers,
            ..Seen::default()
        });
        if rule.reset {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(rule.delay_ms)).await;
        let mut answer = format!("HTTP/1.1 {} answer\r\n", rule.status).into_bytes();
        for (name, value) in &rule.headers {
            answer.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        for (name, value) in &rule.headers_base64 {
            answer.extend([name.as_bytes(), b": ", &value.0, b"\r\n"].concat());
        }
        let whole = framed(rule.payload(), &rule.trailers, true);
        answer.extend(match split(&whole, b"\r\n\r\n") {
            Some((head, _)) if is_head => [head, b"\r\n\r\n"].concat(),
            _ => whole,
        });
        stream.write_all(&answer).await?;
    }
}
