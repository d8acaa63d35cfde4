//! Bytes that no well-behaved client sends: no trap, and traffic passes.

mod rapid_reset;

use std::time::Duration;

use seawall_live::load::Kind;
use seawall_live::raw;
use serde_json::json;

use crate::support::{Stand, assert_no_trap, beside_others, policy};

const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_header_traps_the_filter() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(policy(json!({}))).await?;
    let with = |header: &[u8]| {
        [
            b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n",
            header,
            b"\r\n\r\n",
        ]
        .concat()
    };
    let long = [b"x-long: ".as_slice(), &vec![b'a'; 64 * 1024]].concat();
    let many: Vec<u8> = (0..90)
        .flat_map(|n| format!("x-{n}: {n}\r\n").into_bytes())
        .collect();
    for (what, header) in [
        ("ff fe in a value", b"x-evil: \xff\xfe".to_vec()),
        (
            "ff fe in what the filter reads",
            b"accept: \xff\xfe\r\nx-request-id: \xff\xfe\r\nprefer: \xff".to_vec(),
        ),
        (
            "ff fe in a control header",
            b"x-envoy-max-retries: \xff\xfe\r\nx-seawall-\x7f: a".to_vec(),
        ),
        (
            "ff fe in gRPC",
            b"content-type: application/grpc\xff\r\ngrpc-timeout: \xff\xfe".to_vec(),
        ),
        (
            "a grpc-timeout beyond all bounds",
            b"content-type: application/grpc\r\ngrpc-timeout: 99999999H".to_vec(),
        ),
        ("64 KiB", long),
        ("many headers", many[..many.len() - 2].to_vec()),
        (
            "empty values",
            b"x-request-id:\r\naccept:\r\nupgrade:\r\ngrpc-timeout:".to_vec(),
        ),
    ] {
        let answer = raw::exchange(stand.address, &with(&header), PATIENCE).await?;
        let status = raw::status(&answer);
        assert!(
            status.is_some_and(|status| status < 500),
            "{what}: {status:?}"
        );
        assert_no_trap(&stand.envoy);
    }
    for (what, request) in [
        ("no host", b"GET / HTTP/1.0\r\n\r\n".to_vec()),
        (
            "an empty host",
            b"GET / HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n".to_vec(),
        ),
        (
            "no path",
            b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        ),
        (
            "CONNECT",
            b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n".to_vec(),
        ),
        ("rubbish", b"\xff\xfe\x00\r\n\r\n".to_vec()),
    ] {
        raw::exchange(stand.address, &request, Duration::from_millis(500)).await?;
        let log = stand.envoy.log();
        assert!(!log.contains("panicked"), "{what}");
        assert_no_trap(&stand.envoy);
    }
    assert_eq!(stand.client(1).get(0, "/").await, (200, Kind::Good));
    Ok(())
}
