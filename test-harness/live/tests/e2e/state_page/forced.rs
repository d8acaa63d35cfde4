//! An operator forces an upstream, in a real Envoy with four workers.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use hyper::Method;
use seawall_live::clock;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::load::{Client, Kind};
use seawall_live::pool::{Pool, Protocol};
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATH;
use crate::support::{alone, anywhere, assert_no_trap, policy, transitions, until, workers};

const WORKERS: usize = 4;
/// So many that each worker has some.
const CONNECTIONS: usize = 48;
const SECOND: Duration = Duration::from_secs(1);

struct Forcing {
    envoy: Envoy,
    upstream: Upstream,
    client: Client,
}

impl Forcing {
    /// An Envoy with a listener whose page may be read and used from here, and one where it is for others.
    async fn start() -> anyhow::Result<Self> {
        let upstream = Upstream::start("upstream", anywhere()).await?;
        let listener = |name: &str, network: &str| {
            let mut whole = policy(json!({"open": {"for": "30s", "up_to": "30s", "jitter": 0}}));
            let networks = json!({"addresses": [network]});
            whole["page"] = json!({"path": PATH, "trust": networks, "force": networks});
            let route = Route {
                prefix: "/".to_owned(),
                cluster: "upstream".to_owned(),
                ..Route::default()
            };
            Listener {
                name: name.to_owned(),
                policy: Some(whole),
                routes: vec![route],
                ..Listener::default()
            }
        };
        let cluster = Cluster {
            name: "upstream".to_owned(),
            hosts: vec![upstream.address()],
            ..Cluster::default()
        };
        let listeners = [
            listener("edge", "127.0.0.0/8"),
            listener("others", "10.0.0.0/8"),
        ];
        let envoy = Envoy::start(&bootstrap(&filter()?, &listeners, &[cluster]), WORKERS).await?;
        let client = Client::new(envoy.listener("edge")?, CONNECTIONS, Duration::from_secs(5));
        let forcing = Self {
            envoy,
            upstream,
            client,
        };
        assert_eq!(forcing.seen().await, (CONNECTIONS, 0));
        let served = workers(&forcing.envoy).await?;
        assert!(
            served.iter().filter(|count| **count > 0).count() >= WORKERS,
            "{served:?}"
        );
        Ok(forcing)
    }

    /// How many connections get the upstream's own answer, and how many a refusal.
    async fn seen(&self) -> (usize, usize) {
        let mut seen = (0, 0);
        for connection in 0..CONNECTIONS {
            match self.client.get(connection, "/").await.1 {
                Kind::Refused => seen.1 += 1,
                Kind::Good | Kind::Failed => seen.0 += 1,
                Kind::Degraded => {}
            }
        }
        seen
    }

    async fn send(
        &self,
        listener: &str,
        method: Method,
        path: &str,
    ) -> anyhow::Result<(u16, Value)> {
        let pool = Pool::new(self.envoy.listener(listener)?, Protocol::Http1);
        let answer = pool.send(&method, path, &[]).await?;
        let said = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok((answer.status, said))
    }

    /// The page's token for this machine.
    async fn token(&self) -> anyhow::Result<String> {
        let (_, page) = self.send("edge", Method::GET, PATH).await?;
        let token = page["force"]["token"].as_str();
        token.map(str::to_owned).with_context(|| page.to_string())
    }

    /// Does this, in time that all workers know of it within a second.
    async fn force(&self, order: &str, expected: (usize, usize)) -> anyhow::Result<()> {
        let token = self.token().await?;
        let path = format!("{PATH}?policy=default&upstream=upstream&{order}&token={token}");
        let (status, said) = self.send("edge", Method::POST, &path).await?;
        assert_eq!(status, 200, "{said}");
        let begun = clock::now();
        while self.seen().await != expected {
            assert!(
                clock::now() - begun < SECOND,
                "a second after {order}: {:?}",
                self.seen().await
            );
        }
        Ok(())
    }
}

/// What these bytes are answered on a connection of their own.
async fn raw(address: SocketAddr, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_workers_act_on_what_is_forced_within_a_second_and_until_its_time_is_over()
-> anyhow::Result<()> {
    let _turn = alone().await;
    let stand = Forcing::start().await?;
    let begun = clock::now();
    stand.force("do=open&for=4s", (0, CONNECTIONS)).await?;
    let (_, page) = stand.send("edge", Method::GET, PATH).await?;
    let forced = &page["upstreams"][0]["forced"];
    assert_eq!(
        (&forced["to"], &forced["by"]),
        (&json!("open"), &json!("127.0.0.1")),
        "{page}"
    );
    until("the time is over", async || {
        stand.seen().await == (CONNECTIONS, 0)
    })
    .await?;
    let took = clock::now() - begun;
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(6)).contains(&took),
        "{took:?}"
    );

    stand.upstream.set(Knobs::failing(1.0));
    until("a trip", async || stand.seen().await == (0, CONNECTIONS)).await?;
    stand.force("do=closed&for=1h", (CONNECTIONS, 0)).await?;
    stand.force("do=release", (0, CONNECTIONS)).await?;
    stand.upstream.set(Knobs::default());
    stand.force("do=reset", (CONNECTIONS, 0)).await?;
    assert_eq!(
        transitions(&stand.envoy),
        ["closed -> open", "open -> closed"]
    );

    for action in ["open", "closed", "release", "reset"] {
        let to = format!("to={action}");
        stand
            .envoy
            .wait_for(&["wasmcustom.seawall_forced", &to], 1)
            .await?;
        let word = format!("policy=default upstream=upstream operator={action} for=");
        let lines = stand.envoy.log_lines(&word);
        assert!(
            lines.len() == 1 && lines[0].contains("by=127.0.0.1"),
            "{lines:?}"
        );
    }
    assert_no_trap(&stand.envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_another_site_is_refused_and_a_stranger_is_not_even_answered()
-> anyhow::Result<()> {
    let _turn = alone().await;
    let stand = Forcing::start().await?;
    let (address, token) = (stand.envoy.listener("edge")?, stand.token().await?);
    let order = format!("policy=default&upstream=upstream&do=open&for=1m&token={token}");
    // As a browser sends it that shows a page of evil.example: the form is sent from a machine that is listed, by whoever sits there.
    let form = |origin: &str, site: &str| {
        format!(
            "POST {PATH}?{order} HTTP/1.1\r\nhost: {address}\r\norigin: {origin}\r\n{site}accept: text/html,*/*;q=0.8\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\nconnection: close\r\n\r\na=b"
        )
    };
    let cross = "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n";
    let own = format!("http://{address}");
    for (origin, site) in [
        ("http://evil.example", cross),
        ("http://evil.example", ""),
        ("null", ""),
        (own.as_str(), cross),
    ] {
        let answer = raw(address, &form(origin, site)).await?;
        assert!(
            answer.starts_with("HTTP/1.1 403 "),
            "{origin} {site}: {answer}"
        );
        assert!(
            answer.contains("frame-ancestors 'none'") && !answer.contains(&token),
            "{answer}"
        );
    }
    stand
        .envoy
        .wait_for(
            &["wasmcustom.seawall_force_refused", "reason=cross_site"],
            4,
        )
        .await?;

    stand.upstream.reset_stats();
    let stranger = format!("{PATH}?{order}");
    let (status, _) = stand.send("others", Method::POST, &stranger).await?;
    let arrivals = stand.upstream.snapshot().arrivals;
    assert_eq!(status, 200, "the upstream's own answer");
    assert_eq!(
        arrivals.first().map(|arrival| arrival.path.as_str()),
        Some(stranger.as_str())
    );

    let (status, said) = stand
        .send("edge", Method::POST, &stranger.replace(&token, ""))
        .await?;
    assert_eq!((status, &said["error"]), (403, &json!("token")));
    assert_eq!(stand.seen().await, (CONNECTIONS, 0), "nothing was forced");
    assert_eq!(stand.envoy.sum(&["wasmcustom.seawall_forced"]).await?, 0);

    let answer = raw(address, &form(&own, "sec-fetch-site: same-origin\r\n")).await?;
    assert!(
        answer.starts_with("HTTP/1.1 303 ") && answer.contains(&format!("location: {PATH}\r\n")),
        "{answer}"
    );
    assert_eq!(stand.seen().await, (0, CONNECTIONS), "the page's own form");
    assert_no_trap(&stand.envoy);
    Ok(())
}
