//! Two meanings never have one key, and keys are those of earlier modules.

use proptest::prelude::*;

use super::*;

/// Everything that has a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Count,
    Registry,
    Members,
    Process,
    Of(String, String, Parted, What),
    Authorities(String, String),
    Kept(u64),
    Shapes(String),
    Stale(usize),
    StaleSet(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Parted {
    Whole,
    Route(String),
    Authority(String),
    Slot(u32),
    Long,
}

/// What there is of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Record,
    Latency,
    Probe,
    Stalls,
    Broken,
    Places,
    PlacesOf(Option<u32>),
    Index,
    Unfinished,
    UnfinishedOf(Option<u32>),
    PartOfRest(u32),
}

fn key(meaning: &Meaning) -> String {
    fn name<R>(key: &Key<R>) -> String {
        key.as_str().to_owned()
    }
    match meaning {
        Meaning::Count => COUNT.to_owned(),
        Meaning::Registry => name(&REGISTRY),
        Meaning::Members => name(&MEMBERS),
        Meaning::Process => name(&PROCESS),
        Meaning::Of(policy, cluster, part, what) => {
            let part = match part {
                Parted::Whole => Part::Whole,
                Parted::Route(route) => Part::Route(route),
                Parted::Authority(authority) => Part::Authority(authority),
                Parted::Slot(number) => Part::Slot(*number),
                Parted::Long => Part::Long,
            };
            let record = record(policy, cluster, part);
            match what {
                What::Record => name(&record),
                What::Latency => name(&latency(&record)),
                What::Probe => name(&probe(&record)),
                What::Stalls => name(&stalls(&record)),
                What::Broken => name(&broken_streams(&record)),
                What::Places => name(&places(&record)),
                What::PlacesOf(number) => name(&slot(&places(&record), *number)),
                What::Index => name(&partitions(&places(&record))),
                What::Unfinished => name(&unfinished(&places(&record))),
                What::UnfinishedOf(number) => {
                    name(&unfinished_of(&slot(&places(&record), *number)))
                }
                What::PartOfRest(part) => name(&part_of_rest(&places(&record), *part)),
            }
        }
        Meaning::Authorities(policy, cluster) => name(&authorities(policy, cluster)),
        Meaning::Kept(number) => name(&propagation(*number)),
        Meaning::Shapes(policy) => name(&shapes(policy)),
        Meaning::Stale(number) => name(&stale(*number)),
        Meaning::StaleSet(number) => name(&stale_set(*number)),
    }
}

/// Names of pieces that mean something in keys.
fn names() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "",
        "up",
        "probe",
        "latency",
        "stalls",
        "broken",
        "route=a",
        "route=",
        "authority=a",
        "key=1",
        "key=long",
        "slot=1",
        "slot=rest",
        "1f",
        "set",
        "v1",
        "across",
        "%2F",
        "%25",
        "%",
        "2F",
        "%2Fprobe",
    ]);
    let joint = prop::sample::select(vec!["/", "/", "", "%2F"]);
    prop::collection::vec((piece, joint), 1..4).prop_map(|parts| {
        let mut name = String::new();
        for (index, (piece, joint)) in parts.iter().enumerate() {
            if index > 0 {
                name.push_str(joint);
            }
            name.push_str(piece);
        }
        name
    })
}

fn meanings() -> impl Strategy<Value = Meaning> {
    // A policy's name has no other characters than letters, digits, "_" and "-".
    let policies = || prop::sample::select(vec!["default", "across", "v1", "set", "probe"]);
    let part = prop_oneof![
        Just(Parted::Whole),
        names().prop_map(Parted::Route),
        names().prop_map(Parted::Authority),
        (0_u32..3).prop_map(Parted::Slot),
        Just(Parted::Long),
    ];
    let what = prop_oneof![
        Just(What::Record),
        Just(What::Latency),
        Just(What::Probe),
        Just(What::Stalls),
        Just(What::Broken),
        Just(What::Places),
        prop::option::of(0_u32..3).prop_map(What::PlacesOf),
        Just(What::Index),
        Just(What::Unfinished),
        prop::option::of(0_u32..3).prop_map(What::UnfinishedOf),
        (0_u32..3).prop_map(What::PartOfRest),
    ];
    prop_oneof![
        1 => Just(Meaning::Count),
        1 => Just(Meaning::Registry),
        1 => Just(Meaning::Members),
        1 => Just(Meaning::Process),
        20 => (policies(), names(), part, what)
            .prop_map(|(policy, cluster, part, what)| Meaning::Of(policy.to_owned(), cluster, part, what)),
        2 => (policies(), names())
            .prop_map(|(policy, cluster)| Meaning::Authorities(policy.to_owned(), cluster)),
        2 => prop::sample::select(vec![0_u64, 1, 0x1f, 0xfff]).prop_map(Meaning::Kept),
        1 => policies().prop_map(|policy| Meaning::Shapes(policy.to_owned())),
        1 => (0_usize..3).prop_map(Meaning::Stale),
        1 => (0_usize..3).prop_map(Meaning::StaleSet),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn two_meanings_never_have_one_key(all in prop::collection::vec(meanings(), 60)) {
        let mut known = std::collections::BTreeMap::new();
        for meaning in all {
            if let Some(other) = known.insert(key(&meaning), meaning.clone()) {
                prop_assert_eq!(other, meaning);
            }
        }
    }
}

#[test]
fn the_keys_of_ordinary_upstreams_are_those_of_earlier_modules() {
    for (cluster, part, expected) in [
        ("payments", Part::Whole, "seawall/v1/default/payments"),
        (
            "outbound|443||a.b",
            Part::Whole,
            "seawall/v1/default/outbound|443||a.b",
        ),
        (
            "httproute/shop/cart/rule/0",
            Part::Whole,
            "seawall/v1/default/httproute/shop/cart/rule/0",
        ),
        ("100%", Part::Whole, "seawall/v1/default/100%"),
        ("c", Part::Route("a/b"), "seawall/v1/default/c/route=a/b"),
        (
            "c",
            Part::Authority("a:1"),
            "seawall/v1/default/c/authority=a:1",
        ),
    ] {
        assert_eq!(record("default", cluster, part).as_str(), expected);
    }
    let of = record("across", "payments", Part::Whole);
    assert_eq!(of.as_str(), "seawall/v1/across/payments");
    assert_eq!(latency(&of).as_str(), "seawall/v1/across/payments/latency");
    assert_eq!(probe(&of).as_str(), "seawall/v1/across/payments/probe");
    let places = places(&of);
    assert_eq!(places.as_str(), "seawall/places/v1/across/payments");
    assert_eq!(
        slot(&places, Some(7)).as_str(),
        "seawall/places/v1/across/payments/slot=7"
    );
    assert_eq!(
        slot(&places, None).as_str(),
        "seawall/places/v1/across/payments/slot=rest"
    );
}

#[test]
fn those_that_met_do_so_no_longer() {
    let up = record("default", "up", Part::Whole);
    let (probe, latency) = (probe(&up), latency(&up));
    for (cluster, other) in [
        ("up/probe", probe.as_str()),
        ("up/latency", latency.as_str()),
    ] {
        assert_ne!(record("default", cluster, Part::Whole).as_str(), other);
    }
    let across = record("across", "1f", Part::Whole);
    assert_ne!(across.as_str(), propagation(0x1f).as_str());
}
