use std::{fmt, mem, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::QuotaHeaders;

use crate::{Charge, Ending, desk::Grant, ledger::Booking, shared::Shared};

/// A granted charge, for code that is no tower stack: see [`TokenBucketHandle::acquire`](crate::TokenBucketHandle::acquire).
///
/// It holds its place in flight until it is dropped. One that is dropped unsent is given back whole; one that was
/// [sent](Self::sent) is settled: for what was [used](Self::used) where the [accounting](crate::Accounting) corrects, for
/// its estimate otherwise.
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    shared: Arc<Shared>,
    grant: Grant,
    stage: Stage,
    actual: Option<u64>,
    ending: Ending,
}

#[derive(Clone, Copy)]
enum Stage {
    Reserved,
    Sent(Booking),
    Over,
}

impl Permit {
    pub(crate) const fn new(shared: Arc<Shared>, grant: Grant) -> Self {
        Self { shared, grant, stage: Stage::Reserved, actual: None, ending: Ending::Unknown }
    }

    /// What was granted.
    #[must_use]
    pub const fn charge(&self) -> Charge {
        self.grant.charge
    }

    /// How long it was waited for.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.grant.waited
    }

    /// The charge is on its way to the server: it ages from now on. Later calls change nothing.
    pub fn sent(&mut self) {
        if self.is_reserved() {
            let now = Instant::now();
            self.sent_at(now, now);
        }
    }

    /// What the server says it used, in tokens.
    pub const fn used(&mut self, tokens: u64) {
        self.actual = Some(tokens);
    }

    /// How it ended; matters where the limit of calls in flight [adapts](crate::Limits::adaptive_in_flight).
    pub const fn ended(&mut self, ending: Ending) {
        self.ending = ending;
    }

    pub(crate) const fn is_reserved(&self) -> bool {
        matches!(self.stage, Stage::Reserved)
    }

    pub(crate) fn sent_at(&mut self, now: Instant, sent: Instant) {
        if self.is_reserved() {
            let charge = self.charge();
            let booking = self.shared.change(|desk, wakes| desk.send(now, sent, charge, wakes));
            self.stage = Stage::Sent(booking);
        }
    }

    /// The headers of the answer.
    pub(crate) fn heard(&self, now: Instant, headers: &QuotaHeaders) {
        let Stage::Sent(booking) = self.stage else {
            return;
        };
        let lesson = self.shared.change(|desk, wakes| desk.hear(now, booking, headers, wakes));
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

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Permit {
    /// What drop does, at an instant that is known already.
    pub(crate) fn end(&mut self, now: Instant) {
        let charge = self.charge();
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => {}
            Stage::Reserved => self.shared.change(|desk, wakes| desk.cancel(now, charge, wakes)),
            Stage::Sent(booking) => {
                let (actual, ending, generation) = (self.actual, self.ending, self.grant.generation);
                self.shared.change(|desk, wakes| {
                    desk.ledger.end(now, generation, ending);
                    desk.settle(now, booking, charge, actual, wakes);
                });
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Over) {
            self.end(Instant::now());
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("charge", &self.charge())
            .field("is_sent", &!self.is_reserved())
            .finish_non_exhaustive()
    }
}
