//! What is said of a batch before it runs.

use std::{fmt, sync::Arc, time::Duration};

use futures_core::Stream;
use http::Request;
use tower_aoai_core::Priority;
use tower_service::Service;

use super::{
    Batch, CollectBodies, FromIter, Progress,
    pace::{Groups, Settings},
};

/// How many requests are sent at a time unless something else is [set](BatchBuilder::concurrency): 16.
pub const DEFAULT_CONCURRENCY: usize = 16;

/// The class in which the requests of a batch wait unless another is [set](BatchBuilder::priority): the one behind the
/// most urgent.
pub const BATCH_PRIORITY: Priority = Priority(1);

pub(super) type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// A batch that does not run yet: made by [`batch`] or [`batch_stream`].
#[must_use = "a batch does nothing until it is run, and its stream polled"]
pub struct BatchBuilder<S, R> {
    pub(super) service: S,
    pub(super) requests: R,
    pub(super) pace: Settings,
    pub(super) total: Option<usize>,
    pub(super) is_ordered: bool,
    pub(super) priority: Priority,
    pub(super) on_progress: Option<OnProgress>,
}

/// The requests of an iterator through `service`: see the [module](super).
///
/// The iterator is asked for the next request when there is room for it; it should not block.
pub fn batch<S, I: IntoIterator>(service: S, requests: I) -> BatchBuilder<S, FromIter<I::IntoIter>> {
    batch_stream(service, FromIter::new(requests.into_iter()))
}

/// The requests of a stream through `service`: see the [module](super).
pub fn batch_stream<S, R: Stream>(service: S, requests: R) -> BatchBuilder<S, R> {
    let total = match requests.size_hint() {
        (least, Some(most)) if least == most => Some(least),
        _ => None,
    };
    BatchBuilder {
        service,
        requests,
        pace: Settings { concurrency: None, groups: None, stop_after: None },
        total,
        is_ordered: false,
        priority: BATCH_PRIORITY,
        on_progress: None,
    }
}

impl<S, R> BatchBuilder<S, R> {
    /// Sends at most so many requests at a time; 0 is taken as 1. Default: [`DEFAULT_CONCURRENCY`], or the size of a
    /// [group](Self::groups).
    pub const fn concurrency(mut self, requests: usize) -> Self {
        self.pace.concurrency = Some(requests);
        self
    }

    /// Sends groups of `size` requests (0 is taken as 1); when all of a group have ended, waits for `pause` before the
    /// next one. No pause follows the last group. Default: no groups.
    ///
    /// All of a group are sent at once, or as many at a time as [`concurrency`](Self::concurrency) says.
    pub const fn groups(mut self, size: usize, pause: Duration) -> Self {
        self.pace.groups = Some(Groups { size, pause });
        self
    }

    /// Hands results on in the order of the requests. Default: as they come.
    ///
    /// A result that comes early is kept until its turn; at most twice as many requests as are sent at a time are begun
    /// ahead of the first that has not ended.
    pub const fn ordered(mut self) -> Self {
        self.is_ordered = true;
        self
    }

    /// Starts no more requests once so many have failed; those in flight end, and are handed on. 0 starts none.
    /// Default: never stops.
    ///
    /// What was not started stays unread in its iterator or stream, except for one.
    pub const fn stop_after(mut self, failures: usize) -> Self {
        self.pace.stop_after = Some(failures);
        self
    }

    /// The class in which requests wait that name none themselves. Default: [`BATCH_PRIORITY`].
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Says how many requests there are, for the estimate of the time left. Default: what the iterator knows.
    pub const fn total(mut self, requests: usize) -> Self {
        self.total = Some(requests);
        self
    }

    /// Calls `hook` after each request that has ended, before its result is handed on. It must not block. Default:
    /// none.
    pub fn on_progress(mut self, hook: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(hook));
        self
    }

    /// Reads bodies to their end, up to `limit` bytes each, before a result is handed on and its slot free.
    ///
    /// A longer one fails with [`BodyLimitExceeded`](super::BodyLimitExceeded). The errors of results become
    /// [`tower_aoai_core::Error`].
    pub fn collect_bodies(self, limit: usize) -> BatchBuilder<CollectBodies<S>, R> {
        let Self { service, requests, pace, total, is_ordered, priority, on_progress } = self;
        let service = CollectBodies::new(service, limit);
        BatchBuilder { service, requests, pace, total, is_ordered, priority, on_progress }
    }

    /// The batch as a stream of `(index, result)`, the index being the request's, from 0. It runs while it is polled.
    pub fn run<B>(self) -> Batch<S, R>
    where
        S: Service<Request<B>>,
        R: Stream<Item = Request<B>>,
    {
        Batch::new(self)
    }
}

impl<S, R> fmt::Debug for BatchBuilder<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder")
            .field("pace", &self.pace)
            .field("total", &self.total)
            .field("is_ordered", &self.is_ordered)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}
