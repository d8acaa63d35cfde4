//! A random key of 128 bits that all VMs of a process share, and keyed hashes under it.
//!
//! Whatever a client chooses (a path, a header's value) and decides where something is stored must be hashed with a key
//! that the client does not know: it could aim at another's slot otherwise. The same hash stands in the place of a
//! credential wherever only equality counts, so that no credential is in shared data in clear.
//!
//! The hash is SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012), by the crate `siphasher`: a keyed hash made for
//! short inputs under a secret key, without `std` and about 1 KB of code. A collision that nobody can aim at has a
//! probability of 2^-64 even after 2^32 values.
//!
//! The key is made by the first VM that needs it, and stands in shared data for as long as the process lives; a restart makes a new one. Read it once per VM and remember it: it never changes. What is
//! damaged is replaced, so that two VMs may hold different keys for a while after damage: with hashes that differ nothing
//! is found, and nothing wrong is found.

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{
    Change, HostError, Key, SharedRecord, SharedState, Undecided, Unreadable,
};

/// How long the key is, in bytes.
pub const KEY_BYTES: usize = 16;
const MAGIC: [u8; 2] = *b"PK";
const VERSION: u16 = 1;

/// The key of this process. It has no `Display`, and its `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ProcessKey([u8; KEY_BYTES]);

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// The host refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A later version of the filter wrote it.
    #[error("the key is of a later version")]
    Later,
    /// The host gave no random bytes.
    #[error("no random bytes")]
    NoRandomness,
    /// Others came in between too often.
    #[error("too many lost races")]
    LostRaces,
}

impl fmt::Debug for ProcessKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ProcessKey(..)")
    }
}

impl ProcessKey {
    /// A key of these bytes: for tests, and for whoever has a fallback where there is no key.
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key of the process. The first that asks makes it of `draw`, which is asked only then; all others get the same.
    ///
    /// # Errors
    /// Why there is none. To ask again later is always right.
    pub fn obtain(
        state: &impl SharedState,
        place: &Key<Self>,
        draw: &mut dyn FnMut() -> Option<[u8; KEY_BYTES]>,
    ) -> Result<Self, NoKey> {
        let (mut drawn, mut key) = (None, None);
        let stands = state.update(place, |stored| {
            let known = stored.record.is_some();
            if !known {
                drawn = drawn.or_else(&mut *draw);
                stored.record = drawn.map(Self);
            }
            key = stored.record;
            Change::stored_if(!known && key.is_some())
        });
        match stands {
            Ok(true) => key.ok_or(NoKey::NoRandomness),
            Ok(false) => Err(NoKey::LostRaces),
            Err(Undecided::Later) => Err(NoKey::Later),
            Err(Undecided::Host(error)) => Err(NoKey::Host(error)),
        }
    }

    /// A hash of these parts in their order, 128 bits. `purpose` keeps hashes for different uses apart; parts never run
    /// into each other.
    pub fn hash128(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 16] {
        self.hash(purpose, parts).to_le_bytes()
    }

    /// The same in 64 bits: for a place in a table, where what stands there says itself what it is.
    pub fn hash64(&self, purpose: &str, parts: &[&[u8]]) -> u64 {
        self.hash(purpose, parts) as u64
    }

    /// All of it in one piece: the hasher costs more for each piece than for its bytes.
    #[inline(never)]
    fn hash(&self, purpose: &str, parts: &[&[u8]]) -> u128 {
        let each = |part: &&[u8]| part.len().saturating_add(8);
        let purpose = purpose.as_bytes();
        let room = parts
            .iter()
            .map(each)
            .fold(each(&purpose), usize::saturating_add);
        let mut whole = Vec::with_capacity(room);
        for part in std::iter::once(&purpose).chain(parts) {
            whole.extend_from_slice(&(part.len() as u64).to_le_bytes());
            whole.extend_from_slice(part);
        }
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&whole);
        hasher.finish128().as_u128()
    }
}

impl SharedRecord for ProcessKey {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        out.bytes(&self.0);
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Reader::whole(bytes, MAGIC, VERSION, |reader| {
            reader.bytes()?.try_into().ok().map(Self)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::store::SharedStore;
    use crate::shared::store::tests::Memory;

    static KEY: Key<ProcessKey> = Key::test("process");

    fn drawing(byte: u8) -> impl FnMut() -> Option<[u8; KEY_BYTES]> {
        move || Some([byte; KEY_BYTES])
    }

    #[test]
    fn the_first_makes_it_and_all_others_get_the_same_without_a_draw() {
        let store = Memory::default();
        let first = ProcessKey::obtain(&store, &KEY, &mut drawing(1)).unwrap();
        assert_eq!(first, ProcessKey::from_bytes([1; KEY_BYTES]));
        let mut never = || panic!("nothing is drawn where a key stands");
        assert_eq!(ProcessKey::obtain(&store, &KEY, &mut never), Ok(first));
    }

    #[test]
    fn who_loses_the_race_gets_the_winners_key() {
        let store = Memory::default();
        let mut meanwhile = || {
            // Another VM is first, between our read and our write.
            ProcessKey::obtain(&store, &KEY, &mut drawing(2)).unwrap();
            Some([1; KEY_BYTES])
        };
        let key = ProcessKey::obtain(&store, &KEY, &mut meanwhile);
        assert_eq!(key, Ok(ProcessKey::from_bytes([2; KEY_BYTES])));
    }

    #[test]
    fn damage_is_replaced_and_a_later_version_is_left_alone() {
        let store = Memory::default();
        let whole = ProcessKey::from_bytes([7; KEY_BYTES]).encode();
        let mut long = Writer::new(MAGIC, VERSION);
        long.bytes(&[0; KEY_BYTES + 1]);
        let damaged = (0..whole.len()).map(|length| whole[..length].to_vec());
        for bytes in damaged.chain([long.sealed(VERSION), b"rubbish".to_vec()]) {
            store.put(KEY.as_str(), &bytes);
            let key = ProcessKey::obtain(&store, &KEY, &mut drawing(3));
            assert_eq!(key, Ok(ProcessKey::from_bytes([3; KEY_BYTES])), "{bytes:?}");
        }
        let later = Writer::new(MAGIC, VERSION + 1).sealed(VERSION + 1);
        store.put(KEY.as_str(), &later);
        assert_eq!(
            ProcessKey::obtain(&store, &KEY, &mut drawing(4)),
            Err(NoKey::Later)
        );
        assert_eq!(store.load(KEY.as_str()).unwrap().unwrap().bytes, later);
    }

    #[test]
    fn a_host_that_refuses_has_no_randomness_or_always_loses_gives_no_key() {
        let store = Memory::default();
        assert_eq!(
            ProcessKey::obtain(&store, &KEY, &mut || None),
            Err(NoKey::NoRandomness)
        );
        store.read_only(true);
        let refused = ProcessKey::obtain(&store, &KEY, &mut drawing(1));
        assert_eq!(refused, Err(NoKey::Host(HostError(10))));
        store.read_only(false);
        store.put(KEY.as_str(), b"rubbish");
        store.intrude(1_000);
        assert_eq!(
            ProcessKey::obtain(&store, &KEY, &mut drawing(1)),
            Err(NoKey::LostRaces)
        );
        store.refuse(true);
        let refused = ProcessKey::obtain(&store, &KEY, &mut drawing(1));
        assert_eq!(refused, Err(NoKey::Host(HostError(10))));
    }

    #[test]
    fn the_hash_is_siphash_2_4_with_128_bits() {
        // The reference implementation's vector for the message 00, 01, .., 0e under the key 00, 01, .., 0f.
        let key: [u8; 16] = std::array::from_fn(|byte| byte as u8);
        let mut hasher = SipHasher24::new_with_key(&key);
        hasher.write(&key[..15]);
        let expected = [
            0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf,
            0xc3, 0xd9,
        ];
        assert_eq!(hasher.finish128().as_bytes(), expected);
    }

    #[test]
    fn key_purpose_and_every_border_between_parts_count() {
        let key = ProcessKey::from_bytes([1; KEY_BYTES]);
        let other = ProcessKey::from_bytes([2; KEY_BYTES]);
        let lists: [(&str, &[&[u8]]); 6] = [
            ("a", &[b"ab", b"c"]),
            ("a", &[b"a", b"bc"]),
            ("a", &[b"abc"]),
            ("a", &[b"abc", b""]),
            ("b", &[b"abc"]),
            ("", &[b"a", b"abc"]),
        ];
        let mut hashes: Vec<_> = lists
            .iter()
            .map(|(p, parts)| key.hash128(p, parts))
            .collect();
        hashes.extend(lists.iter().map(|(p, parts)| other.hash128(p, parts)));
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
        let [low, ..] = [key.hash128("a", &[b"abc"])];
        assert_eq!(key.hash64("a", &[b"abc"]).to_le_bytes(), low[..8]);
    }

    #[test]
    fn it_is_not_shown() {
        let shown = format!("{:?}", ProcessKey::from_bytes([0xab; KEY_BYTES]));
        assert_eq!(shown, "ProcessKey(..)");
    }
}
