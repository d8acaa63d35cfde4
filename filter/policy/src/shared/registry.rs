//! Which upstreams of a process have a record, so that there is a bounded number of them.
//!
//! A number alone cannot be mended once it is wrong, and it becomes wrong if a VM dies between counting and creating, or if
//! another plugin that shares the memory writes to its key. So what stands there is a list of hashes of the records' keys,
//! sealed as a record is. What is damaged is as an empty list, and each VM enters from time to time what it knows
//! ([`recount`]): so the count is right again soon. A VM that dies leaves at most the hash of a record that the next request
//! for the same upstream creates.
//!
//! Keys come from the configuration and not from clients, so that their hashes need no key of their own.

use crate::shared::envelope::{Reader, Writer};
use crate::shared::record::{Record, RecordShape};
use crate::shared::state::{
    Change, HostError, Key, SharedRecord, SharedState, Unreadable, unless_later,
};

/// No configuration may have more, and no list is longer.
pub const MOST: usize = 10_000;
const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"RG";

/// The hashes of the keys that have a record, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered(Vec<u64>);

/// Makes sure that a record stands under `key`, as long as there are fewer than `max`; says whether it does.
///
/// # Errors
/// The host's status.
pub fn register(
    state: &impl SharedState,
    list: &Key<Registered>,
    key: &Key<Record>,
    max: u32,
    claim: RecordShape,
) -> Result<bool, HostError> {
    let found = state.view(key).map(|stored| !stored.is_absent());
    let stands = unless_later(found, true)?;
    // What stands is entered even beyond the bound: it is there.
    let max = if stands { MOST } else { max as usize };
    if !enter(state, list, &[hash(key)], max)? {
        return Ok(stands);
    }
    if !stands {
        let made = state.update(key, |stored| {
            let absent = stored.is_absent();
            if absent {
                stored.record = Some(Record::new(claim));
            }
            Change::stored_if(absent)
        });
        // Who comes in between has made it.
        unless_later(made, true)?;
    }
    Ok(true)
}

/// Enters the keys that a VM knows, as far as they are not in the list.
///
/// # Errors
/// The host's status.
pub fn recount<'a>(
    state: &impl SharedState,
    list: &Key<Registered>,
    keys: impl Iterator<Item = &'a Key<Record>>,
) -> Result<(), HostError> {
    let hashes: Vec<u64> = keys.map(hash).collect();
    if !hashes.is_empty() {
        enter(state, list, &hashes, MOST)?;
    }
    Ok(())
}

/// How many records the process has.
///
/// # Errors
/// The host's status.
pub fn registered(state: &impl SharedState, list: &Key<Registered>) -> Result<u32, HostError> {
    let known = state.view(list).map(|stored| stored.record);
    Ok(unless_later(known, None)?.map_or(0, |known| known.0.len() as u32))
}

/// How many records a list of these bytes holds.
pub fn count(list: &[u8]) -> u32 {
    Registered::decode(list).map_or(0, |known| known.0.len() as u32)
}

/// Enters hashes as long as there is room; says whether all of them are in the list.
fn enter(
    state: &impl SharedState,
    list: &Key<Registered>,
    hashes: &[u64],
    max: usize,
) -> Result<bool, HostError> {
    // A list of a later version is left alone, and bounds nothing.
    let mut entered = true;
    let stored = state.update(list, |stored| {
        entered = true;
        let known = &mut stored.or_empty().0;
        let before = known.len();
        for hash in hashes {
            match known.binary_search(hash) {
                Ok(_) => {}
                Err(place) if known.len() < max.min(MOST) => known.insert(place, *hash),
                Err(_) => entered = false,
            }
        }
        Change::stored_if(known.len() > before)
    });
    Ok(unless_later(stored, true)? && entered)
}

impl SharedRecord for Registered {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        for hash in &self.0 {
            out.u64(*hash);
        }
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Reader::whole(bytes, MAGIC, VERSION, |reader| {
            let mut hashes = Vec::new();
            while let Some(hash) = reader.u64() {
                hashes.push(hash);
            }
            let whole = hashes.len() <= MOST && hashes.is_sorted();
            whole.then_some(Self(hashes))
        })
    }
}

/// FNV-1a (Fowler, Noll, Vo) with the finaliser of MurmurHash3.
fn hash<R>(key: &Key<R>) -> u64 {
    let hash = key
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::window::Geometry;
    use crate::shared::store::SharedStore;
    use crate::shared::store::tests::Memory;
    use crate::time::{Span, Timestamp};

    static LIST: Key<Registered> = Key::test("list");
    const CLAIM: RecordShape = RecordShape {
        ahead: Span::MAX,
        alone: true,
        longest: Span::MAX,
        configured_at: Timestamp::ZERO,
        counting: true,
        geometry: Geometry::time(Span::secs(10)),
        slice: Some(Span::secs(1)),
    };

    fn ask(store: &Memory, key: &str, max: u32) -> bool {
        register(store, &LIST, &Key::test_of(key), max, CLAIM).unwrap()
    }

    #[test]
    fn a_process_keeps_a_bounded_number_of_records() {
        let store = Memory::default();
        for name in ["a", "b", "a", "c"] {
            assert!(ask(&store, name, 3), "{name}");
        }
        assert!(!ask(&store, "d", 3));
        assert!(ask(&store, "b", 3), "it has its place");
        assert_eq!(registered(&store, &LIST), Ok(3));
        assert_eq!(store.sizes().count(), 4, "three records and the list");
    }

    #[test]
    fn a_wrong_list_is_counted_anew() {
        let store = Memory::default();
        let names: Vec<String> = (0..50).map(|number| format!("upstream-{number}")).collect();
        for name in &names {
            assert!(ask(&store, name, 50));
        }
        let whole = store.load(LIST.as_str()).unwrap().unwrap().bytes;
        let mut turned = whole.clone();
        turned.reverse();
        for wrong in [&b""[..], &[0xff; 4], &whole[..whole.len() - 1], &turned] {
            store.put(LIST.as_str(), wrong);
            assert_eq!(registered(&store, &LIST), Ok(0));
            // Two VMs, of which each knows a part.
            for part in [&names[..30], &names[20..]] {
                let keys: Vec<_> = part.iter().map(|name| Key::test_of(name)).collect();
                recount(&store, &LIST, keys.iter()).unwrap();
            }
            assert_eq!(registered(&store, &LIST), Ok(50));
            assert!(!ask(&store, "one more", 50));
        }
    }

    #[test]
    fn what_a_dead_vm_left_is_nobodys_but_the_same_upstreams() {
        let store = Memory::default();
        // It died between entering and creating.
        assert_eq!(
            enter(&store, &LIST, &[hash(&Key::<Record>::test("a"))], 1),
            Ok(true)
        );
        assert!(!ask(&store, "b", 1));
        assert!(ask(&store, "a", 1));
        assert!(Record::decode(&store.load("a").unwrap().unwrap().bytes).is_ok());
        assert_eq!(registered(&store, &LIST), Ok(1));
    }

    #[test]
    fn records_of_earlier_modules_are_entered_beyond_the_bound() {
        let store = Memory::default();
        for name in ["a", "b", "c"] {
            store.put(name, &Record::new(CLAIM).encode());
            assert!(ask(&store, name, 2), "{name}: it is there");
        }
        assert!(!ask(&store, "d", 2));
        assert_eq!(registered(&store, &LIST), Ok(3));
    }

    #[test]
    fn a_later_version_is_left_alone_and_a_host_that_refuses_is_told() {
        let store = Memory::default();
        let later = Writer::new(MAGIC, VERSION + 1).sealed(VERSION + 1);
        store.put(LIST.as_str(), &later);
        assert!(ask(&store, "a", 1) && ask(&store, "b", 1));
        assert_eq!(store.load(LIST.as_str()).unwrap().unwrap().bytes, later);
        store.refuse(true);
        let refused = register(&store, &LIST, &Key::test("c"), 1, CLAIM);
        assert_eq!(refused, Err(HostError(10)));
    }
}
