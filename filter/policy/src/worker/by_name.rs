//! What is kept by name.
//!
//! Names stand in a list in their order, since each kind of tree brings some kilobytes into the module. Many are looked up
//! for each that comes; there are some thousand at the most.

/// Numbers by name.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<(String, usize)>);

impl Numbers {
    #[inline(never)]
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    /// The number of a name.
    #[inline]
    pub(super) fn get(&self, name: &str) -> Option<usize> {
        let place = self.place(name).ok()?;
        self.0.get(place).map(|(_, number)| *number)
    }

    /// Gives a name a number, whatever it had.
    #[inline(never)]
    pub(super) fn insert(&mut self, name: String, number: usize) {
        match self.place(&name) {
            Ok(place) => {
                if let Some((_, there)) = self.0.get_mut(place) {
                    *there = number;
                }
            }
            Err(place) => self.0.insert(place, (name, number)),
        }
    }

    /// Takes a name out.
    pub(super) fn remove(&mut self, name: &str) {
        if let Ok(place) = self.place(name) {
            self.0.remove(place);
        }
    }
}

/// What is kept by name, and never taken out.
#[derive(Debug)]
pub(super) struct ByName<T> {
    numbers: Numbers,
    values: Vec<T>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self {
            numbers: Numbers::default(),
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
        let number = self.numbers.get(name)?;
        self.values.get_mut(number)
    }

    /// Keeps something under a name that is new.
    pub(super) fn insert(&mut self, name: String, value: T) {
        self.numbers.insert(name, self.values.len());
        self.values.push(value);
    }

    /// What is kept, in the order in which it came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_list_of_names_is_what_a_tree_of_them_would_be(
            steps in prop::collection::vec((any::<bool>(), "[ab]{0,3}", any::<usize>()), 0..60),
        ) {
            let (mut list, mut tree) = (Numbers::default(), BTreeMap::new());
            for (comes, name, number) in steps {
                if comes {
                    list.insert(name.clone(), number);
                    tree.insert(name, number);
                } else {
                    list.remove(&name);
                    tree.remove(&name);
                }
                let listed = list.0.iter().map(|(name, number)| (name, *number));
                prop_assert!(listed.eq(tree.iter().map(|(name, number)| (name, *number))));
            }
            for name in ["", "a", "b", "ab", "ba", "aaa", "bbb"] {
                prop_assert_eq!(list.get(name), tree.get(name).copied());
            }
        }
    }
}
