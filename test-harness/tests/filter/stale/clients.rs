//! Many clients at an edge: who is given what another asked for, and how often.

use seawall_harness::process::Process;

use super::*;

/// Headers that may tell one client from another.
const PER_CLIENT: [&str; 18] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cf-connecting-ip",
    "dnt",
    "forwarded",
    "origin",
    "referer",
    "sec-ch-ua",
    "true-client-ip",
    "user-agent",
    "via",
    "what-nobody-has-heard-of",
    "x-client-ip",
    "x-envoy-external-address",
    "x-forwarded-for",
    "x-real-ip",
];

fn ignoring(names: &[&str]) -> String {
    let names = names.iter().map(|name| format!("\"{name}\""));
    let names = names.collect::<Vec<_>>().join(",");
    STALE.replace(
        r#""max_age":"10m""#,
        &format!(r#""max_age":"10m","ignore_headers":[{names}]"#),
    )
}

fn counted(process: &Process, outcome: &str) -> u64 {
    process.tick();
    let values = process.common().metrics.borrow().values().clone();
    let name = format!("seawall_stale..outcome={outcome}");
    values.get(&name).copied().unwrap_or(0)
}

#[test]
fn two_clients_that_differ_in_one_header_share_an_answer_only_if_it_or_the_policy_says_so() {
    let nothing = answer(&[]);
    let for_all = answer(&[("cache-control", "max-age=60, public")]);
    for name in PER_CLIENT {
        let one = get("/page", &[(name, "203.0.113.5")]);
        let others = [
            get("/page", &[(name, "203.0.113.9")]),
            get("/page", &[]),
            one.clone(),
        ];
        for (configuration, answer, given) in [
            (STALE, &nothing, false),
            (STALE, &for_all, true),
            (&ignoring(&[name]), &nothing, true),
        ] {
            let process = process(1, configuration);
            exchange(&process, 0, &one, answer);
            for other in &others {
                let found = fails(&process, 0, other).is_some();
                assert_eq!(found, given, "{name}: {answer:?} {other:?}");
            }
            let refused = counted(&process, "per_client");
            assert_eq!(refused, u64::from(!given), "{name}");
        }
    }
}

/// Draws by SplitMix64, so that the figures are the same each time.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// How many of 2,000 requests were given what was kept, after 20,000 good ones, from 10,000 addresses; and how many slots
/// were taken.
fn rate(configuration: &str, said: &[(&str, &str)]) -> (usize, usize, u64) {
    const PAGES: u64 = 40;
    const ADDRESSES: u64 = 10_000;
    // As many failures in a row as there are here do not open it.
    let process = process(
        2,
        &configuration.replace("\"consecutive\":1000", "\"consecutive\":10000"),
    );
    let answer = answer(said);
    let mut draws = Draws(7);
    let mut ask = |number: u64, good: bool| {
        let client = draws.below(ADDRESSES);
        let address = format!("198.18.{}.{}", client / 256, client % 256);
        let agent = format!("Mozilla/5.0 ({})", client % 200);
        let language = ["de", "en", "fr", "ja", "pl"][(client % 5) as usize];
        let path = format!("/page/{}", draws.below(PAGES));
        let referer = format!("https://shop/page/{}", draws.below(PAGES));
        let id = number.to_string();
        let lines = get(
            &path,
            &[
                ("x-forwarded-for", &address),
                ("x-real-ip", &address),
                ("true-client-ip", &address),
                ("cf-connecting-ip", &address),
                ("x-envoy-external-address", &address),
                ("user-agent", &agent),
                ("referer", &referer),
                ("accept", "text/html"),
                ("accept-language", language),
                ("accept-encoding", "gzip"),
                ("x-forwarded-proto", "https"),
                ("x-request-id", &id),
            ],
        );
        wait(&process, 1);
        let worker = (number % 2) as usize;
        if good {
            exchange(&process, worker, &lines, &answer);
            return false;
        }
        fails(&process, worker, &lines).is_some()
    };
    (0..20_000).for_each(|number| {
        ask(number, true);
    });
    let given = (0..2_000).filter(|number| ask(*number, false)).count();
    let shared = process.common().shared.borrow();
    let slots = shared
        .keys()
        .filter(|key| key.starts_with("seawall/stale/") && !key.contains("/set/"))
        .count();
    drop(shared);
    (given, slots, counted(&process, "per_client"))
}

/// What it is, the policy's part, and the response's headers.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

#[test]
fn at_an_edge_with_ten_thousand_addresses_nothing_is_given_by_default_and_nearly_all_with_either_word()
 {
    let list = [
        "x-forwarded-for",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-envoy-external-address",
        "user-agent",
        "referer",
        "accept*",
    ];
    let listed = ignoring(&list);
    let cases: [Case<'_>; 5] = [
        ("nothing", STALE, &[]),
        (
            "max-age and stale-if-error alone",
            STALE,
            &[("cache-control", "max-age=60, stale-if-error=600")],
        ),
        ("public", STALE, &[("cache-control", "public, max-age=60")]),
        (
            "s-maxage with stale-if-error",
            STALE,
            &[("cache-control", "s-maxage=60, stale-if-error=600")],
        ),
        ("ignore_headers", &listed, &[]),
    ];
    for (index, (what, configuration, said)) in cases.into_iter().enumerate() {
        let (given, slots, per_client) = rate(configuration, said);
        println!(
            "{what}: {given} of 2000 given, {slots} slots, {per_client} counted as per_client"
        );
        if index < 2 {
            assert_eq!((given, slots), (0, 0), "{what}");
            assert!(per_client > 100, "{what}: {per_client}");
        } else {
            assert!(given >= 1_800, "{what}: {given}");
            assert!(slots <= 64, "{what}: {slots}");
            assert_eq!(per_client, 0, "{what}");
        }
    }
}

#[test]
fn six_hundred_junk_urls_do_not_drive_out_a_page_that_is_asked_for() {
    let process = process(2, STALE);
    let said = answer(&[("cache-control", "public")]);
    let page = get("/page", &[("x-real-ip", "203.0.113.5")]);
    exchange(&process, 0, &page, &said);
    for junk in 0..600_usize {
        let path = format!("/junk/{junk}");
        exchange(&process, junk % 2, &get(&path, &[]), &said);
        wait(&process, 50);
    }
    for worker in [0, 1] {
        let other = get("/page", &[("x-real-ip", "203.0.113.9")]);
        assert!(fails(&process, worker, &other).is_some());
    }
}

#[test]
fn no_credential_is_in_shared_data_in_clear() {
    let open = STALE.replace(r#""10m""#, r#""10m","authorized":true,"cookies":true"#);
    let process = process(1, &open);
    let secret = "a-secret-that-nobody-else-knows";
    let said = answer(&[
        ("cache-control", "public"),
        ("vary", "authorization, cookie, x-api-key"),
    ]);
    for name in ["authorization", "cookie", "x-api-key"] {
        let lines = get("/page", &[(name, secret)]);
        exchange(&process, 0, &lines, &said);
        assert!(fails(&process, 0, &lines).is_some(), "{name}");
        wait(&process, 1_100);
    }
    let shared = process.common().shared.borrow();
    for key in shared.keys() {
        let (bytes, _) = shared.load(key).expect("it was listed");
        let clear = |bytes: &[u8]| {
            bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes())
        };
        assert!(!clear(&bytes) && !clear(key.as_bytes()), "{key}");
    }
}
