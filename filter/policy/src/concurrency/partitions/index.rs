//! Which partitions under a key are in use: one bit each.

use super::NUMBERS;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{Key, SharedRecord, SharedState, Unreadable};

/// The version of the index' layout.
pub const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SI";

/// Slots, by their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index(Vec<u32>);

impl Index {
    /// The partitions that are in use; none where that cannot be read.
    pub fn load(state: &impl SharedState, key: &Key<Self>) -> Self {
        let stored = state.view(key).ok();
        stored.and_then(|stored| stored.record).unwrap_or_default()
    }

    /// The numbers of those in use, in order.
    pub fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// Those in `used` are in use, and those in `idle` are not.
    pub(in crate::concurrency) fn turn(&mut self, used: &[u32], idle: &[u32]) {
        self.0.retain(|slot| !idle.contains(slot));
        for slot in used {
            if let Err(place) = self.0.binary_search(slot) {
                self.0.insert(place, *slot);
            }
        }
    }

    /// Whether the partition with this number is in use.
    pub(in crate::concurrency) fn has(&self, number: u32) -> bool {
        self.0.binary_search(&number).is_ok()
    }
}

impl SharedRecord for Index {
    fn encode(&self) -> Vec<u8> {
        let last = self.0.iter().max().copied().unwrap_or(0);
        let mut bits = vec![0_u8; (last / 8).saturating_add(1) as usize];
        for number in &self.0 {
            if let Some(byte) = bits.get_mut((number / 8) as usize) {
                *byte |= 1_u8 << (number % 8);
            }
        }
        let mut out = Writer::new(MAGIC, VERSION);
        out.bytes(&bits);
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::of(bytes, MAGIC, VERSION)?;
        let bits = reader.bytes().ok_or(Unreadable::Damaged)?;
        let numbers = (0_u32..).zip(bits).flat_map(|(at, byte)| {
            let set = (0..8_u32).filter(move |bit| byte & (1_u8 << bit) != 0);
            set.map(move |bit| at.saturating_mul(8).saturating_add(bit))
        });
        Ok(Self(numbers.filter(|number| *number < NUMBERS).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::store::SharedStore;
    use crate::shared::store::tests::Memory;
    use proptest::prelude::*;

    #[test]
    fn damage_names_no_slots() {
        const KEY: Key<Index> = Key::test("k/slot=index");
        let store = Memory::default();
        store.swap(KEY.as_str(), b"rubbish", 0).unwrap();
        assert_eq!(Index::load(&store, &KEY), Index::default());
        let all_set = {
            let mut out = Writer::new(MAGIC, VERSION);
            out.bytes(&[255; 1_024]);
            out.sealed(VERSION)
        };
        store.swap(KEY.as_str(), &all_set, 0).unwrap();
        assert_eq!(
            Index::load(&store, &KEY).0.len() as u32,
            NUMBERS,
            "no more than there are"
        );
    }

    proptest! {
        #[test]
        fn an_index_reads_back_as_it_was_written(numbers in prop::collection::btree_set(0..NUMBERS, 0..300)) {
            let index = Index(numbers.into_iter().collect());
            prop_assert_eq!(Index::decode(&index.encode()), Ok(index));
        }
    }
}
