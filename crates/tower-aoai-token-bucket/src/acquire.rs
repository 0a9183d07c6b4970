use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;
use tower_aoai_core::{Priority, Rejected, Tenant};

use crate::{Ask, Local, Permit, Store, shared::Shared};

/// Waits for a charge: see [`TokenBucketHandle::acquire`](crate::TokenBucketHandle::acquire).
///
/// It takes its place in the queue when it is first polled, and keeps it until it is over or dropped. The head of the
/// queue sets the one timer there is: a future that is polled no more, and not dropped, holds up those behind it.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<St: Store = Local> {
    /// `None` once it is over.
    shared: Option<Arc<Shared<St>>>,
    ask: Ask,
    waiting: Option<St::Waiting>,
}

impl<St: Store> Acquire<St> {
    pub(crate) const fn new(shared: Arc<Shared<St>>, ask: Ask) -> Self {
        Self { shared: Some(shared), ask, waiting: None }
    }

    /// Refuses what cannot start before `at`, at once where that can be told, and at that instant at the latest.
    pub const fn start_by(mut self, at: Instant) -> Self {
        self.ask.latest = Some(at);
        self
    }

    /// Which class it waits in, where the [order](crate::Order) asks for it.
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.ask.priority = priority;
        self
    }

    /// For whom it is, where the order [shares out](crate::Order::Fair).
    pub const fn tenant(mut self, tenant: Tenant) -> Self {
        self.ask.tenant = Some(tenant);
        self
    }

    /// Tells it at which instant it was let through, too.
    pub(crate) fn poll_at(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Permit<St>, Instant), Rejected>> {
        let Some(shared) = &self.shared else {
            return Poll::Pending;
        };
        let waiting = self.waiting.get_or_insert_default();
        let answer = ready!(shared.store.poll_reserve(&self.ask, waiting, cx));
        self.waiting = None;
        let shared = self.shared.take();
        Poll::Ready(
            answer.map(|granted| (Permit::new(shared, self.ask.charge, granted.ticket, granted.waited), granted.at)),
        )
    }
}

impl<St: Store> Future for Acquire<St> {
    type Output = Result<Permit<St>, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_at(cx).map_ok(|(permit, _)| permit)
    }
}

impl<St: Store> Drop for Acquire<St> {
    fn drop(&mut self) {
        if let (Some(shared), Some(waiting)) = (&self.shared, &mut self.waiting) {
            shared.store.abandon(&self.ask, waiting);
        }
    }
}

impl<St: Store> fmt::Debug for Acquire<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("charge", &self.ask.charge)
            .field("is_waiting", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}
