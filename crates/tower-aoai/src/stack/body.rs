//! Bodies of one type, whatever they are made of.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use pin_project::pin_project;

use super::flight::Ticket;
use crate::core::{BoxError, Error, RequestBody};

type Erased<E> = Pin<Box<dyn Body<Data = Bytes, Error = E> + Send + Sync>>;

/// The body of an answer: erased once, at the edge of the stack.
///
/// Dropping it before its end gives the call up: what it holds in the stack goes back, and the connection is closed.
pub struct AnswerBody {
    inner: Erased<Error>,
    ticket: Option<Ticket>,
}

/// `body`, as an [`AnswerBody`]; one that is one already stays it.
pub(super) fn erase<B>(body: B) -> AnswerBody
where
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    match downcast(body) {
        Ok(own) => own,
        Err(body) => AnswerBody { inner: Box::pin(Flattened { inner: body }), ticket: None },
    }
}

/// `value`, if it is a `T`.
fn downcast<V: 'static, T: 'static>(value: V) -> Result<T, V> {
    let mut value = Some(value);
    let taken = (&mut value as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take);
    match (taken, value) {
        (Some(taken), _) => Ok(taken),
        (None, Some(value)) => Err(value),
        (None, None) => unreachable!("it is one of the two"),
    }
}

impl AnswerBody {
    /// The call is under way until the body has ended.
    pub(super) fn holding(mut self, ticket: Ticket) -> Self {
        if !self.is_end_stream() {
            self.ticket = Some(ticket);
        }
        self
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = self.inner.as_mut().poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) || (frame.is_ready() && self.inner.is_end_stream()) {
            self.ticket = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}

/// With the one error.
#[pin_project]
struct Flattened<B> {
    #[pin]
    inner: B,
}

impl<B> Body for Flattened<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.project().inner.poll_frame(cx).map_err(Error::flatten)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a request, as it comes in.
pub(super) enum AskBody {
    /// In memory already, as most are.
    Whole(Full<Bytes>),
    Streamed(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>),
}

impl AskBody {
    pub(super) fn of<B>(body: B) -> Self
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let body = match downcast(body) {
            Ok(full) => return Self::Whole(full),
            Err(body) => body,
        };
        let body = match downcast::<_, RequestBody>(body) {
            Ok(own) => return Self::Whole(Full::new(own.to_bytes())),
            Err(body) => body,
        };
        let whole = |frame: Frame<B::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        Self::Streamed(Box::pin(body.map_frame(whole).map_err(Into::into)))
    }
}

impl Body for AskBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Streamed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => body.size_hint(),
        }
    }
}
