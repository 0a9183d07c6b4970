//! How a section of the configuration is declared, once: its settings, with their keys, and how two sources of them are
//! laid over each other.

use std::{collections::BTreeMap, fmt};

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
}

impl<T: Clone> Setting for Option<T> {
    fn fill(&mut self, from: &Self) {
        if self.is_none() {
            self.clone_from(from);
        }
    }
}

impl Setting for String {
    fn fill(&mut self, from: &Self) {
        if self.is_empty() {
            self.clone_from(from);
        }
    }
}

impl<T: Clone> Setting for Vec<T> {
    fn fill(&mut self, from: &Self) {
        if self.is_empty() {
            self.clone_from(from);
        }
    }
}

/// By key: what is missing in an entry of the same key is taken from the other's, too.
impl<K: Ord + Clone, T: Setting + Clone> Setting for BTreeMap<K, T> {
    fn fill(&mut self, from: &Self) {
        for (key, other) in from {
            self.entry(key.clone()).or_default().fill(other);
        }
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
        }
    };
}

pub(crate) use section;
