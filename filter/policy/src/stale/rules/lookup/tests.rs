//! Which requests have to do with kept answers, one rule at a time.

use super::*;

const SCOPE: Scope<'_> = Scope::of_a_test();

fn strict() -> Settings {
    Settings {
        max_age: Span::secs(600),
        authorized: false,
        cookies: false,
        ignored: Ignored::default(),
    }
}

fn ignoring(names: &[&str]) -> Settings {
    let mut settings = strict();
    for name in names {
        settings.ignored.add(name).unwrap();
    }
    settings
}

const PLAIN: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "shop.example"),
    (":path", "/items?page=1&size=2"),
];

fn read_as(lines: &[(&str, &str)], ended: bool, settings: &Settings) -> Option<RequestDirectives> {
    let lines: Vec<_> = lines
        .iter()
        .map(|(a, b)| (a.as_bytes(), b.as_bytes()))
        .collect();
    RequestDirectives::read(SCOPE, &lines.as_slice(), ended, settings, Timestamp::ZERO)
}

/// A plain GET with these lines more, or with other values of what it has.
fn read(changes: &[(&str, &str)]) -> Option<RequestDirectives> {
    read_as(&changed(changes), true, &strict())
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
    assert_eq!(read_as(&PLAIN, false, &strict()), None, "a GET with a body");
    for name in [":method", ":authority", ":path"] {
        let mut twice = PLAIN.to_vec();
        twice.push(*PLAIN.iter().find(|line| line.0 == name).unwrap());
        assert_eq!(read_as(&twice, true, &strict()), None, "{name} twice");
    }
    assert!(read(&[("content-length", "0")]).is_some());
    assert!(read(&[("if-none-match", "\"a\"")]).is_some());
}

#[test]
fn credentials_and_cookies_need_the_policys_word_and_are_part_of_the_key() {
    let open = Settings {
        authorized: true,
        cookies: true,
        ..strict()
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
        let alice = read_as(&changed(&[(name, "alice")]), true, &open).unwrap();
        let bob = read_as(&changed(&[(name, "bob")]), true, &open).unwrap();
        let nobody = read_as(&PLAIN, true, &open).unwrap();
        assert_ne!(alice.key, bob.key, "{name}");
        assert_ne!(alice.key, nobody.key, "{name}");
    }
    let cookies = Settings {
        authorized: false,
        ..open.clone()
    };
    let both = [("cookie", "a"), ("authorization", "b")];
    assert_eq!(read_as(&changed(&both), true, &cookies), None);
}

#[test]
fn the_key_is_where_it_goes_to_however_that_is_said() {
    let plain = read(&[]).unwrap();
    for line in [
        (":scheme", "http"),
        (":authority", "shop.example:8443"),
        (":authority", "other.example"),
        (":path", "/items?size=2&page=1"),
        (":path", "/items?page=1&size=2&"),
        (":path", "/Items?page=1&size=2"),
        (":path", "/items/?page=1&size=2"),
        ("x-forwarded-host", "evil.example"),
        ("X_Forwarded_Host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-original-url", "/admin"),
        ("x-original-host", "evil.example"),
        ("x-original-uri", "/admin"),
        ("x-forwarded-uri", "/admin"),
        ("x-envoy-original-dst-host", "10.0.0.1:80"),
        ("x-envoy-internal", "true"),
    ] {
        let other = read(&[line]).unwrap();
        assert_ne!(other.key, plain.key, "{line:?}");
        assert!(!other.per_client, "{line:?}");
    }
    let forwarded = read(&[("forwarded", "for=10.0.0.1;host=evil.example")]).unwrap();
    assert!(forwarded.per_client && forwarded.key != plain.key);
    let forwarded = read(&[("forwarded", "for=10.0.0.1")]).unwrap();
    assert!(forwarded.per_client && forwarded.key == plain.key);
    for line in [
        (":authority", "SHOP.example"),
        (":scheme", "HTTPS"),
        ("x-request-id", "1"),
        ("traceparent", "00-1-2-01"),
        ("X-B3-Sampled", "1"),
        ("if-none-match", "\"a\""),
        ("cache-control", "max-age=9"),
        ("x-seawall-attempt", "2"),
    ] {
        let same = read(&[line]).unwrap();
        assert_eq!(same.key, plain.key, "{line:?}");
        assert!(!same.per_client, "{line:?}");
    }
}

/// Headers that may tell one client from another: a table, and a name that nobody has heard of.
pub(in super::super::super) const PER_CLIENT: [&str; 37] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "baggage",
    "cdn-loop",
    "cf-connecting-ip",
    "cf-ipcountry",
    "client-cert",
    "client-id",
    "content-type",
    "dnt",
    "fastly-client-ip",
    "forwarded",
    "from",
    "idempotency-key",
    "origin",
    "referer",
    "save-data",
    "sec-ch-ua-mobile",
    "sec-fetch-user",
    "true-client-ip",
    "upgrade-insecure-requests",
    "user-agent",
    "userid",
    "via",
    "what-nobody-has-heard-of",
    "x-claims",
    "x-client-ip",
    "x-envoy-external-address",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-org-id",
    "x-original-forwarded-for",
    "x-real-ip",
    "x-tenant-id",
    "x_user_id",
];

#[test]
fn what_may_tell_clients_apart_is_seen_but_where_the_policy_lists_it() {
    let plain = read(&[]).unwrap();
    for name in PER_CLIENT {
        for name in [name.to_owned(), name.to_ascii_uppercase()] {
            let line = [(name.as_str(), "a")];
            let asked = read(&line).unwrap();
            assert!(asked.per_client, "{name}");
            assert_eq!(asked.key, plain.key, "{name} is not in the key");
            let listed = read_as(&changed(&line), true, &ignoring(&[&name])).unwrap();
            assert!(!listed.per_client, "{name}");
        }
    }
    let browser = ignoring(&["accept*", "user-agent"]);
    let lines = [
        ("accept", "*/*"),
        ("accept-language", "de"),
        ("user-agent", "x"),
    ];
    assert!(
        !read_as(&changed(&lines), true, &browser)
            .unwrap()
            .per_client
    );
    let more = [lines[0], ("x-user", "alice")];
    assert!(read_as(&changed(&more), true, &browser).unwrap().per_client);
}

#[test]
fn a_list_neither_takes_the_uri_out_of_the_key_nor_a_stream_or_a_part_for_a_page() {
    let wide = ignoring(&["x-forwarded-*", "accept*", "range", "x-http-*"]);
    let key = |line| read_as(&changed(&[line]), true, &wide).map(|asked| asked.key);
    let plain = read_as(&PLAIN, true, &wide).unwrap().key;
    assert_eq!(key(("x-forwarded-for", "10.0.0.1")), Some(plain.clone()));
    assert_ne!(
        key(("x-forwarded-host", "evil.example")),
        Some(plain.clone())
    );
    assert_eq!(key(("accept", "text/event-stream")), None);
    assert_eq!(key(("range", "bytes=0-1")), None);
    assert_eq!(key(("x-http-method-override", "DELETE")), None);
    assert_ne!(plain, read(&[]).unwrap().key, "another list, another key");
}

#[test]
fn no_credential_stands_in_a_key_in_clear_and_another_process_has_another_key() {
    let open = Settings {
        authorized: true,
        cookies: true,
        ..strict()
    };
    for name in ["authorization", "cookie", "x-api-key"] {
        let lines = changed(&[(name, "the-secret")]);
        let asked = read_as(&lines, true, &open).unwrap();
        assert!(!asked.key.windows(10).any(|bytes| bytes == b"the-secret"));
        let scope = Scope {
            secret: ProcessKey::from_bytes([8; 16]),
            ..SCOPE
        };
        let lines: Vec<_> = lines
            .iter()
            .map(|(a, b)| (a.as_bytes(), b.as_bytes()))
            .collect();
        let other = RequestDirectives::read(scope, &lines.as_slice(), true, &open, Timestamp::ZERO)
            .unwrap();
        assert_ne!(other.key, asked.key, "{name}");
        assert_ne!(other.hash, asked.hash, "{name}");
    }
}

#[test]
fn where_a_request_goes_names_the_key_too() {
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
            secret: SCOPE.secret,
        };
        let lines = PLAIN.map(|(a, b)| (a.as_bytes(), b.as_bytes()));
        RequestDirectives::read(scope, &lines.as_slice(), true, &strict(), Timestamp::ZERO)
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
    assert_eq!(read(&[("accept", &long)]), None);
    assert!(read(&[("x-forwarded-host", &long)]).is_some(), "hashed");
}

#[test]
fn a_deadline_that_the_policy_passes_on_is_not_in_the_key() {
    let deadlines = [Form::of("x-left-ms".to_owned()), Form::Grpc];
    let scope = Scope {
        deadlines: &deadlines,
        ..SCOPE
    };
    let read = |more: &[(&str, &str)]| {
        let lines = changed(more);
        let lines = lines.iter().map(|(a, b)| (a.as_bytes(), b.as_bytes()));
        let lines: Vec<_> = lines.collect();
        RequestDirectives::read(scope, &lines.as_slice(), true, &strict(), Timestamp::ZERO).unwrap()
    };
    assert_eq!(
        read(&[("X-Left-Ms", "5"), ("grpc-timeout", "1S")]),
        read(&[])
    );
    assert!(read(&[("x-left", "5")]).per_client);
}
