//! Which requests are the same.

use std::fmt;

use bytes::Bytes;
use http::Request;
use tower_aoai_core::RequestBody;

use crate::answer::Head;

/// A request, compared to the last byte: two with the same hash are still two.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    head: Head,
    body: Bytes,
}

impl Key {
    pub(super) fn of<B>(request: &Request<B>, body: &RequestBody) -> Self {
        Self { head: Head::of(request), body: body.to_bytes() }
    }

    /// With a body of its own: a slice would keep all of the buffer that it was read into.
    pub(super) fn detached(&self) -> Self {
        Self { head: self.head.clone(), body: Bytes::copy_from_slice(&self.body) }
    }

    pub(super) fn size(&self) -> usize {
        self.body.len()
    }
}

/// Prompts are in the body.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("body_bytes", &self.body.len()).finish_non_exhaustive()
    }
}
