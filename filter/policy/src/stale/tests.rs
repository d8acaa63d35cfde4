//! Whole exchanges over shared data: kept, found, too old, forgotten, and what a million URLs do.

mod adversary;
mod clients;
mod junk;

use super::*;
use crate::shared::store::SharedStore;
use crate::shared::store::tests::Memory;
use crate::time::Timestamp;

const START: Timestamp = Timestamp::nanos(5_000_000_000);
const SETTINGS: Settings = Settings {
    max_age: Span::secs(600),
    authorized: false,
    cookies: false,
    ignored: ignored::Ignored::NONE,
};

type Lines = Vec<(&'static str, &'static str)>;

/// One caller's request and what the upstream answers it.
#[derive(Clone, Debug)]
struct Exchange {
    request: Lines,
    status: u16,
    answer: Lines,
}

fn bytes<'a>(lines: &'a [(&str, &str)]) -> Vec<(&'a [u8], &'a [u8])> {
    lines
        .iter()
        .map(|(a, b)| (a.as_bytes(), b.as_bytes()))
        .collect()
}

fn asked(lines: &[(&str, &str)], settings: &Settings, now: Timestamp) -> Option<RequestDirectives> {
    let scope = Scope::of_a_test();
    RequestDirectives::read(scope, &bytes(lines).as_slice(), true, settings, now)
}

/// Keeps an exchange if it may be.
fn kept(store: &Memory, exchange: &Exchange, settings: &Settings, now: Timestamp) -> bool {
    let request = bytes(&exchange.request);
    let Some(asked) = asked(&exchange.request, settings, now) else {
        return false;
    };
    let answer = bytes(&exchange.answer);
    let offer = CacheableResponse::read(
        &asked,
        &request.as_slice(),
        exchange.status,
        &answer.as_slice(),
        true,
    );
    let Ok(offer) = offer else {
        return false;
    };
    keep(store, &asked, &offer, b"body", 1, now).unwrap() == Outcome::Kept
}

/// Whether this request is handed something, and how old it is.
fn handed(
    store: &Memory,
    lines: &[(&str, &str)],
    settings: &Settings,
    now: Timestamp,
) -> Option<Span> {
    let asked = asked(lines, settings, now)?;
    let mut given = None;
    find(
        store,
        &asked,
        &bytes(lines).as_slice(),
        settings.max_age,
        now,
        &mut |slot, age| {
            assert_eq!(slot.body, b"body");
            given = Some(age);
        },
    )
    .unwrap();
    given
}

fn get(path: &'static str) -> Lines {
    vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "shop.example"),
        (":path", path),
    ]
}

fn plain(path: &'static str) -> Exchange {
    Exchange {
        request: get(path),
        status: 200,
        answer: vec![],
    }
}

#[test]
fn a_kept_answer_is_given_until_it_is_too_old() {
    let store = Memory::default();
    assert!(kept(&store, &plain("/"), &SETTINGS, START));
    let at = |secs| START.after(Span::secs(secs));
    assert_eq!(
        handed(&store, &get("/"), &SETTINGS, at(0)),
        Some(Span::ZERO)
    );
    assert_eq!(
        handed(&store, &get("/"), &SETTINGS, at(599)),
        Some(Span::secs(599))
    );
    assert_eq!(handed(&store, &get("/"), &SETTINGS, at(600)), None);
    assert_eq!(handed(&store, &get("/other"), &SETTINGS, at(0)), None);
    let mut impatient = get("/");
    impatient.push(("cache-control", "max-age=10"));
    assert!(handed(&store, &impatient, &SETTINGS, at(9)).is_some());
    assert_eq!(handed(&store, &impatient, &SETTINGS, at(10)), None);
}

#[test]
fn an_answers_own_end_comes_before_the_policys() {
    let store = Memory::default();
    let mut short = plain("/");
    short.answer = vec![
        ("cache-control", "max-age=30, stale-if-error=30"),
        ("age", "20"),
    ];
    assert!(kept(&store, &short, &SETTINGS, START));
    let at = |secs| START.after(Span::secs(secs));
    assert_eq!(
        handed(&store, &get("/"), &SETTINGS, at(39)),
        Some(Span::secs(59))
    );
    assert_eq!(handed(&store, &get("/"), &SETTINGS, at(40)), None);
}

#[test]
fn variants_stand_side_by_side() {
    let store = Memory::default();
    for language in ["de", "en"] {
        let mut exchange = plain("/");
        exchange.request.push(("accept-language", language));
        exchange.answer = vec![("vary", "accept-language"), ("cache-control", "public")];
        assert!(kept(&store, &exchange, &SETTINGS, START));
    }
    for (language, found) in [("de", true), ("en", true), ("fr", false)] {
        let mut request = get("/");
        request.push(("accept-language", language));
        assert_eq!(
            handed(&store, &request, &SETTINGS, START).is_some(),
            found,
            "{language}"
        );
    }
    assert_eq!(handed(&store, &get("/"), &SETTINGS, START), None);
}

#[test]
fn a_newer_answer_that_may_not_be_kept_takes_the_older_one_away() {
    for (status, goes) in [
        (200, true),
        (404, true),
        (403, true),
        (301, true),
        (304, false),
        (503, false),
        (429, false),
    ] {
        let store = Memory::default();
        let later = START.after(Span::secs(2));
        kept(&store, &plain("/"), &SETTINGS, START);
        let request = asked(&get("/"), &SETTINGS, later).unwrap();
        if request.is_told_by(status) {
            forget(&store, &request).unwrap();
        }
        let found = handed(&store, &get("/"), &SETTINGS, later);
        assert_eq!(found.is_none(), goes, "{status}");
    }
}

/// Whether a plain answer that was asked for at one time is kept at another.
fn kept_late(store: &Memory, asked_at: Timestamp, now: Timestamp) -> Outcome {
    let lines = get("/");
    let asked = asked(&lines, &SETTINGS, asked_at).unwrap();
    let lines = bytes(&lines);
    let offer =
        CacheableResponse::read(&asked, &lines.as_slice(), 200, &bytes(&[]).as_slice(), true)
            .unwrap();
    keep(store, &asked, &offer, b"body", 1, now).unwrap()
}

#[test]
fn a_slow_answer_neither_takes_the_place_of_a_later_one_nor_brings_back_what_is_forgotten() {
    let at = |secs| START.after(Span::secs(secs));
    let age = |store: &Memory, now| handed(store, &get("/"), &SETTINGS, now);
    let forget_at = |store: &Memory, now| {
        let request = asked(&get("/"), &SETTINGS, now).unwrap();
        forget(store, &request).unwrap();
    };
    let store = Memory::default();
    assert_eq!(kept_late(&store, at(10), at(11)), Outcome::Kept);
    assert_eq!(kept_late(&store, at(5), at(30)), Outcome::Rests);
    assert_eq!(age(&store, at(30)), Some(Span::secs(20)));
    forget_at(&store, at(9));
    assert!(age(&store, at(30)).is_some(), "what was forbidden earlier");
    forget_at(&store, at(31));
    assert_eq!(age(&store, at(31)), None);
    assert_eq!(kept_late(&store, at(29), at(40)), Outcome::Rests);
    assert_eq!(age(&store, at(40)), None);
    assert_eq!(kept_late(&store, at(32), at(41)), Outcome::Kept);
    assert_eq!(age(&store, at(41)), Some(Span::secs(9)));
}

#[test]
fn what_is_asked_for_while_its_upstream_is_down_outlives_a_crawler_elsewhere() {
    let store = Memory::default();
    assert!(kept(&store, &plain("/"), &SETTINGS, START));
    let crawl = |store: &Memory, second: u64| {
        let now = START.after(Span::secs(second));
        for page in 0..200 {
            let path = format!("/{second}/{page}");
            let lines = [
                (":method", "GET"),
                (":authority", "shop.example"),
                (":path", &path),
            ];
            let asked = asked(&lines, &SETTINGS, now).unwrap();
            let lines = bytes(&lines);
            let none = bytes(&[]);
            let offer =
                CacheableResponse::read(&asked, &lines.as_slice(), 200, &none.as_slice(), true);
            // Here and there another one is asked for more than once.
            let heat = 1 + (page % 7) as u8;
            let outcome = keep(store, &asked, &offer.unwrap(), b"body", heat, now);
            assert_eq!(outcome, Ok(Outcome::Kept));
        }
    };
    for second in 0..590 {
        if second % 20 == 0 {
            let now = START.after(Span::secs(second));
            assert!(
                handed(&store, &get("/"), &SETTINGS, now).is_some(),
                "second {second}"
            );
        }
        crawl(&store, second);
    }
    // Nobody asks for it any more: in a minute others may have its place.
    let store = Memory::default();
    assert!(kept(&store, &plain("/"), &SETTINGS, START));
    assert!(handed(&store, &get("/"), &SETTINGS, START).is_some());
    (0..70).for_each(|second| crawl(&store, second));
    let later = START.after(Span::secs(70));
    assert_eq!(handed(&store, &get("/"), &SETTINGS, later), None);
}

#[test]
fn a_body_that_is_not_what_it_said_is_not_kept() {
    let store = Memory::default();
    let request = get("/");
    let asked = asked(&request, &SETTINGS, START).unwrap();
    let answer = bytes(&[("content-length", "5")]);
    let offer = CacheableResponse::read(
        &asked,
        &bytes(&request).as_slice(),
        200,
        &answer.as_slice(),
        true,
    )
    .unwrap();
    for body in [&b"1234"[..], b"123456", b""] {
        assert_eq!(
            keep(&store, &asked, &offer, body, 1, START),
            Ok(Outcome::Broken)
        );
    }
    let offer = CacheableResponse {
        length: None,
        ..offer
    };
    let long = vec![0; offer.room + 1];
    assert_eq!(
        keep(&store, &asked, &offer, &long, 1, START),
        Ok(Outcome::Broken)
    );
    assert_eq!(handed(&store, &request, &SETTINGS, START), None);
    assert_eq!(
        keep(&store, &asked, &offer, &long[1..], 1, START),
        Ok(Outcome::Kept)
    );
    assert!(store.sizes().all(|(_, size)| size <= SLOT_BYTES_MAX));
}

#[test]
fn a_slot_that_holds_another_answer_than_its_set_says_is_given_to_nobody() {
    let store = Memory::default();
    assert!(kept(&store, &plain("/"), &SETTINGS, START));
    let (slot, _) = store
        .sizes()
        .find(|(key, _)| !key.contains("/set/"))
        .unwrap();
    let other = Memory::default();
    assert!(kept(&other, &plain("/a"), &SETTINGS, START));
    let (others, _) = other
        .sizes()
        .find(|(key, _)| !key.contains("/set/"))
        .unwrap();
    let found = other.load(&others).unwrap().unwrap();
    store.put(&slot, &found.bytes);
    assert_eq!(handed(&store, &get("/"), &SETTINGS, START), None);
}

#[test]
fn one_of_all_workers_writes_a_key_in_a_second() {
    let store = Memory::default();
    let writes = (0..100_u64)
        .filter(|tenth| {
            kept(
                &store,
                &plain("/"),
                &SETTINGS,
                START.after(Span::millis(tenth * 100)),
            )
        })
        .count();
    assert_eq!(writes, 10);
}

#[test]
fn lost_races_and_refusing_hosts_keep_nothing_and_hurt_nobody() {
    let store = Memory::default();
    let request = get("/");
    let asked = asked(&request, &SETTINGS, START).unwrap();
    let lines = bytes(&request);
    let offer =
        CacheableResponse::read(&asked, &lines.as_slice(), 200, &bytes(&[]).as_slice(), true)
            .unwrap();
    store.refuse(true);
    assert!(keep(&store, &asked, &offer, b"body", 1, START).is_err());
    assert!(
        find(
            &store,
            &asked,
            &lines.as_slice(),
            SETTINGS.max_age,
            START,
            &mut |_, _| {}
        )
        .is_err()
    );
    store.refuse(false);
    store.read_only(true);
    assert!(keep(&store, &asked, &offer, b"body", 1, START).is_err());
    store.read_only(false);
    assert!(kept(&store, &plain("/"), &SETTINGS, START));
    store.intrude(1_000);
    let later = START.after(Span::secs(5));
    let asked = RequestDirectives { at: later, ..asked };
    assert_eq!(
        keep(&store, &asked, &offer, b"body", 1, later),
        Ok(Outcome::Lost)
    );
    assert!(handed(&store, &request, &SETTINGS, later).is_some());
}

#[test]
fn a_million_urls_stay_within_their_slots_and_a_hot_one_stays() {
    const HOT: &str = "/hot";
    let store = Memory::default();
    let mut recent = Sampling::default();
    let body = vec![b'x'; 60_000];
    let mut look_at = |path: &str, length: usize, now: Timestamp| {
        let lines = [(":method", "GET"), (":authority", "a"), (":path", path)];
        let asked = asked(&lines, &SETTINGS, now).unwrap();
        let heat = recent.sample(&asked)?;
        let offer = CacheableResponse::read(
            &asked,
            &bytes(&lines).as_slice(),
            200,
            &bytes(&[]).as_slice(),
            true,
        );
        Some(keep(&store, &asked, &offer.ok()?, &body[..length], heat, now).unwrap())
    };
    // A crawler asks for 10,000 a second, everybody for one 100 times a second.
    for number in 0..1_000_000_u64 {
        let now = START.after(Span::nanos(number * 100_000));
        if number.is_multiple_of(100) {
            look_at(HOT, 4, now);
        }
        // Long bodies only now and then: copying a million would take the test's time and show nothing more.
        let length = if number.is_multiple_of(101) {
            body.len()
        } else {
            10
        };
        let outcome = look_at(&format!("/{number}"), length, now);
        assert_eq!(outcome, Some(Outcome::Kept));
        if number > 10_000 && number.is_multiple_of(997) {
            let lines = [(":method", "GET"), (":authority", "a"), (":path", HOT)];
            let hot = asked(&lines, &SETTINGS, now).unwrap();
            let found = find(
                &store,
                &hot,
                &bytes(&lines).as_slice(),
                SETTINGS.max_age,
                now,
                &mut |_, _| {},
            );
            assert_eq!(found, Ok(true), "washed out by {number}");
        }
    }
    let slots = store.sizes().filter(|(key, _)| !key.contains("/set/"));
    assert_eq!(slots.count(), HOST_SLOTS);
    let all: usize = store.sizes().map(|(key, size)| key.len() + size).sum();
    assert!(all <= HOST_SLOTS * SLOT_BYTES_MAX, "{all} bytes");
    assert!(
        store
            .sizes()
            .all(|(key, size)| !key.contains("/set/") || size < 1_024)
    );
}
