//! Which answers are kept, until when, and with which lines.

use super::super::super::key::Scope;
use super::*;
use crate::stale::SLOT_BYTES_MAX;
use crate::stale::{Ignored, Settings};
use crate::time::Timestamp;

type Line = (&'static str, &'static str);

const REQUEST: [(&[u8], &[u8]); 5] = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"shop.example"),
    (b":path", b"/"),
    (b"accept-language", b"de"),
];

/// One that carries what may tell clients apart, and of which the policy says that it does not.
fn asked() -> RequestDirectives {
    let mut ignored = Ignored::default();
    ignored.add("accept*").unwrap();
    asking(&REQUEST, ignored)
}

fn asking(request: &[(&[u8], &[u8])], ignored: Ignored) -> RequestDirectives {
    let scope = Scope::of_a_test();
    let settings = Settings {
        max_age: Span::secs(600),
        authorized: false,
        cookies: false,
        ignored,
    };
    RequestDirectives::read(scope, &request, true, &settings, Timestamp::ZERO).unwrap()
}

fn offered(status: u16, lines: &[(&str, &str)]) -> Option<CacheableResponse> {
    let lines: Vec<_> = lines
        .iter()
        .map(|(a, b)| (a.as_bytes(), b.as_bytes()))
        .collect();
    let read = CacheableResponse::read(
        &asked(),
        &REQUEST.as_slice(),
        status,
        &lines.as_slice(),
        true,
    );
    read.ok()
}

#[track_caller]
fn ends(lines: &[Line], expected: Option<u64>) {
    let offer = offered(200, lines).expect("kept");
    assert_eq!(offer.age_end, expected.map(Span::secs), "{lines:?}");
}

#[test]
fn only_whole_answers_that_stay_true_are_kept() {
    for status in [200, 203, 301, 308, 410] {
        assert!(offered(status, &[]).is_some(), "{status}");
    }
    for status in [
        0, 100, 204, 206, 302, 304, 307, 400, 401, 403, 404, 429, 500, 503,
    ] {
        assert_eq!(offered(status, &[]), None, "{status}");
    }
}

#[test]
fn an_answer_for_one_caller_or_one_moment_is_not_kept() {
    for line in [
        ("cache-control", "private"),
        ("Cache-Control", "max-age=60, Private"),
        ("cache-control", "private=\"set-cookie\""),
        ("cache-control", "no-store"),
        ("cache-control", "public; no-store"),
        ("cache-control", "no-cache=\"x\""),
        ("cache-control", "a=\"b, no-cache"),
        ("cache-control", "max-age=60\u{e9}"),
        ("cdn-cache-control", "no-store"),
        ("surrogate-control", "private"),
        ("pragma", "no-cache"),
        ("expires", "0"),
        ("expires", "Thu, 19 Nov 1981 08:52:00 GMT"),
        ("set-cookie", ""),
        ("Set-Cookie", "sid=1"),
        ("clear-site-data", "\"*\""),
        ("vary", "*"),
        ("vary", "accept,*"),
        ("vary", "a b"),
        ("vary", "x-seawall-priority"),
        ("content-range", "bytes 0-1/2"),
        ("content-type", "text/event-stream"),
        ("content-type", " Multipart/byteranges"),
        ("content-type", "application/grpc+proto"),
        ("trailer", "x"),
        ("www-authenticate", "Basic"),
        ("x-auth-token", "x"),
        ("x-csrf-token", "x"),
        ("warning", "110 - stale"),
        ("x-seawall-degraded", "stale"),
        ("age", "old"),
        ("content-length", "x"),
        ("content-length", "-1"),
        ("content-length", "70000"),
    ] {
        assert_eq!(offered(200, &[line]), None, "{line:?}");
    }
    let twice = [("content-length", "5"), ("content-length", "6")];
    assert_eq!(offered(200, &twice), None);
    let hidden = [
        ("cache-control", "max-age=60"),
        ("CACHE-CONTROL", "x,,private"),
    ];
    assert_eq!(offered(200, &hidden), None);
    let forgotten = [("content-length", "5"), ("content-length", "")];
    assert_eq!(offered(200, &forgotten), None);
}

#[test]
fn an_answer_says_itself_until_when_it_may_be_given() {
    ends(&[], None);
    ends(&[("cache-control", "max-age=60")], None);
    ends(&[("cache-control", "public, max-age=60")], None);
    ends(
        &[("cache-control", "max-age=60, stale-if-error=90")],
        Some(150),
    );
    ends(
        &[(
            "cache-control",
            "s-maxage=30, max-age=600, stale-if-error=90",
        )],
        Some(120),
    );
    ends(
        &[
            ("cache-control", "max-age=60,stale-if-error=90"),
            ("cache-control", "max-age=20"),
        ],
        Some(110),
    );
    ends(&[("expires", "x"), ("cache-control", "max-age=60")], None);
    for over in [
        "stale-if-error=0",
        "stale-if-error=soon",
        "public, stale-if-error=0",
    ] {
        assert_eq!(offered(200, &[("cache-control", over)]), None, "{over}");
    }
    let aged = [
        ("age", "150"),
        ("cache-control", "max-age=60, stale-if-error=90"),
    ];
    assert_eq!(offered(200, &aged), None);
    let older = offered(200, &[("age", " 5"), ("age", "7 ")]).unwrap();
    assert_eq!(older.age, Span::secs(7));
}

#[test]
fn what_has_to_be_confirmed_once_it_is_stale_is_never_given_stale() {
    for line in [
        ("cache-control", "s-maxage=60"),
        ("cache-control", "public, s-maxage=60"),
        ("cache-control", "S-MaxAge=0, max-age=60"),
        ("cache-control", "max-age=60, must-revalidate"),
        ("cache-control", "max-age=60; Must-Revalidate"),
        ("cache-control", "public, max-age=60, proxy-revalidate"),
        ("cache-control", "must-revalidate, stale-if-error=60"),
        ("cache-control", "x=\"a, s-maxage=60\""),
        ("cache-control", "public, no-cache"),
        ("cache-control", "public, private"),
        ("cache-control", "s-maxage=60, stale-if-error=60, no-store"),
        ("cdn-cache-control", "must-revalidate, max-age=900"),
    ] {
        assert_eq!(offered(200, &[line]), None, "{line:?}");
    }
    let hidden = [
        ("cache-control", "public, stale-if-error=60"),
        ("Cache-Control", "proxy-revalidate"),
    ];
    assert_eq!(offered(200, &hidden), None);
}

#[test]
fn only_what_says_that_it_is_for_all_is_kept_for_whoever_may_be_told_apart() {
    let told_apart = asking(&REQUEST, Ignored::default());
    let alike = asking(&REQUEST[..4], Ignored::default());
    let read = |asked: &RequestDirectives, lines: &[(&str, &str)]| {
        let lines: Vec<_> = lines
            .iter()
            .map(|(a, b)| (a.as_bytes(), b.as_bytes()))
            .collect();
        let read =
            CacheableResponse::read(asked, &REQUEST.as_slice(), 200, &lines.as_slice(), true);
        read.map(|offer| offer.for_all)
    };
    for for_all in [
        &[("cache-control", "public")][..],
        &[("Cache-Control", "max-age=60, PUBLIC")],
        &[("cache-control", "s-maxage=60, stale-if-error=60")],
        &[
            ("cache-control", "s-maxage=60"),
            ("cache-control", "stale-if-error=60"),
        ],
    ] {
        assert_eq!(read(&told_apart, for_all), Ok(true), "{for_all:?}");
        assert_eq!(read(&alike, for_all), Ok(true), "{for_all:?}");
    }
    for nobodys in [
        &[][..],
        &[("cache-control", "max-age=60")],
        &[("cache-control", "max-age=60, stale-if-error=60")],
        &[("cache-control", "x=public")],
        &[("cache-control", "public; max-age=60")],
        &[("cache-control", "public, max-age=60, x=\"y\"")],
        &[("cdn-cache-control", "public")],
        &[("x-cache-control", "public")],
        &[("vary", "accept-language")],
    ] {
        assert_eq!(
            read(&told_apart, nobodys),
            Err(NotStored::PerClient),
            "{nobodys:?}"
        );
        assert_eq!(read(&alike, nobodys), Ok(false), "{nobodys:?}");
    }
    let private = [("cache-control", "private")];
    assert_eq!(read(&told_apart, &private), Err(NotStored::Forbidden));
}

#[test]
fn what_belongs_to_the_connection_or_to_the_moment_is_left_out() {
    let lines = [
        (":status", "200"),
        ("Content-Type", "text/plain"),
        ("connection", "X-Hop, close"),
        ("x-hop", "1"),
        ("keep-alive", "1"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("x-request-id", "1"),
        ("x-envoy-upstream-service-time", "1"),
        ("x-ratelimit-remaining", "1"),
        ("age", "3"),
        ("etag", "\"a\""),
        ("link", "1"),
        ("link", "2"),
    ];
    let offer = offered(200, &lines).unwrap();
    let expected: [(&[u8], &[u8]); 4] = [
        (b"content-type", b"text/plain"),
        (b"etag", b"\"a\""),
        (b"link", b"1"),
        (b"link", b"2"),
    ];
    let kept = offer
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value));
    assert_eq!(kept.collect::<Vec<_>>(), expected);
    assert_eq!(offer.length, Some(5));
}

#[test]
fn headers_and_body_have_room_or_are_not_kept() {
    let plain = offered(200, &[]).unwrap();
    assert!(
        plain.room < SLOT_BYTES_MAX && plain.room > 65_000,
        "{}",
        plain.room
    );
    let big = "x".repeat(30_000);
    let with_headers = offered(200, &[("a", &big)]).unwrap();
    assert_eq!(with_headers.room, plain.room - 30_000 - 8 - 1);
    assert_eq!(offered(200, &[("a", &big), ("b", &big), ("c", &big)]), None);
    let room = plain.room.to_string();
    assert!(offered(200, &[("content-length", &room)]).is_some());
    let more = (plain.room + 1).to_string();
    assert_eq!(offered(200, &[("content-length", &more)]), None);
    let many = vec![("a", "b"); 65];
    assert_eq!(offered(200, &many), None);
}

#[test]
fn a_body_whose_end_cannot_be_told_is_not_kept() {
    let read = |lines: &[(&[u8], &[u8])], ended| {
        CacheableResponse::read(&asked(), &REQUEST.as_slice(), 200, &lines, ended).is_ok()
    };
    assert!(!read(&[], false));
    assert!(read(&[], true));
    assert!(read(&[(b"content-length", b"5")], false));
    assert!(read(&[(b"Transfer-Encoding", b"chunked")], false));
    assert!(!read(&[(b"transfer-encoding", b"gzip")], false));
}

#[test]
fn the_values_that_vary_names_are_part_of_the_whole_key() {
    let plain = offered(200, &[]).unwrap();
    let varied = offered(200, &[("vary", "Accept-Language")]).unwrap();
    assert_ne!(plain.hash, varied.hash);
    let mut other = REQUEST;
    other[4].1 = b"en";
    let vary: &[(&[u8], &[u8])] = &[(b"vary", b"accept-language")];
    let english = CacheableResponse::read(&asked(), &other.as_slice(), 200, &vary, true).unwrap();
    assert_ne!(english.variant, varied.variant);
    let coded = offered(200, &[("content-encoding", "gzip")]).unwrap();
    let said = offered(200, &[("vary", "accept-encoding")]).unwrap();
    assert_eq!(coded.variant, said.variant);
    let two = offered(200, &[("vary", "accept-language"), ("Vary", "origin,")]);
    assert_ne!(two.unwrap().variant, varied.variant);
}
