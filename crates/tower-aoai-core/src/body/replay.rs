//! Whether a body can be sent again.

use bytes::Bytes;
use http_body::Body;
use http_body_util::{Empty, Full};

use super::RequestBody;

/// A request body that may be sent more than once.
pub trait Replay: Body + Sized {
    /// The same body once more, from its beginning; `None` if it can be sent only once.
    ///
    /// Asked before the body is first polled; must be cheap.
    fn try_clone(&self) -> Option<Self>;
}

impl Replay for Full<Bytes> {
    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Replay for Empty<Bytes> {
    fn try_clone(&self) -> Option<Self> {
        Some(*self)
    }
}

impl Replay for RequestBody {
    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}
