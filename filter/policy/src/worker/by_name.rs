//! What is kept by name, and never taken out.
//!
//! All share one kind of tree, from names to numbers: each further kind brings some kilobytes into the module.

use std::collections::BTreeMap;

/// What is kept by name.
#[derive(Debug)]
pub(super) struct ByName<T> {
    numbers: BTreeMap<String, usize>,
    values: Vec<T>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            values: Vec::new(),
        }
    }
}

impl<T> ByName<T> {
    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// What is kept under a name.
    #[inline]
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let number = *self.numbers.get(name)?;
        self.values.get_mut(number)
    }

    /// Keeps something under a name that is new.
    pub(super) fn insert(&mut self, name: String, value: T) {
        self.numbers.insert(name, self.values.len());
        self.values.push(value);
    }

    /// All names, in their order, and what is kept under them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let numbers = self.numbers.iter();
        numbers.filter_map(|(name, number)| Some((name.as_str(), self.values.get(*number)?)))
    }
}
