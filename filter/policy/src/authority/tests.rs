//! The spellings of one authority are one, those of two are two, and the one spelling is its own.

use proptest::prelude::*;

use super::*;

/// Hosts and ports that differ however they are written.
fn authorities() -> impl Strategy<Value = (String, Option<u16>)> {
    let host = prop_oneof![
        4 => "[a-z0-9_~-]{1,8}(\\.[a-z0-9_~-]{1,8}){0,3}",
        1 => any::<[u16; 8]>().prop_map(|parts| format!("[{}]", Ipv6Addr::from(parts))),
    ];
    let port =
        prop::option::of((1_u16..).prop_filter("a default", |port| ![80, 443].contains(port)));
    (host, port)
}

fn plainly((host, port): &(String, Option<u16>)) -> String {
    port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

/// One of its other spellings: `coins` are thrown at each place that can be written in more than one way.
fn spelt((host, port): &(String, Option<u16>), user: &str, dots: usize, coins: &[u8]) -> String {
    let mut spelling = user.to_owned();
    let mut coins = coins.iter().cycle().copied();
    let mut coin = || coins.next().unwrap_or(0);
    for byte in host.bytes() {
        match (byte, coin() % 4) {
            (b'[' | b']' | b':', _) => spelling.push(char::from(byte)),
            (byte, 0) => spelling.push(char::from(byte.to_ascii_uppercase())),
            // An address is no name: it has no encoded parts.
            (byte, 1) if !host.starts_with('[') => spelling.push_str(&format!("%{byte:02x}")),
            (byte, 2) if !host.starts_with('[') => spelling.push_str(&format!("%{byte:02X}")),
            (byte, _) => spelling.push(char::from(byte)),
        }
    }
    spelling.push_str(&".".repeat(dots));
    match (port, coin() % 4) {
        (Some(port), zeros) => spelling.push_str(&format!(":{}{port}", "0".repeat(zeros.into()))),
        (None, 0) => spelling.push_str(":80"),
        (None, 1) => spelling.push_str(":443"),
        (None, 2) => spelling.push(':'),
        (None, _) => {}
    }
    if coin() % 2 == 0 {
        spelling.push('.');
    }
    spelling
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_spelling_of_one_authority_is_one(
        authority in authorities(),
        user in prop::sample::select(vec!["", "user@", "user:secret@", "a@b@", "%40@"]),
        dots in 0_usize..3,
        coins in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let spelling = spelt(&authority, user, dots, &coins);
        prop_assert_eq!(canonical(spelling.as_bytes()), Some(plainly(&authority)), "{}", spelling);
    }

    #[test]
    fn two_authorities_are_two(one in authorities(), other in authorities()) {
        let same = canonical(plainly(&one).as_bytes()) == canonical(plainly(&other).as_bytes());
        prop_assert_eq!(same, one == other);
    }

    #[test]
    fn the_one_spelling_is_its_own(
        written in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[a-c%0-9.:@\\[\\] F]{0,24}".prop_map(String::into_bytes),
        ],
    ) {
        let once = canonical(&written).expect("short enough");
        prop_assert!(once.is_ascii(), "{}", once);
        prop_assert_eq!(canonical(once.as_bytes()), Some(once));
    }
}

#[test]
fn examples() {
    for (written, expected) in [
        ("Shop.Example", "shop.example"),
        ("shop.example.", "shop.example"),
        ("shop.example:80", "shop.example"),
        ("shop.example.:443", "shop.example"),
        ("shop.example:8080", "shop.example:8080"),
        ("shop.example:08080.", "shop.example:8080"),
        ("user:secret@shop.example:", "shop.example"),
        ("%73hop%2eexample", "shop.example"),
        ("shop%3Aexample", "shop%3aexample"),
        ("[FD00:0::1]:443", "[fd00::1]"),
        ("[::1].:9", "[::1]:9"),
        ("", ""),
        (":80", ""),
        ("%", "%25"),
        ("(x)", "%28x%29"),
    ] {
        assert_eq!(
            canonical(written.as_bytes()).as_deref(),
            Some(expected),
            "{written}"
        );
    }
}

#[test]
fn what_is_longer_than_an_authority_has_no_spelling() {
    let host = |length| vec![b'a'; length];
    assert!(canonical(&host(BYTES_MAX)).is_some());
    for length in [BYTES_MAX + 1, 5_000, 60_000] {
        assert_eq!(canonical(&host(length)), None);
    }
    let user = [&host(60_000)[..], b"@shop.example"].concat();
    assert_eq!(canonical(&user).as_deref(), Some("shop.example"));
}
