use std::{collections::VecDeque, sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::{Operation, quota::RefusalReason};

/// How a request's story ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Ending {
    /// It has not.
    #[default]
    Pending,
    /// The whole answer was read.
    Complete,
    /// The whole answer was there, but the caller dropped its body unread.
    Unread,
    /// The caller went away before the head.
    CancelledBeforeHead,
    /// The caller went away inside a stream.
    CancelledInBody,
    /// The connection was made to fail: before the head, or inside the body.
    Faulted,
}

/// What the simulator did with one request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Served {
    /// Its number, from 0, in order of arrival.
    pub sequence: u64,
    /// The deployment it asked for, if it said so understandably.
    pub deployment: Option<Arc<str>>,
    /// What it asked for.
    pub operation: Operation,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// When it was at the service with its whole body.
    pub arrived: Instant,
    /// When the head of the answer was handed over.
    pub first_byte: Option<Instant>,
    /// When the first event with content was handed over; for a whole answer, its body.
    pub first_content: Option<Instant>,
    /// When the answer's body had been read, or the caller dropped it.
    pub ended: Option<Instant>,
    /// The status answered, also while it is still to be handed over; `None` if the connection
    /// failed or hangs. A refusal inside a stream has 200.
    pub status: Option<StatusCode>,
    /// Which quota refused it.
    pub refused: Option<RefusalReason>,
    /// Tokens of the prompt; 0 if it was not understood.
    pub prompt_tokens: u64,
    /// Tokens of the answer: those decided on, until it ends; after a stream was dropped or cut,
    /// those handed over.
    pub completion_tokens: u64,
    /// What was debited at arrival: tokens, on a provisioned deployment weighted ones. For a
    /// refused request, what would have been; what was scripted to fail has none.
    pub reserved: u64,
    /// The hint sent, as a reader of the headers would take it.
    pub retry_hint: Option<Duration>,
    /// Whether the answer was dictated by a script.
    pub scripted: bool,
    /// The standard deployment that served it in place of the provisioned one it asked for.
    pub spilled_to: Option<Arc<str>>,
    /// `x-ms-client-request-id` of the request.
    pub client_request_id: Option<HeaderValue>,
    /// How it ended.
    pub ending: Ending,
}

impl Served {
    /// Whether the caller went away before it had the answer.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        matches!(self.ending, Ending::CancelledBeforeHead | Ending::CancelledInBody)
    }
}

/// The last so many entries.
#[derive(Debug)]
pub(crate) struct Journal {
    entries: VecDeque<Served>,
    capacity: usize,
    forgotten: u64,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), capacity: capacity.max(1), forgotten: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.forgotten = self.next();
        self.entries.clear();
    }

    /// The number of the next entry.
    pub(crate) fn next(&self) -> u64 {
        self.forgotten + u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    pub(crate) fn push(&mut self, served: Served) {
        if self.entries.len() >= self.capacity {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(served);
    }

    pub(crate) fn get_mut(&mut self, sequence: u64) -> Option<&mut Served> {
        let index = sequence.checked_sub(self.forgotten)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Served> {
        self.entries.iter()
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}
