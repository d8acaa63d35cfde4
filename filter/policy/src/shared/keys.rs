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
//! | `.../latency`, `.../probe`, `.../stalls`, `.../broken` | its latencies; whose turn it is to probe it; which responses came to a halt; whose streams broke |
//! | `.../broken` | whose streams broke before their responses began |
//! | `seawall/places/v1/POLICY/CLUSTER...`, `.../slot=NUMBER`, `.../slot=rest` | places; those for values of a header |
//! | `.../slot=rest.NUMBER`, `.../slot=unfinished`, `....unfinished`, `.../slot=index` | parts of the rest; unfinished requests; which slots are in use |
//! | `seawall/members/v1` | which VMs hold slots, and which of them live |
//! | `seawall/v1/across/NUMBER` | what is kept across an application |
//! | `seawall/authorities/v2/POLICY/CLUSTER` | which authority has which slot |
//! | `seawall/v1-records`, `seawall/v1` | which upstreams have a record; how many, for earlier modules |
//! | `seawall/v1-process-key` | the process's key |
//! | `seawall/v1-shapes/POLICY` | which shapes of a policy's records are in use |
//! | `seawall/stale/v2/NUMBER`, `seawall/stale/v2/set/NUMBER` | stale answers, and their tables |

use std::borrow::Cow;

use crate::concurrency::InFlightSlots;
use crate::concurrency::partitions::index::Index;
use crate::health_check::turn::ProbeTurn;
use crate::latency::Latencies;
use crate::outcome::broken_stream::BrokenStreams;
use crate::outcome::stall::Stalls;
use crate::propagation::group::Group;
use crate::shared::authorities::Directory;
use crate::shared::configurations::ShapesInUse;
use crate::shared::members::Members;
use crate::shared::process_key::ProcessKey;
use crate::shared::record::Record;
use crate::shared::registry::Registered;
use crate::shared::state::Key;
use crate::stale::set::Set;
use crate::stale::stored_response::StoredResponse;

/// Where earlier modules count their records. This one does not touch it.
pub const COUNT: &str = "seawall/v1";
/// Which upstreams have a record.
pub const REGISTRY: Key<Registered> = Key::named(Cow::Borrowed("seawall/v1-records"));
/// Which VMs hold slots, and which of them live.
pub const MEMBERS: Key<Members> = Key::named(Cow::Borrowed("seawall/members/v1"));
/// Where the process's key stands.
pub const PROCESS: Key<ProcessKey> = Key::named(Cow::Borrowed("seawall/v1-process-key"));
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
pub fn record(policy: &str, cluster: &str, part: Part<'_>) -> Key<Record> {
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
    made(key)
}

/// Where the latencies of the upstream with this record stand.
pub fn latency(record: &Key<Record>) -> Key<Latencies> {
    made(with(record.as_str(), "/latency"))
}

/// Where it stands whose turn it is to probe the upstream with this record.
pub fn probe(record: &Key<Record>) -> Key<ProbeTurn> {
    made(with(record.as_str(), "/probe"))
}

/// Where the notes on responses of the upstream with this record stand that came to a halt.
pub fn stalls(record: &Key<Record>) -> Key<Stalls> {
    made(with(record.as_str(), "/stalls"))
}

/// Where it stands whose streams of the upstream with this record broke before their responses began.
pub fn broken_streams(record: &Key<Record>) -> Key<BrokenStreams> {
    made(with(record.as_str(), "/broken"))
}

/// Where the slots of the upstream with this record stand.
pub fn places(record: &Key<Record>) -> Key<InFlightSlots> {
    let record = record.as_str();
    let rest = record.strip_prefix("seawall").unwrap_or(record);
    made(with("seawall/places", rest))
}

/// Where the slots of a partition for a header's value stand; of the one that all others share without a number.
pub fn slot(places: &Key<InFlightSlots>, number: Option<u32>) -> Key<InFlightSlots> {
    let number = number.map(|number| crate::text::written(number.into()));
    made(beside(places, number.as_deref().unwrap_or("rest")))
}

/// Where the slots of a part of those stand that all others share.
pub fn part_of_rest(places: &Key<InFlightSlots>, part: u32) -> Key<InFlightSlots> {
    made(beside(
        places,
        &with("rest.", &crate::text::written(part.into())),
    ))
}

/// Where what unfinished requests hold of the slots stands that all requests share.
pub fn unfinished(places: &Key<InFlightSlots>) -> Key<InFlightSlots> {
    made(beside(places, "unfinished"))
}

/// Where what they hold of the slots of a partition stands.
pub fn unfinished_of(partition: &Key<InFlightSlots>) -> Key<InFlightSlots> {
    made(with(partition.as_str(), ".unfinished"))
}

/// Where it stands which partitions are in use.
pub fn partitions(places: &Key<InFlightSlots>) -> Key<Index> {
    made(beside(places, "index"))
}

/// Which authority has which slot, of a cluster that has a state for each.
pub fn authorities(policy: &str, cluster: &str) -> Key<Directory> {
    let mut key = "seawall/authorities/v2/".to_owned();
    key.push_str(policy);
    key.push('/');
    name(&mut key, cluster);
    made(key)
}

/// A slot of what is kept across applications.
pub fn propagation(number: u64) -> Key<Group> {
    made(format!("seawall/v1/{ACROSS}/{number:x}"))
}

/// Where it stands which shapes of a policy's records are in use.
pub fn shapes(policy: &str) -> Key<ShapesInUse> {
    made(with("seawall/v1-shapes/", policy))
}

/// A stale answer.
pub fn stale(number: usize) -> Key<StoredResponse> {
    let number = crate::text::written(number as u64);
    made(with("seawall/stale/v2/", &number))
}

/// A table of stale answers.
pub fn stale_set(number: usize) -> Key<Set> {
    let number = crate::text::written(number as u64);
    made(with("seawall/stale/v2/set/", &number))
}

fn made<R>(name: String) -> Key<R> {
    Key::named(Cow::Owned(name))
}

fn beside(places: &Key<InFlightSlots>, slot: &str) -> String {
    with(&with(places.as_str(), "/slot="), slot)
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
    const WORDS: [&[u8]; 4] = [b"latency", b"probe", b"stalls", b"broken"];
    const KINDS: [&[u8]; 4] = [b"route=", b"authority=", b"key=", b"slot="];
    let name = name.as_bytes();
    let mut parts = name.split(|byte| *byte == b'/').skip(1);
    let escaped = |three: &[u8]| three == b"%2F" || three == b"%25";
    name.windows(3).any(escaped)
        || parts
            .any(|part| WORDS.contains(&part) || KINDS.iter().any(|kind| part.starts_with(kind)))
}

#[cfg(test)]
mod tests;
