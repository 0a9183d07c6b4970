use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};
use tower_aoai_core::{Rejected, Tenant};

use crate::{
    Charge, Permit, Priority,
    desk::{Arrival, Told},
    queue::{Ask, Place},
    shared::Shared,
};

/// Waits for a charge: see [`TokenBucketHandle::acquire`](crate::TokenBucketHandle::acquire).
///
/// It takes its place in the queue when it is first polled, and keeps it until it is over or dropped. The head of the
/// queue sets the one timer there is: a future that is polled no more, and not dropped, holds up those behind it.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire {
    shared: Arc<Shared>,
    ask: Ask,
    place: Option<Place>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Acquire {
    pub(crate) const fn new(shared: Arc<Shared>, ask: Ask) -> Self {
        Self { shared, ask, place: None, timer: None }
    }

    pub(crate) const fn of(shared: Arc<Shared>, charge: Charge) -> Self {
        let ask =
            Ask { charge, latest: None, is_deadline: false, spill_cost: None, priority: Priority(0), tenant: None };
        Self::new(shared, ask)
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
    pub(crate) fn poll_at(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Permit, Instant), Rejected>> {
        let mut now = Instant::now();
        loop {
            let (ask, place) = (self.ask, &mut self.place);
            let told = self.shared.change(|desk, wakes| {
                let waits_at = match *place {
                    Some(place) => place,
                    None => match desk.arrive(now, &ask, wakes) {
                        Arrival::Granted(grant) => return Told::Granted(grant),
                        Arrival::Refused(refused) => return Told::Refused(refused),
                        Arrival::Waits(here) => *place.insert(here),
                    },
                };
                desk.poll(now, waits_at, cx.waker(), wakes)
            });
            match told {
                Told::Granted(grant) => {
                    self.place = None;
                    self.timer = None;
                    if grant.is_near_limit {
                        tracing::info!("the use of the quota has risen to its threshold");
                    }
                    if !grant.waited.is_zero() {
                        let waited_ms = u64::try_from(grant.waited.as_millis()).unwrap_or(u64::MAX);
                        tracing::debug!(waited_ms, tokens = grant.charge.tokens, "let through");
                    }
                    return Poll::Ready(Ok((Permit::new(Arc::clone(&self.shared), grant), now)));
                }
                Told::Refused(refused) => {
                    self.place = None;
                    self.timer = None;
                    tracing::debug!(reason = ?refused.reason(), tokens = ask.charge.tokens, "refused");
                    return Poll::Ready(Err(refused));
                }
                Told::Wait(None) => {
                    self.timer = None;
                    return Poll::Pending;
                }
                Told::Wait(Some(at)) => {
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
                    if timer.deadline() != at {
                        timer.as_mut().reset(at);
                    }
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    now = Instant::now().max(at);
                }
            }
        }
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_at(cx).map_ok(|(permit, _)| permit)
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let now = Instant::now();
            self.shared.change(|desk, wakes| desk.leave(now, place, wakes));
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("charge", &self.ask.charge)
            .field("is_queued", &self.place.is_some())
            .finish_non_exhaustive()
    }
}
