//! Junk URLs, hosts and variants beside a page that is asked for.

use super::*;
use crate::shared::process_key::ProcessKey;

/// A process with a key of its own, and one VM.
struct Stand {
    store: Memory,
    recent: Sampling,
    secret: ProcessKey,
}

impl Stand {
    fn new(number: u8) -> Self {
        Self {
            store: Memory::default(),
            recent: Sampling::default(),
            secret: ProcessKey::from_bytes([number; 16]),
        }
    }

    fn asked(&self, route: &str, lines: &[(&str, &str)], now: Timestamp) -> RequestDirectives {
        let route = route.as_bytes().to_vec();
        let scope = Scope {
            place: &|| [route.clone(), vec![], vec![], vec![]],
            secret: self.secret,
            ..Scope::of_a_test()
        };
        let lines = bytes(lines);
        RequestDirectives::read(scope, &lines.as_slice(), true, &SETTINGS, now).unwrap()
    }

    /// A request that is answered for all.
    fn get(&mut self, route: &str, host: &str, path: &str, language: &str, now: Timestamp) {
        let lines = line(host, path, language);
        let asked = self.asked(route, &lines, now);
        let Some(heat) = self.recent.sample(&asked) else {
            return;
        };
        let answer = bytes(&[("cache-control", "public"), ("vary", "accept-language")]);
        let lines = bytes(&lines);
        let offer =
            CacheableResponse::read(&asked, &lines.as_slice(), 200, &answer.as_slice(), true);
        keep(&self.store, &asked, &offer.unwrap(), b"body", heat, now).unwrap();
    }

    fn is_there(&self, route: &str, host: &str, path: &str, now: Timestamp) -> bool {
        let lines = line(host, path, "de");
        let asked = self.asked(route, &lines, now);
        let lines = bytes(&lines);
        let see = &mut |_: StoredResponse, _| {};
        find(
            &self.store,
            &asked,
            &lines.as_slice(),
            SETTINGS.max_age,
            now,
            see,
        )
        .unwrap()
    }

    fn slots(&self) -> usize {
        let keys = self.store.sizes().filter(|(key, _)| !key.contains("/set/"));
        keys.count()
    }
}

fn line<'a>(host: &'a str, path: &'a str, language: &'a str) -> [(&'a str, &'a str); 4] {
    [
        (":method", "GET"),
        (":authority", host),
        (":path", path),
        ("accept-language", language),
    ]
}

fn at(ms: u64) -> Timestamp {
    START.after(Span::millis(ms))
}

#[test]
fn six_hundred_junk_urls_do_not_drive_out_a_page_that_is_asked_for() {
    for number in 0..40 {
        // Asked for once before, once in a while, and first of all in the midst of junk.
        for (first, every) in [(0, u64::MAX), (0, 20_000), (6_500, 2_500)] {
            let mut stand = Stand::new(number);
            for junk in 0..600_u64 {
                let ms = junk * 50;
                if ms >= first && (ms - first).is_multiple_of(every) {
                    stand.get("a", "shop", "/page", "de", at(ms));
                }
                stand.get("a", "shop", &format!("/{junk}"), "de", at(ms + 1));
            }
            let there = stand.is_there("a", "shop", "/page", at(30_001));
            assert!(there, "key {number}, first at {first}, every {every}");
            assert!(stand.slots() <= HOST_SLOTS, "{}", stand.slots());
        }
    }
}

#[test]
fn junk_hosts_of_a_route_leave_a_page_there_and_half_of_the_slots_to_others() {
    for number in 0..40 {
        let mut stand = Stand::new(number);
        for junk in 0..600_u64 {
            if junk.is_multiple_of(200) {
                stand.get("a", "shop", "/page", "de", at(junk * 50));
            }
            let host = format!("host{junk}");
            stand.get("a", &host, "/", "de", at(junk * 50 + 1));
        }
        assert!(stand.is_there("a", "shop", "/page", at(30_001)), "{number}");
        assert!(stand.slots() <= ROUTE_SLOTS, "{}", stand.slots());
    }
}

#[test]
fn junk_variants_of_a_page_leave_others_alone() {
    let mut stand = Stand::new(1);
    stand.get("a", "shop", "/page", "de", at(0));
    for junk in 0..600_u64 {
        let language = format!("x-{junk}");
        // Asked for three times each, which is more than the page.
        for again in 0..3 {
            stand.get("a", "shop", "/other", &language, at(junk * 10 + again + 1));
        }
    }
    assert!(stand.is_there("a", "shop", "/page", at(7_000)));
    assert!(stand.slots() <= 9, "{}", stand.slots());
}

#[test]
fn urls_that_meet_in_one_set_meet_in_none_under_another_key() {
    let set = |number: u8, path: &str| {
        let stand = Stand::new(number);
        stand.asked("a", &line("shop", path, "de"), START).set()
    };
    let paths: Vec<_> = (0..1_000).map(|number| format!("/{number}")).collect();
    let aimed: Vec<_> = paths
        .iter()
        .filter(|path| set(1, path) == set(1, "/page"))
        .collect();
    assert!(aimed.len() > 150, "{}", aimed.len());
    let hit = aimed.iter().filter(|path| set(2, path) == set(2, "/page"));
    let part = hit.count() as f64 / aimed.len() as f64;
    assert!((0.1..0.4).contains(&part), "a quarter by chance: {part}");
}
