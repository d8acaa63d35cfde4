//! Which requests have to do with kept answers, one rule at a time.

use super::*;

const SCOPE: Scope<'_> = Scope::of_a_test();
const STRICT: Settings = Settings {
    max_age: Span::secs(600),
    authorized: false,
    cookies: false,
};
const PLAIN: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "shop.example"),
    (":path", "/items?page=1&size=2"),
];

fn read_as(lines: &[(&str, &str)], ended: bool, settings: Settings) -> Option<Asked> {
    let lines: Vec<_> = lines
        .iter()
        .map(|(a, b)| (a.as_bytes(), b.as_bytes()))
        .collect();
    Asked::read(SCOPE, &lines.as_slice(), ended, settings, Timestamp::ZERO)
}

/// A plain GET with these lines more, or with other values of what it has.
fn read(changes: &[(&str, &str)]) -> Option<Asked> {
    read_as(&changed(changes), true, STRICT)
}

fn changed<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut lines = PLAIN.to_vec();
    for change in changes {
        match lines.iter_mut().find(|line| line.0 == change.0) {
            Some(line) => *line = *change,
            None => lines.push(*change),
        }
    }
    lines
}

#[test]
fn a_plain_get_keeps_and_takes_and_a_head_only_takes() {
    let get = read(&[]).unwrap();
    assert!(get.keeps && get.takes);
    let head = read(&[(":method", "HEAD")]).unwrap();
    assert!(!head.keeps && head.takes);
    assert_eq!(head.key, get.key, "a HEAD is given the GET's");
}

#[test]
fn what_is_no_plain_get_has_nothing_to_do_with_it() {
    for line in [
        (":method", "POST"),
        (":method", "get"),
        (":method", "OPTIONS"),
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":path", "*"),
        (":path", ""),
        (":authority", ""),
        ("range", "bytes=0-1"),
        ("Range", ""),
        ("if-range", "\"a\""),
        ("if-match", "\"a\""),
        ("if-unmodified-since", "x"),
        ("content-length", "5"),
        ("content-length", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("accept", "Text/Event-Stream"),
        ("content-type", "application/grpc-web"),
        ("x-http-method-override", "DELETE"),
        ("X_HTTP_Method_Override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-http-host-override", "evil.example"),
        ("cache-control", "no-store"),
        ("cache-control", "max-age=1; NO-STORE"),
        ("cache-control", "max-age=1\u{e9}"),
    ] {
        assert_eq!(read(&[line]), None, "{line:?}");
    }
    assert_eq!(read_as(&PLAIN, false, STRICT), None, "a GET with a body");
    for name in [":method", ":authority", ":path"] {
        let mut twice = PLAIN.to_vec();
        twice.push(*PLAIN.iter().find(|line| line.0 == name).unwrap());
        assert_eq!(read_as(&twice, true, STRICT), None, "{name} twice");
    }
    assert!(read(&[("content-length", "0")]).is_some());
    assert!(read(&[("if-none-match", "\"a\"")]).is_some());
}

#[test]
fn credentials_and_cookies_need_the_policys_word_and_are_part_of_the_key() {
    let open = Settings {
        authorized: true,
        cookies: true,
        ..STRICT
    };
    for name in [
        "authorization",
        "Authorization",
        "proxy-authorization",
        "x-api-key",
        "X_API_KEY",
        "x-auth-request-access-token",
        "x-amzn-oidc-data",
        "x-goog-iap-jwt-assertion",
        "x-session-id",
        "x-csrf-token",
        "Ocp-Apim-Subscription-Key",
        "x-functions-key",
        "X_Access_Key",
        "DD-Application-Key",
        "x-bearer",
        "DPoP",
        "x-otp",
        "cookie",
        "Cookie",
    ] {
        assert_eq!(read(&[(name, "")]), None, "{name}");
        let alice = read_as(&changed(&[(name, "alice")]), true, open).unwrap();
        let bob = read_as(&changed(&[(name, "bob")]), true, open).unwrap();
        let nobody = read_as(&PLAIN, true, open).unwrap();
        assert_ne!(alice.key, bob.key, "{name}");
        assert_ne!(alice.key, nobody.key, "{name}");
    }
    let cookies = Settings {
        authorized: false,
        ..open
    };
    let both = [("cookie", "a"), ("authorization", "b")];
    assert_eq!(read_as(&changed(&both), true, cookies), None);
}

#[test]
fn the_key_is_where_it_goes_to_and_who_it_says_it_is() {
    let plain = read(&[]).unwrap().key;
    for line in [
        (":scheme", "http"),
        (":authority", "shop.example:8443"),
        (":authority", "other.example"),
        (":path", "/items?size=2&page=1"),
        (":path", "/items?page=1&size=2&"),
        (":path", "/Items?page=1&size=2"),
        (":path", "/items/?page=1&size=2"),
        ("x-forwarded-host", "evil.example"),
        ("x-original-url", "/admin"),
        ("origin", "https://a.example"),
        ("x-tenant-id", "1"),
        ("x-user", "alice"),
        ("x-forwarded-groups", "admins"),
        ("x-claims", "sub=1"),
        ("x-org-id", "1"),
        ("from", "alice@example.org"),
        ("x_user_id", "1"),
        ("x-forwarded-client-cert", "URI=spiffe://a"),
        ("client-cert", ":MIIB:"),
        ("user-id", "1"),
        ("userid", "1"),
        ("username", "alice"),
        ("client-id", "1"),
        ("x-uid", "1"),
        ("X_Forwarded_Host", "evil.example"),
        ("x-original-host", "evil.example"),
        ("x-original-uri", "/admin"),
        ("x-forwarded-uri", "/admin"),
        ("x-envoy-original-dst-host", "10.0.0.1:80"),
        ("x_forwarded_for", "10.0.0.1"),
        ("content-type", "text/plain"),
        ("idempotency-key", "1"),
        ("grpc-timeout", "1S"),
        ("what-nobody-has-heard-of", ""),
    ] {
        assert_ne!(read(&[line]).unwrap().key, plain, "{line:?}");
    }
    for line in [
        (":authority", "SHOP.example"),
        (":scheme", "HTTPS"),
        ("x-request-id", "1"),
        ("traceparent", "00-1-2-01"),
        ("user-agent", "x"),
        ("accept-language", "de"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("sec-ch-ua-mobile", "?1"),
        ("sec-fetch-user", "?1"),
        ("x-seawall-attempt", "2"),
    ] {
        assert_eq!(read(&[line]).unwrap().key, plain, "{line:?}");
    }
    let scopes = [
        ("a", "b", ["", "", "", ""]),
        ("ab", "", ["", "", "", ""]),
        ("a", "", ["b", "", "", ""]),
        ("a", "", ["", "b", "", ""]),
        ("a", "", ["", "", "b", ""]),
        ("a", "", ["", "", "", "b"]),
        ("", "ab", ["", "", "", ""]),
    ];
    let mut keys = scopes.map(|(policy, cluster, place)| {
        let place = place.map(|part| part.as_bytes().to_vec());
        let scope = Scope {
            policy,
            cluster,
            place: &|| place.clone(),
            deadlines: &[],
        };
        let lines = PLAIN.map(|(a, b)| (a.as_bytes(), b.as_bytes()));
        Asked::read(scope, &lines.as_slice(), true, STRICT, Timestamp::ZERO)
            .unwrap()
            .key
    });
    keys.sort();
    assert!(keys.windows(2).all(|two| two[0] != two[1]));
}

#[test]
fn who_wants_a_confirmed_answer_is_given_none_and_who_wants_a_young_one_a_young_one() {
    for line in [
        ("cache-control", "no-cache"),
        ("cache-control", "No-Cache=x"),
        ("cache-control", "min-fresh=5"),
        ("pragma", "no-cache"),
    ] {
        let asked = read(&[line]).unwrap();
        assert!(asked.keeps && !asked.takes, "{line:?}");
    }
    let young = |value| read(&[("cache-control", value)]).unwrap().max_age;
    assert_eq!(young("max-age=0"), Some(Span::ZERO));
    assert_eq!(young("max-age=60, max-age=5"), Some(Span::secs(5)));
    assert_eq!(young("max-age=soon"), Some(Span::ZERO));
    assert_eq!(young("max-stale"), None);
}

#[test]
fn a_key_has_a_longest_length() {
    let long = format!("/{}", "x".repeat(8_000));
    assert_eq!(read(&[(":path", &long)]), None);
    assert_eq!(read(&[("x-user", &long)]), None);
    assert_eq!(read(&[("accept", &long)]), None);
}

#[test]
fn names_that_are_not_in_the_key_name_nobody() {
    let all = || NEUTRAL.iter().chain(&NEUTRAL_BEGINNINGS);
    let says = |name: &&&[u8]| is_credential(name) || is_a_key(name) || SPECIAL.contains(name);
    assert_eq!(all().find(says), None);
    assert_eq!(all().find(|name| holds_one_of(name, &OVERRIDING)), None);
}

#[test]
fn a_deadline_that_the_policy_passes_on_is_not_in_the_key() {
    let deadlines = [Form::of("x-left-ms".to_owned()), Form::Grpc];
    let scope = Scope {
        deadlines: &deadlines,
        ..SCOPE
    };
    let key = |more: &[(&str, &str)]| {
        let lines = changed(more);
        let lines = lines.iter().map(|(a, b)| (a.as_bytes(), b.as_bytes()));
        let lines: Vec<_> = lines.collect();
        let asked = Asked::read(scope, &lines.as_slice(), true, STRICT, Timestamp::ZERO);
        asked.unwrap().key
    };
    assert_eq!(key(&[("X-Left-Ms", "5"), ("grpc-timeout", "1S")]), key(&[]));
    assert_ne!(key(&[("x-left", "5")]), key(&[]));
}
