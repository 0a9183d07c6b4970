use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::QuotaHeaders;

use crate::{Charge, Ending, Local, Settlement, Store, Used, shared::Shared};

/// A granted charge, for code that is no tower stack: see [`TokenBucketHandle::acquire`](crate::TokenBucketHandle::acquire).
///
/// It holds its place in flight until it is dropped. One that is dropped unsent is given back whole; one that was
/// [sent](Self::sent) is settled: as the [accounting](crate::Accounting) has it, for what was [used](Self::used) or for
/// its charge.
#[must_use = "a permit that is dropped is given back"]
pub struct Permit<St: Store = Local> {
    /// Until it is settled.
    held: Option<(Arc<Shared<St>>, St::Ticket)>,
    charge: Charge,
    waited: Duration,
    is_sent: bool,
    used: Used,
    ending: Ending,
}

impl<St: Store> Permit<St> {
    pub(crate) fn new(shared: Option<Arc<Shared<St>>>, charge: Charge, ticket: St::Ticket, waited: Duration) -> Self {
        let held = shared.map(|shared| (shared, ticket));
        Self { held, charge, waited, is_sent: false, used: Used::default(), ending: Ending::Unknown }
    }

    /// What was granted.
    #[must_use]
    pub const fn charge(&self) -> Charge {
        self.charge
    }

    /// How long it waited in the queue; zero where it was granted at once.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// The charge is on its way to the server: it ages from now on. Later calls change nothing.
    pub fn sent(&mut self) {
        if !self.is_sent {
            self.sent_at(Instant::now());
        }
    }

    /// What the server says it used, in tokens: what the charge is settled at, where the quota's
    /// [accounting](crate::Accounting) corrects. Without it, at the estimate.
    pub const fn used(&mut self, tokens: u64) {
        self.used.reported = Some(tokens);
    }

    /// How it ended; matters where the limit of calls in flight [adapts](crate::Limits::adaptive_in_flight).
    pub const fn ended(&mut self, ending: Ending) {
        self.ending = ending;
    }

    pub(crate) const fn is_reserved(&self) -> bool {
        !self.is_sent
    }

    /// What was seen of an answer that did not come to its end.
    pub(crate) const fn seen(&mut self, tokens: u64) {
        self.used.seen = Some(tokens);
    }

    pub(crate) fn sent_at(&mut self, sent: Instant) {
        if let Some((shared, ticket)) = &mut self.held
            && !self.is_sent
        {
            shared.store.sent(ticket, self.charge, sent);
            self.is_sent = true;
        }
    }

    /// The headers of the answer.
    pub(crate) fn heard(&self, headers: &QuotaHeaders) {
        if let Some((shared, ticket)) = &self.held
            && self.is_sent
        {
            shared.store.hear(ticket, headers);
        }
    }

    pub(crate) fn shared(&self) -> Option<&Shared<St>> {
        self.held.as_ref().map(|(shared, _)| &**shared)
    }
}

impl<St: Store> Drop for Permit<St> {
    fn drop(&mut self) {
        let Some((shared, ticket)) = self.held.take() else {
            return;
        };
        if self.is_sent {
            let actual = shared.accounting.settle(self.charge.tokens, self.used);
            shared.store.settle(ticket, self.charge, Settlement { actual, ending: self.ending });
        } else {
            shared.store.cancel(ticket, self.charge);
        }
    }
}

impl<St: Store> fmt::Debug for Permit<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("charge", &self.charge).field("is_sent", &self.is_sent).finish_non_exhaustive()
    }
}
