//! The body that is watched as it passes.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{
    watch::{Passing, Watch},
    witness::{News, Witness},
};
use crate::{BoxError, Error, Verdict};

/// The body of an observed response.
///
/// It hands on the frames of the inner body as they come, unchanged and with trailers. Only where the usage was asked
/// for on the caller's behalf ([`CallContext::usage_added`](crate::CallContext::usage_added)) is the extra usage event
/// taken out, and then an event that spans frames is handed on as one frame when it is complete.
///
/// Dropped before its end, the attempt is cancelled, unless what was handed on is already a whole answer: `[DONE]`, a
/// terminal event, a complete JSON object.
///
/// # Errors
///
/// The inner body's, flattened ([`Error::flatten`]); none of its own.
#[must_use = "a body does nothing unless polled"]
pub struct ObservedBody<B> {
    inner: B,
    /// What came and is to be handed on before what still comes.
    ahead: VecDeque<Passing>,
    /// The inner body's error, to be handed on behind `ahead`.
    error: Option<Error>,
    /// The inner body ended, or failed.
    over: bool,
    watch: Watch,
    witness: Option<Box<Witness>>,
}

/// Frames that are taken in one poll, if none of them can be handed on.
const STEPS: usize = 32;

/// How a step of the inner body went.
pub(super) enum Step {
    /// So many bytes came, and may be handed on, or are withheld.
    Came(usize),
    /// The body is over.
    Over,
}

impl<B> ObservedBody<B> {
    pub(super) fn new(inner: B, watch: Watch, witness: Option<Box<Witness>>) -> Self {
        Self { inner, ahead: VecDeque::new(), error: None, over: false, watch, witness }
    }

    pub(super) fn witness(&mut self) -> Option<&mut Witness> {
        self.witness.as_deref_mut()
    }

    /// Whether all that came so far may be held, and a held failure be tried again.
    pub(super) fn is_preamble(&self) -> bool {
        self.watch.is_preamble()
    }

    /// The data that was read ahead.
    pub(super) fn read(&self) -> impl Iterator<Item = &Bytes> {
        self.ahead.iter().filter_map(|passing| passing.frame.data_ref())
    }

    /// What the error answer means whose body begins like this.
    pub(super) fn judge_error(&self, headers: &HeaderMap, body: &[u8]) -> Option<Verdict> {
        let witness = self.witness.as_ref()?;
        Some(witness.judge_error_body(headers, body))
    }

    /// The error that reading ahead met, as the caller would meet it.
    pub(super) fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }
}

impl<B> ObservedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Ends the attempt at once if there is nothing to read.
    pub(super) fn end_if_empty(&mut self) {
        if self.inner.is_end_stream() && !self.over {
            self.over = true;
            if let Some(witness) = &mut self.witness {
                let news = self.watch.end(witness, &mut self.ahead);
                witness.note(news);
            }
        }
    }

    /// Reads a frame of the inner body ahead. What is known to have failed before any content is written down at
    /// once, the rest when it is handed on.
    pub(super) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if self.over {
            return Poll::Ready(Step::Over);
        }
        let before = self.ahead.len();
        let withheld = self.watch.withheld();
        if let Some(passing) = ready!(self.poll_inner(cx)) {
            self.ahead.push_back(passing);
        }
        if let (Some(witness), Some(last)) = (&mut self.witness, self.ahead.back()) {
            witness.note_early(last.news);
        }
        let data = self.ahead.iter().skip(before);
        let came: usize = data.filter_map(|passing| passing.frame.data_ref().map(Bytes::len)).sum();
        let came = (came + self.watch.withheld()).saturating_sub(withheld);
        Poll::Ready(if self.over { Step::Over } else { Step::Came(came) })
    }

    /// Takes one step of the inner body. `None`: look at `ahead`, `error` and `over`.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Passing>> {
        let next = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let Some(witness) = &mut self.witness else {
            return Poll::Ready(self.unwatched(next));
        };
        let out = &mut self.ahead;
        let (mut passing, news) = match next {
            Some(Ok(frame)) => {
                let passing = self.watch.frame(frame, witness, out);
                if !self.inner.is_end_stream() {
                    return Poll::Ready(passing);
                }
                // Who asks `is_end_stream` will not poll again.
                (passing, self.watch.end(witness, out))
            }
            Some(Err(error)) => {
                let error = Error::flatten(error);
                let news = self.watch.failed(&error, witness, out);
                self.error = Some(error);
                (None, news)
            }
            None => (None, self.watch.end(witness, out)),
        };
        self.over = true;
        match passing.as_mut().or(out.back_mut()) {
            Some(last) => last.news.add(news),
            None => witness.note(news),
        }
        Poll::Ready(passing)
    }

    fn unwatched(&mut self, next: Option<Result<Frame<Bytes>, B::Error>>) -> Option<Passing> {
        match next {
            Some(Ok(frame)) => {
                let news = News::default();
                return Some(Passing { frame, news });
            }
            Some(Err(error)) => self.error = Some(Error::flatten(error)),
            None => {}
        }
        self.over = true;
        None
    }
}

impl<B> Body for ObservedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        for _ in 0..STEPS {
            let passing = match this.ahead.pop_front() {
                Some(passing) => Some(passing),
                None if this.over => return Poll::Ready(this.error.take().map(Err)),
                None => ready!(this.poll_inner(cx)),
            };
            if let Some(Passing { frame, news }) = passing {
                if let Some(witness) = &mut this.witness {
                    witness.note(news);
                }
                return Poll::Ready(Some(Ok(frame)));
            }
        }
        // All of these were withheld: others have their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Not before the end was seen here, even where the inner body's end came between two polls: nobody would poll for
    /// it, and the attempt would look like one that its caller gave up.
    fn is_end_stream(&self) -> bool {
        let over = self.over || (self.witness.is_none() && self.inner.is_end_stream());
        over && self.ahead.is_empty() && self.error.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = if self.over { SizeHint::with_exact(0) } else { self.inner.size_hint() };
        let ahead = self.read().map(|data| data.len() as u64).sum::<u64>();
        let withheld = self.watch.withheld() as u64;
        let mut hint = SizeHint::new();
        // The upper bound first: the setters check each other.
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(ahead + withheld));
        }
        hint.set_lower(if self.watch.strips() { ahead } else { inner.lower().saturating_add(ahead + withheld) });
        hint
    }
}

/// How much is held, not what: an answer belongs in no log.
impl<B> fmt::Debug for ObservedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedBody")
            .field("ahead", &self.ahead.len())
            .field("over", &self.over)
            .field("attempt", &self.witness.as_ref().map(|witness| witness.attempt()))
            .finish_non_exhaustive()
    }
}
