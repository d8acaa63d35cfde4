//! What the headers of a request to the page say: which method, which query, for whom, and which page made a browser send it.
//!
//! A browser sends what any page asks it to, with the certificate and the address of its user. It says whose page that is, by
//! `Origin` and by `Sec-Fetch-Site`; both must say that it is this one. Whoever sends neither is no browser.
//!
//! That is not enough where a name stands for this Envoy by somebody else's word: a page of `http://evil.example` can let that
//! name point to this address afterwards (DNS rebinding), and is then this site to the browser. Over https the certificate
//! forbids it. So [`Site::Named`] is told apart.

use std::net::IpAddr;

/// Whose page made a browser send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// No browser did, or this page.
    Own,
    /// This page by a name and over plain HTTP.
    Named,
    /// Another page, or nobody can tell.
    Foreign,
}

/// What the headers of a request say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The method.
    pub method: &'a [u8],
    /// What stands behind the path's question mark, where there is one.
    pub query: Option<&'a [u8]>,
    /// Whether HTML is what it accepts.
    pub html: bool,
    /// Whose page made a browser send it.
    pub site: Site,
}

impl<'a> Call<'a> {
    /// Reads headers: names and values, in their order.
    #[inline(never)]
    pub fn read(headers: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let (mut method, mut whole, mut html) = (&b""[..], &b""[..], false);
        let (mut scheme, mut authority) = (&b""[..], &b""[..]);
        let (mut origin, mut differ, mut foreign) = (None, false, false);
        for (name, value) in headers {
            match name {
                b":method" => method = value,
                b":path" => whole = value,
                b":scheme" => scheme = value,
                b":authority" => authority = value,
                b"accept" => html |= contains(value, b"text/html"),
                b"origin" => {
                    differ |= origin.is_some_and(|before| before != value);
                    origin = Some(value);
                }
                b"sec-fetch-site" => foreign |= value != b"same-origin",
                _ => {}
            }
        }
        let query = whole.splitn(2, |byte| *byte == b'?').nth(1);
        let own = |origin: &[u8]| {
            let rest = origin.strip_prefix(scheme);
            rest.and_then(|rest| rest.strip_prefix(b"://")) == Some(authority)
        };
        let site = match origin {
            _ if foreign || differ => Site::Foreign,
            None => Site::Own,
            Some(origin) if !own(origin) => Site::Foreign,
            Some(_) if scheme == b"https" || is_nobodys_name(authority) => Site::Own,
            Some(_) => Site::Named,
        };
        Self {
            method,
            query,
            html,
            site,
        }
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

/// Whether an authority is an address or this machine: nobody can let it point elsewhere.
#[inline(never)]
fn is_nobodys_name(authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else {
        return false;
    };
    let port = authority.rfind(':').filter(|_| !authority.ends_with(']'));
    let host = authority.get(..port.unwrap_or(authority.len()));
    let host = host.unwrap_or_default();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host == "localhost" || bare.unwrap_or(host).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(scheme: &str, authority: &str, more: &[(&str, &str)]) -> Site {
        let first = [(":scheme", scheme), (":authority", authority)];
        let all = first.iter().chain(more);
        let mut all = all.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Call::read(&mut all).site
    }

    #[test]
    fn a_browser_must_say_that_this_page_made_it_send() {
        use Site::{Foreign, Named, Own};
        let here = ("http", "127.0.0.1:10000");
        let own = ("origin", "http://127.0.0.1:10000");
        for ((scheme, authority), headers, expected) in [
            (here, &[][..], Own),
            (here, &[own], Own),
            (here, &[own, own], Own),
            (here, &[own, ("sec-fetch-site", "same-origin")], Own),
            (here, &[("sec-fetch-site", "same-origin")], Own),
            (here, &[own, ("sec-fetch-site", "cross-site")], Foreign),
            (here, &[own, ("sec-fetch-site", "same-site")], Foreign),
            (here, &[("sec-fetch-site", "none")], Foreign),
            (here, &[("sec-fetch-site", "")], Foreign),
            (
                here,
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "cross-site"),
                ],
                Foreign,
            ),
            (here, &[("origin", "http://evil.example")], Foreign),
            (here, &[("origin", "http://127.0.0.1")], Foreign),
            (here, &[("origin", "https://127.0.0.1:10000")], Foreign),
            (
                here,
                &[("origin", "http://127.0.0.1:10000.evil.example")],
                Foreign,
            ),
            (here, &[("origin", "null")], Foreign),
            (here, &[("origin", "")], Foreign),
            (here, &[own, ("origin", "http://evil.example")], Foreign),
            (here, &[("origin", "http://evil.example"), own], Foreign),
            (
                ("http", "[::1]:10000"),
                &[("origin", "http://[::1]:10000")],
                Own,
            ),
            (("http", "[::1]"), &[("origin", "http://[::1]")], Own),
            (
                ("http", "localhost:80"),
                &[("origin", "http://localhost:80")],
                Own,
            ),
            (
                ("http", "evil.example"),
                &[("origin", "http://evil.example")],
                Named,
            ),
            (
                ("http", "localhost.evil.example"),
                &[("origin", "http://localhost.evil.example")],
                Named,
            ),
            (
                ("http", "127.0.0.1.evil.example:1"),
                &[("origin", "http://127.0.0.1.evil.example:1")],
                Named,
            ),
            (
                ("https", "ops.example"),
                &[("origin", "https://ops.example")],
                Own,
            ),
            (
                ("https", "ops.example"),
                &[("origin", "http://ops.example")],
                Foreign,
            ),
            (("", ""), &[("origin", "://")], Named),
        ] {
            assert_eq!(
                site(scheme, authority, headers),
                expected,
                "{authority} {headers:?}"
            );
        }
    }

    #[test]
    fn method_query_and_what_is_accepted_are_read() {
        let read = |path: &'static str, accept: &'static str| {
            let headers = [(":method", "POST"), (":path", path), ("accept", accept)];
            let mut all = headers
                .into_iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            Call::read(&mut all)
        };
        let plain = read("/seawall", "*/*");
        assert_eq!(
            (plain.method, plain.query, plain.html),
            (&b"POST"[..], None, false)
        );
        let browser = read(
            "/seawall?a=b?c",
            "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
        );
        assert_eq!((browser.query, browser.html), (Some(&b"a=b?c"[..]), true));
        assert_eq!(read("/seawall?", "").query, Some(&b""[..]));
    }
}
