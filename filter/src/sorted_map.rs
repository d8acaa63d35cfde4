//! A table by name.
//!
//! It is looked into at every request and grows when a name is new, which is seldom and bounded: so it is a sorted list, and
//! not a tree, of which each type of value brings some kilobytes into the module.

/// What is kept by name.
#[derive(Debug, Default)]
pub(crate) struct SortedMap<T>(Vec<(String, T)>);

impl<T> SortedMap<T> {
    /// No names.
    pub(crate) const EMPTY: Self = Self(Vec::new());

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What is kept under a name.
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let (_, value) = self.0.get(self.place(name).ok()?)?;
        Some(value)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let place = self.place(name).ok()?;
        let (_, value) = self.0.get_mut(place)?;
        Some(value)
    }

    /// Keeps something under a name, in the place of what was there.
    pub(crate) fn insert(&mut self, name: String, value: T) {
        match self.place(&name) {
            Ok(place) => {
                if let Some(there) = self.0.get_mut(place) {
                    *there = (name, value);
                }
            }
            Err(place) => self.0.insert(place, (name, value)),
        }
    }

    /// Keeps nothing under a name any more.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Ok(place) = self.place(name) {
            self.0.remove(place);
        }
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
}
