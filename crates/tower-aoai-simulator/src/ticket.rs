use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    booking::Charge,
    journal::{Ending, Served},
    state::Shared,
};

/// A request's hold on its journal entry and on what it reserved. Whatever becomes of the
/// request, exactly one of the endings is recorded: by a method, or when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    sequence: u64,
    settlement: Option<Settlement>,
    stage: Stage,
    /// Of a stream, the tokens handed over.
    delivered: Option<u64>,
}

/// What has to be corrected once it is known what was used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settlement {
    pub(crate) deployment: usize,
    pub(crate) reserved: u64,
    pub(crate) used: Charge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeHead,
    Whole,
    Stream,
    Over,
}

impl Ticket {
    pub(crate) fn new(shared: Arc<Shared>, sequence: u64, settlement: Option<Settlement>) -> Self {
        Self { shared, sequence, settlement, stage: Stage::BeforeHead, delivered: None }
    }

    /// The head is handed over.
    pub(crate) fn head(&mut self, now: Instant) {
        self.write(|served| served.first_byte = Some(now));
    }

    /// The body has taken over. A whole answer is finished work, read or not.
    pub(crate) fn in_body(&mut self, whole: bool) {
        self.stage = if whole { Stage::Whole } else { Stage::Stream };
        if whole {
            self.settle(Instant::now());
        } else {
            self.delivered = Some(0);
        }
    }

    /// Content is handed over: of a stream, so many tokens by now.
    pub(crate) fn content(&mut self, now: Instant, delivered: Option<u64>) {
        self.delivered = delivered;
        // Only the first content is an event for the journal: a lock for each token is not.
        if delivered.is_none_or(|delivered| delivered == 1) {
            self.write(|served| served.first_content = Some(now));
        }
    }

    pub(crate) fn complete(mut self, now: Instant) {
        self.end(now, Ending::Complete);
    }

    pub(crate) fn fault(mut self, now: Instant) {
        self.end(now, Ending::Faulted);
    }

    fn end(&mut self, now: Instant, ending: Ending) {
        self.stage = Stage::Over;
        self.settle(now);
        let delivered = self.delivered;
        self.write(|served| {
            served.ended = Some(now);
            served.ending = ending;
            served.completion_tokens = delivered.unwrap_or(served.completion_tokens);
        });
    }

    /// Corrects what was reserved. A stream has used what was handed over; any other answer all
    /// of it, even one nobody waited for: the service does not stop for a caller it cannot tell
    /// has gone.
    fn settle(&mut self, now: Instant) {
        if let Some(mut settlement) = self.settlement.take() {
            settlement.used.output = self.delivered.unwrap_or(settlement.used.output);
            self.shared.settle(now, settlement);
        }
    }

    fn write(&self, change: impl FnOnce(&mut Served)) {
        self.shared.write(self.sequence, change);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let ending = match self.stage {
            Stage::Over => return,
            Stage::BeforeHead => Ending::CancelledBeforeHead,
            Stage::Whole => Ending::Unread,
            Stage::Stream => Ending::CancelledInBody,
        };
        self.end(Instant::now(), ending);
    }
}
