//! Two clients that differ in one header alone: over every header that may tell clients apart.

use super::super::rules::lookup::tests::PER_CLIENT;
use super::*;

const SAYS_FOR_ALL: [&str; 3] = [
    "public",
    "max-age=60, public",
    "s-maxage=60, stale-if-error=60",
];
const SAYS_NOTHING: [&str; 3] = ["", "max-age=60", "max-age=60, stale-if-error=60"];

fn from(name: &'static str, value: Option<&'static str>) -> Lines {
    let mut lines = get("/");
    lines.extend(value.map(|value| (name, value)));
    lines
}

/// Whether what one client was answered is handed to another.
fn is_passed_on(
    one: &Lines,
    other: &Lines,
    answer: &[(&'static str, &'static str)],
    settings: &Settings,
) -> bool {
    let store = Memory::default();
    let exchange = Exchange {
        request: one.clone(),
        status: 200,
        answer: answer.to_vec(),
    };
    kept(&store, &exchange, settings, START);
    handed(&store, other, settings, START.after(Span::secs(1))).is_some()
}

/// All pairs of values: other ones, the same, and none.
fn pairs(name: &'static str) -> impl Iterator<Item = (Lines, Lines)> {
    let values = [None, Some("a"), Some("b")];
    let all = values.map(|one| values.map(|other| (from(name, one), from(name, other))));
    all.into_iter()
        .flatten()
        .filter(|(one, other)| one.len() + other.len() > 8)
}

#[test]
fn an_answer_that_says_nothing_is_given_to_nobody_who_may_be_told_apart() {
    for name in PER_CLIENT {
        for (one, other) in pairs(name) {
            for says in SAYS_NOTHING {
                let passed = is_passed_on(&one, &other, &[("cache-control", says)], &SETTINGS);
                assert!(!passed, "{name}: {says:?}");
            }
        }
    }
}

#[test]
fn an_answer_that_says_that_it_is_for_all_is_given_to_all() {
    for name in PER_CLIENT {
        for (one, other) in pairs(name) {
            for says in SAYS_FOR_ALL {
                let passed = is_passed_on(&one, &other, &[("cache-control", says)], &SETTINGS);
                assert!(passed, "{name}: {says:?}");
            }
        }
    }
}

#[test]
fn an_answer_that_varies_is_given_only_for_the_same_values_whatever_else_it_or_the_policy_says() {
    for name in PER_CLIENT {
        let mut listed = SETTINGS;
        listed.ignored.add(name).unwrap();
        for (one, other) in pairs(name) {
            let answer = [("cache-control", "public"), ("vary", name)];
            for settings in [&SETTINGS, &listed] {
                // What Envoy or Seawall rewrites is no name to vary by.
                let can = !name.starts_with("x-envoy-");
                let passed = is_passed_on(&one, &other, &answer, settings);
                assert_eq!(passed, one == other && can, "{name}");
            }
        }
    }
}

#[test]
fn an_answer_is_given_to_all_who_differ_only_in_what_the_policy_lists() {
    for name in PER_CLIENT {
        let mut listed = SETTINGS;
        listed.ignored.add(name).unwrap();
        for (one, other) in pairs(name) {
            assert!(is_passed_on(&one, &other, &[], &listed), "{name}");
            let mut more = other.clone();
            more.push(("x-not-listed", "1"));
            assert!(!is_passed_on(&one, &more, &[], &listed), "{name}");
            assert!(!is_passed_on(&more, &one, &[], &listed), "{name}");
        }
    }
}

#[test]
fn what_is_never_given_stale_is_given_to_nobody_whatever_the_policy_lists() {
    let mut listed = SETTINGS;
    for name in PER_CLIENT {
        listed.ignored.add(name).ok();
    }
    for says in [
        "private",
        "no-store",
        "no-cache",
        "must-revalidate",
        "proxy-revalidate",
        "s-maxage=60",
        "public, s-maxage=60",
        "public, must-revalidate",
        "public, private",
    ] {
        for settings in [&SETTINGS, &listed] {
            let same = get("/");
            let passed = is_passed_on(&same, &same, &[("cache-control", says)], settings);
            assert!(!passed, "{says}");
        }
    }
}

#[test]
fn a_later_answer_takes_away_what_its_request_would_have_been_given() {
    let (alike, told_apart) = (get("/"), from("x-real-ip", Some("a")));
    for (for_all, by, goes) in [
        (true, &alike, true),
        (true, &told_apart, true),
        (false, &alike, true),
        (false, &told_apart, false),
    ] {
        let store = Memory::default();
        let mut first = plain("/");
        if for_all {
            first.answer = vec![("cache-control", "public")];
        }
        assert!(kept(&store, &first, &SETTINGS, START));
        let later = START.after(Span::secs(2));
        forget(&store, &asked(by, &SETTINGS, later).unwrap()).unwrap();
        let found = handed(&store, &alike, &SETTINGS, later);
        assert_eq!(found.is_none(), goes, "{for_all} {by:?}");
    }
}
