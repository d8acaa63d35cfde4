//! An authority in the one spelling that stands for all of its spellings.
//!
//! A client writes the authority that it asks for, and `Shop.Example`, `shop.example:443`, `user@shop.example.` and
//! `%73hop.example` all mean the same host. If each had a state of its own, a client could keep out of any breaker's way,
//! and fill all states with spellings of one host.
//!
//! What is left of an authority is ASCII: bytes that may stand plainly in a host, and `%xx` for all others. Ports 80 and 443
//! are as no port: which of them is the default the authority alone does not say, and one state for both is better than
//! several for one host.

use std::net::Ipv6Addr;

use crate::text;

/// No authority is longer, in bytes: a host of 253, a colon, a port of five digits; more is none of a real host.
pub const BYTES_MAX: usize = 259;

/// The one spelling of an authority; nothing if it is longer than an authority can be.
pub fn canonical(written: &[u8]) -> Option<String> {
    let host = written.rsplit(|byte| *byte == b'@').next();
    let host = text::trimmed(host.unwrap_or_default());
    // Percent-encoding makes three bytes of one; dots and zeros beyond that belong to no host.
    if host.len() > BYTES_MAX.saturating_mul(4) {
        return None;
    }
    let plain = plain(host);
    let name = without_default_port(plain.trim_end_matches('.'));
    (name.len() <= BYTES_MAX).then_some(name)
}

/// Each byte in the one way to write it: letters in lower case, `%xx` only for what cannot stand plainly.
fn plain(written: &[u8]) -> String {
    let mut plain = String::new();
    let mut rest = written;
    while let Some((byte, after)) = rest.split_first() {
        let encoded = match (byte, after) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        let (byte, after, delimits) = match encoded {
            Some((high, low)) => (
                high.wrapping_mul(16).wrapping_add(low),
                after.get(2..).unwrap_or_default(),
                false,
            ),
            None => (*byte, after, matches!(byte, b':' | b'[' | b']')),
        };
        rest = after;
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if unreserved || delimits {
            plain.push(char::from(byte.to_ascii_lowercase()));
        } else {
            plain.push('%');
            plain.push(hex(byte >> 4));
            plain.push(hex(byte & 15));
        }
    }
    plain
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0')
}

/// The host and its port, unless that is 80 or 443; without dots at the host's end.
fn without_default_port(authority: &str) -> String {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match text::parted(rest, b']') {
            Some((address, after)) => (bracketed(address), after.trim_start_matches('.')),
            None => return authority.to_owned(),
        },
        None => match text::parted(authority, b':') {
            Some((host, port)) if !port.as_bytes().contains(&b':') => {
                let at = authority.len().saturating_sub(port.len().saturating_add(1));
                let port = authority.get(at..).unwrap_or_default();
                (host.trim_end_matches('.').to_owned(), port)
            }
            _ => return authority.to_owned(),
        },
    };
    match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            match digits.trim_start_matches('0') {
                "" | "80" | "443" => host,
                number => format!("{host}:{number}"),
            }
        }
        None if port.is_empty() => host,
        Some(_) | None => host + port,
    }
}

/// An address in brackets, in the one way to write it.
fn bracketed(address: &str) -> String {
    match address.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests;
