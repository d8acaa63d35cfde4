//! What is known by a number that the host gave: the streams.
//!
//! Numbers grow by one with each stream, so that their lowest bits spread them evenly over some short lists. A tree brings
//! 5 KB into the module, one sorted list would move all that is behind a stream that ends.

const LISTS: usize = 256;

/// What is known by number.
#[derive(Debug)]
pub(super) struct StreamTable<T>(Vec<Vec<(u32, T)>>);

impl<T> StreamTable<T> {
    pub(super) const EMPTY: Self = Self(Vec::new());

    /// What is known by a number.
    #[inline(never)]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        // What came last is asked for most.
        let mut list = self.list(number)?.iter_mut().rev();
        let (_, found) = list.find(|(known, _)| *known == number)?;
        Some(found)
    }

    /// Keeps something, in the place of what was there.
    pub(super) fn insert(&mut self, number: u32, new: T) {
        if self.0.is_empty() {
            self.0.resize_with(LISTS, Vec::new);
        }
        self.remove(number);
        if let Some(list) = self.list(number) {
            list.push((number, new));
        }
    }

    /// Takes it out.
    #[inline(never)]
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let list = self.list(number)?;
        let place = list.iter().rposition(|(known, _)| *known == number)?;
        Some(list.swap_remove(place).1)
    }

    fn list(&mut self, number: u32) -> Option<&mut Vec<(u32, T)>> {
        self.0.get_mut(number as usize % LISTS)
    }
}
