//! A bounded number of label sets with the handles that belong to them.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::RwLock;

/// A set of labels.
pub(super) trait Labels: Eq + Hash {
    /// The same with every name that is not of a fixed set left out: of these there are few.
    fn folded(&self) -> Self;
}

/// Values by label set: at most so many, and one for each folded set.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    values: RwLock<HashMap<K, Arc<V>>>,
    bound: usize,
}

impl<K: Labels, V> Table<K, V> {
    pub(super) fn new(bound: usize) -> Self {
        Self { values: RwLock::default(), bound }
    }

    pub(super) fn set_bound(&mut self, bound: usize) {
        self.bound = bound;
    }

    /// The value of this set; made if there is room for one more, else that of the folded set.
    pub(super) fn get(&self, key: K, make: impl FnOnce(&K) -> V) -> Arc<V> {
        let folded = {
            let values = self.values.read();
            if let Some(value) = values.get(&key) {
                return Arc::clone(value);
            }
            let folded = (values.len() >= self.bound).then(|| key.folded());
            if let Some(value) = folded.as_ref().and_then(|folded| values.get(folded)) {
                return Arc::clone(value);
            }
            folded
        };
        let mut values = self.values.write();
        let is_known = values.contains_key(&key);
        let key = match folded {
            Some(folded) => folded,
            // Others may have taken the room meanwhile.
            None if values.len() >= self.bound && !is_known => key.folded(),
            None => key,
        };
        let value = match values.get(&key) {
            Some(value) => value,
            None => {
                let value = Arc::new(make(&key));
                values.entry(key).or_insert(value)
            }
        };
        Arc::clone(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names from 1 on, of which 0 stands for all others, and a word of a fixed set.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    struct Pair(u16, u8);

    impl Labels for Pair {
        fn folded(&self) -> Self {
            Self(0, self.1)
        }
    }

    proptest! {
        #[test]
        fn a_set_keeps_its_value_and_there_are_never_more_than_the_bound_and_the_folded(
            bound in 0_usize..12,
            asked in prop::collection::vec((1_u16..40, 0_u8..4), 0..200),
        ) {
            let table = Table::new(bound);
            let mut known: HashMap<Pair, Pair> = HashMap::new();
            for (name, word) in asked {
                let pair = Pair(name, word);
                let got = *table.get(pair, |made| *made);
                prop_assert!(got == pair || got == pair.folded());
                prop_assert_eq!(*known.entry(pair).or_insert(got), got, "the same set, the same value");
            }
            let values = table.values.read();
            prop_assert!(values.keys().filter(|pair| pair.0 != 0).count() <= bound);
            prop_assert!(values.len() <= bound + 4);
        }
    }
}
