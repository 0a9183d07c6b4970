use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    deployment::Charge,
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
        Self {
            shared,
            sequence,
            settlement,
            stage: Stage::BeforeHead,
        }
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
        } else if let Some(settlement) = &mut self.settlement {
            settlement.used.output = 0;
        }
    }

    /// Content is handed over: of a stream, so many tokens by now.
    pub(crate) fn content(&mut self, now: Instant, delivered: Option<u64>) {
        if let (Some(delivered), Some(settlement)) = (delivered, &mut self.settlement) {
            settlement.used.output = delivered;
        }
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
        let streamed = self.stage == Stage::Stream;
        self.stage = Stage::Over;
        let used = self.settlement.map(|settlement| settlement.used.output);
        self.settle(now);
        self.write(|served| {
            served.ended = Some(now);
            served.ending = ending;
            if let (true, Some(used)) = (streamed, used) {
                served.completion_tokens = used;
            }
        });
    }

    fn settle(&mut self, now: Instant) {
        if let Some(settlement) = self.settlement.take() {
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
