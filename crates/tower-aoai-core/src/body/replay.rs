//! Whether a body can be sent again.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Empty, Full};
use pin_project::pin_project;

use super::RequestBody;

/// A request body that may be sent more than once.
///
/// For a body that is not listed here there is [`replay_with`].
pub trait Replay: Body + Sized {
    /// The same body once more, from its beginning; `None` if it can be sent only once.
    ///
    /// Asked before the body is first polled; must be cheap.
    fn try_clone(&self) -> Option<Self>;
}

/// The same request once more, with its headers and extensions; `None` if its body can be sent only once.
#[must_use]
pub fn try_clone_request<B: Replay>(request: &Request<B>) -> Option<Request<B>> {
    let mut copy = Request::new(request.body().try_clone()?);
    request.method().clone_into(copy.method_mut());
    request.uri().clone_into(copy.uri_mut());
    *copy.version_mut() = request.version();
    request.headers().clone_into(copy.headers_mut());
    request.extensions().clone_into(copy.extensions_mut());
    Some(copy)
}

/// A polled `Full` cannot be told from an empty one: ask before the first poll.
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

/// From its beginning with all its edits, also when it was polled.
impl Replay for RequestBody {
    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// Says how a body of any type is sent again.
///
/// `again` is given the body, not yet polled, and makes another one like it, or `None` if it cannot: then the call is
/// tried once. It must be cheap and must not block; a file is better opened on its first poll.
///
/// ```
/// use tower_aoai_core::{Replay, replay_with};
/// # use http_body_util::{BodyExt, Full, combinators::BoxBody};
/// # use bytes::Bytes;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let open = || BoxBody::new(Full::new(Bytes::from_static(b"the same again")));
/// let body = replay_with(open(), move |_| Some(open()));
/// let again = body.try_clone().expect("it can be made anew");
/// assert_eq!(again.collect().await.unwrap().to_bytes(), "the same again");
/// # }
/// ```
pub fn replay_with<B, F>(body: B, again: F) -> ReplayWith<B, F>
where
    B: Body,
    F: Fn(&B) -> Option<B> + Clone,
{
    ReplayWith { body, again, polled: false }
}

/// A body and how it is sent again: made by [`replay_with`].
///
/// Frames, trailers, errors and size are those of the body. Once it was polled it cannot be sent again: `again` would
/// be asked for the rest and not for the whole.
#[pin_project]
#[derive(Clone)]
pub struct ReplayWith<B, F> {
    #[pin]
    body: B,
    again: F,
    polled: bool,
}

impl<B, F> Replay for ReplayWith<B, F>
where
    B: Body,
    F: Fn(&B) -> Option<B> + Clone,
{
    fn try_clone(&self) -> Option<Self> {
        if self.polled {
            return None;
        }
        let body = (self.again)(&self.body)?;
        Some(replay_with(body, self.again.clone()))
    }
}

impl<B: Body, F> Body for ReplayWith<B, F> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        *this.polled = true;
        this.body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B, F> fmt::Debug for ReplayWith<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayWith").field("polled", &self.polled).finish_non_exhaustive()
    }
}
