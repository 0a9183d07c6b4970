//! Between those who book and the one who writes.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::LogStatus;

/// Lines that wait to be written, bounded in bytes. Pushing never waits for the disk.
#[derive(Debug)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    /// Something is there to be done.
    work: Condvar,
    /// Something has been written.
    written: Condvar,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    lines: u64,
    is_closed: bool,
    wants_flush: bool,
    /// The file lacks what was booked: it has to be written anew.
    has_gap: bool,
    /// Batches handed to the writer, and of these those that it has dealt with.
    taken: u64,
    done: u64,
    status: LogStatus,
}

/// What the writer is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) lines: Vec<u8>,
    pub(super) count: u64,
    pub(super) has_gap: bool,
    /// Nothing comes after it.
    pub(super) is_last: bool,
}

/// How long lines gather before they are written.
pub(super) const GATHER: Duration = Duration::from_millis(20);

impl Pipe {
    pub(crate) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), work: Condvar::new(), written: Condvar::new(), most }
    }

    /// Adds lines as far as there is room for all of them.
    pub(crate) fn push(&self, lines: &[Vec<u8>]) {
        let bytes: usize = lines.iter().map(Vec::len).sum();
        if bytes == 0 {
            return;
        }
        let count = lines.len() as u64;
        let mut state = self.state.lock();
        if state.waiting.len() + bytes > self.most {
            state.status.unlogged += count;
            state.has_gap = true;
            return;
        }
        let was_empty = state.waiting.is_empty();
        lines.iter().for_each(|line| state.waiting.extend_from_slice(line));
        state.lines += count;
        if was_empty {
            self.work.notify_one();
        }
    }

    /// Waits until there is something to write, and lets it gather; `retry` bounds the wait.
    pub(super) fn take(&self, retry: Option<Duration>) -> Batch {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && !state.is_closed && !state.wants_flush {
            let is_over = match retry {
                Some(retry) => self.work.wait_for(&mut state, retry).timed_out(),
                None => {
                    self.work.wait(&mut state);
                    false
                }
            };
            if is_over {
                break;
            }
        }
        if !state.is_closed && !state.wants_flush {
            self.work.wait_for(&mut state, GATHER);
        }
        state.wants_flush = false;
        state.batch()
    }

    /// Lets go of what waits, for it stands in what is written anew; called under the books' lock.
    pub(super) fn take_all_into_sums(&self) {
        let mut state = self.state.lock();
        state.waiting.clear();
        state.lines = 0;
        state.has_gap = false;
    }

    /// Lets the writer begin a new file from the books, soon.
    pub(crate) fn write_anew(&self) {
        let mut state = self.state.lock();
        state.has_gap = true;
        state.wants_flush = true;
        self.work.notify_one();
    }

    /// Says what became of the last batch.
    pub(super) fn report(&self, change: impl FnOnce(&mut LogStatus, &mut bool)) {
        let mut state = self.state.lock();
        let State { status, has_gap, .. } = &mut *state;
        change(status, has_gap);
        state.done = state.taken;
        self.written.notify_all();
    }

    pub(crate) fn status(&self) -> LogStatus {
        let state = self.state.lock();
        LogStatus { waiting: state.waiting.len(), ..state.status.clone() }
    }

    /// Waits until all that was booked so far has been written; `false` if it cannot be, or takes too long.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        let until = if state.waiting.is_empty() && !state.has_gap { state.taken } else { state.taken + 1 };
        state.wants_flush = true;
        self.work.notify_one();
        while state.done < until {
            if self.written.wait_for(&mut state, patience).timed_out() {
                break;
            }
        }
        state.done >= until && !state.has_gap
    }

    /// Nothing more comes: the writer writes what is there, and ends.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.work.notify_one();
    }
}

impl State {
    fn batch(&mut self) -> Batch {
        self.taken += 1;
        Batch {
            lines: std::mem::take(&mut self.waiting),
            count: std::mem::take(&mut self.lines),
            has_gap: self.has_gap,
            is_last: self.is_closed,
        }
    }
}
