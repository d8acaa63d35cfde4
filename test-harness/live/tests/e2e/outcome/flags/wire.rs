//! Upstreams and clients as bytes: what no well-behaved one would do, at the moment that a case needs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::Played;
use super::cases::{Asks, Case, Does, Phase};
use crate::support::frames::{self, Why};

/// Nothing here takes longer unless Envoy does not do what it should.
const PATIENCE: Duration = Duration::from_secs(15);
const HEAD_END: &[u8] = b"\r\n\r\n";
/// A whole response of `Does::Answers` ends so.
const BODY: &[u8] = b"\r\n\r\nok";
/// Larger than what Envoy takes from an upstream before its client reads.
const LARGE: usize = 8 << 20;

/// What the two ends of one case tell each other.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The request reached the upstream.
    pub(super) arrived: Notify,
    /// The head of the response reached the client.
    pub(super) answered: Notify,
}

/// Serves as the case says, until the test ends.
pub(super) async fn serve(listener: TcpListener, played: Arc<Played>) {
    while let Ok((stream, _)) = listener.accept().await {
        let played = Arc::clone(&played);
        tokio::spawn(async move {
            let (does, signals) = (played.case.does, &played.signals);
            let _ = match does.is_http2() {
                true => http2(stream, does, signals).await,
                false => http1(stream, does, signals).await,
            };
        });
    }
}

async fn http1(mut stream: TcpStream, does: Does, signals: &Signals) -> std::io::Result<()> {
    while read_until(&mut stream, HEAD_END).await? {
        signals.arrived.notify_one();
        let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        match does {
            Does::Closes => return Ok(()),
            Does::Nonsense => stream.write_all(b"nonsense\r\n\r\n").await?,
            Does::Half => stream.write_all(half).await?,
            Does::HalfNonsense => {
                stream.write_all(half).await?;
                signals.answered.notified().await;
                stream.write_all(b"nonsense\r\n").await?;
            }
            Does::Large => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&vec![b'x'; LARGE]).await?;
            }
            Does::Answers => {
                // A cache wants a date; one that lies in the future is no older than now.
                let date = "date: Fri, 01 Jan 2100 00:00:00 GMT\r\ncache-control: max-age=60";
                let head = format!("HTTP/1.1 200 OK\r\n{date}\r\ncontent-length: 2");
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(BODY).await?;
            }
            // Nothing more: this connection stays as it is.
            _ => {}
        }
    }
    Ok(())
}

async fn http2(mut stream: TcpStream, does: Does, signals: &Signals) -> std::io::Result<()> {
    frames::accept(&mut stream).await?;
    loop {
        let id = frames::next_request(&mut stream).await?;
        signals.arrived.notify_one();
        if does != Does::Resets {
            let half = [frames::ok(id, false), frames::data(id, b"half")].concat();
            stream.write_all(&half).await?;
            signals.answered.notified().await;
        }
        if does == Does::HalfCloses {
            return Ok(());
        }
        let reset = frames::reset(id, Why::InternalError);
        stream.write_all(&reset).await?;
    }
}

/// Whether these bytes came before the end.
async fn read_until(stream: &mut TcpStream, end: &[u8]) -> std::io::Result<bool> {
    let mut read = Vec::new();
    while !read.windows(end.len()).any(|part| part == end) {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Asks as the case says, up to the moment that matters. The connection is given back, since closing it would say something.
pub(super) async fn ask(played: &Played, address: SocketAddr) -> anyhow::Result<Option<TcpStream>> {
    let case = &played.case;
    let stream = TcpStream::connect(address).await?;
    tokio::time::timeout(PATIENCE, exchange(case, stream, &played.signals))
        .await
        .map_err(|_| anyhow::anyhow!("{}: {PATIENCE:?} passed", case.name))?
        .map_err(|error| anyhow::anyhow!("{}: {error}", case.name))
}

async fn exchange(
    case: &Case,
    mut stream: TcpStream,
    signals: &Signals,
) -> std::io::Result<Option<TcpStream>> {
    let name = case.name;
    let (method, more) = match case.asks {
        Asks::Header(more) => ("GET", format!("{more}\r\n")),
        Asks::BreaksOff => ("POST", "transfer-encoding: chunked\r\n".to_owned()),
        Asks::Uploads => ("POST", "content-length: 9\r\n".to_owned()),
        _ => ("GET", String::new()),
    };
    let head = format!(
        "{method} /{name}/ HTTP/1.1\r\nhost: seawall.invalid\r\nx-case: {name}\r\n{more}\r\n"
    );
    match case.asks {
        Asks::Resets | Asks::ReadsNothing => stream.write_all(&http2_request(name, true)).await?,
        Asks::UploadsMuch => {
            let mut bytes = http2_request(name, false);
            for _ in 0..4 {
                bytes.extend(frames::data(1, &[b'x'; 16_000]));
            }
            stream.write_all(&bytes).await?;
        }
        _ => stream.write_all(head.as_bytes()).await?,
    }
    match case.asks {
        Asks::BreaksOff => stream.write_all(b"1\r\nx\r\n").await?,
        Asks::Uploads => stream.write_all(b"x").await?,
        _ => {}
    }
    let waits = matches!(case.asks, Asks::Leaves | Asks::Resets | Asks::BreaksOff);
    match (case.asks, case.phase) {
        (Asks::ReadsNothing | Asks::UploadsMuch, _) => return Ok(Some(stream)),
        (_, Phase::Before) if waits => signals.arrived.notified().await,
        (Asks::Resets, Phase::After) => {
            read_until(&mut stream, b"half").await?;
        }
        _ if case.times > 1 => {
            read_until(&mut stream, BODY).await?;
        }
        _ => {
            read_until(&mut stream, HEAD_END).await?;
        }
    }
    signals.answered.notify_one();
    match case.asks {
        Asks::Leaves => return Ok(None),
        Asks::Resets => stream.write_all(&frames::reset(1, Why::Cancel)).await?,
        Asks::BreaksOff => stream.write_all(b"nonsense\r\n").await?,
        _ => {}
    }
    Ok(Some(stream))
}

/// The preface and a GET on the first stream.
fn http2_request(name: &str, whole: bool) -> Vec<u8> {
    // HPACK: `:method: GET` and `:scheme: http` from its table, the others as they stand.
    let mut fields = vec![0x82, 0x86];
    let mut field = |index: &[u8], value: &str| {
        fields.extend(index);
        fields.push(u8::try_from(value.len()).unwrap_or_default());
        fields.extend(value.as_bytes());
    };
    field(&[0x04], &format!("/{name}/"));
    field(&[0x01], "seawall.invalid");
    field(b"\x00\x06x-case", name);
    [frames::preface(false), frames::headers(1, &fields, whole)].concat()
}
