//! All stacks of the process.

use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use super::{Statistics, shared::Shared};

/// Stacks that are known at once; of more, the statistics work as ever and are not listed.
const STACKS: usize = 1_024;

static ALL: LazyLock<Mutex<Vec<Weak<Shared>>>> = LazyLock::new(Mutex::default);

/// The statistics of every stack of this process that is still there, oldest first: at most 1,024.
///
/// A stack is there as long as something holds its [`Statistics`].
#[must_use]
pub fn all_stacks() -> Vec<Statistics> {
    ALL.lock().iter().filter_map(Weak::upgrade).map(Statistics::of).collect()
}

/// Lists a stack, and tells where another one has its name.
pub(crate) fn enter(stack: &Arc<Shared>) {
    let name = stack.name();
    let mut all = ALL.lock();
    all.retain(|known| known.strong_count() > 0);
    let is_full = all.len() >= STACKS;
    // Not dropped here: the last one to let go of a stack must not hold the list.
    let others: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
    if !is_full {
        all.push(Arc::downgrade(stack));
    }
    drop(all);
    if is_full {
        tracing::warn!(stack = &*name, "{STACKS} stacks are listed already: this one is not");
    }
    if others.iter().any(|known| known.name() == name) {
        tracing::warn!(stack = &*name, "there is another stack of this name: give each its own to tell them apart");
    }
}
