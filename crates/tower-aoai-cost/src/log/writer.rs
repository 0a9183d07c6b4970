//! The thread that writes.

use std::{
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    disk::Disk,
    pipe::{Batch, Pipe},
    record,
};
use crate::books::Books;

pub(super) struct Writer<D> {
    disk: D,
    pipe: Arc<Pipe>,
    /// The books are not kept alive by their log.
    books: Weak<Books>,
    /// The file is written anew when it has grown to this.
    compact_at: u64,
}

/// A smaller file is not worth writing anew.
const SMALL: u64 = 4 << 20;

/// How long a disk that took no write is left alone.
const RETRY: Duration = Duration::from_secs(1);

impl<D: Disk> Writer<D> {
    pub(super) fn new(disk: D, pipe: Arc<Pipe>, books: Weak<Books>) -> Self {
        let compact_at = disk.bytes().max(SMALL);
        Self { disk, pipe, books, compact_at }
    }

    /// Writes until the books are closed.
    pub(super) fn run(mut self) {
        let mut retry = None;
        loop {
            let batch = self.pipe.take(retry);
            let is_last = batch.is_last;
            let result = self.write(&batch);
            retry = result.is_err().then_some(RETRY);
            if is_last {
                return;
            }
        }
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let (written, compacted) = if batch.has_gap {
            // Whatever is appended to half a line could not be read; and something is missing.
            let compacted = self.compact();
            (compacted.is_ok(), compacted.map(|()| true))
        } else {
            match self.disk.append(&batch.lines) {
                Err(error) => (false, Err(error)),
                Ok(()) if self.disk.bytes() >= self.compact_at => {
                    (self.books.strong_count() == 0, self.compact().map(|()| true))
                }
                Ok(()) => (true, Ok(false)),
            }
        };
        let file_bytes = self.disk.bytes();
        self.pipe.report(|status, has_gap| {
            status.file_bytes = file_bytes;
            match &compacted {
                Ok(is_compacted) => status.compactions += u64::from(*is_compacted),
                Err(error) => {
                    if status.failures == 0 {
                        tracing::error!(target: "tower_aoai::cost", %error, "the cost log cannot be written: what is booked is kept in memory, and written when it can be");
                    }
                    status.failures += 1;
                    status.last_failure = Some(error.to_string().into());
                    if !written {
                        status.unlogged += batch.count;
                        *has_gap = true;
                    }
                }
            }
        });
        compacted.map(|_| ())
    }

    /// Writes the sums into a new file.
    fn compact(&mut self) -> io::Result<()> {
        let Some(books) = self.books.upgrade() else {
            return Err(io::Error::other("the file lacks bookings, and the books are closed"));
        };
        let ledger = books.with(|state| {
            self.pipe.take_all_into_sums();
            state.ledger.clone()
        });
        drop(books);
        self.disk.replace(&record::encode_ledger(&ledger))?;
        self.compact_at = self.disk.bytes().saturating_mul(4).max(SMALL);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use parking_lot::{Condvar, Mutex};

    use super::*;
    use crate::{
        Money, Spend, Tags,
        books::{Books, Open},
        ledger::Ledger,
        query::Query,
    };

    /// A disk that is full, or stands still, when it is told to.
    #[derive(Clone, Default)]
    struct Fake {
        file: Arc<Mutex<Vec<u8>>>,
        is_full: Arc<AtomicBool>,
        stands_still: Arc<(Mutex<bool>, Condvar)>,
    }

    impl Disk for Fake {
        fn append(&mut self, lines: &[u8]) -> io::Result<()> {
            let (still, moved) = &*self.stands_still;
            moved.wait_while(&mut still.lock(), |still| *still);
            if self.is_full.load(SeqCst) {
                // Some of it is written all the same.
                self.file.lock().extend_from_slice(&lines[..lines.len() / 2 - 7]);
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.file.lock().extend_from_slice(lines);
            Ok(())
        }

        fn replace(&mut self, file: &[u8]) -> io::Result<()> {
            if self.is_full.load(SeqCst) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            *self.file.lock() = file.to_vec();
            Ok(())
        }

        fn bytes(&self) -> u64 {
            self.file.lock().len() as u64
        }
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    fn start(disk: &Fake, buffer: usize) -> (Arc<Books>, Arc<Pipe>) {
        *disk.file.lock() = record::OPENING.to_vec();
        let books = Books::new();
        let pipe = Arc::new(Pipe::new(buffer));
        assert!(books.set_pipe(Arc::clone(&pipe)));
        let writer = Writer::new(disk.clone(), Arc::clone(&pipe), Arc::downgrade(&books));
        std::thread::spawn(move || writer.run());
        (books, pipe)
    }

    fn book(books: &Books, calls: u64) {
        for _ in 0..calls {
            let mut spend = Spend { calls: 1, ..Spend::default() };
            spend.exact.cost = Money::nano_dollars(1);
            let open = Open { seconds: 1_000_000, claims: Vec::new(), worst: Money::ZERO };
            books.close(&open, Money::ZERO, &[(Tags::new().task("t"), spend)]);
        }
    }

    fn on_disk(disk: &Fake) -> (u64, bool) {
        let mut ledger = Ledger::default();
        let file = disk.file.lock().clone();
        let read = record::read_from(&file[..], file.len() as u64, &mut ledger).expect("one of ours");
        (ledger.sum(&Query::total()).cost().as_nano_dollars(), read.tear.is_some())
    }

    #[test]
    fn a_full_disk_blocks_nobody_and_everything_is_written_when_it_has_room() {
        let disk = Fake::default();
        let (books, pipe) = start(&disk, 1 << 20);
        book(&books, 10);
        assert!(pipe.flush(PATIENCE));
        disk.is_full.store(true, SeqCst);
        book(&books, 10);
        assert!(!pipe.flush(PATIENCE), "it cannot be written");
        assert_eq!(on_disk(&disk), (14, true), "some of it is");
        let status = pipe.status();
        assert_eq!((status.unlogged, status.failures >= 1, status.waiting), (10, true, 0));
        assert!(status.last_failure.is_some());
        book(&books, 10);
        disk.is_full.store(false, SeqCst);
        assert!(pipe.flush(PATIENCE));
        assert_eq!(on_disk(&disk), (30, false), "written anew");
        book(&books, 1);
        assert!(pipe.flush(PATIENCE));
        assert_eq!(on_disk(&disk), (31, false), "and appended to");
    }

    #[test]
    fn a_disk_that_stands_still_blocks_nobody_and_what_finds_no_room_is_counted() {
        let disk = Fake::default();
        let (books, pipe) = start(&disk, 2_000);
        *disk.stands_still.0.lock() = true;
        book(&books, 1_000);
        let status = pipe.status();
        assert!(status.unlogged > 900 && status.waiting <= 2_000, "{status:?}");
        *disk.stands_still.0.lock() = false;
        disk.stands_still.1.notify_all();
        assert!(pipe.flush(PATIENCE));
        assert_eq!(on_disk(&disk), (1_000, false));
    }

    #[test]
    fn a_large_file_is_written_anew_with_every_booking_once() {
        let disk = Fake::default();
        let (books, pipe) = start(&disk, usize::MAX);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let books = Arc::clone(&books);
                std::thread::spawn(move || book(&books, 8_000))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("booked"));
        assert!(pipe.flush(PATIENCE));
        let status = pipe.status();
        assert!(status.compactions >= 1, "{status:?}");
        assert_eq!((on_disk(&disk), status.unlogged), ((32_000, false), 0));
        assert!(status.file_bytes < SMALL);
    }

    #[test]
    fn what_waits_is_written_when_the_last_handle_goes() {
        let disk = Fake::default();
        let (books, pipe) = start(&disk, 1 << 20);
        book(&books, 10);
        drop(books);
        assert!(pipe.flush(PATIENCE));
        assert_eq!(on_disk(&disk), (10, false));
    }
}
