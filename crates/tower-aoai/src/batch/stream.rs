//! The batch as it runs.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{FusedStream, Stream};
use futures_util::stream::FuturesUnordered;
use http::{Request, Response};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_aoai_core::{CallContext, Priority};
use tower_service::Service;

use super::{
    BatchBuilder, BatchHandle, DEFAULT_CONCURRENCY,
    builder::OnProgress,
    order::Order,
    pace::{Pace, Start},
    progress::Tracker,
};

type Outcome<S, Q> = Result<<S as Service<Q>>::Response, <S as Service<Q>>::Error>;

/// The results of a batch: made by [`BatchBuilder::run`].
///
/// Each item is the index of a request, from 0, and what became of it. The stream ends when all requests have ended,
/// or, with [`stop_after`](BatchBuilder::stop_after), when those in flight have.
///
/// # Errors
///
/// The batch has none. A result's error is the service's own, of its call or of its readiness; after one of readiness
/// the next request is sent by a fresh clone.
///
/// # Cancellation
///
/// Dropping the stream drops the requests in flight, and those that were not read yet with their iterator.
#[pin_project]
#[must_use = "streams do nothing unless polled"]
pub struct Batch<S, R>
where
    R: Stream,
    S: Service<R::Item>,
{
    service: S,
    /// The clone that is asked whether it is ready, and then called.
    sender: Option<S>,
    #[pin]
    requests: R,
    /// There are no more.
    is_read: bool,
    /// Read, and not started yet.
    next: Option<R::Item>,
    /// Of the next one to be started.
    index: usize,
    in_flight: FuturesUnordered<InFlight<S::Future>>,
    order: Order<Outcome<S, R::Item>>,
    pace: Pace,
    /// Boxed, so that the stream can be moved: `StreamExt::next` asks for that.
    pause: Option<Pin<Box<Sleep>>>,
    priority: Priority,
    on_progress: Option<OnProgress>,
    is_over: bool,
    // Behind what is in flight, so that it is dropped after it.
    tracker: Tracker,
}

#[pin_project]
struct InFlight<F> {
    index: usize,
    #[pin]
    future: F,
}

impl<F: Future> Future for InFlight<F> {
    type Output = (usize, F::Output);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.future.poll(cx).map(|output| (*this.index, output))
    }
}

impl<S, R> Batch<S, R>
where
    R: Stream,
    S: Service<R::Item>,
{
    pub(super) fn new(builder: BatchBuilder<S, R>) -> Self {
        Self {
            service: builder.service,
            sender: None,
            requests: builder.requests,
            is_read: false,
            next: None,
            index: 0,
            in_flight: FuturesUnordered::new(),
            order: if builder.is_ordered { Order::ordered() } else { Order::as_completed() },
            pace: Pace::new(builder.pace, DEFAULT_CONCURRENCY),
            pause: None,
            priority: builder.priority,
            on_progress: builder.on_progress,
            is_over: false,
            tracker: Tracker::new(builder.total),
        }
    }

    /// Shows how far the batch is, also while its stream is read elsewhere, and after that.
    #[must_use]
    pub fn handle(&self) -> BatchHandle {
        self.tracker.handle()
    }
}

impl<S, R, B, RB> Batch<S, R>
where
    R: Stream<Item = Request<B>>,
    S: Service<Request<B>, Response = Response<RB>> + Clone,
{
    /// Starts the next request, if one may start now; `Ready` if something has changed by that.
    fn poll_start(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let start = this.pace.next();
        let is_far_ahead = this.order.ahead(*this.index) >= this.pace.concurrency().saturating_mul(2);
        if matches!(start, Start::Later | Start::Never) || is_far_ahead || !this.order.has_room() {
            return Poll::Pending;
        }
        // Before any pause, so that none follows the last group.
        if this.next.is_none() {
            if *this.is_read {
                return Poll::Pending;
            }
            match ready!(this.requests.poll_next(cx)) {
                Some(request) => *this.next = Some(request),
                None => {
                    *this.is_read = true;
                    this.tracker.counted(*this.index);
                    return Poll::Pending;
                }
            }
        }
        if let Start::At(at) = start {
            ready!(this.pause.get_or_insert_with(|| Box::pin(sleep_until(at))).as_mut().poll(cx));
            *this.pause = None;
        }
        let sender = this.sender.get_or_insert_with(|| this.service.clone());
        let readiness = ready!(sender.poll_ready(cx));
        let Some(mut request) = this.next.take() else {
            return Poll::Pending;
        };
        let index = *this.index;
        *this.index += 1;
        this.pace.started();
        this.tracker.started(Instant::now());
        match readiness {
            Ok(()) => {
                mark(&mut request, *this.priority);
                this.in_flight.push(InFlight { index, future: sender.call(request) });
            }
            Err(error) => {
                *this.sender = None;
                count_end(this.pace, this.tracker, this.on_progress.as_ref(), true);
                this.order.put(index, Err(error));
            }
        }
        Poll::Ready(())
    }
}

/// Counts one that has ended, and tells of it.
fn count_end(pace: &mut Pace, tracker: &Tracker, on_progress: Option<&OnProgress>, is_failure: bool) {
    let now = Instant::now();
    pace.ended(now, is_failure);
    let progress = tracker.ended(now, is_failure, pace.is_stopped());
    if let Some(hook) = on_progress {
        hook(progress);
    }
}

/// For the queues of a stack: this is batch work, unless it says itself what it is.
fn mark<B>(request: &mut Request<B>, priority: Priority) {
    let context = CallContext::of(request);
    if context.priority() == Priority::default() {
        context.set_priority(priority);
    }
    #[cfg(feature = "fallback")]
    request.extensions_mut().get_or_insert(tower_aoai_fallback::Patience::Unlimited);
}

impl<S, R, B, RB> Stream for Batch<S, R>
where
    R: Stream<Item = Request<B>>,
    S: Service<Request<B>, Response = Response<RB>> + Clone,
{
    type Item = (usize, Result<Response<RB>, S::Error>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        loop {
            while self.as_mut().poll_start(cx).is_ready() {}
            let this = self.as_mut().project();
            if let Some(item) = this.order.pop() {
                return Poll::Ready(Some(item));
            }
            match Pin::new(&mut *this.in_flight).poll_next(cx) {
                Poll::Ready(Some((index, result))) => {
                    let is_failure = !result.as_ref().is_ok_and(|response| response.status().is_success());
                    count_end(this.pace, this.tracker, this.on_progress.as_ref(), is_failure);
                    this.order.put(index, result);
                }
                Poll::Ready(None) if this.pace.is_stopped() || (*this.is_read && this.next.is_none()) => {
                    *this.is_over = true;
                    this.tracker.over();
                    return Poll::Ready(None);
                }
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, None)
    }
}

impl<S, R, B, RB> FusedStream for Batch<S, R>
where
    R: Stream<Item = Request<B>>,
    S: Service<Request<B>, Response = Response<RB>> + Clone,
{
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl<S, R> fmt::Debug for Batch<S, R>
where
    R: Stream,
    S: Service<R::Item>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("progress", &self.tracker.handle().snapshot()).finish_non_exhaustive()
    }
}
