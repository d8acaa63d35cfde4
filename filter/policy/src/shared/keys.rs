//! Every key of shared data, made in one place and one to one: two different meanings never have one key.
//!
//! The names of clusters, routes and authorities are somebody else's. A cluster `up/probe` must not have the key of what
//! is kept about own probes of the cluster `up`. So a name that could be taken for more than a name is written with
//! escapes ([`name`]); all others stand as they are, slashes included, so that the keys of ordinary upstreams are those of
//! earlier modules, which run beside this one during an update.
//!
//! | key | what stands there |
//! |---|---|
//! | `seawall/v1/POLICY/CLUSTER` | the record of an upstream |
//! | `.../route=ROUTE`, `.../key=NUMBER`, `.../key=long` | that of a route, of an authority's slot, of all authorities that are too long |
//! | `.../latency`, `.../probe`, `.../stalls` | its latencies; whose turn it is to probe it; which responses came to a halt |
//! | `seawall/places/v1/POLICY/CLUSTER...`, `.../slot=NUMBER`, `.../slot=rest` | places; those for values of a header |
//! | `.../slot=rest.NUMBER`, `.../slot=unfinished`, `....unfinished`, `.../slot=index` | parts of the rest; unfinished requests; which slots are in use |
//! | `seawall/members/v1` | which VMs hold slots, and which of them live |
//! | `seawall/v1/across/NUMBER` | what is kept across an application |
//! | `seawall/authorities/v2/POLICY/CLUSTER` | which authority has which slot |
//! | `seawall/v1-records`, `seawall/v1` | which upstreams have a record; how many, for earlier modules |
//! | `seawall/v1-process-key` | the process's key |
//! | `seawall/v1-shapes/POLICY` | which shapes of a policy's records are in use |
//! | `seawall/stale/v2/NUMBER`, `seawall/stale/v2/set/NUMBER` | stale answers, and their tables |

/// Where earlier modules count their records.
pub const COUNT: &str = "seawall/v1";
/// Which upstreams have a record.
pub const REGISTRY: &str = "seawall/v1-records";
/// Which VMs hold slots, and which of them live.
pub const MEMBERS: &str = "seawall/members/v1";
/// Where the process's key stands.
pub const PROCESS: &str = "seawall/v1-process-key";
/// The policy whose records would stand beside what is kept across applications.
const ACROSS: &str = "across";
/// That has fewer slots than this many hexadecimal digits can say.
const ACROSS_DIGITS: usize = 3;

/// What parts the state of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Nothing: the cluster has one.
    Whole,
    /// A route.
    Route(&'a str),
    /// An authority, as earlier modules wrote it.
    Authority(&'a str),
    /// The slot that an authority has.
    Slot(u32),
    /// All authorities that are longer than an authority can be.
    Long,
}

/// The key of an upstream's record.
pub fn record(policy: &str, cluster: &str, part: Part<'_>) -> String {
    let mut key = "seawall/v1/".to_owned();
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let meets = policy == ACROSS
        && part == Part::Whole
        && cluster.len() <= ACROSS_DIGITS
        && cluster.bytes().all(hex);
    if meets {
        // No policy's name has this character.
        key.push('%');
    }
    key.push_str(policy);
    key.push('/');
    name(&mut key, cluster);
    match part {
        Part::Whole => {}
        Part::Route(route) => {
            key.push_str("/route=");
            name(&mut key, route);
        }
        Part::Authority(authority) => {
            key.push_str("/authority=");
            name(&mut key, authority);
        }
        Part::Slot(number) => {
            key.push_str("/key=");
            key.push_str(&crate::text::written(number.into()));
        }
        Part::Long => key.push_str("/key=long"),
    }
    key
}

/// Where the latencies of the upstream with this record stand.
pub fn latency(record: &str) -> String {
    with(record, "/latency")
}

/// Where it stands whose turn it is to probe the upstream with this record.
pub fn probe(record: &str) -> String {
    with(record, "/probe")
}

/// Where the notes on responses of the upstream with this record stand that came to a halt.
pub fn stalls(record: &str) -> String {
    with(record, "/stalls")
}

/// Where the slots of the upstream with this record stand.
pub fn places(record: &str) -> String {
    let rest = record.strip_prefix("seawall").unwrap_or(record);
    with("seawall/places", rest)
}

/// Where the slots of a partition for a header's value stand; of the one that all others share without a number.
pub fn slot(places: &str, number: Option<u32>) -> String {
    let number = number.map(|number| crate::text::written(number.into()));
    with(&with(places, "/slot="), number.as_deref().unwrap_or("rest"))
}

/// Where the slots of a partition with a name of its own stand, and where the index of partitions does.
pub fn named_slot(places: &str, name: &str) -> String {
    with(&with(places, "/slot="), name)
}

/// Which authority has which slot, of a cluster that has a state for each.
pub fn authorities(policy: &str, cluster: &str) -> String {
    let mut key = "seawall/authorities/v2/".to_owned();
    key.push_str(policy);
    key.push('/');
    name(&mut key, cluster);
    key
}

/// A slot of what is kept across applications.
pub fn propagation(number: u64) -> String {
    format!("seawall/v1/{ACROSS}/{number:x}")
}

/// Where it stands which shapes of a policy's records are in use.
pub fn shapes(policy: &str) -> String {
    with("seawall/v1-shapes/", policy)
}

/// A stale answer.
pub fn stale(number: usize) -> String {
    with("seawall/stale/v2/", &crate::text::written(number as u64))
}

/// A table of stale answers.
pub fn stale_set(number: usize) -> String {
    with(
        "seawall/stale/v2/set/",
        &crate::text::written(number as u64),
    )
}

fn with(before: &str, after: &str) -> String {
    let mut key = String::with_capacity(before.len().saturating_add(after.len()));
    key.push_str(before);
    key.push_str(after);
    key
}

/// Writes a name: as it is, or, if something behind one of its slashes could be taken for more than a name, or if it looks
/// like a name with escapes, with escapes for all its slashes and percent signs.
fn name(key: &mut String, name: &str) {
    if !is_ambiguous(name) {
        key.push_str(name);
        return;
    }
    for character in name.chars() {
        match character {
            '/' => key.push_str("%2F"),
            '%' => key.push_str("%25"),
            other => key.push(other),
        }
    }
}

fn is_ambiguous(name: &str) -> bool {
    const WORDS: [&[u8]; 3] = [b"latency", b"probe", b"stalls"];
    const KINDS: [&[u8]; 4] = [b"route=", b"authority=", b"key=", b"slot="];
    let name = name.as_bytes();
    let mut parts = name.split(|byte| *byte == b'/').skip(1);
    let escaped = |three: &[u8]| three == b"%2F" || three == b"%25";
    name.windows(3).any(escaped)
        || parts
            .any(|part| WORDS.contains(&part) || KINDS.iter().any(|kind| part.starts_with(kind)))
}

#[cfg(test)]
mod tests {
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
        Places,
        PlacesOf(Option<u32>),
        PlacesNamed(&'static str),
    }

    fn key(meaning: &Meaning) -> String {
        match meaning {
            Meaning::Count => COUNT.to_owned(),
            Meaning::Registry => REGISTRY.to_owned(),
            Meaning::Members => MEMBERS.to_owned(),
            Meaning::Process => PROCESS.to_owned(),
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
                    What::Record => record,
                    What::Latency => latency(&record),
                    What::Probe => probe(&record),
                    What::Stalls => stalls(&record),
                    What::Places => places(&record),
                    What::PlacesOf(number) => slot(&places(&record), *number),
                    What::PlacesNamed(name) => named_slot(&places(&record), name),
                }
            }
            Meaning::Authorities(policy, cluster) => authorities(policy, cluster),
            Meaning::Kept(number) => propagation(*number),
            Meaning::Shapes(policy) => shapes(policy),
            Meaning::Stale(number) => stale(*number),
            Meaning::StaleSet(number) => stale_set(*number),
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
            Just(What::Places),
            prop::option::of(0_u32..3).prop_map(What::PlacesOf),
            prop::sample::select(vec!["index", "unfinished", "rest.1", "1.unfinished"])
                .prop_map(What::PlacesNamed),
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
            assert_eq!(record("default", cluster, part), expected);
        }
        let of = record("across", "payments", Part::Whole);
        assert_eq!(of, "seawall/v1/across/payments");
        assert_eq!(latency(&of), "seawall/v1/across/payments/latency");
        assert_eq!(probe(&of), "seawall/v1/across/payments/probe");
        let places = places(&of);
        assert_eq!(places, "seawall/places/v1/across/payments");
        assert_eq!(
            slot(&places, Some(7)),
            "seawall/places/v1/across/payments/slot=7"
        );
        assert_eq!(
            slot(&places, None),
            "seawall/places/v1/across/payments/slot=rest"
        );
    }

    #[test]
    fn those_that_met_do_so_no_longer() {
        let up = record("default", "up", Part::Whole);
        for (cluster, other) in [("up/probe", probe(&up)), ("up/latency", latency(&up))] {
            assert_ne!(record("default", cluster, Part::Whole), other);
        }
        assert_ne!(record("across", "1f", Part::Whole), propagation(0x1f));
    }
}
