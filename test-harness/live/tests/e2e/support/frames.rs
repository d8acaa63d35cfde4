//! HTTP/2 frames by hand, for clients and upstreams that no library would be (RFC 9113, section 6).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAGIC: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const END_STREAM_AND_HEADERS: u8 = 5;
const NO_ERROR: u32 = 0;

/// Why a stream is reset.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    /// Its upstream broke.
    InternalError = 2,
    /// Its client gave it up.
    Cancel = 8,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head, stream.to_be_bytes().as_slice(), payload].concat()
}

/// What a client's connection begins with; a window of no bytes for each response where `shut` says so.
pub(crate) fn preface(shut: bool) -> Vec<u8> {
    // INITIAL_WINDOW_SIZE = 0
    let settings: &[u8] = if shut { &[0, 4, 0, 0, 0, 0] } else { &[] };
    [MAGIC.to_vec(), frame(SETTINGS, 0, 0, settings)].concat()
}

/// The stream of a connection's `number`th request, from 0.
pub(crate) const fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// A whole GET of `/` on the `number`th stream.
pub(crate) fn get(number: u32) -> Vec<u8> {
    // :method GET, :scheme http, :path / by HPACK's static table; :authority as a literal.
    headers(stream(number), &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'], true)
}

/// These fields, as HPACK has them; no body follows them where they are the `whole` of a request or response.
pub(crate) fn headers(stream: u32, fields: &[u8], whole: bool) -> Vec<u8> {
    let flags = match whole {
        true => END_STREAM_AND_HEADERS,
        false => END_HEADERS,
    };
    frame(HEADERS, flags, stream, fields)
}

/// One side gives a stream up.
pub(crate) fn reset(stream: u32, why: Why) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &(why as u32).to_be_bytes())
}

/// Takes what a client's connection begins with, and begins the upstream's side.
pub(crate) async fn accept(connection: &mut TcpStream) -> std::io::Result<()> {
    let mut magic = [0; MAGIC.len()];
    connection.read_exact(&mut magic).await?;
    connection.write_all(&frame(SETTINGS, 0, 0, &[])).await
}

/// Reads until a request begins: its stream.
pub(crate) async fn next_request(connection: &mut TcpStream) -> std::io::Result<u32> {
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        connection.read_exact(&mut payload).await?;
        match kind {
            HEADERS => return Ok(u32::from_be_bytes(stream)),
            SETTINGS if flags & ACK == 0 => {
                let taken = frame(SETTINGS, ACK, 0, &[]);
                connection.write_all(&taken).await?;
            }
            _ => {}
        }
    }
}

/// The headers of a response with status 200; no body follows them where they are the `whole` of it.
pub(crate) fn ok(stream: u32, whole: bool) -> Vec<u8> {
    // :status 200 by HPACK's static table.
    headers(stream, &[0x88], whole)
}

/// A part of a body.
pub(crate) fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, bytes)
}

/// The upstream takes no stream after this one, and nothing is wrong.
pub(crate) fn goaway(last: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, &payload)
}
