//! A quota that is kept in this process.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_aoai_core::{Admission, Load, QuotaHeaders, Rejected};

use crate::{
    Ask, Cause, Charge, Granted, Settlement, Store,
    desk::{Arrival, Desk, Grant, Told, Wakes},
    ledger::Booking,
    queue::Place,
};

/// A quota that is kept in this process: one short lock around mirror and queue, no task, one timer.
pub struct Local {
    desk: Mutex<Desk>,
}

/// A place in the queue of a [`Local`] quota, with the timer, if it is the head's.
#[derive(Debug, Default)]
pub struct LocalWaiting {
    place: Option<Place>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A charge granted by a [`Local`] quota.
#[derive(Debug)]
pub struct LocalTicket {
    booking: Booking,
    generation: u32,
}

impl Local {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk: Mutex::new(desk) }
    }

    /// Changes the state, and wakes whom that concerns once the lock is given back.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Desk, &mut Wakes) -> T) -> T {
        let mut wakes = Wakes::new();
        let result = change(&mut self.desk.lock(), &mut wakes);
        for waker in wakes {
            waker.wake();
        }
        result
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Desk) -> T) -> T {
        look(&self.desk.lock())
    }
}

impl Store for Local {
    type Waiting = LocalWaiting;
    type Ticket = LocalTicket;

    fn poll_reserve(
        &self,
        ask: &Ask,
        waiting: &mut LocalWaiting,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Granted<LocalTicket>, Rejected>> {
        let mut now = Instant::now();
        loop {
            let place = &mut waiting.place;
            let told = self.change(|desk, wakes| {
                let waits_at = match *place {
                    Some(place) => place,
                    None => match desk.arrive(now, ask, wakes) {
                        Arrival::Granted(grant) => return Told::Granted(grant),
                        Arrival::Refused(refused) => return Told::Refused(refused),
                        Arrival::Waits(here) => *place.insert(here),
                    },
                };
                desk.poll(now, waits_at, cx.waker(), wakes)
            });
            match told {
                Told::Granted(grant) => {
                    *waiting = LocalWaiting::default();
                    tell(&grant);
                    let ticket = LocalTicket { booking: Booking::default(), generation: grant.generation };
                    return Poll::Ready(Ok(Granted { ticket, at: now, waited: grant.waited }));
                }
                Told::Refused(refused) => {
                    *waiting = LocalWaiting::default();
                    tracing::debug!(reason = ?refused.reason(), tokens = ask.charge.tokens, "refused");
                    return Poll::Ready(Err(refused));
                }
                Told::Wait(None) => {
                    waiting.timer = None;
                    return Poll::Pending;
                }
                Told::Wait(Some(at)) => {
                    let timer = waiting.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
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

    fn abandon(&self, _: &Ask, waiting: &mut LocalWaiting) {
        if let Some(place) = waiting.place.take() {
            let now = Instant::now();
            self.change(|desk, wakes| desk.leave(now, place, wakes));
        }
    }

    fn sent(&self, ticket: &mut LocalTicket, charge: Charge, sent: Instant) {
        ticket.booking = self.change(|desk, wakes| desk.send(sent, sent, charge, wakes));
    }

    fn cancel(&self, _: LocalTicket, charge: Charge) {
        self.change(|desk, wakes| desk.cancel(Instant::now, charge, wakes));
    }

    fn settle(&self, ticket: LocalTicket, charge: Charge, settlement: Settlement) {
        let LocalTicket { booking, generation } = ticket;
        self.change(|desk, wakes| desk.settle(Instant::now, booking, charge, generation, settlement, wakes));
    }

    fn hear(&self, ticket: &LocalTicket, headers: &QuotaHeaders) {
        let now = Instant::now();
        let lesson = self.change(|desk, wakes| desk.hear(now, ticket.booking, headers, wakes));
        if lesson.changes_limits() {
            tracing::info!(
                tokens_per_minute = lesson.tokens,
                requests_per_minute = lesson.requests,
                "the server says that the quota is another one than was in force"
            );
        }
        if lesson.others > 0 {
            tracing::trace!(tokens = lesson.others, "others use the quota, too");
        }
    }

    fn shut(&self, until: Instant, cause: Cause) {
        let now = Instant::now();
        self.change(|desk, wakes| desk.shut_until(now, until, cause, wakes));
    }

    fn admission(&self, ask: &Ask, from: Instant) -> Admission {
        self.look(|desk| desk.admission(from, ask))
    }

    fn can_ever(&self, charge: Charge) -> bool {
        self.look(|desk| desk.ledger.can_ever(charge))
    }

    fn load(&self) -> Load {
        self.look(|desk| Load::new(desk.ledger.in_flight(), desk.queued()))
    }
}

fn tell(grant: &Grant) {
    if grant.is_near_limit {
        tracing::info!("the use of the quota has risen to its threshold");
    }
    if !grant.waited.is_zero() {
        let waited_ms = u64::try_from(grant.waited.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(waited_ms, tokens = grant.charge.tokens, "let through");
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
