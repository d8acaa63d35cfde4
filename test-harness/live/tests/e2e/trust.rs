//! What strangers can say of themselves to a real Envoy, and what they are told.

use hyper::Method;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::pool::{Answer, Pool, Protocol};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Stand, WORKERS, anywhere, assert_no_trap, beside_others, policy};

const PAGE: &str = "/seawall";

/// Ways in which Envoy finds its peer's address, by the listener's name: more of its connection manager.
fn ways() -> [(&'static str, Value); 4] {
    let extension = |name: &str, more: Value| {
        let mut config = json!({"@type": format!("type.googleapis.com/envoy.extensions.http.original_ip_detection.{name}")});
        if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
            config.extend(more.clone());
        }
        json!({"original_ip_detection_extensions": [{"name": "found", "typed_config": config}]})
    };
    let header = json!({"header_name": "x-real-ip"});
    [
        ("default", json!({})),
        (
            "hops",
            json!({"use_remote_address": true, "xff_num_trusted_hops": 1}),
        ),
        ("forwarded", extension("xff.v3.XffConfig", json!({}))),
        (
            "named",
            extension("custom_header.v3.CustomHeaderConfig", header),
        ),
    ]
}

/// An Envoy with a listener for each of these ways, all of which trust these networks.
async fn envoy(
    upstream: &Upstream,
    ways: &[(&'static str, Value)],
    trust: &[&str],
) -> anyhow::Result<Envoy> {
    let whole = json!({
        "version": 1,
        "trust": {"addresses": trust},
        "page": {"path": PAGE, "trust": {"addresses": trust}},
        "policies": {"default": {
            "breaker": {"mode": "off"},
            "shedding": {"limit": "fixed", "max": 100, "priorities": {"header": "x-prio"}}
        }}
    });
    let listener = |name: &str| Listener {
        name: name.to_owned(),
        policy: Some(whole.clone()),
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: "upstream".to_owned(),
            ..Route::default()
        }],
        ..Listener::default()
    };
    let listeners: Vec<_> = ways.iter().map(|(name, _)| listener(name)).collect();
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream.address()],
        ..Cluster::default()
    };
    let mut whole = bootstrap(&filter()?, &listeners, &[cluster]);
    for (number, (_, more)) in ways.iter().enumerate() {
        let manager =
            format!("/static_resources/listeners/{number}/filter_chains/0/filters/0/typed_config");
        let manager = whole.pointer_mut(&manager).and_then(Value::as_object_mut);
        let more = more.as_object().expect("an object");
        manager.expect("a connection manager").extend(more.clone());
    }
    Envoy::start(&whole, WORKERS).await
}

/// Whether a peer that a header says is there gets the page, and what the upstream is told of its request's priority in
/// both headers.
async fn believed(
    upstream: &Upstream,
    envoy: &Envoy,
    way: &str,
    address: &str,
) -> anyhow::Result<(bool, [Option<String>; 2])> {
    let pool = Pool::new(envoy.listener(way)?, Protocol::Http1);
    let headers = [
        ("x-forwarded-for", address),
        ("x-real-ip", address),
        ("x-prio", "critical_plus"),
        ("x-seawall-priority", "critical_plus"),
    ];
    let headers = if address.is_empty() {
        &headers[2..]
    } else {
        &headers
    };
    let page = pool.send(&Method::GET, PAGE, headers).await?;
    upstream.reset_stats();
    pool.send(&Method::GET, "/", headers).await?;
    let mut values = upstream.snapshot().arrivals.remove(0).values;
    let told = ["x-prio", "x-seawall-priority"].map(|name| values.remove(name));
    Ok((serde_json::from_slice::<Value>(&page.body).is_ok(), told))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_a_header_says_is_believed_by_nobody() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let (ways, trust) = (ways(), ["10.1.0.0/16", "fd00::/8"]);
    let envoy = envoy(&upstream, &ways, &trust).await?;
    let level = || Some("critical".to_owned());
    for (way, _) in &ways {
        for address in [
            "10.1.2.3",
            "10.1.2.3:4711",
            "192.0.2.9, 10.1.2.3",
            "::ffff:10.1.2.3",
            "[::ffff:10.1.2.3]:4711",
            "fd00::1",
            "fd00::1%5",
        ] {
            let found = believed(&upstream, &envoy, way, address).await?;
            assert_eq!(found, (false, [level(), level()]), "{way}: {address}");
        }
    }
    assert_no_trap(&envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peers_own_address_is_believed_whatever_it_forwards() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let ways = [
        ("default", json!({})),
        ("own", json!({"use_remote_address": true})),
    ];
    let envoy = envoy(&upstream, &ways, &["127.0.0.0/8"]).await?;
    let level = || Some("critical_plus".to_owned());
    for (way, address) in [("default", ""), ("own", ""), ("own", "192.0.2.9")] {
        let found = believed(&upstream, &envoy, way, address).await?;
        assert_eq!(found, (true, [level(), level()]), "{way}: {address}");
    }
    assert_no_trap(&envoy);
    Ok(())
}

/// Whether the page is given to a request with these lines of `x-forwarded-for`, and the priority that it goes on with.
async fn forwarded(
    upstream: &Upstream,
    envoy: &Envoy,
    way: &str,
    lines: &[&str],
) -> anyhow::Result<(bool, Option<String>)> {
    let pool = Pool::new(envoy.listener(way)?, Protocol::Http1);
    let mut headers = vec![("x-seawall-priority", "critical_plus")];
    headers.extend(lines.iter().map(|line| ("x-forwarded-for", *line)));
    let page = pool.send(&Method::GET, PAGE, &headers).await?;
    upstream.reset_stats();
    pool.send(&Method::GET, "/", &headers).await?;
    let mut values = upstream.snapshot().arrivals.remove(0).values;
    let given = serde_json::from_slice::<Value>(&page.body).is_ok();
    Ok((given, values.remove("x-seawall-priority")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_envoy_cannot_read_makes_no_stranger_a_trusted_peer() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let ways = [
        ("default", json!({})),
        ("own", json!({"use_remote_address": true})),
        (
            "silent",
            json!({"use_remote_address": true, "skip_xff_append": true}),
        ),
    ];
    // The proxy before this Envoy is trusted, and forwards what strangers send.
    let envoy = envoy(&upstream, &ways, &["127.0.0.0/8"]).await?;
    for lines in [
        &["8.8.8.8:1234"][..],
        &["unknown"],
        &["_hidden"],
        &[""],
        &[","],
        &["127.0.0.1,"],
        &["127.0.0.1:1"],
        &["[::1]"],
        &["::ffff:127.0.0.1:80"],
        &["127.1"],
        &["127.0.0.01"],
        &["8.8.8.8", "unknown"],
        &["127.0.0.1", "unknown"],
        &["unknown", "8.8.8.8:1"],
        &["unknown, 8.8.8.8:1"],
        &["127.0.0.1"],
        &["8.8.8.8"],
    ] {
        for (way, _) in &ways {
            let found = forwarded(&upstream, &envoy, way, lines).await?;
            let believed = match *way {
                "default" => false,
                // Envoy itself writes an address behind whatever came: for a peer on this machine its own.
                "own" => true,
                // Envoy would have taken the last element if it took any.
                _ => [["127.0.0.1"], ["8.8.8.8"]]
                    .iter()
                    .any(|plain| plain == lines),
            };
            let level = believed.then(|| "critical_plus".to_owned());
            assert_eq!(found, (believed, level), "{way}: {lines:?}");
        }
    }
    for (way, _) in &ways {
        let found = forwarded(&upstream, &envoy, way, &[]).await?;
        let level = Some("critical_plus".to_owned());
        assert_eq!(found, (true, level), "{way}: no such header");
    }
    assert_no_trap(&envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_a_stranger_chose_decides_nothing() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    for (trusted, network) in [(false, "10.0.0.0/8"), (true, "127.0.0.0/8")] {
        let open = json!({"consecutive": 3, "enforce": "50%", "open": {"for": "60s", "up_to": "60s", "jitter": 0}});
        let mut whole = policy(open);
        whole["trust"] = json!({"addresses": [network]});
        let stand = Stand::start(whole).await?;
        let pool = Pool::new(stand.address, Protocol::Http1);
        stand.upstream.set(Knobs::failing(1.0));
        for _ in 0..3 {
            pool.send(&Method::GET, "/", &[]).await?;
        }
        stand.upstream.set(Knobs::default());
        let mut refused = 0;
        for _ in 0..100 {
            let id = [("x-request-id", "chosen")];
            let answer = pool.send(&Method::GET, "/", &id).await?;
            refused += usize::from(answer.status == 503);
        }
        match trusted {
            true => assert!([0, 100].contains(&refused), "one id, one draw: {refused}"),
            false => assert!((20..=80).contains(&refused), "{refused} of 100"),
        }
        assert_no_trap(&stand.envoy);
    }
    Ok(())
}

/// The names of Seawall's own headers on an answer.
fn ours(answer: &Answer) -> Vec<&str> {
    let names = answer.headers.keys().map(|name| name.as_str());
    names.filter(|name| name.starts_with("x-seawall")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_answer_headers_off_nothing_is_said_of_any_seawall() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let mut whole = policy(json!({"consecutive": 3, "open": {"for": "30s", "up_to": "30s"}}));
    whole["policies"]["default"]["answer_headers"] = json!(false);
    let stand = Stand::start(whole).await?;
    let marks = ["reason", "degraded", "no-retry"];
    let sick = |error_rate| Knobs {
        answer_headers: marks
            .map(|mark| (format!("x-seawall-{mark}"), "shed_limit".to_owned()))
            .into(),
        error_status: 500,
        ..Knobs::failing(error_rate)
    };
    let pool = Pool::new(stand.address, Protocol::Http1);
    for (error_rate, status) in [(0.0, 200), (1.0, 500), (1.0, 500), (1.0, 500)] {
        stand.upstream.set(sick(error_rate));
        let answer = pool.send(&Method::GET, "/", &[]).await?;
        assert_eq!((answer.status, ours(&answer)), (status, vec![]));
    }
    let refused = pool.send(&Method::GET, "/", &[]).await?;
    assert_eq!((refused.status, ours(&refused)), (503, vec![]));
    assert_eq!(refused.body, "upstream unavailable\n");
    let grpc = [("content-type", "application/grpc")];
    let refused = pool.send(&Method::POST, "/grpc", &grpc).await?;
    let message = refused.headers.get("grpc-message");
    assert_eq!(
        message.map(|text| text.as_bytes()),
        Some(&b"upstream unavailable"[..])
    );
    assert_eq!(ours(&refused), Vec::<&str>::new());
    assert_no_trap(&stand.envoy);
    Ok(())
}

/// The status of one request with this authority on a connection of its own, and why Seawall refused it if it did.
async fn status(
    stand: &Stand,
    target: &str,
    host: &str,
) -> anyhow::Result<(String, Option<String>)> {
    let mut stream = TcpStream::connect(stand.address).await?;
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let ends = |answer: &[u8]| answer.windows(4).any(|four| four == b"\r\n\r\n");
    while !ends(&answer) && stream.read_buf(&mut answer).await? > 0 {}
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut lines = answer.lines();
    let reason = lines.find_map(|line| line.strip_prefix("x-seawall-reason: "));
    Ok((status, reason.map(str::to_owned)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_spellings_of_an_authority_have_one_state() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let mut whole = policy(json!({"consecutive": 3, "open": {"for": "60s", "up_to": "60s"}}));
    whole["upstreams"] = json!([{"cluster": "upstream", "policy": "default", "key": "authority"}]);
    let stand = Stand::start(whole).await?;
    let refused = || ("503".to_owned(), Some("breaker_open".to_owned()));
    let passed = || ("200".to_owned(), None);
    let (long, other_long) = ("x".repeat(300), "y".repeat(300));
    // Each failure comes under another spelling.
    stand.upstream.set(Knobs::failing(1.0));
    for host in ["shop.example", "SHOP.example:80", "u:p@shop.example."] {
        let (answered, reason) = status(&stand, "/", host).await?;
        assert_eq!((answered.as_str(), reason), ("503", None), "{host}");
    }
    for _ in 0..3 {
        assert_eq!(status(&stand, "/", &long).await?.1, None);
    }
    stand.upstream.set(Knobs::default());
    for host in [
        "shop.example",
        "Shop.Example",
        "shop.example:80",
        "shop.example:443",
        "shop.example.",
        "shop.example.:80",
        "user@shop.example",
        "user:secret@shop.example:443",
        "sh%6Fp.example",
        "%53hop%2Eexample:80",
    ] {
        assert_eq!(status(&stand, "/", host).await?, refused(), "{host}");
    }
    for target in ["http://shop.example:80/", "http://SHOP.example./"] {
        assert_eq!(
            status(&stand, target, "other").await?,
            refused(),
            "{target}"
        );
    }
    for host in [
        "other.example",
        "shop.example:8080",
        "shop.example.org",
        "shop",
    ] {
        assert_eq!(status(&stand, "/", host).await?, passed(), "{host}");
    }
    // Those that are longer than an authority can be are one.
    assert_eq!(status(&stand, "/", &other_long).await?, refused());
    assert_no_trap(&stand.envoy);
    Ok(())
}
