//! How a call stands among others that wait for the same thing.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

/// The class of a call where it has to wait. 0, the default, is the most urgent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

/// For whom a call is made, where those who wait are to have equal shares.
///
/// Only a hash of the name is kept, so that a name, or a key, reaches no log, and comparing costs nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(u64);

impl Tenant {
    /// The tenant of this name; equal names are one tenant.
    ///
    /// ```
    /// use tower_aoai_core::Tenant;
    ///
    /// assert_eq!(Tenant::named("acme"), Tenant::named(&String::from("acme")));
    /// ```
    #[must_use]
    pub fn named<T: Hash + ?Sized>(name: &T) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({:016x})", self.0)
    }
}
