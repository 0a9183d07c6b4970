//! The layer and its one setting.

use tower_layer::Layer;

use super::Prepare;

/// The most that is taken of a body unless something else is [set](PrepareLayer::body_limit): 32 MiB.
///
/// The largest single things that Azure documents fit: a picture of 20 MB, which is 27 MB as a data URL, or 25 MB of
/// speech to transcribe; the text of a million tokens is about 4 MB. Larger uploads, such as those to `/files`, need a
/// larger limit, or a way around this layer.
pub const DEFAULT_BODY_LIMIT: usize = 32 * 1024 * 1024;

/// Takes the body of each request into memory and reads what it asks for: see the [module](super).
#[derive(Debug, Clone, Copy)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct PrepareLayer {
    body_limit: usize,
}

impl PrepareLayer {
    /// A layer that takes bodies of up to [`DEFAULT_BODY_LIMIT`] bytes.
    pub const fn new() -> Self {
        Self { body_limit: DEFAULT_BODY_LIMIT }
    }

    /// Takes bodies of up to so many bytes; the limit itself is allowed.
    ///
    /// A longer one is refused with [`Reason::BodyTooLarge`](crate::Reason::BodyTooLarge): before a byte of it is read
    /// if its size hint or its `content-length` says so, else at the first frame that goes beyond.
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }
}

impl Default for PrepareLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for PrepareLayer {
    type Service = Prepare<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Prepare::new(inner, self.body_limit)
    }
}
