//! Which requests are the same.

use std::fmt;

use bytes::Bytes;
use http::Request;
use tower_aoai_core::RequestBody;
#[cfg(feature = "cost")]
use tower_aoai_cost::{Tag, Tags};

use crate::answer::Head;

/// A request, compared to the last byte: two with the same hash are still two.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    head: Head,
    body: Bytes,
    /// A stack limits the output of an agent's calls below.
    #[cfg(feature = "cost")]
    agent: Option<Box<str>>,
}

impl Key {
    pub(super) fn of<B>(request: &Request<B>, body: &RequestBody) -> Self {
        Self {
            head: Head::of(request),
            body: body.to_bytes(),
            #[cfg(feature = "cost")]
            agent: request.extensions().get().and_then(|tags: &Tags| tags.get(Tag::Agent)).map(Into::into),
        }
    }

    /// With a body of its own: a slice would keep all of the buffer that it was read into.
    pub(super) fn detached(&self) -> Self {
        Self { body: Bytes::copy_from_slice(&self.body), ..self.clone() }
    }

    pub(super) fn size(&self) -> usize {
        self.head.size() + self.body.len()
    }
}

/// Prompts are in the body.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("body_bytes", &self.body.len()).finish_non_exhaustive()
    }
}
