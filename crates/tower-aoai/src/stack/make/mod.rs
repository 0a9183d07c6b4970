//! Sections of a configuration, made into layers.

pub(super) mod breaker;
pub(super) mod context_window;
pub(super) mod cost;
pub(super) mod endpoint;
pub(super) mod leg;
pub(super) mod quota;
pub(super) mod retry;
pub(super) mod timeouts;

use crate::config::{Problem, Problems};

/// What is wrong with the setting at `key`.
pub(super) fn problem(key: impl Into<String>, message: impl Into<String>) -> Problems {
    Problem::new(key, message).into()
}

/// `value` with what was said, if anything was.
fn said<V, S>(value: V, setting: Option<S>, set: impl FnOnce(V, S) -> V) -> V {
    match setting {
        Some(setting) => set(value, setting),
        None => value,
    }
}
