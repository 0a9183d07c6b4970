//! How a section of the configuration is declared, once: its settings, with their keys, and how two sources of them are
//! laid over each other.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::read::{Key, Read, Table};

/// A bound that may be lifted: `"unlimited"` in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit<T> {
    /// There is none.
    Unlimited,
    /// This is it.
    Of(T),
}

impl<T> Limit<T> {
    /// The bound, if there is one.
    #[must_use]
    pub fn get(self) -> Option<T> {
        match self {
            Self::Unlimited => None,
            Self::Of(bound) => Some(bound),
        }
    }
}

impl<T> From<T> for Limit<T> {
    fn from(bound: T) -> Self {
        Self::Of(bound)
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Of(bound) => bound.fmt(f),
        }
    }
}

/// What can stand in a section: it may be missing, and then be taken from elsewhere.
pub(crate) trait Setting: Default {
    /// Takes what is missing here from there.
    fn fill(&mut self, from: &Self);

    /// Reads it from a table.
    fn take(table: &Table<'_>, key: &'static str) -> Self;
}

/// Of two times that are now filled, of which the first is at most the second: the one that was not `said` gives way to
/// the one that was.
pub(super) fn give_way(
    said: (Option<Duration>, Option<Duration>),
    first: &mut Option<Duration>,
    longest: &mut Option<Duration>,
) {
    match (said, first.zip(*longest)) {
        ((Some(first), None), Some((_, usual))) => *longest = Some(usual.max(first)),
        ((None, Some(longest)), Some((usual, _))) => *first = Some(usual.min(longest)),
        _ => {}
    }
}

impl<T: Clone + Read> Setting for Option<T> {
    fn fill(&mut self, from: &Self) {
        if self.is_none() {
            self.clone_from(from);
        }
    }

    fn take(table: &Table<'_>, key: &'static str) -> Self {
        table.get(key).and_then(|node| T::read(&node))
    }
}

/// That it is missing is told when the whole is judged.
impl Setting for String {
    fn fill(&mut self, from: &Self) {
        if self.is_empty() {
            self.clone_from(from);
        }
    }

    fn take(table: &Table<'_>, key: &'static str) -> Self {
        table.get(key).and_then(|node| Self::read(&node)).unwrap_or_default()
    }
}

impl<T: Clone + Read> Setting for Vec<T> {
    fn fill(&mut self, from: &Self) {
        if self.is_empty() {
            self.clone_from(from);
        }
    }

    fn take(table: &Table<'_>, key: &'static str) -> Self {
        table.get(key).and_then(|node| Self::read(&node)).unwrap_or_default()
    }
}

/// By key: what is missing in an entry of the same key is taken from the other's, too.
impl<K: Key, T: Setting + Clone + Read> Setting for BTreeMap<K, T> {
    fn fill(&mut self, from: &Self) {
        for (key, other) in from {
            self.entry(key.clone()).or_default().fill(other);
        }
    }

    fn take(table: &Table<'_>, key: &'static str) -> Self {
        let entries = table.get(key).and_then(|node| node.table());
        let Some(entries) = entries else {
            return Self::new();
        };
        let mut read = Self::new();
        for (name, node) in entries.entries() {
            match K::of_key(&name) {
                Ok(key) => {
                    read.extend(T::read(&node).map(|value| (key, value)));
                }
                Err(message) => entries.wrong_key(&name, message),
            }
        }
        read
    }
}

/// Declares a section: a struct of settings, each with the key of its name, or the one behind `as`.
macro_rules! section {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $($(#[$doc:meta])* pub $field:ident $(as $key:literal)?: $type:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $crate::config::setting::Setting for $name {
            fn fill(&mut self, from: &Self) {
                $($crate::config::setting::Setting::fill(&mut self.$field, &from.$field);)*
            }

            fn take(table: &$crate::config::read::Table<'_>, key: &'static str) -> Self {
                let node = table.get(key);
                node.and_then(|node| $crate::config::read::Read::read(&node)).unwrap_or_default()
            }
        }

        impl $name {
            /// Reads all that a table says, and notes what it may not say.
            pub(crate) fn of_table(table: &$crate::config::read::Table<'_>) -> Self {
                let section = Self {
                    $($field: {
                        let key = $crate::config::setting::key_of!($field $($key)?);
                        $crate::config::setting::Setting::take(table, key)
                    },)*
                };
                table.done();
                section
            }
        }

        impl $crate::config::read::Read for $name {
            fn read(node: &$crate::config::read::Node<'_>) -> Option<Self> {
                node.table().map(|table| Self::of_table(&table))
            }

            fn wanted() -> String {
                $crate::config::read::TABLE.to_owned()
            }
        }
    };
}

macro_rules! key_of {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

pub(crate) use {key_of, section};
